//! Private keys in PEM (RFC 7468) and JWK (RFC 7517 §9.3), all brought into one form: PKCS #8 (RFC 5208).
//!
//! - For HMAC the form is the secret itself.
//! - What holds a private key is wiped when it is dropped. Nothing here says what a key is.

use serde::Deserialize;
use serde_json::{Value, json};
use spki::der::Encode as _;
use spki::der::asn1::UintRef;
use zeroize::Zeroizing;

use super::Algorithm;
use super::algorithm::KeyFamily;
use super::compact::decode_secret;
use super::der::decode_pem;
use super::jwk::{Conventions, Jwk, Material, NotUsed};
use crate::error::ConfigError;

/// A private key as PKCS #8, or a secret as it is.
pub(crate) type Private = Zeroizing<Vec<u8>>;

/// Reads a PEM of a private key: PKCS #8, PKCS #1 for RSA, or SEC 1 for an elliptic curve.
pub(crate) fn from_pem(algorithm: Algorithm, text: &[u8]) -> Result<Private, ConfigError> {
    let (label, der) = decode_pem(text).ok_or_else(|| {
        ConfigError::new("not a PEM: expected one block that starts with -----BEGIN PRIVATE KEY-----")
    })?;
    let family = algorithm.family();
    match label {
        "PRIVATE KEY" => Ok(der),
        "RSA PRIVATE KEY" if family == KeyFamily::Rsa => Ok(pkcs8(RSA, &der)),
        "EC PRIVATE KEY" if ec(family).is_some() => Ok(ec(family).map(|own| pkcs8(own, &der)).unwrap_or_default()),
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Err(ConfigError::new(format!("the key is not one for {algorithm}"))),
        "ENCRYPTED PRIVATE KEY" => {
            Err(ConfigError::new("the private key is encrypted: decrypt it with `openssl pkcs8`"))
        }
        label if label.ends_with("PUBLIC KEY") => {
            Err(ConfigError::new("an issuer needs the private key, this is the public one"))
        }
        _ => Err(ConfigError::new("this PEM is not a private key: expected the label PRIVATE KEY")),
    }
}

/// A private JWK, read.
pub(crate) struct PrivateJwk {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: Material,
    pub(crate) private: Private,
}

/// The members that anybody may see, and `k`, as text that borrows.
#[derive(Deserialize)]
struct Members<'j> {
    kty: &'j str,
    #[serde(rename = "use")]
    usage: Option<&'j str>,
    #[serde(default)]
    key_ops: Option<Vec<&'j str>>,
    kid: Option<String>,
    alg: Option<&'j str>,
    crv: Option<&'j str>,
    x: Option<&'j str>,
    y: Option<&'j str>,
    n: Option<&'j str>,
    e: Option<&'j str>,
    #[serde(rename = "pub")]
    public: Option<&'j str>,
    k: Option<&'j str>,
    d: Option<&'j str>,
    p: Option<&'j str>,
    q: Option<&'j str>,
    dp: Option<&'j str>,
    dq: Option<&'j str>,
    qi: Option<&'j str>,
    #[serde(rename = "priv")]
    seed: Option<&'j str>,
}

/// Reads a private JWK. RSA keys need all their factors (RFC 7518 §6.3.2), ML-DSA keys their seed (RFC 9964).
pub(crate) fn from_jwk(text: &[u8]) -> Result<PrivateJwk, ConfigError> {
    let members: Members<'_> = serde_json::from_slice(text)
        .map_err(|_| ConfigError::new("a private JWK is a JSON object whose members are strings without escapes"))?;
    if members.usage.is_some_and(|usage| usage != "sig")
        || members.key_ops.as_ref().is_some_and(|ops| !ops.contains(&"sign"))
    {
        return Err(ConfigError::new("the JWK is not one to sign with: see its `use` and `key_ops`"));
    }
    if members.kty == "oct" {
        let algorithm = members.alg.and_then(Algorithm::from_name);
        let algorithm = algorithm.ok_or_else(|| ConfigError::new("a secret needs its `alg`"))?;
        let secret = private(members.k)?;
        return Ok(PrivateJwk {
            kid: members.kid,
            algorithm,
            public: Material::Secret(secret.clone()),
            private: secret,
        });
    }
    let jwk = Jwk::parse(&members.to_public(), Conventions::default()).map_err(|refused| match refused {
        NotUsed::NotForUs(reason) | NotUsed::Invalid(reason) => ConfigError::new(reason),
    })?;
    let private = members.to_private(jwk.algorithm, &jwk.material)?;
    Ok(PrivateJwk { kid: members.kid, algorithm: jwk.algorithm, public: jwk.material, private })
}

impl Members<'_> {
    fn to_public(&self) -> Value {
        let mut jwk = json!({"kty": self.kty});
        let members = [
            ("alg", self.alg),
            ("crv", self.crv),
            ("x", self.x),
            ("y", self.y),
            ("n", self.n),
            ("e", self.e),
            ("pub", self.public),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                jwk[name] = value.into();
            }
        }
        jwk
    }

    fn to_private(&self, algorithm: Algorithm, public: &Material) -> Result<Private, ConfigError> {
        match public {
            Material::Secret(secret) => Ok(secret.clone()),
            Material::Rsa { n, e } => {
                let [d, p, q, dp, dq, qi] = [self.d, self.p, self.q, self.dp, self.dq, self.qi].map(private);
                let (d, p, q, dp, dq, qi) = (d?, p?, q?, dp?, dq?, qi?);
                pkcs1([n, e, &d, &p, &q, &dp, &dq, &qi])
                    .map(|der| pkcs8(RSA, &der))
                    .ok_or_else(|| ConfigError::new("the members of the RSA key are not numbers"))
            }
            Material::Ec { curve, x, y } => {
                let (d, own) = (private(self.d)?, ec(*curve).ok_or_else(|| ConfigError::new("an unknown curve"))?);
                // RFC 5915 §3: version, key, and the public key in [1].
                let point = tlv(0x03, &[&[0, 4], x, y]);
                let key = [tlv(0x02, &[&[1]]), tlv(0x04, &[&d]), tlv(0xA1, &[&point])];
                Ok(pkcs8(own, &tlv(0x30, &key.each_ref().map(|part| part.as_slice()))))
            }
            // RFC 8410 §7.
            Material::Ed25519(_) => Ok(pkcs8(ED25519, &tlv(0x04, &[&private(self.d)?]))),
            // RFC 9881 §6: the seed alone, in [0].
            Material::MlDsa(_) => {
                let parameters = ML_DSA.iter().find(|(known, _)| *known == algorithm).map_or(&[][..], |(_, oid)| *oid);
                Ok(pkcs8(parameters, &tlv(0x80, &[&private(self.seed)?])))
            }
        }
    }
}

fn private(member: Option<&str>) -> Result<Private, ConfigError> {
    let bytes = member.and_then(decode_secret).filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| {
        ConfigError::new(
            "the JWK lacks its private part: an issuer needs `d`, for RSA the factors as well, for ML-DSA `priv`",
        )
    })
}

// What stands in an AlgorithmIdentifier, object identifiers and parameters.
const RSA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 5, 0];
const P256: &[u8] = &[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
const P384: &[u8] = &[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 5, 0x2B, 0x81, 4, 0, 34];
const P521: &[u8] = &[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 5, 0x2B, 0x81, 4, 0, 35];
const ED25519: &[u8] = &[6, 3, 0x2B, 0x65, 0x70];
const ML_DSA: [(Algorithm, &[u8]); 3] = [
    (Algorithm::MlDsa44, &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17]),
    (Algorithm::MlDsa65, &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18]),
    (Algorithm::MlDsa87, &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19]),
];

fn ec(family: KeyFamily) -> Option<&'static [u8]> {
    match family {
        KeyFamily::P256 => Some(P256),
        KeyFamily::P384 => Some(P384),
        KeyFamily::P521 => Some(P521),
        _ => None,
    }
}

/// A `PrivateKeyInfo` (RFC 5208 §5).
fn pkcs8(algorithm: &[u8], key: &[u8]) -> Private {
    tlv(0x30, &[&[2, 1, 0], &tlv(0x30, &[algorithm]), &tlv(0x04, &[key])])
}

/// An `RSAPrivateKey` (RFC 8017 A.1.2).
fn pkcs1(numbers: [&[u8]; 8]) -> Option<Private> {
    let number = |at: usize| UintRef::new(numbers[at]).ok();
    let key = pkcs1::RsaPrivateKey {
        modulus: number(0)?,
        public_exponent: number(1)?,
        private_exponent: number(2)?,
        prime1: number(3)?,
        prime2: number(4)?,
        exponent1: number(5)?,
        exponent2: number(6)?,
        coefficient: number(7)?,
        other_prime_infos: None,
    };
    key.to_der().ok().map(Zeroizing::new)
}

/// One element of DER, shorter than 64 KiB.
fn tlv(tag: u8, content: &[&[u8]]) -> Private {
    let len: usize = content.iter().map(|part| part.len()).sum();
    // Room for all of it at once: what grows leaves copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(len + 4));
    out.push(tag);
    match (u8::try_from(len), u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()) {
        (Ok(short), _) if short < 128 => out.push(short),
        (Ok(byte), _) => out.extend([0x81, byte]),
        (Err(_), [high, low]) => out.extend([0x82, high, low]),
    }
    for part in content {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;

    const _: fn(&PrivateJwk) = |jwk| assert_wiped(&jwk.private);

    #[test]
    fn elements_have_their_lengths_in_one_two_or_three_bytes() {
        for (len, head) in [(127, vec![4, 127]), (128, vec![4, 0x81, 128]), (256, vec![4, 0x82, 1, 0])] {
            let element = tlv(4, &[&vec![7; len]]);
            assert_eq!((&element[..head.len()], element.len()), (&head[..], head.len() + len));
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused_with_the_fix() {
        let pem = |label: &str| format!("-----BEGIN {label}-----AAAA-----END {label}-----");
        let cases = [
            (String::new(), "BEGIN PRIVATE KEY"),
            (pem("PUBLIC KEY"), "this is the public one"),
            (pem("RSA PUBLIC KEY"), "this is the public one"),
            (pem("CERTIFICATE"), "the label PRIVATE KEY"),
            (pem("ENCRYPTED PRIVATE KEY"), "openssl pkcs8"),
            (pem("RSA PRIVATE KEY"), "not one for ES256"),
        ];
        for (text, word) in cases {
            let error = from_pem(Algorithm::ES256, text.as_bytes()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(word)), "{text}: {error:?}");
        }
        let jwks = [
            ("[]", "JSON object"),
            (r#"{"kty":"oct","k":"AAAA"}"#, "needs its `alg`"),
            (r#"{"kty":"oct","alg":"HS256"}"#, "private part"),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}"#, "private part"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "private part"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA","use":"enc"}"#, "not one to sign with"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"AAAA","key_ops":["verify"]}"#, "not one to sign with"),
            (r#"{"kty":"OKP","crv":"Ed448","x":"AAAA","d":"AAAA"}"#, "no algorithm here"),
        ];
        for (jwk, word) in jwks {
            let error = from_jwk(jwk.as_bytes()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(word)), "{jwk}: {error:?}");
        }
    }
}
