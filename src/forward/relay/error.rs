//! Why a request was not sent.

use std::error::Error;
use std::fmt;

/// Why [`RelayToken`](super::RelayToken) did not send a request.
///
/// It comes boxed, beside the errors of the client: `error.downcast_ref::<RelayError>()`. It holds nothing of the token
/// and nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayError {
    kind: RelayErrorKind,
}

/// Which rule kept a request from being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelayErrorKind {
    /// The request has no token of a caller, and [`required`](super::RelayToken::required) asks for one.
    MissingToken,
    /// The URL of the request is not of an upstream that may see the token, or it has no origin.
    ForeignOrigin,
    /// The URL is of an upstream that may see the token, and `Host` is another's: a gateway removes the client's.
    ForeignHost,
    /// The request has an `Authorization` of its own, which is not overwritten.
    AlreadyAuthorized,
    /// The token is bound to a key that only the caller has (RFC 9449, RFC 8705).
    BoundToken,
    /// The token has expired since it was verified.
    Expired,
}

impl RelayError {
    /// Which rule it was.
    pub fn kind(&self) -> RelayErrorKind {
        self.kind
    }
}

impl From<RelayErrorKind> for RelayError {
    fn from(kind: RelayErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RelayErrorKind::MissingToken => {
                "the request has no caller's token: put the `CallerToken` into its extensions"
            }
            RelayErrorKind::ForeignOrigin => "the caller's token is not for the origin of the request",
            RelayErrorKind::ForeignHost => {
                "the request has a `host` of another origin than its URL: remove it before it is sent on"
            }
            RelayErrorKind::AlreadyAuthorized => {
                "the request has an `authorization` of its own: remove it, or relay no token"
            }
            RelayErrorKind::BoundToken => {
                "the caller's token is bound to a key that only the caller has: exchange it for another (RFC 8693)"
            }
            RelayErrorKind::Expired => "the caller's token has expired since it was verified",
        })
    }
}

impl Error for RelayError {}
