//! Signing keys: for the issuing side, and for the token authority of tests.

use serde_json::{Value, json};

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
        let (signer, public) = backend::generate(algorithm)?;
        Ok(Self { algorithm, signer, public })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
        self.signer.sign(message)
    }

    /// The key that verifies, as a JWK; for HMAC that is the secret.
    pub(crate) fn to_jwk(&self, kid: &str) -> Value {
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
        jwk
    }
}
