//! A token authority for tests: mints anything valid, and anything wrong.
//!
//! - Its keys are made in the process and never leave it; every algorithm of the backend is there.
//! - A token is valid unless the builder is told otherwise, so that a test names exactly what is wrong.
//!
//! ```
//! use tower_jwt_auth::{Algorithm, AuthErrorKind, Verifier, testing::Authority};
//!
//! # async fn run() {
//! let authority = Authority::new(Algorithm::ES256);
//! let verifier = Verifier::<serde_json::Value>::new(authority.trusted()).unwrap();
//!
//! assert!(verifier.verify(&authority.token().sign()).await.is_ok());
//! let error = verifier.verify(&authority.token().expires_in(-60).sign()).await.unwrap_err();
//! assert_eq!(error.kind(), AuthErrorKind::Expired);
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run());
//! ```

mod dpop;

pub use dpop::{DpopClient, ProofBuilder};

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::crypto::SigningKey;
use crate::jose::Algorithm;
use crate::jose::compact::encode;
use crate::keys::KeySet;
use crate::verify::Issuer;

/// An issuer of tokens for tests, with keys of its own.
pub struct Authority {
    name: String,
    audience: String,
    clock: Clock,
    /// The last one signs.
    keys: Vec<(String, SigningKey)>,
}

impl Authority {
    /// An authority with one key, whose tokens are from `https://issuer.test` for `test-audience`.
    ///
    /// # Panics
    /// When the backend lacks the algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        let mut authority = Self {
            name: "https://issuer.test".to_owned(),
            audience: "test-audience".to_owned(),
            clock: Clock::system(),
            keys: Vec::new(),
        };
        authority.add_key(algorithm);
        authority
    }

    /// The same with another name, for `iss`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with another audience, for `aud`.
    #[must_use]
    pub fn for_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// The same with another clock, for the times of its tokens.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a key, with which tokens are signed from now on; the older ones stay published.
    ///
    /// # Panics
    /// When the backend lacks the algorithm.
    pub fn add_key(&mut self, algorithm: Algorithm) {
        let key = SigningKey::generate(algorithm).unwrap_or_else(|error| panic!("{error}"));
        self.keys.push((format!("key-{}", self.keys.len() + 1), key));
    }

    /// What its tokens have in `iss`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its tokens have in `aud`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The published keys as a JWK set; for HMAC these are the secrets.
    pub fn jwks(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|(kid, key)| key.to_jwk(kid)).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The published keys, to verify with.
    ///
    /// # Panics
    /// When secrets and public keys have been mixed.
    pub fn key_set(&self) -> KeySet {
        KeySet::jwk_set(self.jwks()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// This authority as a trusted issuer with its audience: for [`JwtAuth::new`](crate::JwtAuth::new).
    ///
    /// # Panics
    /// When secrets and public keys have been mixed.
    pub fn trusted(&self) -> Issuer {
        Issuer::new(&self.name, self.key_set()).audience(&self.audience)
    }

    /// A valid token, good for five minutes, to be made wrong as wanted.
    ///
    /// # Panics
    /// Never: an authority has at least one key.
    pub fn token(&self) -> TokenBuilder<'_> {
        let now = self.clock.now().as_secs();
        let (kid, key) = self.keys.last().expect("an authority is made with a key");
        let mut token = TokenBuilder {
            authority: self,
            key,
            now,
            header: Map::new(),
            claims: Map::new(),
            raw: [None, None],
            signature: Signature::Good,
        };
        token = token.header("alg", key.algorithm().name()).header("typ", "JWT").header("kid", kid);
        token
            .claim("iss", &self.name)
            .claim("aud", &self.audience)
            .claim("sub", "user-1")
            .claim("iat", now)
            .expires_in(300)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// A token in the making.
#[must_use]
pub struct TokenBuilder<'a> {
    authority: &'a Authority,
    key: &'a SigningKey,
    now: i64,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// Header and payload, byte for byte.
    raw: [Option<Vec<u8>>; 2],
    signature: Signature,
}

enum Signature {
    Good,
    Flipped,
    None,
}

impl<'a> TokenBuilder<'a> {
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

    /// Sets `exp` to this many seconds from now; negative for the past.
    pub fn expires_in(self, seconds: i64) -> Self {
        let exp = self.now.saturating_add(seconds);
        self.claim("exp", exp)
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
    pub fn signed_by(mut self, other: &'a Authority) -> Self {
        self.key = other.token().key;
        self
    }

    /// Signs with the key of this number, from 0; the header names it.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn with_key(mut self, index: usize) -> Self {
        let (kid, key) = &self.authority.keys[index];
        self.key = key;
        self.header("kid", kid).header("alg", key.algorithm().name())
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

    /// The token.
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
}

impl fmt::Debug for TokenBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder").finish_non_exhaustive()
    }
}

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| panic!("no JSON: {error}"))
}
