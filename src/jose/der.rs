//! Public keys in DER and PEM: `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) and PKCS #1 `RSAPublicKey` (RFC 8017 A.1.1).
//!
//! - A private key or a certificate is refused with the command that makes a public key of it.

use base64::engine::general_purpose::STANDARD;
use spki::der::Decode;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

use super::algorithm::KeyFamily;
use super::compact::decode_wiped;
use super::jwk::Material;
use crate::error::ConfigError;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ML_DSA: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17"),
    ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18"),
    ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19"),
];

/// Reads a PEM of a public key.
pub(crate) fn from_pem(text: &[u8]) -> Result<Material, ConfigError> {
    let (label, der) = decode_pem(text)
        .ok_or_else(|| ConfigError::new("not a PEM: expected one block that starts with -----BEGIN PUBLIC KEY-----"))?;
    match label {
        "PUBLIC KEY" => from_spki(&der),
        "RSA PUBLIC KEY" => from_pkcs1(&der),
        "CERTIFICATE" => {
            Err(ConfigError::new("a certificate is not a public key: extract it with `openssl x509 -pubkey -noout`"))
        }
        label if label.ends_with("PRIVATE KEY") => Err(ConfigError::new(
            "a verifier needs the public key, not the private one: make it with `openssl pkey -pubout`",
        )),
        _ => Err(ConfigError::new("this PEM is not a public key: expected the label PUBLIC KEY")),
    }
}

/// One block, with its base64 in lines of any length: PEMs come out of environments and templates in many shapes.
/// What comes out may be a private key: it is wiped when it is dropped.
pub(super) fn decode_pem(text: &[u8]) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, end) = rest.split_once("-----END ")?;
    // Room for all of it at once: what grows leaves copies behind.
    let mut dense = Zeroizing::new(Vec::with_capacity(body.len()));
    dense.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let is_one_block = end.strip_suffix("-----") == Some(label);
    let der = is_one_block.then(|| decode_wiped(&STANDARD, &dense))??;
    Some((label, der))
}

/// Reads DER of a public key: `SubjectPublicKeyInfo`, or PKCS #1 for RSA.
pub(crate) fn from_der(der: &[u8]) -> Result<Material, ConfigError> {
    from_spki(der).or_else(|error| from_pkcs1(der).map_err(|_| error))
}

fn from_spki(der: &[u8]) -> Result<Material, ConfigError> {
    let broken = || ConfigError::new("not the DER of a SubjectPublicKeyInfo or of a PKCS #1 RSA public key");
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| broken())?;
    let key = info.subject_public_key.as_bytes().ok_or_else(broken)?;
    let unknown = || ConfigError::new("this kind of public key has no algorithm here");
    match info.algorithm.oid {
        // RFC 3279 §2.3.1: the parameters are NULL; they are not looked at where they are left out.
        RSA if info.algorithm.parameters.is_none_or(spki::der::AnyRef::is_null) => from_pkcs1(key),
        EC => {
            let curve = match info.algorithm.parameters_oid().map_err(|_| unknown())? {
                P256 => KeyFamily::P256,
                P384 => KeyFamily::P384,
                P521 => KeyFamily::P521,
                _ => return Err(unknown()),
            };
            ec_point(curve, key).ok_or_else(|| ConfigError::new("the point of an EC key must be uncompressed"))
        }
        ED25519 => Ok(Material::Ed25519(key.to_vec())),
        oid if ML_DSA.contains(&oid) => Ok(Material::MlDsa(key.to_vec())),
        _ => Err(unknown()),
    }
}

pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Material, ConfigError> {
    let key = pkcs1::RsaPublicKey::from_der(der).map_err(|_| ConfigError::new("not the DER of an RSA public key"))?;
    Ok(Material::Rsa { n: key.modulus.as_bytes().to_vec(), e: key.public_exponent.as_bytes().to_vec() })
}

/// An uncompressed point (SEC 1 §2.3.3) as coordinates.
pub(crate) fn ec_point(curve: KeyFamily, point: &[u8]) -> Option<Material> {
    let size = match curve {
        KeyFamily::P256 => 32,
        KeyFamily::P384 => 48,
        KeyFamily::P521 => 66,
        _ => return None,
    };
    match point.split_first() {
        Some((4, xy)) if xy.len() == 2 * size => {
            let (x, y) = xy.split_at(size);
            Some(Material::Ec { curve, x: x.to_vec(), y: y.to_vec() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;

    const _: fn(&[u8]) = |pem| assert_wiped(&decode_pem(pem).expect("a PEM").1);

    const BODY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn a_pem_may_come_in_lines_of_any_length() {
        let (first, rest) = BODY.split_at(20);
        let shapes = [
            format!("-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----\n"),
            format!("\r\n-----BEGIN PUBLIC KEY-----\r\n{first}\r\n{rest} \r\n-----END PUBLIC KEY-----"),
            format!("-----BEGIN PUBLIC KEY----- {BODY} -----END PUBLIC KEY-----"),
        ];
        for shape in shapes {
            assert!(matches!(from_pem(shape.as_bytes()), Ok(Material::Ed25519(_))), "{shape}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_the_fix() {
        let cases = [
            (String::new(), "BEGIN PUBLIC KEY"),
            (BODY.to_owned(), "BEGIN PUBLIC KEY"),
            (format!("-----BEGIN PUBLIC KEY-----{BODY}-----END RSA PUBLIC KEY-----"), "BEGIN PUBLIC KEY"),
            (format!("-----BEGIN PUBLIC KEY-----{BODY}!-----END PUBLIC KEY-----"), "BEGIN PUBLIC KEY"),
            (format!("-----BEGIN PUBLIC KEY-----{BODY}-----END PUBLIC KEY-----x"), "BEGIN PUBLIC KEY"),
            (format!("-----BEGIN PRIVATE KEY-----{BODY}-----END PRIVATE KEY-----"), "openssl pkey -pubout"),
            (format!("-----BEGIN CERTIFICATE-----{BODY}-----END CERTIFICATE-----"), "openssl x509 -pubkey"),
            (format!("-----BEGIN MESSAGE-----{BODY}-----END MESSAGE-----"), "label PUBLIC KEY"),
            ("-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----".to_owned(), "SubjectPublicKeyInfo"),
        ];
        for (pem, word) in cases {
            let error = from_pem(pem.as_bytes()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(word)), "{pem}: {error:?}");
        }
    }
}
