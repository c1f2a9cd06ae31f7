//! Whether 32 bytes are a point on edwards25519 (RFC 8032 §5.1.3).
//!
//! Only for public keys when they are loaded: it is slow, and takes a time that depends on the key.

/// An element of the field, below 2^256, in four words from the lowest.
type Element = [u64; 4];

/// 2^255 - 19.
const P: Element = [0xFFFF_FFFF_FFFF_FFED, u64::MAX, u64::MAX, 0x7FFF_FFFF_FFFF_FFFF];

/// The curve's d, -121665/121666.
const D: Element = [0x75EB_4DCA_1359_78A3, 0x0070_0A4D_4141_D8AB, 0x8CC7_4079_7779_E898, 0x5203_6CEE_2B6F_FE73];

const ONE: Element = [1, 0, 0, 0];

/// True when y is canonical and an x with -x² + y² = 1 + d x² y² exists.
pub(super) fn is_point(bytes: &[u8]) -> bool {
    let mut y = [0; 4];
    for (word, bytes) in y.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    // The highest bit is the sign of x.
    y[3] &= u64::MAX >> 1;
    if !is_below_p(&y) {
        return false;
    }
    // x² = (y² - 1) / (d y² + 1), which is a square when the product of both parts is one (or zero).
    let square = multiply(&y, &y);
    let product = multiply(&add(&square, &negated_one()), &add(&multiply(&D, &square), &ONE));
    let residue = power(&product);
    residue == ONE || residue == [0; 4]
}

fn is_below_p(a: &Element) -> bool {
    a.iter().rev().cmp(P.iter().rev()).is_lt()
}

fn negated_one() -> Element {
    let mut minus_one = P;
    minus_one[0] -= 1;
    minus_one
}

/// Reduces what is below 2^256 to what is below p.
fn reduce(mut a: Element) -> Element {
    while !is_below_p(&a) {
        let mut borrow = false;
        for (word, p) in a.iter_mut().zip(P) {
            let (less, first) = word.overflowing_sub(p);
            let (less, second) = less.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (less, first || second);
        }
    }
    a
}

/// Both are below p, so the sum is below 2^256.
fn add(a: &Element, b: &Element) -> Element {
    let mut sum = [0; 4];
    let mut carry = 0;
    for (word, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        let wide = u128::from(*a) + u128::from(*b) + carry;
        (*word, carry) = (low(wide), wide >> 64);
    }
    reduce(sum)
}

fn multiply(a: &Element, b: &Element) -> Element {
    let mut product = [0u64; 8];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, b) in b.iter().enumerate() {
            let wide = u128::from(*a) * u128::from(*b) + u128::from(product[i + j]) + carry;
            (product[i + j], carry) = (low(wide), wide >> 64);
        }
        product[i + 4] = low(carry);
    }
    // 2^256 is 38 modulo p: the upper half is folded down, then what that carries over.
    let mut folded = [0; 4];
    let mut carry = 0;
    for (word, (lower, upper)) in folded.iter_mut().zip(product[..4].iter().zip(&product[4..])) {
        let wide = u128::from(*lower) + u128::from(*upper) * 38 + carry;
        (*word, carry) = (low(wide), wide >> 64);
    }
    carry *= 38;
    while carry > 0 {
        for word in &mut folded {
            let wide = u128::from(*word) + carry;
            (*word, carry) = (low(wide), wide >> 64);
        }
        carry *= 38;
    }
    reduce(folded)
}

/// a to the power of (p - 1) / 2: 1 for squares (Euler).
fn power(a: &Element) -> Element {
    // (p - 1) / 2 = 2^254 - 1 - 9: every bit from 253 down is set but those of 9.
    let mut result = ONE;
    for bit in (0..254).rev() {
        result = multiply(&result, &result);
        if bit != 3 && bit != 0 {
            result = multiply(&result, a);
        }
    }
    result
}

fn low(wide: u128) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    let word = wide as u64;
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_follow_fermat() {
        // Every element but zero to the power of (p - 1) / 2 is 1 or -1.
        for n in 1..50 {
            let residue = power(&[n, n * 7, 3, 0]);
            assert!(residue == ONE || residue == negated_one(), "{n}");
        }
        assert_eq!(power(&[4, 0, 0, 0]), ONE, "4 is a square");
        assert_eq!(power(&[2, 0, 0, 0]), negated_one(), "2 is none, for p is 5 modulo 8");
    }

    #[test]
    fn about_half_of_all_y_are_on_the_curve_and_the_base_point_is() {
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(is_point(&base));
        base[31] |= 0x80;
        assert!(is_point(&base), "the other sign");
        let mut y = [0; 32];
        y[0] = 2;
        assert!(!is_point(&y), "y = 2");
        let on_curve = (0..200).filter(|n| {
            y[1] = *n;
            is_point(&y)
        });
        assert!((70..130).contains(&on_curve.count()));
    }

    #[test]
    fn a_y_past_the_modulus_is_not_canonical() {
        let mut bytes = [0xFF; 32];
        bytes[31] = 0x7F;
        for low in 0xED..=0xFF {
            bytes[0] = low;
            assert!(!is_point(&bytes), "{low:x}");
        }
    }
}
