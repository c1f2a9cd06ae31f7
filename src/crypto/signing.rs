//! Signing keys: for the issuing side, and for the token authority of tests.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

#[cfg(feature = "issue")]
use super::VerifyingKey;
use super::backend;
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::algorithm::KeyFamily;
use crate::jose::compact::encode;
use crate::jose::jwk::Material;

/// A private key, or a secret, and the one algorithm that it signs.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    signer: backend::Signer,
    public: Material,
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        Self::new(algorithm, &Self::generate_private(algorithm)?)
    }

    /// A fresh private key, to be kept: as PKCS #8, or for HMAC as the secret.
    pub(crate) fn generate_private(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        backend::generate(algorithm)
    }

    /// The key of a private key as PKCS #8, or for HMAC of a secret.
    pub(crate) fn new(algorithm: Algorithm, private: &[u8]) -> Result<Self, ConfigError> {
        let (signer, public) = backend::Signer::new(algorithm, private)?;
        Ok(Self { algorithm, signer, public })
    }

    /// The same, refused where a verifier would refuse it: a key that is weak, or whose signature the public part
    /// (its own, unless another is given) does not verify.
    #[cfg(feature = "issue")]
    pub(crate) fn checked(
        algorithm: Algorithm,
        private: &[u8],
        public: Option<&Material>,
    ) -> Result<Self, ConfigError> {
        if let Some(public) = public {
            VerifyingKey::new(algorithm, public)?;
        }
        let key = Self::new(algorithm, private)?;
        let verifying = VerifyingKey::new(algorithm, public.unwrap_or(&key.public))?;
        if !verifying.verify(b"trial", &key.sign(b"trial")?) {
            return Err(ConfigError::new("the private part of the key does not belong to its public part"));
        }
        Ok(key)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What verifies; for HMAC the secret.
    #[cfg(feature = "issue")]
    pub(crate) fn public(&self) -> &Material {
        &self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
        self.signer.sign(message)
    }

    /// The key that verifies, as a JWK; for HMAC that is the secret.
    pub(crate) fn to_jwk(&self, kid: &str) -> Map<String, Value> {
        let mut jwk = match &self.public {
            Material::Secret(secret) => json!({"kty": "oct", "k": encode(secret)}),
            Material::Rsa { n, e } => json!({"kty": "RSA", "n": encode(n), "e": encode(e)}),
            Material::Ec { curve, x, y } => {
                let crv = match curve {
                    KeyFamily::P384 => "P-384",
                    KeyFamily::P521 => "P-521",
                    _ => "P-256",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Material::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)}),
            Material::MlDsa(key) => json!({"kty": "AKP", "pub": encode(key)}),
        };
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        jwk["kid"] = kid.into();
        match jwk {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}
