//! Tokens from data: what is wrong with one is all that is said of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use tower_jwt_auth::testing::{Authority, TokenBuilder};

use crate::policy::now;

/// How a token differs from a good one.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Token {
    /// Members of the header; `null` takes one out. `{"$null": true}` is a null.
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// `{arrays:n}`, `{objects:n}`, `{digits:n}` and `{names:n}` are as many of them: see `repeated`.
    raw_header: Option<String>,
    raw_payload: Option<String>,
    /// Bytes that are no text, in base64url.
    raw_payload_bytes: Option<String>,
    signature: Signature,
    /// `{header}.{payload}.{signature}` unless it says otherwise; `{fill:n}` is n letters.
    compact: Option<String>,
    /// From another of the trusted issuers.
    of_other: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Signature {
    #[default]
    Good,
    /// With one other bit.
    Flipped,
    Empty,
    /// By a key that nobody trusts.
    Stranger,
    /// HMAC-SHA256 with this text as the secret.
    Hmac(String),
    /// These bytes, in base64url.
    Bytes(String),
    /// Ed25519: s + L instead of s.
    LargerS,
}

impl Token {
    /// The token, as a client would send it.
    pub(crate) fn text(&self, authority: &Authority, other: &Authority, stranger: &Authority) -> String {
        let mut token = if self.of_other { other.token() } else { authority.token() };
        for (name, value) in &self.header {
            token = set(token, name, value, TokenBuilder::header, TokenBuilder::without_header);
        }
        for (name, value) in &self.claims {
            token = set(token, name, value, TokenBuilder::claim, TokenBuilder::without);
        }
        if let Some(header) = &self.raw_header {
            token = token.raw_header(repeated(header));
        }
        if let Some(payload) = &self.raw_payload {
            token = token.raw_payload(repeated(payload));
        }
        if let Some(payload) = &self.raw_payload_bytes {
            token = token.raw_payload(decode(payload));
        }
        match &self.signature {
            Signature::Flipped => token = token.tampered(),
            Signature::Empty => token = token.unsigned(),
            Signature::Stranger => token = token.signed_by(stranger),
            _ => {}
        }
        let text = token.sign();
        let (signed, signature) = text.rsplit_once('.').expect("three segments");
        let (header, payload) = signed.split_once('.').expect("three segments");
        let signature = match &self.signature {
            Signature::Hmac(secret) => URL_SAFE_NO_PAD.encode(hmac(secret.as_bytes(), signed.as_bytes())),
            Signature::Bytes(bytes) => bytes.clone(),
            Signature::LargerS => URL_SAFE_NO_PAD.encode(with_larger_s(decode(signature))),
            _ => signature.to_owned(),
        };
        let compact = self.compact.as_deref().unwrap_or("{header}.{payload}.{signature}");
        let compact = compact.replace("{header}", header).replace("{payload}", payload);
        let compact = compact.replace("{signature}", &signature);
        match compact.split_once("{fill:").and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            Some((before, (count, after))) => {
                format!("{before}{}{after}", "a".repeat(count.parse().expect("a number of letters")))
            }
            None => compact,
        }
    }
}

fn set<'a>(
    token: TokenBuilder<'a>,
    name: &str,
    value: &Value,
    with: impl Fn(TokenBuilder<'a>, &str, Value) -> TokenBuilder<'a>,
    without: impl Fn(TokenBuilder<'a>, &str) -> TokenBuilder<'a>,
) -> TokenBuilder<'a> {
    match value {
        Value::Null => without(token, name),
        value => with(token, name, filled(value)),
    }
}

/// With what data cannot say: `{"$now": seconds from now}`, `{"$repeat": [text, times]}`, `{"$null": true}`.
fn filled(value: &Value) -> Value {
    let Some(object) = value.as_object() else { return value.clone() };
    match object.iter().next() {
        Some((name, seconds)) if name == "$now" => (now() + seconds.as_i64().expect("seconds")).into(),
        Some((name, value)) if name == "$repeat" => {
            let times = usize::try_from(value[1].as_u64().expect("a number")).expect("small");
            value[0].as_str().expect("a text").repeat(times).into()
        }
        Some((name, _)) if name == "$null" => Value::Null,
        _ => value.clone(),
    }
}

/// With what would be long: arrays and objects in each other, digits, names with their values.
fn repeated(text: &str) -> String {
    for name in ["arrays", "objects", "digits", "names"] {
        let Some((before, rest)) = text.split_once(&format!("{{{name}:")) else { continue };
        let (count, after) = rest.split_once('}').expect("a number of them");
        let count: usize = count.parse().expect("a number");
        let long = match name {
            "arrays" => "[".repeat(count) + &"]".repeat(count),
            "objects" => "{\"a\":".repeat(count) + "1" + &"}".repeat(count),
            "digits" => "9".repeat(count),
            _ => (0..count).flat_map(|at| ["\"".to_owned(), at.to_string(), "\":0,".to_owned()]).collect(),
        };
        return format!("{before}{long}{after}");
    }
    text.to_owned()
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    use jsonwebtoken::{EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
    let key = EncodingKey::from_secret(secret);
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).expect("HMAC");
    signer.try_sign(message).expect("HMAC")
}

/// RFC 8032 §5.1.7: s must be below the order of the group; s + L verifies where that is not checked.
///
/// With Ed25519 the sum fits. What another algorithm has in its place is just another signature, and may overflow.
fn with_larger_s(mut signature: Vec<u8>) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}
