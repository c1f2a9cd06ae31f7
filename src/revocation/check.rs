//! The trait between a verifier and what has been revoked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::key::IssuerKey;
use crate::clock::UnixTime;

/// How many claims can name a token.
pub(crate) const MAX_IDS: usize = 4;

/// Says whether a genuine token has been revoked since.
///
/// [`check`](Self::check) is the only method to write. It is asked for every request whose token has passed signature and
/// claims, remembered verdicts included, and answers from memory: it is no place to wait for a network. A closure from
/// [`TokenFacts`] to [`RevocationVerdict`] is a list as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether a token is revoked",
    note = "use `RevocationList` or `RedisRevocations`, or implement `Revocation` (one method); a closure wants its \
            argument's type: `|token: &TokenFacts<'_>| …`"
)]
pub trait Revocation: Send + Sync + 'static {
    /// The verdict on one token.
    fn check(&self, token: &TokenFacts<'_>) -> RevocationVerdict;

    /// How long a token may live at most, counted from `iat`, for this list to be sound: a verifier is not built with an
    /// issuer that allows more, or does not say. The default, `None`, asks for nothing.
    fn max_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl<T: Revocation + ?Sized> Revocation for Arc<T> {
    fn check(&self, token: &TokenFacts<'_>) -> RevocationVerdict {
        (**self).check(token)
    }

    fn max_lifetime(&self) -> Option<Duration> {
        (**self).max_lifetime()
    }
}

impl<F> Revocation for F
where
    F: Fn(&TokenFacts<'_>) -> RevocationVerdict + Send + Sync + 'static,
{
    fn check(&self, token: &TokenFacts<'_>) -> RevocationVerdict {
        self(token)
    }
}

/// The answer of a [`Revocation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationVerdict {
    /// Not revoked.
    Valid,
    /// Revoked: 401 `invalid_token`, gRPC status 16.
    Revoked,
    /// That cannot be said: 503, gRPC status 14, and when to try again.
    Unknown {
        /// What `Retry-After` says.
        retry_after: Duration,
    },
}

/// What is known of a genuine token by the time its revocation is judged.
#[derive(Clone, Copy)]
pub struct TokenFacts<'t> {
    issuer: &'t str,
    issuer_key: Option<IssuerKey>,
    ids: [Option<&'t str>; MAX_IDS],
    subject: Option<&'t str>,
    issued_at: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    now: UnixTime,
}

impl<'t> TokenFacts<'t> {
    /// A token of this issuer at this time, and nothing else: to test a list of one's own.
    pub fn new(issuer: &'t str, now: UnixTime) -> Self {
        Self::of_issuer(issuer, IssuerKey::new(issuer), now)
    }

    pub(crate) fn of_issuer(issuer: &'t str, issuer_key: Option<IssuerKey>, now: UnixTime) -> Self {
        let ids = [None; MAX_IDS];
        Self { issuer, issuer_key, ids, subject: None, issued_at: None, expires_at: None, now }
    }

    /// The same with these values of the claims that name it; those past the fourth are left out.
    #[must_use]
    pub fn with_ids(mut self, ids: impl IntoIterator<Item = &'t str>) -> Self {
        let mut ids = ids.into_iter();
        self.ids = std::array::from_fn(|_| ids.next());
        self
    }

    /// The same with this `sub`.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<Option<&'t str>>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The same with these times, `iat` and `exp`.
    #[must_use]
    pub fn with_times(
        mut self,
        issued_at: impl Into<Option<UnixTime>>,
        expires_at: impl Into<Option<UnixTime>>,
    ) -> Self {
        (self.issued_at, self.expires_at) = (issued_at.into(), expires_at.into());
        self
    }

    /// The issuer: its configured name, whichever of its names the token has. Under
    /// [`danger_any_issuer`](crate::Issuer::danger_any_issuer) the token's `iss`, or nothing.
    pub fn issuer(&self) -> &'t str {
        self.issuer
    }

    /// The values of the claims that name the token: of `jti` unless
    /// [`Issuer::revocation_claims`](crate::Issuer::revocation_claims) says otherwise. Those that it lacks are left out.
    pub fn ids(&self) -> impl Iterator<Item = &'t str> {
        self.ids.into_iter().flatten()
    }

    /// `sub`.
    pub fn subject(&self) -> Option<&'t str> {
        self.subject
    }

    /// `iat`.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// `exp`; the leeway comes on top.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// The time by the verifier's clock.
    pub fn now(&self) -> UnixTime {
        self.now
    }

    pub(super) fn issuer_key(&self) -> Option<IssuerKey> {
        self.issuer_key
    }
}

impl fmt::Debug for TokenFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFacts").field("now", &self.now).finish_non_exhaustive()
    }
}
