//! Public keys in DER and PEM: `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) and PKCS #1 `RSAPublicKey` (RFC 8017 A.1.1).
//!
//! - A private key or a certificate is refused with the command that makes a public key of it.

use spki::der::{Decode, pem};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::algorithm::KeyFamily;
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
    let (label, der) = pem::decode_vec(text.trim_ascii_start())
        .map_err(|_| ConfigError::new("not a PEM: expected one block that starts with -----BEGIN PUBLIC KEY-----"))?;
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
        RSA => from_pkcs1(key),
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
