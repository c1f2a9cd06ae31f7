//! Why a token was not refreshed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::store::RefreshStoreError;
use super::token::FamilyId;

/// Why a token was refused, or a store could not do what it was asked.
///
/// Small and cheap to clone. Neither it nor what it prints holds a token.
#[derive(Clone)]
pub struct RefreshError {
    kind: RefreshErrorKind,
    reuse: Option<Arc<Reuse>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshErrorKind {
    /// The token is unknown: forged, expired, revoked, or of a family that has ended. Answer 400 `invalid_grant`
    /// (RFC 6749 §5.2).
    Invalid,
    /// A spent token was used again, and its family has ended. Answer 400 `invalid_grant`, as for an unknown one;
    /// [`RefreshError::reuse`] says whose it was.
    Reused,
    /// The store did not answer: whether it did what it was asked is unknown. Answer 503.
    Unavailable,
    /// The store has no room for one more session, or the subject has too many. Answer 503.
    Full,
    /// A session cannot be started like this: the subject is longer than 512 bytes, or the data is longer than 4 KiB
    /// as JSON, or cannot be written as JSON.
    Unfit,
    /// The data of the session cannot be read as the type that is asked for: the program has changed since it was
    /// written. Answer 500. The token is spent all the same.
    DataMismatch,
}

impl RefreshErrorKind {
    /// A fixed `snake_case` name: for metrics, logs and tests.
    pub fn label(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Reused => "reused",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::Unfit => "unfit",
            Self::DataMismatch => "data_mismatch",
        }
    }

    /// True where the client is not to blame: the answer is a 5xx, and the client keeps its token. False where it is
    /// 400 `invalid_grant`.
    pub fn is_our_fault(self) -> bool {
        !matches!(self, Self::Invalid | Self::Reused)
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Invalid => "the refresh token is not valid",
            Self::Reused => "the refresh token was used before, and its session has ended",
            Self::Unavailable => "the store of refresh tokens is not available",
            Self::Full => "the store of refresh tokens is full, or the subject has too many sessions",
            Self::Unfit => "the subject or the data is too long for a session, or the data is no JSON",
            Self::DataMismatch => "the data of the session has an unexpected form",
        }
    }
}

impl RefreshError {
    pub(super) fn new(kind: RefreshErrorKind) -> Self {
        Self { kind, reuse: None, source: None }
    }

    pub(super) fn reused(reuse: Reuse) -> Self {
        Self { reuse: Some(Arc::new(reuse)), ..Self::new(RefreshErrorKind::Reused) }
    }

    pub(super) fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// What went wrong.
    pub fn kind(&self) -> RefreshErrorKind {
        self.kind
    }

    /// Which session has ended, and whose it was: with [`RefreshErrorKind::Reused`].
    pub fn reuse(&self) -> Option<&Reuse> {
        self.reuse.as_deref()
    }
}

impl From<RefreshStoreError> for RefreshError {
    fn from(error: RefreshStoreError) -> Self {
        let kind = if error.is_full() { RefreshErrorKind::Full } else { RefreshErrorKind::Unavailable };
        Self::new(kind).with_source(error)
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.phrase())
    }
}

impl fmt::Debug for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}

/// A session that has ended because a spent token of it was used: a token was stolen, or a client is broken.
#[derive(Clone)]
pub struct Reuse {
    pub(super) family: FamilyId,
    pub(super) subject: String,
}

impl Reuse {
    /// The family that has ended.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// Whose session it was.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Debug for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reuse").field("family", &self.family).finish_non_exhaustive()
    }
}
