//! The proof of verification.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Verified;
use super::issuer::Trusted;
use crate::claims::{Confirmation, Member, Registered};
use crate::clock::UnixTime;
use crate::error::AuthError;
use crate::jose::Algorithm;
use crate::jose::header::Header;
use crate::keys::{Key, KeySet};
use crate::policy::Times;
use crate::revocation::{IssuerKey, MAX_IDS, TokenFacts};

/// A verified token with its claims. Only a [`Verifier`](crate::Verifier) makes one, so to hold it is proof.
///
/// It is one `Arc`: cheap to clone and to move. Its `Debug` shows nothing of the token.
pub struct Jwt<C: ?Sized>(Arc<Inner<C>>);

/// A verified token whose claims type is not known here: the same `Arc`, erased. Guards read it from the request's
/// extensions, where it stands beside `Jwt<C>`; `claims().downcast_ref::<C>()` leads back.
pub type AnyJwt = Jwt<dyn Any + Send + Sync>;

pub(super) struct Inner<C: ?Sized> {
    facts: Facts,
    claims: C,
}

/// What is kept of a token beside its claims. The strings share one allocation.
struct Facts {
    issuer: Arc<Trusted>,
    texts: Box<str>,
    iss: Span,
    sub: Span,
    jti: Span,
    client_id: Span,
    kid: Span,
    acr: Span,
    jkt: Span,
    x5t_s256: Span,
    scope: Span,
    /// What names the token for its revocation.
    ids: [Span; MAX_IDS],
    times: Times,
    verified_at: UnixTime,
    key: Arc<Key>,
    /// The set that the key was found in.
    set: u64,
    claims_type: fn() -> &'static str,
}

/// What verification has shown beside the claims.
pub(super) struct Proof<'p> {
    pub(super) issuer: &'p Arc<Trusted>,
    pub(super) header: &'p Header<'p>,
    pub(super) verified: Verified,
    pub(super) times: Times,
    pub(super) now: UnixTime,
}

/// A part of the texts. A token of at most 16 KiB has no longer ones.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u16,
    len: u16,
}

impl Span {
    const ABSENT: Self = Self { start: u16::MAX, len: 0 };
    /// The `kid` of the key that verified the token.
    const OF_KEY: Self = Self { start: u16::MAX, len: 1 };

    fn append(texts: &mut String, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::ABSENT };
        match (u16::try_from(texts.len()), u16::try_from(text.len())) {
            (Ok(start), Ok(len)) => {
                texts.push_str(text);
                Self { start, len }
            }
            _ => Self::ABSENT,
        }
    }

    fn of(self, texts: &str) -> Option<&str> {
        let start = usize::from(self.start);
        texts.get(start..start + usize::from(self.len))
    }
}

impl<C: Send + Sync + 'static> Jwt<C> {
    pub(super) fn new(proof: Proof<'_>, registered: &Registered<'_>, claims: C) -> Self {
        let Proof { issuer, header, .. } = proof;
        // The text of a `kid` is the key's own, unless a key without one has verified the token.
        let key_kid = proof.verified.key.kid();
        let kid = header.kid.as_deref();
        let (kid, of_key) = if kid.is_some() && kid == key_kid { (None, true) } else { (kid, false) };
        // The issuer's name is in its configuration; only where the token has another must that be kept.
        let iss = registered.iss.text().filter(|iss| issuer.only_name() != Some(iss));
        // A binding that the gateway in front has checked is none to this service.
        let (jkt, x5t_s256) = match &registered.cnf {
            Confirmation::Thumbprints { jkt, x5t_s256 } if !issuer.binding_checked_upstream => {
                (jkt.as_deref(), x5t_s256.as_deref())
            }
            _ => (None, None),
        };
        let texts = [&registered.sub, &registered.jti, &registered.client_id, &registered.acr].map(Member::text);
        let [sub, jti, client_id, acr] = texts;
        let parts = [iss, sub, jti, client_id, kid, acr, jkt, x5t_s256, Some(registered.scopes.as_str())];
        let id_texts = registered.ids.iter().filter_map(Member::text);
        let mut texts =
            String::with_capacity(parts.iter().flatten().copied().chain(id_texts.clone()).map(str::len).sum());
        let [iss, sub, jti, client_id, kid, acr, jkt, x5t_s256, scope] =
            parts.map(|part| Span::append(&mut texts, part));
        let jti_id = issuer.claims.jti_is_id.then_some(jti);
        let mut ids = jti_id.into_iter().chain(id_texts.map(|id| Span::append(&mut texts, Some(id))));
        let ids = std::array::from_fn(|_| ids.next().unwrap_or(Span::ABSENT));
        let facts = Facts {
            issuer: Arc::clone(issuer),
            texts: texts.into_boxed_str(),
            iss,
            sub,
            jti,
            client_id,
            kid: if of_key { Span::OF_KEY } else { kid },
            acr,
            jkt,
            x5t_s256,
            scope,
            ids,
            times: proof.times,
            verified_at: proof.now,
            key: proof.verified.key,
            set: proof.verified.set,
            claims_type: std::any::type_name::<C>,
        };
        Self(Arc::new(Inner { facts, claims }))
    }

    /// The token as a [`TokenCache`](super::TokenCache) holds it.
    pub(super) fn into_remembered(self) -> Arc<Inner<C>> {
        self.0
    }

    pub(super) fn from_remembered(inner: Arc<Inner<C>>) -> Self {
        Self(inner)
    }

    /// The same token with its claims type erased.
    pub fn erase(&self) -> AnyJwt {
        Jwt(Arc::clone(&self.0) as Arc<Inner<dyn Any + Send + Sync>>)
    }
}

impl<C: ?Sized> Jwt<C> {
    /// The claims.
    pub fn claims(&self) -> &C {
        &self.0.claims
    }

    /// The issuer: its configured name; the token's `iss` where tenants have names of their own
    /// ([`entra_multi_tenant`](crate::providers::entra_multi_tenant)) and under
    /// [`danger_any_issuer`](crate::Issuer::danger_any_issuer), where alone it may be missing.
    pub fn issuer(&self) -> Option<&str> {
        self.0.facts.issuer.only_name().or_else(|| self.text(self.0.facts.iss))
    }

    /// The token's own `iss`, an alias where it has one.
    pub(super) fn iss(&self) -> Option<&str> {
        self.text(self.0.facts.iss).or_else(|| self.0.facts.issuer.only_name())
    }

    /// `sub`, if it is a string (RFC 7519 §4.1.2).
    pub fn subject(&self) -> Option<&str> {
        self.text(self.0.facts.sub)
    }

    /// `jti`, if it is a string (RFC 7519 §4.1.7).
    pub fn jwt_id(&self) -> Option<&str> {
        self.text(self.0.facts.jti)
    }

    /// `client_id`, if it is a string (RFC 8693 §4.3).
    pub fn client_id(&self) -> Option<&str> {
        self.text(self.0.facts.client_id)
    }

    /// The `kid` in the token's header (RFC 7515 §4.1.4).
    pub fn key_id(&self) -> Option<&str> {
        let facts = &self.0.facts;
        if facts.kid == Span::OF_KEY { facts.key.kid() } else { self.text(facts.kid) }
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.0.facts.key.algorithm()
    }

    /// `exp` (RFC 7519 §4.1.4); the leeway comes on top.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.facts.times.exp()
    }

    /// `iat` (RFC 7519 §4.1.6).
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.facts.times.iat()
    }

    /// `auth_time`, if it is a number: when the user authenticated (RFC 9470 §6.1).
    pub fn authenticated_at(&self) -> Option<UnixTime> {
        self.0.facts.times.auth_time()
    }

    /// `acr`, if it is a string: how the user authenticated (RFC 9470 §6.1).
    pub fn authentication_context(&self) -> Option<&str> {
        self.text(self.0.facts.acr)
    }

    /// The thumbprint of the DPoP key that the token is bound to: `cnf.jkt` (RFC 9449 §6.1).
    pub(crate) fn jkt(&self) -> Option<&str> {
        self.text(self.0.facts.jkt)
    }

    /// The thumbprint of the certificate that the token is bound to: `cnf.x5t#S256` (RFC 8705 §3.1).
    pub(crate) fn x5t_s256(&self) -> Option<&str> {
        self.text(self.0.facts.x5t_s256)
    }

    /// The scopes that the token grants: the names in `scope` and `scp`, or in
    /// [`scope_claims`](crate::Issuer::scope_claims).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text(self.0.facts.scope).unwrap_or("").split(' ').filter(|name| !name.is_empty())
    }

    /// True when the token grants this scope.
    pub fn has_scope(&self, name: &str) -> bool {
        let (granted, name) = (self.text(self.0.facts.scope).unwrap_or("").as_bytes(), name.as_bytes());
        let mut start = 0;
        let mut ends = memchr::memchr_iter(b' ', granted).chain([granted.len()]);
        !name.is_empty() && ends.any(|end| granted[std::mem::replace(&mut start, end + 1)..end] == *name)
    }

    /// How far clocks may differ, by the rules of the issuer.
    pub(crate) fn leeway(&self) -> Duration {
        self.0.facts.issuer.time.leeway
    }

    /// True while the rules of the issuer on time hold.
    pub(crate) fn is_current(&self, now: UnixTime) -> bool {
        let facts = &self.0.facts;
        facts.issuer.time.check(facts.times, now).is_ok()
    }

    /// True where the token is bound to a key that has to be shown with it.
    pub(crate) fn is_bound(&self) -> bool {
        self.0.facts.jkt != Span::ABSENT || self.0.facts.x5t_s256 != Span::ABSENT
    }

    /// An error about a token of this issuer.
    pub(crate) fn blame(&self, error: AuthError) -> AuthError {
        error.with_issuer(self.trusted().meter.number)
    }

    pub(super) fn trusted(&self) -> &Arc<Trusted> {
        &self.0.facts.issuer
    }

    /// True while the key that verified this token is in the set. In the very set that it was found in, it is.
    pub(super) fn stands_in(&self, set: &KeySet) -> bool {
        set.id() == self.0.facts.set || set.holds(&self.0.facts.key)
    }

    pub(super) fn verified_at(&self) -> UnixTime {
        self.0.facts.verified_at
    }

    /// What a list of revocations is told.
    pub(super) fn revocable(&self, now: UnixTime) -> TokenFacts<'_> {
        let facts = &self.0.facts;
        let issuer = self.issuer().unwrap_or("");
        let key = facts.issuer.revocation_key.or_else(|| IssuerKey::new(issuer));
        TokenFacts::of_issuer(issuer, key, now)
            .with_ids(facts.ids.iter().filter_map(|id| self.text(*id)))
            .with_subject(self.subject())
            .with_times(self.issued_at(), self.expires_at())
    }

    /// True when both are the same token of the same request.
    pub(crate) fn is<D: ?Sized>(&self, other: &Jwt<D>) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }

    /// The name of the claims type, for the log of a misplaced guard or extractor.
    pub(crate) fn claims_type(&self) -> &'static str {
        (self.0.facts.claims_type)()
    }

    fn text(&self, span: Span) -> Option<&str> {
        span.of(&self.0.facts.texts)
    }
}

impl<C: ?Sized> Clone for Jwt<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: ?Sized> fmt::Debug for Jwt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}
