//! One table: what each kind of error is answered.

use http::StatusCode;

use crate::error::AuthErrorKind;

/// What goes into `WWW-Authenticate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// No challenge: another token would not help.
    None,
    /// The scheme and the realm, without `error` (RFC 6750 §3.1).
    Bare,
    /// With this `error` code.
    Error(&'static str),
    /// The same, in the scheme DPoP, whichever was presented.
    Dpop(&'static str),
}

/// Status and challenge of an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// A gRPC status code.
    pub(crate) grpc: u8,
    pub(crate) challenge: Challenge,
}

const PERMISSION_DENIED: u8 = 7;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

impl From<AuthErrorKind> for Answer {
    fn from(kind: AuthErrorKind) -> Self {
        use AuthErrorKind as Kind;
        let (status, grpc, challenge) = match kind {
            Kind::MissingToken => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Bare),
            Kind::MalformedCredential | Kind::SeveralCredentials => {
                (StatusCode::BAD_REQUEST, UNAUTHENTICATED, Challenge::Error("invalid_request"))
            }
            Kind::TokenTooLong
            | Kind::MalformedToken
            | Kind::MalformedHeader
            | Kind::CriticalHeader
            | Kind::WrongType
            | Kind::AlgorithmNotAllowed
            | Kind::UnknownKey
            | Kind::InvalidSignature
            | Kind::MalformedPayload
            | Kind::InvalidIssuer
            | Kind::InvalidAudience
            | Kind::MissingTime
            | Kind::MalformedTime
            | Kind::Expired
            | Kind::NotYetValid
            | Kind::TooOld
            | Kind::LivesTooLong
            | Kind::MissingClaim
            | Kind::SecurityEvent
            | Kind::BindingNotChecked
            | Kind::ClaimRefused
            | Kind::Revoked
            | Kind::ClaimsMismatch => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Error("invalid_token")),
            Kind::InsufficientUserAuthentication => {
                (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Error("insufficient_user_authentication"))
            }
            Kind::InvalidDpopProof => {
                (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Dpop("invalid_dpop_proof"))
            }
            Kind::UseDpopNonce => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED, Challenge::Dpop("use_dpop_nonce")),
            Kind::InsufficientScope => {
                (StatusCode::FORBIDDEN, PERMISSION_DENIED, Challenge::Error("insufficient_scope"))
            }
            Kind::Forbidden | Kind::CrossSite => (StatusCode::FORBIDDEN, PERMISSION_DENIED, Challenge::None),
            Kind::KeysUnavailable | Kind::ReplayStateUnavailable | Kind::RevocationUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, Challenge::None)
            }
            Kind::Misconfigured => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, Challenge::None),
        };
        Self { status, grpc, challenge }
    }
}
