//! The backend in Rust alone: jsonwebtoken's verifiers on the RustCrypto crates.
//!
//! - Its verifiers are neither `Send` nor `Sync`, so one is made for each signature.
//! - Its provider is named here, and never the process-wide one, which panics where it is ambiguous.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, EncodingKey};

use rsa::rand_core::RngCore as _;

use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::algorithm::KeyFamily;
use crate::jose::jwk::Material;

/// The largest RSA key that the `rsa` crate takes, in bytes.
const MAX_RSA: usize = 4096 / 8;

pub(super) struct Prepared {
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
}

impl Prepared {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        let theirs = translate(algorithm).ok_or_else(|| super::unsupported(algorithm))?;
        let key = match material {
            Material::Secret(secret) => DecodingKey::from_secret(secret),
            Material::Rsa { n, .. } if n.len() > MAX_RSA => {
                return Err(ConfigError::new(
                    "this build takes RSA keys of at most 4096 bits: enable the feature `aws-lc-rs`",
                ));
            }
            Material::Rsa { n, e } => {
                rsa::RsaPublicKey::new(rsa::BigUint::from_bytes_be(n), rsa::BigUint::from_bytes_be(e))
                    .map_err(|_| ConfigError::new(format!("the key is not a valid one for {algorithm}")))?;
                DecodingKey::from_rsa_raw_components(n, e)
            }
            Material::Ec { x, y, .. } => DecodingKey::from_ec_der(&[&[4], &x[..], &y[..]].concat()),
            Material::Ed25519(key) | Material::MlDsa(key) => DecodingKey::from_ed_der(key),
        };
        // A point that is not on its curve comes to light when a verifier is made.
        (DEFAULT_PROVIDER.verifier_factory)(&theirs, &key)
            .map_err(|_| ConfigError::new(format!("the key is not a valid one for {algorithm}")))?;
        Ok(Self { algorithm: theirs, key })
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "without a backend there is no hash")]
pub(super) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    use sha2::Digest as _;
    Some(sha2::Sha256::digest(bytes).into())
}

pub(super) fn random_secret() -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    rsa::rand_core::OsRng.try_fill_bytes(&mut secret).ok()?;
    Some(secret)
}

pub(super) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    let key = EncodingKey::from_secret(secret);
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).ok()?;
    signer.try_sign(message).ok()?.try_into().ok()
}

pub(super) fn supports(algorithm: Algorithm) -> bool {
    translate(algorithm).is_some()
}

fn translate(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    match algorithm.family() {
        KeyFamily::P521 | KeyFamily::MlDsa => None,
        _ => algorithm.name().parse().ok(),
    }
}

#[cfg(any(feature = "testing", feature = "issue"))]
pub(super) use signer::{Signer, generate};

#[cfg(any(feature = "testing", feature = "issue"))]
mod signer {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use jsonwebtoken::EncodingKey;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::rand_core::{OsRng, RngCore as _};
    use rsa::traits::PublicKeyParts as _;
    use zeroize::Zeroizing;

    use super::{DEFAULT_PROVIDER, KeyFamily, Material, translate};
    use crate::error::ConfigError;
    use crate::jose::{Algorithm, der};

    pub(in crate::crypto) struct Signer {
        algorithm: jsonwebtoken::Algorithm,
        key: EncodingKey,
    }

    /// A fresh key pair and its public part; for HMAC the secret itself.
    pub(in crate::crypto) fn generate(algorithm: Algorithm) -> Result<(Signer, Material), ConfigError> {
        let failed = || ConfigError::new(format!("a key for {algorithm} could not be generated"));
        let theirs = translate(algorithm).ok_or_else(|| super::super::unsupported(algorithm))?;
        let (key, public) = match algorithm.family() {
            KeyFamily::Hmac => {
                let mut secret = Zeroizing::new(vec![0; algorithm.shortest_secret().ok_or_else(failed)?]);
                OsRng.fill_bytes(&mut secret);
                (EncodingKey::from_secret(&secret), Material::Secret(secret))
            }
            KeyFamily::Rsa => {
                let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).map_err(|_| failed())?;
                let pkcs1 = key.to_pkcs1_der().map_err(|_| failed())?;
                let public = Material::Rsa { n: key.n().to_bytes_be(), e: key.e().to_bytes_be() };
                (EncodingKey::from_rsa_der(pkcs1.as_bytes()), public)
            }
            KeyFamily::P256 => {
                let key = p256::ecdsa::SigningKey::random(&mut OsRng);
                let point = key.verifying_key().to_encoded_point(false);
                let pkcs8 = key.to_pkcs8_der().map_err(|_| failed())?;
                let public = der::ec_point(KeyFamily::P256, point.as_bytes()).ok_or_else(failed)?;
                (EncodingKey::from_ec_der(pkcs8.as_bytes()), public)
            }
            KeyFamily::P384 => {
                let key = p384::ecdsa::SigningKey::random(&mut OsRng);
                let point = key.verifying_key().to_encoded_point(false);
                let pkcs8 = key.to_pkcs8_der().map_err(|_| failed())?;
                let public = der::ec_point(KeyFamily::P384, point.as_bytes()).ok_or_else(failed)?;
                (EncodingKey::from_ec_der(pkcs8.as_bytes()), public)
            }
            KeyFamily::Ed25519 => {
                let key = ed25519_dalek::SigningKey::generate(&mut OsRng);
                let pkcs8 = key.to_pkcs8_der().map_err(|_| failed())?;
                let public = Material::Ed25519(key.verifying_key().as_bytes().to_vec());
                (EncodingKey::from_ed_der(pkcs8.as_bytes()), public)
            }
            KeyFamily::P521 | KeyFamily::MlDsa => return Err(failed()),
        };
        Ok((Signer { algorithm: theirs, key }, public))
    }

    impl Signer {
        pub(in crate::crypto) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
            let failed = || ConfigError::new("the backend could not sign");
            let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).map_err(|_| failed())?;
            signer.try_sign(message).map_err(|_| failed())
        }
    }
}
