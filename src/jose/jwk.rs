//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037, RFC 9964), as far as they verify signatures.
//!
//! - One algorithm per key (RFC 8725 §3.1): its `alg`, else its curve's, else for RSA the source's choice.
//! - A key for another use, of an unknown type or with an unknown `alg` is no candidate and does no harm (RFC 7517 §5).
//! - Private members are never read.

use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::algorithm::KeyFamily;
use super::{Algorithm, compact};

/// The bytes of a verifying key, in the form in which JWK has them.
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
    allow(dead_code, reason = "no backend reads the bytes")
)]
pub(crate) enum Material {
    Secret(Zeroizing<Vec<u8>>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { curve: KeyFamily, x: Vec<u8>, y: Vec<u8> },
    Ed25519(Vec<u8>),
    MlDsa(Vec<u8>),
}

impl Material {
    /// True when `algorithm` is one for this kind of key.
    pub(crate) fn suits(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm.family()) {
            (Self::Secret(_), KeyFamily::Hmac)
            | (Self::Rsa { .. }, KeyFamily::Rsa)
            | (Self::Ed25519(_), KeyFamily::Ed25519)
            | (Self::MlDsa(_), KeyFamily::MlDsa) => true,
            (Self::Ec { curve, .. }, family) => *curve == family,
            _ => false,
        }
    }

    /// The only algorithm of an elliptic curve.
    pub(crate) fn algorithm_of_curve(&self) -> Option<Algorithm> {
        match self {
            Self::Ec { curve: KeyFamily::P256, .. } => Some(Algorithm::ES256),
            Self::Ec { curve: KeyFamily::P384, .. } => Some(Algorithm::ES384),
            Self::Ec { curve: KeyFamily::P521, .. } => Some(Algorithm::ES512),
            Self::Ed25519(_) => Some(Algorithm::EdDSA),
            _ => None,
        }
    }
}

/// JSON of one's own, in which there may be secrets: its strings are wiped when it is dropped.
pub(crate) struct OwnJson(Value);

impl OwnJson {
    pub(crate) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text).map(Self)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl Drop for OwnJson {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// The parser has bounded how deep it is.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A key that may verify signatures.
pub(crate) struct Jwk {
    pub(crate) kid: Option<String>,
    /// Whose tokens it signs, where providers say so (Entra).
    pub(crate) issuer: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) material: Material,
}

/// Why a JWK is not used. The texts hold no key material.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotUsed {
    /// A key for somebody else or from the future: passed over in any set.
    NotForUs(String),
    /// A broken or weak key: refused in a set of one's own, passed over in a provider's.
    Invalid(String),
}

/// The keys of a JWK set, each still a value: one odd key must not spoil the others.
pub(crate) fn members(set: &Value) -> Result<&Vec<Value>, &'static str> {
    let object = set.as_object().ok_or("a JWK set is a JSON object")?;
    object.get("keys").and_then(Value::as_array).ok_or("a JWK set has an array named `keys`")
}

/// What a provider's keys leave unsaid, or say in words of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conventions {
    /// The algorithm of an RSA key that names none.
    pub(crate) rsa: Algorithm,
    /// The set is a SPIFFE bundle: keys that sign tokens have `use` `jwt-svid` and a `kid` (SPIFFE Trust Domain and
    /// Bundle §4.2).
    pub(crate) is_spiffe: bool,
}

impl Default for Conventions {
    fn default() -> Self {
        Self::rsa(Algorithm::RS256)
    }
}

impl Conventions {
    pub(crate) fn rsa(rsa: Algorithm) -> Self {
        Self { rsa, is_spiffe: false }
    }
}

impl Jwk {
    /// Reads one key.
    pub(crate) fn parse(value: &Value, conventions: Conventions) -> Result<Self, NotUsed> {
        let jwk = value.as_object().ok_or_else(|| invalid("a JWK is a JSON object"))?;
        let kty = text(jwk, "kty")?.ok_or_else(|| invalid("`kty` is missing"))?;
        check_use(jwk, conventions.is_spiffe)?;
        let kid = text(jwk, "kid")?.map(str::to_owned);
        if conventions.is_spiffe && kid.is_none() {
            return Err(invalid("a key of a SPIFFE bundle has a `kid`"));
        }
        // What is no string is the name of nobody.
        let issuer = jwk.get("issuer").map(|issuer| issuer.as_str().unwrap_or_default().to_owned());
        let alg = text(jwk, "alg")?;
        let named = match alg {
            Some(name) => Some(
                Algorithm::from_name(name)
                    .ok_or_else(|| NotUsed::NotForUs("its `alg` is not a known signature algorithm".into()))?,
            ),
            None => None,
        };
        let material = material(jwk, kty)?;
        let of_rsa = matches!(material, Material::Rsa { .. }).then_some(conventions.rsa);
        let algorithm = named
            .or_else(|| material.algorithm_of_curve())
            .or(of_rsa)
            .ok_or_else(|| NotUsed::NotForUs(format!("a key of type {kty} needs an `alg`")))?;
        if !material.suits(algorithm) {
            return Err(invalid("its `alg` does not suit its type"));
        }
        Ok(Self { kid, issuer, algorithm, material })
    }
}

/// RFC 7517 §4.2 and §4.3.
fn check_use(jwk: &Map<String, Value>, is_spiffe: bool) -> Result<(), NotUsed> {
    let its = jwk.get("use");
    if is_spiffe && its.is_none_or(|value| value != "jwt-svid") {
        return Err(NotUsed::NotForUs("its `use` is not `jwt-svid`".into()));
    }
    if !is_spiffe && its.is_some_and(|value| value != "sig") {
        return Err(NotUsed::NotForUs("its `use` is not `sig`".into()));
    }
    let verifies = |value: &Value| value.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(NotUsed::NotForUs("its `key_ops` lack `verify`".into()));
    }
    Ok(())
}

fn material(jwk: &Map<String, Value>, kty: &str) -> Result<Material, NotUsed> {
    match kty {
        "oct" => Ok(Material::Secret(secret(jwk)?)),
        "RSA" => Ok(Material::Rsa { n: integer(jwk, "n")?, e: integer(jwk, "e")? }),
        "EC" => {
            let (curve, size) = match text(jwk, "crv")?.ok_or_else(|| invalid("`crv` is missing"))? {
                "P-256" => (KeyFamily::P256, 32),
                "P-384" => (KeyFamily::P384, 48),
                "P-521" => (KeyFamily::P521, 66),
                _ => return Err(NotUsed::NotForUs("its curve has no algorithm here".into())),
            };
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if (x.len(), y.len()) != (size, size) {
                return Err(invalid("its coordinates have the wrong length"));
            }
            Ok(Material::Ec { curve, x, y })
        }
        "OKP" => match text(jwk, "crv")? {
            Some("Ed25519") => Ok(Material::Ed25519(bytes(jwk, "x")?)),
            _ => Err(NotUsed::NotForUs("its curve has no algorithm here".into())),
        },
        "AKP" => Ok(Material::MlDsa(bytes(jwk, "pub")?)),
        _ => Err(NotUsed::NotForUs("its `kty` is unknown".into())),
    }
}

fn invalid(reason: &str) -> NotUsed {
    NotUsed::Invalid(reason.to_owned())
}

fn text<'v>(jwk: &'v Map<String, Value>, name: &str) -> Result<Option<&'v str>, NotUsed> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(NotUsed::Invalid(format!("`{name}` is not a string"))),
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, NotUsed> {
    let encoded = text(jwk, name)?.ok_or_else(|| NotUsed::Invalid(format!("`{name}` is missing")))?;
    compact::decode(encoded).ok_or_else(|| NotUsed::Invalid(format!("`{name}` is not base64url")))
}

fn secret(jwk: &Map<String, Value>) -> Result<Zeroizing<Vec<u8>>, NotUsed> {
    let encoded = text(jwk, "k")?.ok_or_else(|| invalid("`k` is missing"))?;
    compact::decode_secret(encoded).ok_or_else(|| invalid("`k` is not base64url"))
}

/// An unsigned big-endian integer, without the leading zeros that some providers send.
fn integer(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, NotUsed> {
    let mut bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;
    use serde_json::json;

    const _: fn(&Material) = |material| {
        if let Material::Secret(secret) = material {
            assert_wiped(secret);
        }
    };

    #[test]
    fn a_key_has_one_algorithm() {
        let b32 = compact::decode("AAAA").map(|_| "A".repeat(43)).expect("base64url");
        let rsa = |extra: Value| merge(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), extra);
        let ec = |extra: Value| merge(json!({"kty": "EC", "crv": "P-256", "x": b32, "y": b32}), extra);
        let cases = [
            (rsa(json!({})), Ok(Algorithm::PS256)),
            (rsa(json!({"alg": "RS512"})), Ok(Algorithm::RS512)),
            (rsa(json!({"alg": "HS256"})), Err(invalid("its `alg` does not suit its type"))),
            (rsa(json!({"alg": "ES256"})), Err(invalid("its `alg` does not suit its type"))),
            (ec(json!({})), Ok(Algorithm::ES256)),
            (ec(json!({"alg": "ES384"})), Err(invalid("its `alg` does not suit its type"))),
            (ec(json!({"use": "sig", "key_ops": ["sign", "verify"]})), Ok(Algorithm::ES256)),
            (ec(json!({"x": "AAAA"})), Err(invalid("its coordinates have the wrong length"))),
            (ec(json!({"kid": 7})), Err(invalid("`kid` is not a string"))),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": b32}), Ok(Algorithm::EdDSA)),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": b32, "alg": "Ed25519"}), Ok(Algorithm::EdDSA)),
            (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}), Ok(Algorithm::MlDsa44)),
            (json!({"kty": "oct", "k": "AAAA", "alg": "HS384"}), Ok(Algorithm::HS384)),
            (json!({"kty": "oct", "k": "AA=="}), Err(invalid("`k` is not base64url"))),
            (json!([]), Err(invalid("a JWK is a JSON object"))),
        ];
        for (jwk, expected) in cases {
            assert_eq!(
                Jwk::parse(&jwk, Conventions::rsa(Algorithm::PS256)).map(|key| key.algorithm),
                expected,
                "{jwk}"
            );
        }
    }

    #[test]
    fn a_key_for_another_purpose_is_passed_over() {
        let other = [
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": ["sig"]}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["encrypt"]}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": "verify"}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RSA-OAEP-256"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}),
            json!({"kty": "OKP", "crv": "X25519", "x": ""}),
            json!({"kty": "AKP", "pub": "AAAA"}),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "LATTICE"}),
        ];
        for jwk in other {
            let verdict = Jwk::parse(&jwk, Conventions::default()).err();
            assert!(matches!(verdict, Some(NotUsed::NotForUs(_))), "{jwk}: {verdict:?}");
        }
    }

    #[test]
    fn no_string_is_left_of_json_that_is_wiped() {
        let mut set = json!({"keys": [{"kty": "oct", "k": "AAAA", "more": [["d"], {"p": "q"}]}, "x", 7, null, true]});
        wipe(&mut set);
        assert_eq!(set, json!({"keys": [{"kty": "", "k": "", "more": [[""], {"p": ""}]}, "", 7, null, true]}));
    }

    fn merge(mut to: Value, from: Value) -> Value {
        let (Some(object), Value::Object(more)) = (to.as_object_mut(), from) else { unreachable!("two objects") };
        object.extend(more);
        to
    }
}
