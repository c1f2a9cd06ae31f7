//! Why something could not be revoked.

use std::error::Error;
use std::fmt;

/// Why something could not be revoked, or not everywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct RevokeError {
    kind: RevokeErrorKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevokeErrorKind {
    /// The list holds as many entries as it may, none of which has passed its time. Nothing was revoked.
    Full,
    /// For how long to keep the entry is not known: say the token's `exp`, or build the list with a `max_lifetime`.
    LifetimeUnknown,
    /// The build has no backend for cryptography.
    NoBackend,
}

impl RevokeError {
    pub(super) fn new(kind: RevokeErrorKind) -> Self {
        Self { kind }
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
            RevokeErrorKind::NoBackend => {
                "this build has no backend for cryptography: enable the feature `aws-lc-rs` or `rust-crypto`"
            }
        })
    }
}

impl fmt::Debug for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Error for RevokeError {}
