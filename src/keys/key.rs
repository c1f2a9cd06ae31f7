//! One verifying key.

use std::fmt;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::crypto::{VerifyingKey, check_secret};
use crate::error::ConfigError;
use crate::jose::compact::decode_wiped;
use crate::jose::jwk::{Conventions, Jwk, Material, NotUsed, OwnJson};
use crate::jose::{Algorithm, der};

/// A key, the one algorithm that it verifies (RFC 8725 §3.1), and its `kid` if it has one.
///
/// Made from a secret, PEM, DER or JWK; several make a [`KeySet`](super::KeySet). A weak key is refused: a secret
/// shorter than the hash, RSA under 2048 or over 8192 bits, a point that is not on its curve.
pub struct Key {
    kid: Option<String>,
    issuer: Option<String>,
    verifying: VerifyingKey,
}

impl Key {
    /// An HMAC secret, as bytes: all of them, a line end from a file too. For a secret that is written in base64 and that
    /// the signer decodes, see [`base64_secret`](Self::base64_secret).
    ///
    /// # Errors
    /// When it is shorter than the hash (32, 48 or 64 bytes: RFC 7518 §3.2), when it is a PEM, a JWK or another
    /// public key, or when `algorithm` is not HS256, HS384 or HS512.
    pub fn secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        check_secret(algorithm, secret.as_ref())?;
        Self::danger_weak_secret(algorithm, secret)
    }

    /// An HMAC secret that is written in base64 or base64url, padded or not.
    ///
    /// # Errors
    /// When the text is not base64, or for the reasons of [`secret`](Self::secret).
    pub fn base64_secret(algorithm: Algorithm, text: &str) -> Result<Self, ConfigError> {
        Self::secret(algorithm, &*decode_base64(text)?)
    }

    /// An HMAC secret of any length but none: for the time that a migration takes. A short secret can be found by
    /// trying, and whoever has it can sign. A PEM or a JWK is refused here too.
    ///
    /// # Errors
    /// When it is empty, when it is a PEM, a JWK or another public key, or when `algorithm` is no HMAC.
    pub fn danger_weak_secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new(algorithm, &Material::Secret(Zeroizing::new(secret.as_ref().to_vec())))
    }

    /// A public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// When it is no such PEM, when it is weak, or when it is not a key for `algorithm`.
    pub fn pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new(algorithm, &der::from_pem(pem.as_ref())?)
    }

    /// A public key in DER: `SubjectPublicKeyInfo`, or PKCS #1 for RSA.
    ///
    /// # Errors
    /// When it is no such DER, when it is weak, or when it is not a key for `algorithm`.
    pub fn der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new(algorithm, &der::from_der(der.as_ref())?)
    }

    /// A JWK, as JSON text (RFC 7517). Its algorithm is its `alg`, else its curve's, else RS256 for RSA.
    ///
    /// # Errors
    /// When it is no JWK, not one for signatures, or weak.
    pub fn jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let value = OwnJson::parse(json.as_ref()).map_err(|_| ConfigError::new("a JWK is a JSON object"))?;
        Self::from_jwk_value(value.value(), Conventions::default()).map_err(|not_used| match not_used {
            NotUsed::NotForUs(reason) | NotUsed::Invalid(reason) => ConfigError::new(reason),
        })
    }

    /// The same key with this `kid`. Without one, a key is tried for every token of its algorithm.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The `kid` (RFC 7517 §4.5).
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// Whose tokens it signs: the member `issuer` of its JWK, which Entra has.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifying.verify(message, signature)
    }

    pub(super) fn from_jwk_value(value: &serde_json::Value, conventions: Conventions) -> Result<Self, NotUsed> {
        let jwk = Jwk::parse(value, conventions)?;
        if !crate::crypto::supports(jwk.algorithm) {
            return Err(NotUsed::NotForUs(crate::crypto::unsupported(jwk.algorithm).to_string()));
        }
        if let Material::Secret(secret) = &jwk.material {
            check_secret(jwk.algorithm, secret).map_err(|error| NotUsed::Invalid(error.to_string()))?;
        }
        let mut key = Self::new(jwk.algorithm, &jwk.material).map_err(|error| NotUsed::Invalid(error.to_string()))?;
        key.kid = jwk.kid;
        key.issuer = jwk.issuer;
        Ok(key)
    }

    pub(crate) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        Ok(Self { kid: None, issuer: None, verifying: VerifyingKey::new(algorithm, material)? })
    }
}

/// Base64 or base64url, padded or not, with white space around it or not.
pub(crate) fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url_safe = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
    let mut text = Zeroizing::new(text.trim().as_bytes().to_vec());
    for byte in text.iter_mut() {
        match byte {
            b'+' => *byte = b'-',
            b'/' => *byte = b'_',
            _ => {}
        }
    }
    decode_wiped(&url_safe, &text).ok_or_else(|| ConfigError::new("the secret is not base64"))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_secrets_come_in_four_spellings() {
        for text in ["++++////AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "----____AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"] {
            assert!(Key::base64_secret(Algorithm::HS256, text).is_ok(), "{text}");
        }
        assert!(Key::base64_secret(Algorithm::HS256, "not base64!").is_err());
        assert!(Key::base64_secret(Algorithm::HS256, "c2hvcnQ=").is_err());
    }

    #[test]
    fn a_weak_secret_is_possible_by_name_alone_and_never_empty() {
        assert!(Key::secret(Algorithm::HS256, "short").is_err());
        assert!(Key::danger_weak_secret(Algorithm::HS256, "short").is_ok());
        assert!(Key::danger_weak_secret(Algorithm::HS256, "").is_err());
        assert!(Key::danger_weak_secret(Algorithm::RS256, "short").is_err());
        assert!(Key::danger_weak_secret(Algorithm::HS256, r#"{"kty":"oct"}"#).is_err());
    }
}
