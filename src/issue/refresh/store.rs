//! What a store has to do.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::token::FamilyId;
use crate::clock::UnixTime;

/// Holds the families of refresh tokens. Nothing that it is given leads to a token.
///
/// Each method is atomic: what several of them do at once is what they would do one after the other, in some order. It
/// answers when the change would survive a crash of the store, as far as the store can promise that. A caller may go away
/// in the middle: a method then did all it was asked or nothing. Give each a time limit of its own.
///
/// The store removes families that have expired, by one clock of its own, and never one that has not.
///
/// # On SQL
///
/// One table, `family(id text primary key, subject text, data text, live bytea, spent bytea, salt bytea, retry_until,
/// created, last_used, expires, ends)`, an index on `subject`, and a task that deletes where `expires <= now()`. `rotate` is one
/// transaction that starts with `SELECT … WHERE id = $1 AND expires > now() FOR UPDATE`, which makes uses of one token
/// wait for each other; then, in this order:
///
/// 1. no row: [`Outcome::Unknown`];
/// 2. `live` is [`Rotation::presented`]: `UPDATE … SET spent = live, live = successor, last_used = now(), expires =
///    least(ends, now() + idle)`, and `salt` and `retry_until` from [`Rotation::retry`], or null: [`Outcome::Rotated`];
/// 3. `live` is [`Rotation::successor`]: [`Outcome::Rotated`]. The same call did this before, and did not hear of it;
/// 4. `spent` is `presented` and `now() < retry_until`: [`Outcome::Repeated`];
/// 5. `DELETE`: [`Outcome::Reused`].
pub trait RefreshStore: Send + Sync + 'static {
    /// Adds a family. It is not asked twice for the same one.
    ///
    /// # Errors
    /// When the store is [full](RefreshStoreError::full), or away.
    fn start(&self, family: &NewFamily) -> impl Future<Output = Result<(), RefreshStoreError>> + Send;

    /// Spends the live token of a family. The trait's page has the steps.
    ///
    /// # Errors
    /// When the store is away, or does not say what became of it.
    fn rotate(&self, rotation: &Rotation) -> impl Future<Output = Result<Outcome, RefreshStoreError>> + Send;

    /// Removes a family: any, or only one of this subject. One that is not there is fine.
    ///
    /// # Errors
    /// When the store is away, or does not say what became of it.
    fn end(&self, family: FamilyId, of: Option<&str>) -> impl Future<Output = Result<(), RefreshStoreError>> + Send;

    /// Removes every family of a subject that was started before the call.
    ///
    /// # Errors
    /// When the store is away, or does not say what became of it: some may have been removed.
    fn end_all(&self, subject: &str) -> impl Future<Output = Result<(), RefreshStoreError>> + Send;

    /// The families of a subject that have not ended, in any order.
    ///
    /// # Errors
    /// When the store is away.
    fn list(&self, subject: &str) -> impl Future<Output = Result<Vec<Family>, RefreshStoreError>> + Send;
}

impl<T: RefreshStore> RefreshStore for Arc<T> {
    fn start(&self, family: &NewFamily) -> impl Future<Output = Result<(), RefreshStoreError>> + Send {
        (**self).start(family)
    }

    fn rotate(&self, rotation: &Rotation) -> impl Future<Output = Result<Outcome, RefreshStoreError>> + Send {
        (**self).rotate(rotation)
    }

    fn end(&self, family: FamilyId, of: Option<&str>) -> impl Future<Output = Result<(), RefreshStoreError>> + Send {
        (**self).end(family, of)
    }

    fn end_all(&self, subject: &str) -> impl Future<Output = Result<(), RefreshStoreError>> + Send {
        (**self).end_all(subject)
    }

    fn list(&self, subject: &str) -> impl Future<Output = Result<Vec<Family>, RefreshStoreError>> + Send {
        (**self).list(subject)
    }
}

/// A family that is to be added.
pub struct NewFamily {
    pub(super) id: FamilyId,
    pub(super) subject: String,
    pub(super) data: String,
    pub(super) live: [u8; 32],
    pub(super) lifetime: Duration,
    pub(super) idle: Duration,
}

impl NewFamily {
    /// Its name, which no other family has.
    pub fn id(&self) -> FamilyId {
        self.id
    }

    /// Whose it is: at most 512 bytes.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The application's data, as JSON: at most 4 KiB.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The hash of its live token.
    pub fn live(&self) -> &[u8; 32] {
        &self.live
    }

    /// How long from now it ends, used or not.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// How long from now it expires, if that is earlier and its token is not used.
    pub fn idle(&self) -> Duration {
        self.idle
    }
}

impl fmt::Debug for NewFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFamily").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One use of a token.
pub struct Rotation {
    pub(super) family: FamilyId,
    pub(super) presented: [u8; 32],
    pub(super) successor: [u8; 32],
    pub(super) salt: [u8; 32],
    pub(super) grace: Duration,
    pub(super) idle: Duration,
}

impl Rotation {
    /// The family that the token claims to be of.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// The hash of the token.
    pub fn presented(&self) -> &[u8; 32] {
        &self.presented
    }

    /// The hash of the token that is to be live instead. No other rotation has the same.
    pub fn successor(&self) -> &[u8; 32] {
        &self.successor
    }

    /// What to keep for a client that does not hear of its new token: the salt, and for how long. `None` where there is
    /// no grace window: then there must be no salt in the store.
    pub fn retry(&self) -> Option<(&[u8; 32], Duration)> {
        (!self.grace.is_zero()).then_some((&self.salt, self.grace))
    }

    /// How long from now the family expires, if its new token is not used.
    pub fn idle(&self) -> Duration {
        self.idle
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").field("family", &self.family).finish_non_exhaustive()
    }
}

/// What became of a [`Rotation`].
#[non_exhaustive]
pub enum Outcome {
    /// The presented token was live; its successor is now.
    Rotated(Family),
    /// The presented token is the one that was spent last, within its window: the successor that was made with this
    /// salt is still live, and nothing has changed.
    Repeated(Family, [u8; 32]),
    /// The presented token was spent, and the family is removed.
    Reused {
        /// Whose it was.
        subject: String,
    },
    /// There is no such family.
    Unknown,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotated(_) => "Rotated",
            Self::Repeated(..) => "Repeated",
            Self::Reused { .. } => "Reused",
            Self::Unknown => "Unknown",
        })
    }
}

/// What a store says of a family. It has all that there is to say: a store of one's own fills each field.
#[derive(Clone)]
pub struct Family {
    /// Its name.
    pub id: FamilyId,
    /// Whose it is.
    pub subject: String,
    /// The application's data, as JSON.
    pub data: String,
    /// When it was started.
    pub created: UnixTime,
    /// When its token was last used; at first, when it was started.
    pub last_used: UnixTime,
    /// When it expires, unless its token is used.
    pub expires: UnixTime,
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a store did not do what it was asked.
#[derive(Clone)]
pub struct RefreshStoreError(Reason);

#[derive(Clone)]
enum Reason {
    Unavailable(Arc<dyn Error + Send + Sync>),
    Full,
}

impl RefreshStoreError {
    /// The store does not answer, or what it did is unknown. The reason is for the operator: it is logged.
    pub fn unavailable(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Reason::Unavailable(Arc::from(reason.into())))
    }

    /// There is no room for one more family, or not for one more of this subject.
    pub fn full() -> Self {
        Self(Reason::Full)
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.0, Reason::Full)
    }
}

impl fmt::Display for RefreshStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Unavailable(reason) => reason.fmt(f),
            Reason::Full => f.write_str("there is no room"),
        }
    }
}

impl fmt::Debug for RefreshStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshStoreError({self})")
    }
}

impl Error for RefreshStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Unavailable(reason) => Some(&**reason),
            Reason::Full => None,
        }
    }
}
