//! A token in the making, valid until it is made wrong.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Authority, DpopClient, to_json};
use crate::crypto::SigningKey;
use crate::jose::compact::encode;

/// A token in the making.
///
/// What a chain names is what differs from a valid token; [`sign`](Self::sign) or [`bearer`](Self::bearer) ends it.
#[must_use]
pub struct TokenBuilder<'a> {
    authority: &'a Authority,
    key: Arc<SigningKey>,
    now: i64,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// Header and payload, byte for byte.
    raw: [Option<Vec<u8>>; 2],
    signature: Signature,
}

/// How many tokens there are.
static TOKENS: AtomicU64 = AtomicU64::new(1);

enum Signature {
    Good,
    Flipped,
    None,
}

impl<'a> TokenBuilder<'a> {
    pub(super) fn new(authority: &'a Authority, now: i64) -> Self {
        let (kid, key) = authority.signer();
        let alg = key.algorithm().name();
        let number = TOKENS.fetch_add(1, Ordering::Relaxed);
        let (header, claims) = (Map::new(), Map::new());
        let token = Self { authority, key, now, header, claims, raw: [None, None], signature: Signature::Good };
        token
            .header("alg", alg)
            .header("typ", "JWT")
            .header("kid", kid)
            .claim("iss", authority.name())
            .claim("aud", authority.audience())
            .claim("sub", "user-1")
            .claim("jti", format!("token-{number:08}"))
            .issued_in(0)
            .expires_in(300)
    }

    /// Sets a claim.
    ///
    /// # Panics
    /// When the value has no JSON form.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims.insert(name.to_owned(), to_json(value));
        self
    }

    /// Sets every member of a value that serializes as an object.
    ///
    /// # Panics
    /// When it does not.
    pub fn claims(mut self, claims: impl Serialize) -> Self {
        match to_json(claims) {
            Value::Object(members) => self.claims.extend(members),
            _ => panic!("claims are an object"),
        }
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets `exp` to this many seconds from now; negative for the past. The leeway of an issuer, 30 s unless set, comes on
    /// top: -30 and less has expired.
    pub fn expires_in(self, seconds: i64) -> Self {
        self.time("exp", seconds)
    }

    /// Sets `nbf` to this many seconds from now; negative for the past.
    pub fn valid_in(self, seconds: i64) -> Self {
        self.time("nbf", seconds)
    }

    /// Sets `iat` to this many seconds from now; negative for the past.
    pub fn issued_in(self, seconds: i64) -> Self {
        self.time("iat", seconds)
    }

    fn time(self, name: &str, seconds: i64) -> Self {
        let at = self.now.saturating_add(seconds);
        self.claim(name, at)
    }

    /// Binds the token to the key of this client (`cnf.jkt`, RFC 9449 §6.1).
    ///
    /// # Panics
    /// When the client's key is a secret, which has no thumbprint.
    pub fn bound_to(self, client: &DpopClient) -> Self {
        self.claim("cnf", json!({ "jkt": client.thumbprint() }))
    }

    /// Sets a member of the header.
    ///
    /// # Panics
    /// When the value has no JSON form.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header.insert(name.to_owned(), to_json(value));
        self
    }

    /// Leaves a member of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// These bytes as the header, JSON or not.
    pub fn raw_header(mut self, header: impl Into<Vec<u8>>) -> Self {
        self.raw[0] = Some(header.into());
        self
    }

    /// These bytes as the payload, JSON or not.
    pub fn raw_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.raw[1] = Some(payload.into());
        self
    }

    /// Signs with the key of another authority; the header stays as it is.
    pub fn signed_by(mut self, other: &Authority) -> Self {
        self.key = other.signer().1;
        self
    }

    /// Signs with the key of this number, from 0, withdrawn or not; the header names it.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn with_key(mut self, index: usize) -> Self {
        let (kid, key) = self.authority.key(index);
        let alg = key.algorithm().name();
        self.key = key;
        self.header("kid", kid).header("alg", alg)
    }

    /// Flips a bit of the signature.
    pub fn tampered(mut self) -> Self {
        self.signature = Signature::Flipped;
        self
    }

    /// Leaves the signature empty.
    pub fn unsigned(mut self) -> Self {
        self.signature = Signature::None;
        self
    }

    /// The token, in the compact serialization.
    ///
    /// # Panics
    /// When the backend cannot sign.
    pub fn sign(self) -> String {
        let [header, payload] = self.raw;
        let header = header.unwrap_or_else(|| Value::Object(self.header).to_string().into_bytes());
        let payload = payload.unwrap_or_else(|| Value::Object(self.claims).to_string().into_bytes());
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let mut signature = self.key.sign(signed.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        match self.signature {
            Signature::Good => {}
            Signature::Flipped => signature[9] ^= 1,
            Signature::None => signature.clear(),
        }
        format!("{signed}.{}", encode(&signature))
    }

    /// The token as the value of an `Authorization` field: `Bearer` and the token (RFC 6750 §2.1), marked sensitive.
    ///
    /// # Panics
    /// When the backend cannot sign.
    pub fn bearer(self) -> HeaderValue {
        let value = format!("Bearer {}", self.sign());
        let mut value = HeaderValue::try_from(value).expect("base64url and dots are visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for TokenBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder").finish_non_exhaustive()
    }
}
