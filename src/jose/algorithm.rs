//! The signature algorithms, a closed list that has no `none` (RFC 7518 §3.1, RFC 8037, RFC 9864, RFC 9964).

use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;
use crate::quote;

/// What kind of key an algorithm needs: `kty` and, where it matters, `crv` (RFC 7518 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFamily {
    Hmac,
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    MlDsa,
}

macro_rules! algorithms {
    ($($(#[$doc:meta])* $alg:ident = $name:literal, $family:ident;)*) => {
        /// A signature algorithm of a token or a key.
        ///
        /// [`FromStr`] and [`Display`](fmt::Display) use the names that are registered for `alg`, case-sensitively.
        /// There is no `none`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Algorithm {
            $($(#[$doc])* $alg,)*
        }

        impl Algorithm {
            /// Every algorithm.
            pub const ALL: &'static [Self] = &[$(Self::$alg,)*];

            /// The registered name; for Ed25519 the older `EdDSA`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$alg => $name,)* }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$alg),)*
                    "Ed25519" => Some(Self::EdDSA),
                    _ => None,
                }
            }

            pub(crate) fn family(self) -> KeyFamily {
                match self { $(Self::$alg => KeyFamily::$family,)* }
            }
        }
    };
}

algorithms! {
    /// HMAC with SHA-256 (RFC 7518 §3.2); the secret has at least 32 bytes.
    HS256 = "HS256", Hmac;
    /// HMAC with SHA-384 (RFC 7518 §3.2); the secret has at least 48 bytes.
    HS384 = "HS384", Hmac;
    /// HMAC with SHA-512 (RFC 7518 §3.2); the secret has at least 64 bytes.
    HS512 = "HS512", Hmac;
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    RS256 = "RS256", Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-384 (RFC 7518 §3.3).
    RS384 = "RS384", Rsa;
    /// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 7518 §3.3).
    RS512 = "RS512", Rsa;
    /// RSASSA-PSS with SHA-256 (RFC 7518 §3.5).
    PS256 = "PS256", Rsa;
    /// RSASSA-PSS with SHA-384 (RFC 7518 §3.5).
    PS384 = "PS384", Rsa;
    /// RSASSA-PSS with SHA-512 (RFC 7518 §3.5).
    PS512 = "PS512", Rsa;
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    ES256 = "ES256", P256;
    /// ECDSA on P-384 with SHA-384 (RFC 7518 §3.4).
    ES384 = "ES384", P384;
    /// ECDSA on P-521 with SHA-512 (RFC 7518 §3.4). Not in the `rust-crypto` backend.
    ES512 = "ES512", P521;
    /// Ed25519 (RFC 8037 §3.1, RFC 9864 §2.2): `EdDSA` and `Ed25519` are one algorithm.
    EdDSA = "EdDSA", Ed25519;
    /// ML-DSA-44 (RFC 9964). Not in the `rust-crypto` backend.
    MlDsa44 = "ML-DSA-44", MlDsa;
    /// ML-DSA-65 (RFC 9964). Not in the `rust-crypto` backend.
    MlDsa65 = "ML-DSA-65", MlDsa;
    /// ML-DSA-87 (RFC 9964). Not in the `rust-crypto` backend.
    MlDsa87 = "ML-DSA-87", MlDsa;
}

impl Algorithm {
    /// True for HMAC, where whoever verifies can sign as well.
    pub fn is_symmetric(self) -> bool {
        self.family() == KeyFamily::Hmac
    }

    /// The shortest secret of an HMAC algorithm, in bytes (RFC 7518 §3.2); `None` for the others.
    pub(crate) fn shortest_secret(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::from_name(name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|algorithm| algorithm.name()).collect();
            ConfigError::new(format!("unknown algorithm {}: use one of {}", quote::name(name), known.join(", ")))
        })
    }
}

/// A set of algorithms, in one word.
///
/// ```
/// use tower_jwt_auth::{Algorithm, AlgorithmSet};
///
/// let set: AlgorithmSet = [Algorithm::RS256, Algorithm::ES256].into_iter().collect();
/// assert!(set.contains(Algorithm::ES256) && !set.contains(Algorithm::HS256));
/// assert!(!AlgorithmSet::ASYMMETRIC.contains(Algorithm::HS256));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct AlgorithmSet(u32);

impl AlgorithmSet {
    /// Every algorithm whose verifying key is public.
    pub const ASYMMETRIC: Self = Self(!0b111 & ((1 << Algorithm::ALL.len()) - 1));

    /// True when the set holds `algorithm`.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// True when the set holds nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms in the set.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.iter().copied().filter(move |&algorithm| self.contains(algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | algorithm.bit()))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Algorithm::name).collect();
        write!(f, "{{{}}}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is_read() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
        for name in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "ES256K", "ES521", "Ed448"] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_asymmetric_set_lacks_hmac_alone() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(AlgorithmSet::ASYMMETRIC.contains(algorithm), !algorithm.is_symmetric());
        }
        assert_eq!(AlgorithmSet::ASYMMETRIC.iter().count(), Algorithm::ALL.len() - 3);
    }
}
