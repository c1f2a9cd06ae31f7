//! Signatures: one verifying key, made once, over the backend that is compiled in.
//!
//! - Features only add: with both backends on, `aws-lc-rs` is used; with none, every key is a `ConfigError`.
//! - The backend's own functions are named; no process-wide provider is asked, so nothing can panic for the lack of one.
//! - A public key cannot become an HMAC key: the kind of material decides (CVE-2015-9235, CVE-2016-10555).

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "aws-lc-rs")]
use aws_lc as backend;

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust_crypto;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
use rust_crypto as backend;

#[cfg(not(any(feature = "rust-crypto", feature = "aws-lc-rs")))]
mod none;
#[cfg(not(any(feature = "rust-crypto", feature = "aws-lc-rs")))]
use none as backend;

mod edwards25519;
#[cfg(any(feature = "testing", feature = "issue"))]
mod signing;
mod thumbprint;
mod weak;

#[cfg(any(feature = "testing", feature = "issue"))]
pub(crate) use signing::SigningKey;
pub(crate) use thumbprint::thumbprint;
pub(crate) use weak::check_secret;

use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::jwk::Material;

/// A key and the one algorithm that it verifies.
pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    prepared: backend::Prepared,
}

impl VerifyingKey {
    /// Prepares a key, refusing weak ones.
    pub(crate) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        if !material.suits(algorithm) {
            let fix = match material.algorithm_of_curve() {
                Some(own) => format!("it is one for {own}"),
                None if algorithm.is_symmetric() => format!("{algorithm} takes a secret: see `KeySet::secret`"),
                None => "it is of another type".to_owned(),
            };
            return Err(ConfigError::new(format!("the key is not one for {algorithm}: {fix}")));
        }
        weak::check(material)?;
        let prepared = backend::Prepared::new(algorithm, material)?;
        Ok(Self { algorithm, prepared })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// True when `signature` is this key's over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        // An Ed25519 signature starts with a point, which must not be of small order; no backend is asked to agree.
        if self.algorithm == Algorithm::EdDSA && signature.get(..32).is_none_or(weak::has_small_order) {
            return false;
        }
        self.prepared.verify(message, signature)
    }
}

/// The SHA-256 of some bytes; `None` without a backend.
pub(crate) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    backend::sha256(bytes)
}

/// 16 random bytes, for names that nobody guesses; `None` without a backend.
#[cfg(feature = "issue")]
pub(crate) fn random_id() -> Option<[u8; 16]> {
    backend::random()
}

/// A secret of 32 random bytes; `None` without a backend.
pub(crate) fn random_secret() -> Option<Zeroizing<[u8; 32]>> {
    backend::random().map(Zeroizing::new)
}

/// HMAC with SHA-256 (RFC 2104); `None` without a backend.
pub(crate) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    backend::hmac_sha256(secret, message)
}

/// Whether this build can verify `algorithm` at all.
pub(crate) fn supports(algorithm: Algorithm) -> bool {
    backend::supports(algorithm)
}

/// What to say of an algorithm that this build lacks.
pub(crate) fn unsupported(algorithm: Algorithm) -> ConfigError {
    ConfigError::new(format!(
        "this build cannot verify {algorithm}: enable the feature `aws-lc-rs`, or `rust-crypto` for those that it has"
    ))
}

/// Compiles only where a value is overwritten when it is dropped. What holds secrets states it of itself.
#[cfg(test)]
pub(crate) fn assert_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_kind_builds_no_verifier_of_another() {
        let rsa = || Material::Rsa { n: vec![0xFF; 256], e: vec![1, 0, 1] };
        for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
            assert!(VerifyingKey::new(algorithm, &rsa()).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_backend_says_what_it_lacks() {
        let lacking: Vec<_> = Algorithm::ALL.iter().filter(|&&algorithm| !supports(algorithm)).collect();
        if cfg!(feature = "aws-lc-rs") {
            assert!(lacking.is_empty(), "{lacking:?}");
        } else if cfg!(feature = "rust-crypto") {
            assert_eq!(lacking, [&Algorithm::ES512, &Algorithm::MlDsa44, &Algorithm::MlDsa65, &Algorithm::MlDsa87]);
        } else {
            assert_eq!(lacking.len(), Algorithm::ALL.len());
        }
    }
}
