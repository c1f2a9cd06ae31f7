//! The issuer of access tokens.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Serialize;

use super::error::{IssueError, IssueErrorKind};
use super::key::SigningKey;
use super::ring::KeyRing;
use crate::claims::{ClaimNames, Member, Registered, Time};
use crate::clock::{Clock, UnixTime};
use crate::crypto;
use crate::error::ConfigError;
use crate::jose::compact::{MAX_TOKEN, encode, encode_onto};
use crate::policy::MAX_ISSUER;

/// Issues access tokens (RFC 9068): one name, its keys, and what every token has.
///
/// Each token has `iss`, `aud`, `iat`, `exp` and a random `jti` of 128 bits, and in its header `typ` `at+jwt`, `alg` and
/// `kid`. Who it is for, and what they may do, is in the claims that you give: `sub`, `client_id` and `scope` of RFC 9068
/// among them: a verifier with [`access_token_profile`](crate::Issuer::access_token_profile) refuses tokens that lack the
/// first two.
///
/// **The payload is not encrypted: whoever holds a token, the client first, can read every claim.** Passwords, keys and
/// what a user must not learn do not belong there.
#[derive(Clone)]
pub struct TokenIssuer {
    keys: IssuingKeys,
    clock: Clock,
    /// `{"iss":…`, the same in every token.
    start: String,
    /// `,"aud":…`, in tokens that are for nobody else.
    audience: String,
    /// `,"typ":…}`, the end of every header.
    header: String,
    lifetime: Duration,
    longest: Duration,
}

/// The keys of an issuer: one [`SigningKey`] that never changes, or a [`KeyRing`].
#[derive(Clone, Debug)]
pub struct IssuingKeys(pub(super) Source);

#[derive(Clone, Debug)]
pub(super) enum Source {
    One(SigningKey),
    Ring(KeyRing),
}

impl From<SigningKey> for IssuingKeys {
    fn from(key: SigningKey) -> Self {
        Self(Source::One(key))
    }
}

impl From<KeyRing> for IssuingKeys {
    fn from(ring: KeyRing) -> Self {
        Self(Source::Ring(ring))
    }
}

impl IssuingKeys {
    fn signing(&self) -> Result<SigningKey, IssueError> {
        match &self.0 {
            Source::One(key) => Ok(key.clone()),
            Source::Ring(ring) => ring.signing().ok_or_else(|| {
                IssueError::new(IssueErrorKind::NoKey, "the store of the key ring has not answered for too long")
            }),
        }
    }
}

/// Builds a [`TokenIssuer`].
#[must_use]
pub struct TokenIssuerBuilder {
    name: String,
    keys: IssuingKeys,
    audiences: Vec<String>,
    no_audience: bool,
    token_type: String,
    lifetime: Duration,
    longest: Duration,
    clock: Clock,
}

/// The longest lifetime without a `danger_` option.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl TokenIssuer {
    /// An issuer of this name (a URL, as verifiers have it), with a [`SigningKey`] or a [`KeyRing`].
    pub fn builder(name: impl Into<String>, keys: impl Into<IssuingKeys>) -> TokenIssuerBuilder {
        TokenIssuerBuilder {
            name: name.into(),
            keys: keys.into(),
            audiences: Vec::new(),
            no_audience: false,
            token_type: "at+jwt".to_owned(),
            lifetime: Duration::from_secs(5 * 60),
            longest: LONGEST,
            clock: Clock::system(),
        }
    }

    /// A token with these claims, for the issuer's audience and lifetime. They serialize as an object.
    ///
    /// # Errors
    /// When the claims hold what the issuer sets (`iss`, `aud`, `iat`, `exp`, `jti`), when they are no object or have
    /// what verifiers refuse (a name twice, `sub` or `nbf` of a wrong type, `events`), when the token would be longer
    /// than 16 KiB, or when no key may sign.
    pub fn issue<C: Serialize + ?Sized>(&self, claims: &C) -> Result<IssuedToken, IssueError> {
        self.token().issue(claims)
    }

    /// True while a key may sign: a [`KeyRing`](super::KeyRing) that has not been able to read its store for too long has
    /// none. Ask before a refresh token is spent for an access token that cannot be made.
    pub fn is_ready(&self) -> bool {
        self.keys.signing().is_ok()
    }

    /// A token that differs from the others in audience or lifetime, or that has claims without a type.
    pub fn token(&self) -> TokenRequest<'_> {
        TokenRequest { issuer: self, audiences: Vec::new(), own: Vec::new(), lifetime: self.lifetime }
    }
}

impl TokenIssuerBuilder {
    /// Whom tokens are for: a service that answers to this name (RFC 7519 §4.1.3). Call it again for more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Issues tokens without `aud`, unless one is given for a token. Any service that trusts this issuer and does not
    /// look at the audience takes them, and may use them elsewhere.
    pub fn danger_no_audience(mut self) -> Self {
        self.no_audience = true;
        self
    }

    /// How long tokens live: 5 minutes unless set, at most an hour. A token that is stolen, or whose user has lost a
    /// right, is good until then.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Allows lifetimes up to this, beyond an hour. Without revocation nothing ends such a token sooner.
    pub fn danger_long_lifetime(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The `typ` of tokens: `at+jwt` (RFC 9068 §2.1) unless set. `JWT` suits verifiers that know nothing newer.
    pub fn token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = token_type.into();
        self
    }

    /// Another clock than the system's: for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The issuer.
    ///
    /// # Errors
    /// When the name is empty or longer than 512 bytes, when there is no audience, when one is empty, or when the
    /// lifetime is over the bound or under a second.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        if self.name.is_empty() || self.name.len() > MAX_ISSUER {
            return Err(ConfigError::new(format!("the name of an issuer has 1 to {MAX_ISSUER} bytes")));
        }
        if self.audiences.is_empty() && !self.no_audience {
            return Err(ConfigError::new(
                "whom are the tokens for? set `audience`, or `danger_no_audience` where each token has its own",
            ));
        }
        if self.audiences.iter().any(String::is_empty) {
            return Err(ConfigError::new("an audience is empty"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-./".contains(&byte);
        if self.token_type.is_empty() || !self.token_type.bytes().all(plain) {
            return Err(ConfigError::new("the type of tokens is a media type, such as `at+jwt`"));
        }
        check_lifetime(self.lifetime, self.longest)
            .map_err(|why| ConfigError::new(format!("{why}; beyond an hour, see `danger_long_lifetime`")))?;
        if let Source::Ring(ring) = &self.keys.0
            && self.lifetime > ring.longest_lifetime()
        {
            return Err(ConfigError::new(
                "tokens would outlive their key: set `KeyRingBuilder::longest_lifetime` to the longest lifetime",
            ));
        }
        let longest = match &self.keys.0 {
            Source::One(_) => self.longest,
            Source::Ring(ring) => self.longest.min(ring.longest_lifetime()),
        };
        Ok(TokenIssuer {
            start: format!("{{\"iss\":{}", json(&self.name)),
            audience: audience_member(&self.audiences),
            keys: self.keys,
            clock: self.clock,
            header: format!(",\"typ\":\"{}\"}}", self.token_type),
            lifetime: self.lifetime,
            longest,
        })
    }
}

/// A token that is about to be issued.
#[must_use]
pub struct TokenRequest<'i> {
    issuer: &'i TokenIssuer,
    audiences: Vec<String>,
    /// The claims that were set by name.
    own: Vec<(&'static str, String)>,
    lifetime: Duration,
}

impl TokenRequest<'_> {
    /// Whom this token is for, in place of the issuer's audience. Call it again for more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How long this token lives, within the issuer's bound.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// `sub`: whom the token speaks of (RFC 9068 §2.2).
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.with("sub", subject)
    }

    /// `client_id`: who asked for the token (RFC 8693 §4.3).
    pub fn client(self, client: impl Into<String>) -> Self {
        self.with("client_id", client)
    }

    /// `scope`: what the token allows (RFC 8693 §4.2), in the order given.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<S> = scopes.into_iter().collect();
        let scopes: Vec<&str> = scopes.iter().map(AsRef::as_ref).collect();
        self.with("scope", scopes.join(" "))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.own.retain(|(other, _)| *other != name);
        self.own.push((name, value.into()));
        self
    }

    /// The token, with what was set so far and nothing else.
    ///
    /// # Errors
    /// Those of [`issue`](Self::issue).
    pub fn sign(self) -> Result<IssuedToken, IssueError> {
        self.issue(&NoClaims {})
    }

    /// The token, with these claims beside what was set so far.
    ///
    /// # Errors
    /// When the claims hold what was set already or what the issuer sets (`iss`, `aud`, `iat`, `exp`, `jti`), when they
    /// are no object or have what verifiers refuse, when the lifetime is out of bounds, when the token would be longer
    /// than 16 KiB, or when no key may sign.
    pub fn issue<C: Serialize + ?Sized>(self, claims: &C) -> Result<IssuedToken, IssueError> {
        let issuer = self.issuer;
        check_lifetime(self.lifetime, issuer.longest)
            .map_err(|why| IssueError::new(IssueErrorKind::LifetimeOutOfBounds, why))?;
        let key = issuer.keys.signing()?;
        // `iat` is in whole seconds, and the lifetime counts from it.
        let issued_at = UnixTime::from_secs(issuer.clock.now().as_secs());
        let expires_at = UnixTime::from_secs(issued_at.as_secs().saturating_add_unsigned(self.lifetime.as_secs()));
        let jti = random_id()?;

        let mut payload = String::with_capacity(512);
        payload.push_str(&issuer.start);
        match &*self.audiences {
            [] => payload.push_str(&issuer.audience),
            own => payload.push_str(&audience_member(own)),
        }
        let (iat, exp) = (issued_at.as_secs(), expires_at.as_secs());
        add(&mut payload, format_args!(",\"iat\":{iat},\"exp\":{exp},\"jti\":\"{jti}\""));
        for (name, value) in &self.own {
            add(&mut payload, format_args!(",\"{name}\":{}", json(value)));
        }
        let payload = self.add_claims(payload.into_bytes(), claims)?;

        let header = [key.header(), &issuer.header].concat();
        let mut token = String::with_capacity(512 + payload.len() * 4 / 3);
        encode_onto(&mut token, header.as_bytes());
        token.push('.');
        encode_onto(&mut token, &payload);
        let failed = |error: ConfigError| IssueError::new(IssueErrorKind::SigningFailed, error.to_string());
        let signature = key.sign(token.as_bytes()).map_err(failed)?;
        token.push('.');
        encode_onto(&mut token, &signature);
        if token.len() > MAX_TOKEN {
            return Err(IssueError::new(
                IssueErrorKind::TooLong,
                format!("a token has at most {MAX_TOKEN} bytes, this one would have {}", token.len()),
            ));
        }
        Ok(IssuedToken { token, jti, issued_at, expires_at })
    }

    /// Writes the claims behind what stands in the payload, and judges them as a verifier would.
    fn add_claims<C: Serialize + ?Sized>(&self, mut payload: Vec<u8>, claims: &C) -> Result<Vec<u8>, IssueError> {
        let invalid = |why: &str| IssueError::new(IssueErrorKind::InvalidClaims, why);
        let start = payload.len();
        // What the serializer says may quote a claim.
        serde_json::to_writer(&mut payload, claims).map_err(|_| invalid("the claims have no JSON form"))?;
        let claims = &payload[start..];
        if claims.first() != Some(&b'{') {
            return Err(invalid("claims are an object: a struct, or a map"));
        }
        let read = Registered::parse(claims, &NAMES).map_err(|_| invalid("the claims have a name twice"))?;
        let is_taken = |at: usize| at < OURS || self.own.iter().any(|(name, _)| *name == NAMES.required[at]);
        if let Some(at) = (0..NAMES.required.len()).find(|&at| read.required & (1 << at) != 0 && is_taken(at)) {
            let name = &NAMES.required[at];
            return Err(IssueError::new(
                IssueErrorKind::ReservedClaim,
                format!(
                    "the claim `{name}` is set by the issuer: take it out of the claims, or see `TokenIssuer::token`"
                ),
            ));
        }
        if read.sub == Member::Wrong || read.client_id == Member::Wrong {
            return Err(invalid("`sub` and `client_id` are strings"));
        }
        if read.nbf == Time::Wrong {
            return Err(invalid("`nbf` is a number of seconds"));
        }
        if read.is_event {
            return Err(invalid("a token with `events` is a security event, not an access token (RFC 8417)"));
        }
        if claims.len() > 2 {
            payload[start] = b',';
        } else {
            payload.truncate(start);
            payload.push(b'}');
        }
        Ok(payload)
    }
}

/// An empty object.
#[derive(Serialize)]
struct NoClaims {}

/// The names whose presence matters: the first are the issuer's.
static NAMES: LazyLock<ClaimNames> = LazyLock::new(|| ClaimNames {
    required: ["iss", "aud", "iat", "exp", "jti", "sub", "client_id", "scope"].map(Into::into).into(),
    ..ClaimNames::default()
});

/// How many of them are the issuer's.
const OURS: usize = 5;

/// A token that has just been issued, and what is needed to revoke it later.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    token: String,
    jti: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
}

impl IssuedToken {
    /// The token, to be sent to the client and kept nowhere else.
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// The token.
    pub fn into_string(self) -> String {
        self.token
    }

    /// Its `jti`: 128 random bits in base64url. With the issuer's name it is what a revocation list holds.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Its `iat`, in whole seconds.
    pub fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// Its `exp`, in whole seconds: what `expires_in` counts to (RFC 6749 §5.1), and how long a revocation matters.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

fn check_lifetime(lifetime: Duration, longest: Duration) -> Result<(), String> {
    if lifetime > longest {
        Err(format!("a token lives for at most {} s, not {}", longest.as_secs(), lifetime.as_secs()))
    } else if lifetime < Duration::from_secs(1) {
        Err("a token lives for at least a second".to_owned())
    } else {
        Ok(())
    }
}

fn random_id() -> Result<String, IssueError> {
    let failed = || IssueError::new(IssueErrorKind::SigningFailed, "the backend has no randomness");
    crypto::random_id().map(|id| encode(&id)).ok_or_else(failed)
}

/// `,"aud":…`, or nothing for nobody.
fn audience_member(audiences: &[String]) -> String {
    match audiences {
        [] => String::new(),
        [one] => format!(",\"aud\":{}", json(one)),
        several => format!(",\"aud\":{}", json(several)),
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings have a JSON form")
}

fn add(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes all that is written");
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("keys", &self.keys)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
