//! The backend on aws-lc-rs: keys are parsed once and kept.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
use aws_lc_rs::{digest, hmac, rand};

use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::jwk::Material;

pub(super) enum Prepared {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Prepared {
    pub(super) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        let rejected = || ConfigError::new(format!("the key is not a valid one for {algorithm}"));
        let public = match material {
            Material::Secret(secret) => {
                let hash = hmac_hash(algorithm).ok_or_else(rejected)?;
                return Ok(Self::Hmac(Box::new(hmac::Key::new(hash, secret))));
            }
            Material::Rsa { n, e } => {
                let parameters = rsa_parameters(algorithm).ok_or_else(rejected)?;
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| rejected())?
            }
            Material::Ec { x, y, .. } => {
                let point: Vec<u8> = [&[4], &x[..], &y[..]].concat();
                ParsedPublicKey::new(other(algorithm).ok_or_else(rejected)?, point).map_err(|_| rejected())?
            }
            Material::Ed25519(key) | Material::MlDsa(key) => {
                ParsedPublicKey::new(other(algorithm).ok_or_else(rejected)?, key).map_err(|_| rejected())?
            }
        };
        Ok(Self::Public(public))
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok()
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Option<[u8; 32]> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().try_into().ok()
}

pub(super) fn supports(_: Algorithm) -> bool {
    true
}

fn hmac_hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn other(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::ES512 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        Algorithm::EdDSA => Some(&signature::ED25519),
        Algorithm::MlDsa44 => Some(&signature::ML_DSA_44),
        Algorithm::MlDsa65 => Some(&signature::ML_DSA_65),
        Algorithm::MlDsa87 => Some(&signature::ML_DSA_87),
        _ => None,
    }
}

#[cfg(any(feature = "testing", feature = "issue"))]
pub(super) use signer::{Signer, generate};

#[cfg(any(feature = "testing", feature = "issue"))]
mod signer {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::{self, SystemRandom};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING,
        ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    };
    use zeroize::Zeroizing;

    use super::{Material, hmac};
    use crate::error::ConfigError;
    use crate::jose::algorithm::KeyFamily;
    use crate::jose::{Algorithm, der};

    pub(in crate::crypto) enum Signer {
        Hmac(Box<hmac::Key>),
        Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
        Ec(EcdsaKeyPair),
        Ed25519(Ed25519KeyPair),
        MlDsa(PqdsaKeyPair),
    }

    /// How an algorithm signs.
    enum Scheme {
        Hmac(hmac::Algorithm),
        Rsa(&'static dyn RsaEncoding),
        Ec(&'static EcdsaSigningAlgorithm, KeyFamily),
        Ed25519,
        MlDsa(&'static PqdsaSigningAlgorithm),
    }

    fn scheme(algorithm: Algorithm) -> Scheme {
        match algorithm {
            Algorithm::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
            Algorithm::RS256 => Scheme::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Scheme::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => Scheme::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => Scheme::Rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => Scheme::Rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => Scheme::Rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => Scheme::Ec(&ECDSA_P256_SHA256_FIXED_SIGNING, KeyFamily::P256),
            Algorithm::ES384 => Scheme::Ec(&ECDSA_P384_SHA384_FIXED_SIGNING, KeyFamily::P384),
            Algorithm::ES512 => Scheme::Ec(&ECDSA_P521_SHA512_FIXED_SIGNING, KeyFamily::P521),
            Algorithm::EdDSA => Scheme::Ed25519,
            Algorithm::MlDsa44 => Scheme::MlDsa(&ML_DSA_44_SIGNING),
            Algorithm::MlDsa65 => Scheme::MlDsa(&ML_DSA_65_SIGNING),
            Algorithm::MlDsa87 => Scheme::MlDsa(&ML_DSA_87_SIGNING),
        }
    }

    /// A fresh private key as PKCS #8, RSA of 2048 bits; for HMAC a secret as long as the hash.
    pub(in crate::crypto) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let failed = || ConfigError::new(format!("a key for {algorithm} could not be generated"));
        let document = match scheme(algorithm) {
            Scheme::Hmac(_) => {
                let mut secret = Zeroizing::new(vec![0; algorithm.shortest_secret().ok_or_else(failed)?]);
                rand::fill(&mut secret).map_err(|_| failed())?;
                return Ok(secret);
            }
            Scheme::Rsa(_) => {
                let der = RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der());
                return Ok(Zeroizing::new(der.map_err(|_| failed())?.as_ref().to_vec()));
            }
            Scheme::Ec(scheme, _) => EcdsaKeyPair::generate(scheme).and_then(|pair| pair.to_pkcs8v1()),
            Scheme::Ed25519 => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
            Scheme::MlDsa(scheme) => PqdsaKeyPair::generate(scheme).and_then(|pair| pair.to_pkcs8v1()),
        };
        Ok(Zeroizing::new(document.map_err(|_| failed())?.as_ref().to_vec()))
    }

    impl Signer {
        /// The key ready to sign, and its public part; for HMAC the secret itself.
        pub(in crate::crypto) fn new(algorithm: Algorithm, private: &[u8]) -> Result<(Self, Material), ConfigError> {
            let rejected = || ConfigError::new(format!("not a valid private key for {algorithm}"));
            Ok(match scheme(algorithm) {
                Scheme::Hmac(hash) => {
                    (Self::Hmac(Box::new(hmac::Key::new(hash, private))), Material::Secret(private.to_vec().into()))
                }
                Scheme::Rsa(encoding) => {
                    let pair = RsaKeyPair::from_pkcs8(private).map_err(|_| rejected())?;
                    let public = der::from_pkcs1(pair.public_key().as_ref())?;
                    (Self::Rsa(Box::new(pair), encoding), public)
                }
                Scheme::Ec(scheme, curve) => {
                    let pair = EcdsaKeyPair::from_pkcs8(scheme, private).map_err(|_| rejected())?;
                    let public = der::ec_point(curve, pair.public_key().as_ref()).ok_or_else(rejected)?;
                    (Self::Ec(pair), public)
                }
                Scheme::Ed25519 => {
                    let pair = Ed25519KeyPair::from_pkcs8(private).map_err(|_| rejected())?;
                    let public = Material::Ed25519(pair.public_key().as_ref().to_vec());
                    (Self::Ed25519(pair), public)
                }
                Scheme::MlDsa(scheme) => {
                    let pair = PqdsaKeyPair::from_pkcs8(scheme, private).map_err(|_| rejected())?;
                    let public = Material::MlDsa(pair.public_key().as_ref().to_vec());
                    (Self::MlDsa(pair), public)
                }
            })
        }

        pub(in crate::crypto) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
            let failed = |_| ConfigError::new("the backend could not sign");
            let random = SystemRandom::new();
            match self {
                Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
                Self::Rsa(pair, encoding) => {
                    let mut signature = vec![0; pair.public_modulus_len()];
                    pair.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                    Ok(signature)
                }
                Self::Ec(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
                Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
                Self::MlDsa(pair) => {
                    let mut signature = vec![0; pair.algorithm().signature_len()];
                    let len = pair.sign(message, &mut signature).map_err(failed)?;
                    signature.truncate(len);
                    Ok(signature)
                }
            }
        }
    }
}
