//! The keys that sign.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::crypto::{self, check_secret, thumbprint};
use crate::error::ConfigError;
use crate::jose::header::MAX_KID;
use crate::jose::{Algorithm, private};
use crate::keys::{Key, KeySet};

/// A private key, or a secret, and the one algorithm that it signs (RFC 8725 §3.1). A cheap clone.
///
/// What a verifier would refuse is refused here: a secret shorter than the hash, RSA under 2048 or over 8192 bits (4096
/// with the feature `rust-crypto` alone), a key whose two halves do not belong together.
///
/// A public key's `kid` is its RFC 7638 thumbprint, unless the JWK has another or [`with_kid`](Self::with_kid) gives
/// one; a secret has none, for its thumbprint would help those who try secrets.
///
/// ```
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::issue::SigningKey;
///
/// let key = SigningKey::generate(Algorithm::EdDSA)?;
/// assert_eq!(key.kid().map(str::len), Some(43));
/// assert!(key.jwks().is_some_and(|jwks| jwks.contains("\"OKP\"")));
///
/// assert!(SigningKey::secret(Algorithm::HS256, "too short").is_err());
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<crypto::SigningKey>,
    kid: Option<Arc<str>>,
    /// The header of its tokens, up to what the issuer adds: `{"alg":…,"kid":…`.
    header: Arc<str>,
}

impl SigningKey {
    /// A fresh key: RSA of 2048 bits, a secret as long as the hash. It ends with the process: for keys that are kept and
    /// change, see [`KeyRing`](super::KeyRing).
    ///
    /// # Errors
    /// When the backend lacks the algorithm.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        Self::new(crypto::SigningKey::generate(algorithm)?, None)
    }

    /// A private key in PEM: `PRIVATE KEY` (PKCS #8), `RSA PRIVATE KEY` (PKCS #1) or `EC PRIVATE KEY` (SEC 1), as
    /// `openssl genpkey` and its older kin write them.
    ///
    /// # Errors
    /// When it is no such PEM, when it is weak or encrypted, or when it is not a key for `algorithm`.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        if algorithm.is_symmetric() {
            return Err(ConfigError::new(format!("{algorithm} signs with a secret: see `SigningKey::secret`")));
        }
        let private = private::from_pem(algorithm, pem.as_ref())?;
        Self::new(crypto::SigningKey::checked(algorithm, &private, None)?, None)
    }

    /// A private JWK, as JSON text (RFC 7517). Its algorithm is its `alg`, else its curve's, else RS256 for RSA. RSA keys
    /// need all their factors (`p`, `q`, `dp`, `dq`, `qi`), ML-DSA keys their seed (`priv`, RFC 9964).
    ///
    /// # Errors
    /// When it is no JWK, not a private one, not one to sign with, or weak.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let jwk = private::from_jwk(json.as_ref())?;
        if jwk.algorithm.is_symmetric() {
            check_secret(jwk.algorithm, &jwk.private)?;
        }
        Self::new(crypto::SigningKey::checked(jwk.algorithm, &jwk.private, Some(&jwk.public))?, jwk.kid)
    }

    /// An HMAC secret, as bytes. Whoever verifies with it can sign as well: it suits a service that issues for itself.
    ///
    /// # Errors
    /// When it is shorter than the hash (32, 48 or 64 bytes: RFC 7518 §3.2), when it is a PEM, a JWK or another public
    /// key, or when `algorithm` is no HMAC.
    pub fn secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        check_secret(algorithm, secret.as_ref())?;
        Self::new(crypto::SigningKey::checked(algorithm, secret.as_ref(), None)?, None)
    }

    pub(super) fn new(key: crypto::SigningKey, kid: Option<String>) -> Result<Self, ConfigError> {
        let header = format!("{{\"alg\":\"{}\"", key.algorithm().name());
        let key = Self { key: Arc::new(key), kid: None, header: header.into() };
        let kid = kid.or_else(|| thumbprint(&key.jwk()?));
        match kid {
            Some(kid) => key.with_kid(kid),
            None => Ok(key),
        }
    }

    /// The same key with this `kid`.
    ///
    /// # Errors
    /// When it is empty or longer than 256 bytes, which verifiers refuse.
    pub fn with_kid(self, kid: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        let kid = kid.into();
        if kid.is_empty() || kid.len() > MAX_KID {
            return Err(ConfigError::new(format!("a `kid` has 1 to {MAX_KID} bytes")));
        }
        let alg = self.algorithm().name();
        let header = format!("{{\"alg\":\"{alg}\",\"kid\":{}", Value::from(&*kid));
        Ok(Self { kid: Some(kid), header: header.into(), ..self })
    }

    /// The `kid` (RFC 7517 §4.5); `None` for a secret without one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that this key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// The public key as a JWK set, to be published; `None` for a secret, which never is.
    pub fn jwks(&self) -> Option<String> {
        self.jwk().map(|jwk| json!({"keys": [jwk]}).to_string())
    }

    /// What verifies its tokens, in this very process: for [`Issuer::new`](crate::Issuer::new).
    ///
    /// # Errors
    /// When the backend refuses the key, as it does with none.
    pub fn key_set(&self) -> Result<KeySet, ConfigError> {
        KeySet::new([self.verifying()?])
    }

    pub(super) fn verifying(&self) -> Result<Key, ConfigError> {
        let key = Key::new(self.algorithm(), self.key.public())?;
        Ok(match self.kid() {
            Some(kid) => key.with_kid(kid),
            None => key,
        })
    }

    pub(super) fn jwk(&self) -> Option<Map<String, Value>> {
        (!self.algorithm().is_symmetric()).then(|| self.key.to_jwk(self.kid().unwrap_or_default()))
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
        self.key.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "aws-lc-rs"))]
mod tests {
    use super::*;
    use crate::jose::compact::encode;

    #[test]
    fn an_ml_dsa_key_is_made_of_its_seed() {
        for algorithm in [Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87] {
            // The seed is the end of the PKCS #8.
            let private = crypto::SigningKey::generate_private(algorithm).expect("the backend has it");
            let key = SigningKey::new(crypto::SigningKey::new(algorithm, &private).expect("its own"), None);
            let key = key.expect("a kid");
            let mut jwk = key.jwk().expect("public");
            jwk.remove("kid");
            jwk.insert("priv".to_owned(), encode(&private[private.len() - 32..]).into());
            let again = SigningKey::from_jwk(Value::from(jwk.clone()).to_string()).expect("the seed is all");
            assert_eq!(again.kid(), key.kid(), "{algorithm}");
            jwk.insert("priv".to_owned(), encode(&[7; 32]).into());
            let error = SigningKey::from_jwk(Value::from(jwk).to_string()).expect_err("another seed");
            assert!(error.to_string().contains("does not belong"), "{error}");
        }
    }
}
