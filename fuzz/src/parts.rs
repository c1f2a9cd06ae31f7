//! Inputs that can hold what only this process knows: signed tokens, keys, hashes.

/// Puts a part in place of each of the bytes 1, 2, 3 …, so that inputs need not guess signatures, and stay good when
/// keys change. Bytes without a part stay as they are.
pub fn fill<P: AsRef<[u8]>>(input: &[u8], parts: &[P]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(input.len());
    for byte in input {
        match usize::from(*byte).checked_sub(1).and_then(|at| parts.get(at)) {
            Some(part) => filled.extend_from_slice(part.as_ref()),
            None => filled.push(*byte),
        }
    }
    filled
}

/// The three segments of a token.
pub fn segments(token: &str) -> [String; 3] {
    let segments: Vec<_> = token.split('.').map(str::to_owned).collect();
    segments.try_into().expect("a compact token")
}
