//! Why something could not be revoked.

use std::error::Error;
use std::fmt;

/// Why something could not be revoked, or not everywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct RevokeError {
    kind: RevokeErrorKind,
    /// For the operator: nothing of what was to be revoked.
    detail: Option<String>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevokeErrorKind {
    /// The list holds as many entries as it may, none of which has passed its time. In memory nothing was revoked. Where
    /// it is the server that is full, the revocation is in force on this instance alone until there is room.
    Full,
    /// For how long to keep the entry is not known: say the token's `exp`, or build the list with a `max_lifetime`.
    LifetimeUnknown,
    /// The revocation is in force on this instance, which publishes it as soon as the server answers. Whether others know
    /// of it cannot be said.
    NotShared,
    /// There is no tokio runtime here.
    NoRuntime,
    /// The build has no backend for cryptography.
    NoBackend,
}

impl RevokeError {
    pub(super) fn new(kind: RevokeErrorKind) -> Self {
        Self { kind, detail: None }
    }

    #[cfg(feature = "redis")]
    pub(super) fn with_detail(self, detail: impl fmt::Display) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }

    /// What is wrong.
    pub fn kind(&self) -> RevokeErrorKind {
        self.kind
    }
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RevokeErrorKind::Full => "the list of revocations is full",
            RevokeErrorKind::LifetimeUnknown => {
                "for how long to keep the revocation is not known: say when the token expires, or build the list with \
                 `.max_lifetime(…)`"
            }
            RevokeErrorKind::NotShared => "the revocation is in force on this instance, and may not be on others yet",
            RevokeErrorKind::NoRuntime => "revocations are followed on a tokio runtime, and there is none here",
            RevokeErrorKind::NoBackend => {
                "this build has no backend for cryptography: enable the feature `aws-lc-rs` or `rust-crypto`"
            }
        })?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeError").field("kind", &self.kind).field("detail", &self.detail).finish()
    }
}

impl Error for RevokeError {}
