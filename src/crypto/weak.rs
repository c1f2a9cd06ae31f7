//! Keys that no backend refuses reliably, and that must not verify anything.
//!
//! - HMAC: a secret shorter than the hash (RFC 7518 §3.2), or one that is really a public key or a document
//!   (CVE-2015-9235, CVE-2026-48526).
//! - RSA: under 2048 or over 8192 bits, an even or trivial exponent, a ROCA modulus (CVE-2017-15361).
//! - Ed25519: points of small order, for which signatures can be made without the private key, and what is no point.

use super::edwards25519;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use spki::der::asn1::AnyRef;
use spki::der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::jose::compact::decode_wiped;
use crate::jose::jwk::Material;
use crate::jose::{Algorithm, der};

/// Judges an HMAC secret.
pub(crate) fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), ConfigError> {
    let Some(shortest) = algorithm.shortest_secret() else {
        return Err(ConfigError::new(format!(
            "{algorithm} does not verify with a secret: give its public key, with `KeySet::pem` or `KeySet::jwk_set`"
        )));
    };
    if secret.len() < shortest {
        return Err(ConfigError::new(format!(
            "a secret for {algorithm} needs at least {shortest} bytes (RFC 7518 section 3.2), this one has {}: \
             make one with `openssl rand -base64 {shortest}`, which `KeySet::base64_secret` reads, or see \
             `Key::danger_weak_secret`",
            secret.len()
        )));
    }
    Ok(())
}

/// Judges key material, whatever it came from.
pub(super) fn check(material: &Material) -> Result<(), ConfigError> {
    match material {
        Material::Secret(secret) if secret.is_empty() => Err(ConfigError::new("the secret is empty")),
        Material::Secret(secret) if is_a_document(secret) => Err(ConfigError::new(
            "the secret is a PEM, a JWK or another public key: anybody who has it could sign; \
             load it as a key, with `KeySet::pem` or `KeySet::jwk_set`",
        )),
        Material::Rsa { n, e } => check_rsa(n, e),
        Material::Ed25519(point) if point.len() != 32 => Err(ConfigError::new("an Ed25519 key has 32 bytes")),
        Material::Ed25519(point) if has_small_order(point) => {
            Err(ConfigError::new("the Ed25519 key is a point of small order"))
        }
        Material::Ed25519(point) if !edwards25519::is_point(point) => {
            Err(ConfigError::new("the Ed25519 key is not a point on the curve"))
        }
        Material::Secret(_) | Material::Ec { .. } | Material::Ed25519(_) | Material::MlDsa(_) => Ok(()),
    }
}

/// A PEM, with its white space changed or not, a JWK, a JWK set, an SSH key, the DER of a public key or a certificate, or
/// the base64 or base64url of one of them (CVE-2022-29217, CVE-2024-33663).
fn is_a_document(secret: &[u8]) -> bool {
    // Room for all of it at once: what grows leaves copies behind.
    let mut dense = Zeroizing::new(Vec::with_capacity(secret.len()));
    dense.extend(secret.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != 0));
    let base64 = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if is_plain_document(secret, &dense) {
        return true;
    }
    for byte in dense.iter_mut() {
        match byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => {}
        }
    }
    decode_wiped(&base64, &dense).is_some_and(|inner| is_plain_document(&inner, &inner))
}

fn is_plain_document(bytes: &[u8], dense: &[u8]) -> bool {
    const SSH: [&[u8]; 3] = [b"ssh-", b"ecdsa-sha2-", b"sk-"];
    let has = |text: &[u8]| dense.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text));
    let is_armored = has(b"--BEGIN") || has(b"-----BEGIN");
    let is_ssh = SSH.iter().any(|prefix| dense.starts_with(prefix));
    // Whatever stands around the first brace, a byte order mark or quotes, a document is in it.
    let is_jwk =
        dense.contains(&b'{') && (has(b"\"kty\"") || has(b"\"keys\"") || has(b"\\\"kty\\\"") || is_escaped_jwk(bytes));
    is_armored || is_ssh || is_jwk || der::from_der(bytes).is_ok() || is_x509(bytes)
}

/// A certificate, or a public key of any algorithm: nothing but a SEQUENCE that begins with another.
fn is_x509(bytes: &[u8]) -> bool {
    let is_sequence = |element: &AnyRef<'_>| element.tag() == Tag::Sequence;
    let content = AnyRef::from_der(bytes).ok().filter(is_sequence);
    let first = content.and_then(|content| SliceReader::new(content.value()).ok()?.decode::<AnyRef<'_>>().ok());
    first.is_some_and(|first| is_sequence(&first))
}

/// A JWK or a JWK set whose member names are written with escapes.
fn is_escaped_jwk(bytes: &[u8]) -> bool {
    let is_jwk = |value: &Value| value.get("kty").or(value.get("keys")).is_some();
    serde_json::from_slice(bytes)
        .is_ok_and(|value: Value| is_jwk(&value) || value.as_array().is_some_and(|all| all.iter().any(is_jwk)))
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), ConfigError> {
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(ConfigError::new(format!("an RSA key needs 2048 to 8192 bits, this one has {bits}")));
    }
    if e.last().is_none_or(|byte| byte % 2 == 0) || e == [1] || e.len() > 5 || (e.len() == 5 && e[0] > 1) {
        return Err(ConfigError::new("the exponent of an RSA key must be odd, greater than 1, and of at most 33 bits"));
    }
    if n.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(ConfigError::new("the modulus of an RSA key must be odd"));
    }
    if has_roca_fingerprint(n) {
        return Err(ConfigError::new("the RSA key was made by a broken generator (ROCA, CVE-2017-15361)"));
    }
    Ok(())
}

/// The primes below 168 for which the powers of 65537 leave residues out: a ROCA modulus never hits those.
const ROCA_PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// True when the modulus is a power of 65537 modulo every one of the primes, as one in 2^27 honest moduli is.
fn has_roca_fingerprint(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| {
        let residue = n.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * 65537 % prime;
            power == residue
        })
    })
}

/// The y coordinates of the points of small order on edwards25519, canonical or not, without the sign bit.
const SMALL_ORDER: [[u8; 32]; 7] = [
    filled(0x00, 0x00, 0x00),
    filled(0x01, 0x00, 0x00),
    filled(0xEC, 0xFF, 0x7F),
    filled(0xED, 0xFF, 0x7F),
    filled(0xEE, 0xFF, 0x7F),
    [
        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5, 0xDF,
        0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
    ],
    [
        0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F, 0x2A, 0x20,
        0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
    ],
];

const fn filled(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// True for an encoded Ed25519 point of small order. `point` has 32 bytes.
pub(super) fn has_small_order(point: &[u8]) -> bool {
    let Some((&last, front)) = point.split_last() else { return true };
    SMALL_ORDER.iter().any(|small| front == &small[..31] && last & 0x7F == small[31])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_modulus_is_refused() {
        let mut n = vec![0xA7; 256];
        n[255] = 0xA6;
        assert!(check(&Material::Rsa { n, e: vec![3] }).is_err());
    }

    fn rsa(bytes: usize, first: u8, e: &[u8]) -> Result<(), ConfigError> {
        let mut n = vec![0xA7; bytes];
        n[0] = first;
        check(&Material::Rsa { n, e: e.to_vec() })
    }

    #[test]
    fn rsa_sizes_and_exponents_have_bounds() {
        assert!(rsa(256, 0x80, &[1, 0, 1]).is_ok(), "2048 bits");
        assert!(rsa(256, 0x7F, &[1, 0, 1]).is_err(), "2047 bits");
        assert!(rsa(1024, 0xFF, &[1, 0, 1]).is_ok(), "8192 bits");
        assert!(rsa(1025, 0x01, &[1, 0, 1]).is_err(), "8193 bits");
        assert!(rsa(256, 0x80, &[3]).is_ok(), "3 is odd");
        assert!(rsa(256, 0x80, &[1, 0, 0, 0, 1]).is_ok(), "33 bits");
        for weak in [&[][..], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 0, 1]] {
            assert!(rsa(256, 0x80, weak).is_err(), "{weak:?}");
        }
    }

    #[test]
    fn a_secret_has_at_least_the_bytes_of_its_hash() {
        for (algorithm, bytes) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(check_secret(algorithm, &vec![7; bytes]).is_ok());
            assert!(check_secret(algorithm, &vec![7; bytes - 1]).is_err());
        }
        assert!(check_secret(Algorithm::RS256, &[7; 64]).is_err());
    }

    #[test]
    fn a_secret_that_is_a_document_is_refused() {
        let documents = [
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
            "-----BEGINPUBLICKEY-----MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=-----ENDPUBLICKEY-----",
            "  - - - - -BEGIN RSA PUBLIC KEY-----",
            r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
            r#" {"keys":[{"kty":"OKP","crv":"Ed25519"}]}"#,
            "\u{feff}{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\0",
            r#"[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]"#,
            r#""{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}""#,
            r#"{"\u006bty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
            r#" { "\u006beys" : [{"k\u0074y":"OKP","crv":"Ed25519"}] }"#,
            r#"[{"\u006bty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]"#,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlP0Vh8kdsyUvjqFGWZJhJ0Y8bXzYzWv8pY2dQnq0vN user@host",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBE",
            "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5AAAAIJlP0Vh8kdsyUvjqFGWZJhJ0\n---- END SSH2 PUBLIC KEY ----",
            // The body of a PEM without its armour, and the base64 of a whole one.
            "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUNvd0JRWURLMlZ3QXlFQTExcVlBWUt4Q3JmVg==",
            // In base64url.
            "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            // An X25519 key, which no algorithm here has.
            "MCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ];
        for text in documents {
            let secret = Material::Secret(Zeroizing::new(text.as_bytes().to_vec()));
            assert!(check(&secret).is_err(), "{text}");
        }
        let ordinary = Material::Secret(Zeroizing::new(b"{ correct horse battery staple } [keys]".to_vec()));
        assert!(check(&ordinary).is_ok());
    }

    #[test]
    fn points_of_small_order_are_known_with_either_sign() {
        for small in SMALL_ORDER {
            let mut point = small;
            assert!(has_small_order(&point));
            point[31] |= 0x80;
            assert!(has_small_order(&point));
            point[1] ^= 1;
            assert!(!has_small_order(&point));
        }
    }

    #[test]
    fn powers_of_65537_carry_the_fingerprint_and_a_neighbour_does_not() {
        // 65537^3 is its own fingerprint modulo every prime.
        let cube: u64 = 65537 * 65537 * 65537;
        assert!(has_roca_fingerprint(&cube.to_be_bytes()));
        assert!(!has_roca_fingerprint(&(cube + 1).to_be_bytes()));
    }
}
