//! A client with a DPoP key (RFC 9449).

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::to_json;
use crate::binding::hash;
use crate::clock::Clock;
use crate::crypto::{SigningKey, thumbprint};
use crate::jose::Algorithm;
use crate::jose::compact::encode;

/// A client with a key of its own, which makes proofs for the tokens that are bound to it.
///
/// ```
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::testing::{Authority, DpopClient};
///
/// let (authority, client) = (Authority::new(Algorithm::ES256), DpopClient::new(Algorithm::ES256));
/// let token = authority.token().bound_to(&client).sign();
/// let proof = client.proof("GET", "https://api.example.com/orders", &token).sign();
/// # let _ = proof;
/// ```
pub struct DpopClient {
    key: SigningKey,
    clock: Clock,
}

impl DpopClient {
    /// A client with a fresh key.
    ///
    /// # Panics
    /// When the backend lacks the algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).unwrap_or_else(|error| panic!("{error}"));
        Self { key, clock: Clock::system() }
    }

    /// The same with another clock, for the times of its proofs.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What a token that is bound to this client has in `cnf.jkt`.
    ///
    /// # Panics
    /// When the key has no thumbprint, as a secret has none.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.jwk()).expect("a public key has a thumbprint")
    }

    /// A valid proof for one request with this token, to be made wrong as wanted.
    ///
    /// # Panics
    /// Never with a backend, which making the key needed.
    pub fn proof(&self, method: &str, url: &str, token: &str) -> ProofBuilder<'_> {
        let id = SigningKey::generate(Algorithm::HS256).and_then(|key| key.sign(b"jti"));
        let id = id.unwrap_or_else(|error| panic!("{error}"));
        let proof = ProofBuilder { client: self, header: Map::new(), claims: Map::new(), tampered: false };
        let ath = hash(token.as_bytes()).expect("a backend has a hash");
        let iat = self.clock.now().as_secs();
        proof
            .header("typ", "dpop+jwt")
            .header("alg", self.key.algorithm().name())
            .header("jwk", self.jwk())
            .claim("jti", encode(&id[..16]))
            .claim("htm", method)
            .claim("htu", url)
            .claim("iat", iat)
            .claim("ath", ath)
    }

    fn jwk(&self) -> Map<String, Value> {
        let mut jwk = self.key.to_jwk("");
        jwk.retain(|name, _| !matches!(name.as_str(), "kid" | "use"));
        jwk
    }
}

impl fmt::Debug for DpopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopClient").finish_non_exhaustive()
    }
}

/// A proof in the making.
#[must_use]
pub struct ProofBuilder<'a> {
    client: &'a DpopClient,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    tampered: bool,
}

impl ProofBuilder<'_> {
    /// Sets a member of the header.
    ///
    /// # Panics
    /// When the value has no JSON form.
    pub fn header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header.insert(name.to_owned(), to_json(value));
        self
    }

    /// Sets a claim.
    ///
    /// # Panics
    /// When the value has no JSON form.
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims.insert(name.to_owned(), to_json(value));
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Adds a member to the key in the header.
    ///
    /// # Panics
    /// When the key has been replaced by something that is no object.
    pub fn jwk_member(mut self, name: &str, value: impl Serialize) -> Self {
        self.header["jwk"][name] = to_json(value);
        self
    }

    /// Flips a bit of the signature.
    pub fn tampered(mut self) -> Self {
        self.tampered = true;
        self
    }

    /// The proof.
    ///
    /// # Panics
    /// When the backend cannot sign.
    pub fn sign(self) -> String {
        let part = |members: Map<String, Value>| encode(json!(members).to_string().as_bytes());
        let signed = format!("{}.{}", part(self.header), part(self.claims));
        let mut signature = self.client.key.sign(signed.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        signature[9] ^= u8::from(self.tampered);
        format!("{signed}.{}", encode(&signature))
    }
}

impl fmt::Debug for ProofBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofBuilder").finish_non_exhaustive()
    }
}
