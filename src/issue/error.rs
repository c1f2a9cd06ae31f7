//! Why no token was issued.

use std::error::Error;
use std::fmt;

/// Why a token was not issued. Holds nothing of the claims but the name of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueError {
    kind: IssueErrorKind,
    detail: String,
}

/// Which rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IssueErrorKind {
    /// The claims hold one that the issuer sets itself, or that was given twice.
    ReservedClaim,
    /// The claims have no JSON form, are no object, or are such as verifiers refuse.
    InvalidClaims,
    /// The token would be longer than the 16 KiB that verifiers look at.
    TooLong,
    /// The lifetime is longer than the issuer may give, or shorter than a second.
    LifetimeOutOfBounds,
    /// No key may sign: the state of the key ring is too old, because its store does not answer.
    NoKey,
    /// The backend did not sign.
    SigningFailed,
}

impl IssueError {
    pub(super) fn new(kind: IssueErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Which rule was broken.
    pub fn kind(&self) -> IssueErrorKind {
        self.kind
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for IssueError {}
