//! No backend is compiled in: every key is refused with the feature to enable.

use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::jwk::Material;
#[cfg(any(feature = "testing", feature = "issue"))]
use zeroize::Zeroizing;

pub(super) enum Prepared {}

impl Prepared {
    pub(super) fn new(algorithm: Algorithm, _: &Material) -> Result<Self, ConfigError> {
        Err(super::unsupported(algorithm))
    }

    pub(super) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}

pub(super) fn sha256(_: &[u8]) -> Option<[u8; 32]> {
    None
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    None
}

pub(super) fn hmac_sha256(_: &[u8], _: &[u8]) -> Option<[u8; 32]> {
    None
}

pub(super) fn supports(_: Algorithm) -> bool {
    false
}

#[cfg(any(feature = "testing", feature = "issue"))]
pub(super) enum Signer {}

#[cfg(any(feature = "testing", feature = "issue"))]
pub(super) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    Err(super::unsupported(algorithm))
}

#[cfg(any(feature = "testing", feature = "issue"))]
impl Signer {
    pub(super) fn new(algorithm: Algorithm, _: &[u8]) -> Result<(Self, Material), ConfigError> {
        Err(super::unsupported(algorithm))
    }

    pub(super) fn sign(&self, _: &[u8]) -> Result<Vec<u8>, ConfigError> {
        match *self {}
    }
}
