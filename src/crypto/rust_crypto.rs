//! The backend in Rust alone: jsonwebtoken's verifiers on the RustCrypto crates.
//!
//! - Its verifiers are neither `Send` nor `Sync`, so one is made for each signature.
//! - Its provider is named here, and never the process-wide one, which panics where it is ambiguous.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, EncodingKey};

use rsa::rand_core::RngCore as _;
use zeroize::Zeroizing;

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
                return Err(too_large());
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

fn too_large() -> ConfigError {
    ConfigError::new("this build takes RSA keys of at most 4096 bits: enable the feature `aws-lc-rs`")
}

#[expect(clippy::unnecessary_wraps, reason = "without a backend there is no hash")]
pub(super) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    use sha2::Digest as _;
    Some(sha2::Sha256::digest(bytes).into())
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rsa::rand_core::OsRng.try_fill_bytes(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    let key = EncodingKey::from_secret(secret);
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).ok()?;
    let mac = Zeroizing::new(signer.try_sign(message).ok()?);
    mac.as_slice().try_into().ok()
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
    use ed25519_dalek::Signer as _;
    use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
    use jsonwebtoken::EncodingKey;
    use rsa::rand_core::{OsRng, RngCore as _};
    use rsa::traits::PublicKeyParts as _;
    use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
    use sha2::{Digest as _, Sha256, Sha384, Sha512};
    use zeroize::Zeroizing;

    use super::{DEFAULT_PROVIDER, KeyFamily, MAX_RSA, Material, too_large, translate};
    use crate::error::ConfigError;
    use crate::jose::{Algorithm, der};

    pub(in crate::crypto) enum Signer {
        Hmac(jsonwebtoken::Algorithm, EncodingKey),
        Rsa(Box<RsaPrivateKey>, Algorithm),
        P256(p256::ecdsa::SigningKey),
        P384(p384::ecdsa::SigningKey),
        Ed25519(Box<ed25519_dalek::SigningKey>),
    }

    /// A fresh private key as PKCS #8, RSA of 2048 bits; for HMAC a secret as long as the hash.
    pub(in crate::crypto) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let failed = || ConfigError::new(format!("a key for {algorithm} could not be generated"));
        let document = match algorithm.family() {
            KeyFamily::Hmac => {
                let mut secret = Zeroizing::new(vec![0; algorithm.shortest_secret().ok_or_else(failed)?]);
                OsRng.try_fill_bytes(&mut secret).map_err(|_| failed())?;
                return Ok(secret);
            }
            KeyFamily::Rsa => RsaPrivateKey::new(&mut OsRng, 2048).map_err(|_| failed())?.to_pkcs8_der(),
            KeyFamily::P256 => p256::ecdsa::SigningKey::random(&mut OsRng).to_pkcs8_der(),
            KeyFamily::P384 => p384::ecdsa::SigningKey::random(&mut OsRng).to_pkcs8_der(),
            KeyFamily::Ed25519 => ed25519_dalek::SigningKey::generate(&mut OsRng).to_pkcs8_der(),
            KeyFamily::P521 | KeyFamily::MlDsa => return Err(super::super::unsupported(algorithm)),
        };
        Ok(document.map_err(|_| failed())?.to_bytes())
    }

    impl Signer {
        /// The key ready to sign, and its public part; for HMAC the secret itself.
        pub(in crate::crypto) fn new(algorithm: Algorithm, private: &[u8]) -> Result<(Self, Material), ConfigError> {
            let rejected = || ConfigError::new(format!("not a valid private key for {algorithm}"));
            let theirs = translate(algorithm).ok_or_else(|| super::super::unsupported(algorithm))?;
            Ok(match algorithm.family() {
                KeyFamily::Hmac => {
                    let key = EncodingKey::from_secret(private);
                    (Self::Hmac(theirs, key), Material::Secret(private.to_vec().into()))
                }
                KeyFamily::Rsa => {
                    let key = RsaPrivateKey::from_pkcs8_der(private).map_err(|_| rejected())?;
                    let public = Material::Rsa { n: key.n().to_bytes_be(), e: key.e().to_bytes_be() };
                    if key.size() > MAX_RSA {
                        return Err(too_large());
                    }
                    (Self::Rsa(Box::new(key), algorithm), public)
                }
                KeyFamily::P256 => {
                    let key = p256::ecdsa::SigningKey::from_pkcs8_der(private).map_err(|_| rejected())?;
                    let point = key.verifying_key().to_encoded_point(false);
                    let public = der::ec_point(KeyFamily::P256, point.as_bytes()).ok_or_else(rejected)?;
                    (Self::P256(key), public)
                }
                KeyFamily::P384 => {
                    let key = p384::ecdsa::SigningKey::from_pkcs8_der(private).map_err(|_| rejected())?;
                    let point = key.verifying_key().to_encoded_point(false);
                    let public = der::ec_point(KeyFamily::P384, point.as_bytes()).ok_or_else(rejected)?;
                    (Self::P384(key), public)
                }
                KeyFamily::Ed25519 => {
                    let key = ed25519_dalek::SigningKey::from_pkcs8_der(private).map_err(|_| rejected())?;
                    let public = Material::Ed25519(key.verifying_key().as_bytes().to_vec());
                    (Self::Ed25519(Box::new(key)), public)
                }
                KeyFamily::P521 | KeyFamily::MlDsa => return Err(super::super::unsupported(algorithm)),
            })
        }

        pub(in crate::crypto) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
            let failed = || ConfigError::new("the backend could not sign");
            match self {
                Self::Hmac(algorithm, key) => {
                    let signer = (DEFAULT_PROVIDER.signer_factory)(algorithm, key).map_err(|_| failed())?;
                    signer.try_sign(message).map_err(|_| failed())
                }
                Self::Rsa(key, algorithm) => sign_rsa(key, *algorithm, message).ok_or_else(failed),
                Self::P256(key) => {
                    let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(|_| failed())?;
                    Ok(signature.to_vec())
                }
                Self::P384(key) => {
                    let signature: p384::ecdsa::Signature = key.try_sign(message).map_err(|_| failed())?;
                    Ok(signature.to_vec())
                }
                Self::Ed25519(key) => Ok(key.try_sign(message).map_err(|_| failed())?.to_vec()),
            }
        }
    }

    /// With blinding, which hides the key from whoever measures time.
    fn sign_rsa(key: &RsaPrivateKey, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = &mut OsRng;
        let signature = match algorithm {
            Algorithm::RS256 => key.sign_with_rng(random, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)),
            Algorithm::RS384 => key.sign_with_rng(random, Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message)),
            Algorithm::RS512 => key.sign_with_rng(random, Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message)),
            Algorithm::PS256 => key.sign_with_rng(random, Pss::new_blinded::<Sha256>(), &Sha256::digest(message)),
            Algorithm::PS384 => key.sign_with_rng(random, Pss::new_blinded::<Sha384>(), &Sha384::digest(message)),
            Algorithm::PS512 => key.sign_with_rng(random, Pss::new_blinded::<Sha512>(), &Sha512::digest(message)),
            _ => return None,
        };
        signature.ok()
    }
}
