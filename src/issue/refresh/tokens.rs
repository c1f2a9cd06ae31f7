//! Starts, rotates and revokes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{RefreshError, RefreshErrorKind, Reuse};
use super::store::{Family, NewFamily, Outcome, RefreshStore, RefreshStoreError, Rotation};
use super::token::{FamilyId, Parts, RefreshToken};
use crate::clock::UnixTime;
use crate::crypto;
use crate::error::ConfigError;
use crate::events;
use crate::jose::Algorithm;
use crate::meters;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = DAY.saturating_mul(3650);
const LONGEST_GRACE: Duration = Duration::from_secs(60);

/// The longest subject, in bytes.
const MAX_SUBJECT: usize = 512;
/// The longest data, in bytes of JSON.
const MAX_DATA: usize = 4 * 1024;

/// Refresh tokens whose sessions carry data of type `D` and live in a store `S`. Cheap to clone.
///
/// [The module](super) has an example.
pub struct RefreshTokens<D, S> {
    shared: Arc<Shared<S>>,
    data: PhantomData<fn(D) -> D>,
}

struct Shared<S> {
    store: S,
    lifetime: Duration,
    idle: Duration,
    grace: Duration,
    on_reuse: Option<OnReuse>,
}

type OnReuse = Box<dyn Fn(&Reuse) + Send + Sync>;

/// Builds [`RefreshTokens`].
#[must_use]
pub struct RefreshTokensBuilder<D, S> {
    shared: Shared<S>,
    data: PhantomData<fn(D) -> D>,
}

impl<D, S> RefreshTokensBuilder<D, S> {
    /// How long a session lasts, however often it is refreshed: 30 days unless set. The user then logs in again.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.shared.lifetime = lifetime;
        self
    }

    /// How long a session lasts without being refreshed: 14 days unless set.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.shared.idle = idle;
        self
    }

    /// For how long the token that was spent last may be presented again, and is answered with the same successor: not at
    /// all unless set, at most 60 seconds; 10 are plenty for a client that tries again at once. See
    /// [when the answer is lost](super#when-the-answer-is-lost) for what it gives and what it takes.
    pub fn grace(mut self, window: Duration) -> Self {
        self.shared.grace = window;
        self
    }

    /// Hears of every family that ended because a spent token was used: to tell the user, or to end the subject's other
    /// sessions. It is called within [`RefreshTokens::rotate`], so it must not block. A family ends once, so that nobody
    /// can cause a flood of calls; should the answer of the store be lost, or the caller of `rotate` go away just then,
    /// the family has ended without a call.
    pub fn on_reuse(mut self, call: impl Fn(&Reuse) + Send + Sync + 'static) -> Self {
        self.shared.on_reuse = Some(Box::new(call));
        self
    }

    /// The finished thing.
    ///
    /// # Errors
    /// When a lifetime is zero or over ten years, the grace window is over 60 seconds, or the build has no cryptography
    /// backend.
    pub fn build(self) -> Result<RefreshTokens<D, S>, ConfigError> {
        let Shared { lifetime, idle, grace, .. } = self.shared;
        for (name, span) in [("lifetime", lifetime), ("idle", idle)] {
            if span.is_zero() || span > LONGEST {
                return Err(ConfigError::new(format!("`{name}` of refresh tokens: more than zero, at most ten years")));
            }
        }
        if grace > LONGEST_GRACE {
            return Err(ConfigError::new("`grace` of refresh tokens: at most 60 seconds"));
        }
        if crypto::sha256(&[]).is_none() {
            return Err(crypto::unsupported(Algorithm::HS256));
        }
        Ok(RefreshTokens { shared: Arc::new(self.shared), data: PhantomData })
    }
}

impl<D, S> RefreshTokens<D, S>
where
    D: Serialize + DeserializeOwned,
    S: RefreshStore,
{
    /// With the default lifetimes and no grace window.
    ///
    /// # Errors
    /// When the build has no cryptography backend.
    pub fn new(store: S) -> Result<Self, ConfigError> {
        Self::builder(store).build()
    }

    /// With other lifetimes, a grace window, or a hook.
    pub fn builder(store: S) -> RefreshTokensBuilder<D, S> {
        let shared = Shared { store, lifetime: DAY * 30, idle: DAY * 14, grace: Duration::ZERO, on_reuse: None };
        RefreshTokensBuilder { shared, data: PhantomData }
    }

    /// Starts a session after a login: the first token of a new family.
    ///
    /// The data comes back with every rotation, so it is what an access token is made of: client, scopes, time of the
    /// login. It is stored as it is.
    ///
    /// # Errors
    /// [`Unfit`](RefreshErrorKind::Unfit) where the subject is over 512 bytes or the data over 4 KiB as JSON;
    /// [`Full`](RefreshErrorKind::Full); [`Unavailable`](RefreshErrorKind::Unavailable): there may then be a session
    /// that nobody has a token of, until it expires.
    pub async fn start(&self, subject: &str, data: &D) -> Result<RefreshToken, RefreshError> {
        let unfit = || RefreshError::new(RefreshErrorKind::Unfit);
        let data = serde_json::to_string(data).map_err(|error| unfit().with_source(error))?;
        if subject.len() > MAX_SUBJECT || data.len() > MAX_DATA {
            return Err(unfit());
        }
        let first = Parts::generate().ok_or_else(no_backend)?;
        let family = NewFamily {
            id: first.family().ok_or_else(no_backend)?,
            subject: subject.to_owned(),
            data,
            live: first.hash().ok_or_else(no_backend)?,
            lifetime: self.shared.lifetime,
            idle: self.shared.idle,
        };
        self.shared.store.start(&family).await.map_err(failed)?;
        Ok(first.token(family.id))
    }

    /// Spends a token: the next one, and the data of its session. What a client sends as `refresh_token` can be given to
    /// it as it is; whatever is not 64 characters costs nothing.
    ///
    /// # Errors
    /// [`Invalid`](RefreshErrorKind::Invalid) and [`Reused`](RefreshErrorKind::Reused) for `invalid_grant`;
    /// [`Unavailable`](RefreshErrorKind::Unavailable): the token may be spent or not, and only with a
    /// [grace window](RefreshTokensBuilder::grace) it is safe for the client to try again;
    /// [`DataMismatch`](RefreshErrorKind::DataMismatch).
    pub async fn rotate(&self, token: &str) -> Result<Rotated<D>, RefreshError> {
        let presented = Parts::parse(token).ok_or_else(|| RefreshError::new(RefreshErrorKind::Invalid))?;
        let salt = *crypto::random_secret().ok_or_else(no_backend)?;
        let successor = presented.successor(&salt).ok_or_else(no_backend)?;
        let rotation = Rotation {
            family: presented.family().ok_or_else(no_backend)?,
            presented: presented.hash().ok_or_else(no_backend)?,
            successor: successor.hash().ok_or_else(no_backend)?,
            salt,
            grace: self.shared.grace,
            idle: self.shared.idle,
        };
        let (family, successor) = match self.shared.store.rotate(&rotation).await.map_err(failed)? {
            Outcome::Rotated(family) => (family, successor),
            Outcome::Repeated(family, salt) => (family, presented.successor(&salt).ok_or_else(no_backend)?),
            Outcome::Reused { subject } => return Err(self.reused(Reuse { family: rotation.family, subject })),
            Outcome::Unknown => return Err(RefreshError::new(RefreshErrorKind::Invalid)),
        };
        Ok(Rotated { token: successor.token(rotation.family), session: Session::read(family)? })
    }

    /// Ends a session. One that is not there is fine.
    ///
    /// Where the id comes from a user, who may end only sessions of their own, use [`revoke_own`](Self::revoke_own).
    ///
    /// # Errors
    /// [`Unavailable`](RefreshErrorKind::Unavailable): try again.
    pub async fn revoke_family(&self, family: FamilyId) -> Result<(), RefreshError> {
        self.shared.store.end(family, None).await.map_err(failed)
    }

    /// Ends a session if it is this subject's: for the "log out" button beside each line of
    /// [`sessions`](Self::sessions). Another's, or none, is left as it is.
    ///
    /// # Errors
    /// [`Unavailable`](RefreshErrorKind::Unavailable): try again.
    pub async fn revoke_own(&self, subject: &str, family: FamilyId) -> Result<(), RefreshError> {
        self.shared.store.end(family, Some(subject)).await.map_err(failed)
    }

    /// Ends the session of a token, as the revocation endpoint of RFC 7009 does: live or spent, and anything that is no
    /// token is fine (§2.2).
    ///
    /// # Errors
    /// [`Unavailable`](RefreshErrorKind::Unavailable): try again.
    pub async fn revoke_token(&self, token: &str) -> Result<(), RefreshError> {
        match Parts::parse(token).and_then(|parts| parts.family()) {
            Some(family) => self.revoke_family(family).await,
            None => Ok(()),
        }
    }

    /// Ends every session of a subject that was started before: after a change of the password, or for "log out
    /// everywhere". Access tokens that are out stay good until they expire, unless they are
    /// [revoked](crate::revocation) as well.
    ///
    /// # Errors
    /// [`Unavailable`](RefreshErrorKind::Unavailable): some may have ended; try again.
    pub async fn revoke_subject(&self, subject: &str) -> Result<(), RefreshError> {
        self.shared.store.end_all(subject).await.map_err(failed)
    }

    /// The sessions of a subject that have not ended, the one used last first.
    ///
    /// # Errors
    /// [`Unavailable`](RefreshErrorKind::Unavailable), [`DataMismatch`](RefreshErrorKind::DataMismatch).
    pub async fn sessions(&self, subject: &str) -> Result<Vec<Session<D>>, RefreshError> {
        let mut families = self.shared.store.list(subject).await.map_err(failed)?;
        families.sort_by_key(|family| std::cmp::Reverse((family.last_used, family.id)));
        families.into_iter().map(Session::read).collect()
    }

    fn reused(&self, reuse: Reuse) -> RefreshError {
        events::refresh_token_reused(&reuse.family);
        meters::refresh_token_reused();
        if let Some(call) = &self.shared.on_reuse {
            call(&reuse);
        }
        RefreshError::reused(reuse)
    }
}

fn no_backend() -> RefreshError {
    RefreshStoreError::unavailable("the cryptography backend fails").into()
}

fn failed(error: RefreshStoreError) -> RefreshError {
    events::store_failed(events::Store::RefreshTokens, &error);
    error.into()
}

/// What a spent token was changed for.
pub struct Rotated<D> {
    token: RefreshToken,
    session: Session<D>,
}

impl<D> Rotated<D> {
    /// The next token, for the client. The one that it sent is spent.
    pub fn token(&self) -> &RefreshToken {
        &self.token
    }

    /// Whose session it is.
    pub fn subject(&self) -> &str {
        self.session.subject()
    }

    /// The data that the session was started with.
    pub fn data(&self) -> &D {
        self.session.data()
    }

    /// The session.
    pub fn session(&self) -> &Session<D> {
        &self.session
    }

    /// The token and the session.
    pub fn into_parts(self) -> (RefreshToken, Session<D>) {
        (self.token, self.session)
    }
}

impl<D> fmt::Debug for Rotated<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotated").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A family that has not ended.
pub struct Session<D> {
    family: Family,
    data: D,
}

impl<D: DeserializeOwned> Session<D> {
    fn read(family: Family) -> Result<Self, RefreshError> {
        let mismatch = |_| RefreshError::new(RefreshErrorKind::DataMismatch);
        Ok(Self { data: serde_json::from_str(&family.data).map_err(mismatch)?, family })
    }
}

impl<D> Session<D> {
    /// Its name, for [`RefreshTokens::revoke_own`].
    pub fn family(&self) -> FamilyId {
        self.family.id
    }

    /// Whose it is.
    pub fn subject(&self) -> &str {
        &self.family.subject
    }

    /// The data that it was started with.
    pub fn data(&self) -> &D {
        &self.data
    }

    /// When it was started.
    pub fn created(&self) -> UnixTime {
        self.family.created
    }

    /// When it was last refreshed; at first, when it was started.
    pub fn last_used(&self) -> UnixTime {
        self.family.last_used
    }

    /// When it expires, unless it is refreshed.
    pub fn expires(&self) -> UnixTime {
        self.family.expires
    }
}

impl<D> fmt::Debug for Session<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("family", &self.family.id).finish_non_exhaustive()
    }
}

impl<D, S> Clone for RefreshTokens<D, S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), data: PhantomData }
    }
}

impl<D, S> fmt::Debug for RefreshTokens<D, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { lifetime, idle, grace, .. } = &*self.shared;
        let mut out = f.debug_struct("RefreshTokens");
        out.field("lifetime", lifetime).field("idle", idle).field("grace", grace).finish_non_exhaustive()
    }
}

impl<D, S> fmt::Debug for RefreshTokensBuilder<D, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokensBuilder").finish_non_exhaustive()
    }
}
