//! What can go wrong: [`AuthError`] for one request, [`ConfigError`] for the set-up.
//!
//! - An [`AuthError`] says which rule refused a token, never what the token held.
//! - A [`ConfigError`] says what to change, and comes up before the first request.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

/// Why a request was refused, or could not be judged.
///
/// Small and cheap to clone. [`kind`](Self::kind) is for code, [`Display`](fmt::Display) for people; neither
/// holds anything of the token. The layer puts it into the extensions of every answer that it gives.
///
/// ```
/// use tower_jwt_auth::{AuthError, AuthErrorKind};
///
/// let error = AuthError::new(AuthErrorKind::Expired);
/// assert_eq!(error.kind(), AuthErrorKind::Expired);
/// assert_eq!(error.to_string(), "the token has expired");
/// ```
#[derive(Clone)]
pub struct AuthError {
    kind: AuthErrorKind,
    issuer: IssuerNumber,
    more: Option<Arc<More>>,
}

/// What few errors carry, kept out of the way of the many.
#[derive(Default, Clone)]
struct More {
    detail: Option<String>,
    scope: Option<String>,
    /// More parameters of the challenge, written out.
    params: Option<Arc<str>>,
    dpop_nonce: Option<HeaderValue>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $label:literal, $phrase:literal;)*) => {
        /// Which rule refused the request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AuthErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl AuthErrorKind {
            /// Every kind, in the order in which they are declared.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// A fixed `snake_case` name: for metrics, logs and tests.
            pub fn label(self) -> &'static str {
                match self { $(Self::$kind => $label,)* }
            }

            /// A fixed phrase for people. It goes into `error_description`, so it keeps to the characters that
            /// RFC 6750 §3 allows there.
            pub fn phrase(self) -> &'static str {
                match self { $(Self::$kind => $phrase,)* }
            }
        }
    };
}

kinds! {
    /// The request carries no credential of an accepted scheme (RFC 6750 §3.1).
    MissingToken = "missing_token", "a bearer token is required";
    /// A credential that is no token by its very form: empty, or with bytes outside `b64token` (RFC 6750 §2.1).
    MalformedCredential = "malformed_credential", "the credential is malformed";
    /// More than one credential in one request (RFC 6750 §2).
    SeveralCredentials = "several_credentials", "the request carries more than one credential";
    /// Longer than 16 KiB.
    TokenTooLong = "token_too_long", "the token is too long";
    /// Not three base64url segments (RFC 7515 §7.1).
    MalformedToken = "malformed_token", "the token is not a signed JWT in compact form";
    /// The JOSE header is no UTF-8 JSON object with unique names, or a member has the wrong type (RFC 7515 §4).
    MalformedHeader = "malformed_header", "the token's header is malformed";
    /// The header holds `crit` or `b64` (RFC 7515 §4.1.11, RFC 7797).
    CriticalHeader = "critical_header", "the token's header asks for an extension that is not understood";
    /// `typ` says that this is another kind of token (RFC 8725 §3.11).
    WrongType = "wrong_type", "the token is of another type";
    /// `alg` is `none`, unknown, or not allowed for this issuer (RFC 8725 §3.1).
    AlgorithmNotAllowed = "algorithm_not_allowed", "the token's algorithm is not allowed";
    /// No key of the issuer fits the token.
    UnknownKey = "unknown_key", "no key of the issuer fits the token";
    /// The signature does not verify.
    InvalidSignature = "invalid_signature", "the signature is invalid";
    /// The payload is no UTF-8 JSON object with unique names.
    MalformedPayload = "malformed_payload", "the token's payload is malformed";
    /// `iss` is missing, not a string, or not the name of a trusted issuer (RFC 8725 §3.8).
    InvalidIssuer = "invalid_issuer", "the token's issuer is not trusted";
    /// `aud` is missing, malformed, or names others only (RFC 8725 §3.9).
    InvalidAudience = "invalid_audience", "the token is for another audience";
    /// A time that must be there is missing.
    MissingTime = "missing_time", "the token lacks a time that is required";
    /// `exp`, `nbf` or `iat` is not a finite number (RFC 7519 §2).
    MalformedTime = "malformed_time", "a time in the token is not a number";
    /// `exp` has passed (RFC 7519 §4.1.4).
    Expired = "expired", "the token has expired";
    /// `nbf` lies ahead (RFC 7519 §4.1.5).
    NotYetValid = "not_yet_valid", "the token is not valid yet";
    /// Older than `max_age` allows, or issued in the future.
    TooOld = "too_old", "the token was issued too long ago";
    /// `exp` is further from `iat` than `max_lifetime` allows.
    LivesTooLong = "lives_too_long", "the token's lifetime is too long";
    /// A claim that must be there is missing.
    MissingClaim = "missing_claim", "the token lacks a claim that is required";
    /// A logout or security event token, which is no access token (RFC 8417 §2.2).
    SecurityEvent = "security_event", "the token is a security event";
    /// `cnf` binds the token to a key that nobody checked (RFC 7800, RFC 9449, RFC 8705).
    BindingNotChecked = "binding_not_checked", "the token is not bound to a key, or not shown with it, as it has to be";
    /// A rule of one's own refused the claims.
    ClaimRefused = "claim_refused", "the token's claims were refused";
    /// The token, or everything that its subject had got up to a time, has been revoked.
    Revoked = "revoked", "the token has been revoked";
    /// The payload does not deserialize into the claims type.
    ClaimsMismatch = "claims_mismatch", "the token's claims have an unexpected form";
    /// The user authenticated too long ago, or not strongly enough (RFC 9470 §3).
    InsufficientUserAuthentication = "insufficient_user_authentication", "a more recent or stronger authentication is required";
    /// A cookie came with a request that another site may have caused.
    CrossSite = "cross_site", "the request may come from another site";
    /// The DPoP proof is missing or wrong (RFC 9449 §4.3).
    InvalidDpopProof = "invalid_dpop_proof", "the DPoP proof is invalid";
    /// The DPoP proof must hold a nonce of this server (RFC 9449 §9).
    UseDpopNonce = "use_dpop_nonce", "the DPoP proof must hold the nonce of this answer";
    /// The token is genuine and lacks a scope (RFC 6750 §3.1).
    InsufficientScope = "insufficient_scope", "the token lacks a scope that is required";
    /// The token is genuine and a rule of one's own forbids the request.
    Forbidden = "forbidden", "the request is not allowed";
    /// No usable keys are at hand. Our fault or the provider's, not the client's: answered 503.
    KeysUnavailable = "keys_unavailable", "the keys to verify tokens are not available";
    /// Whether a DPoP proof is a replay cannot be said. Our fault, not the client's: answered 503.
    ReplayStateUnavailable = "replay_state_unavailable", "the record of used proofs is not available";
    /// Whether the token has been revoked cannot be said. Our fault, not the client's: answered 503.
    RevocationUnavailable = "revocation_unavailable", "the record of revoked tokens is not available";
    /// A guard or extractor without the layer in front, or with other claims. Our fault: answered 500.
    Misconfigured = "misconfigured", "authentication is not set up for this request";
}

impl AuthErrorKind {
    /// True where the token is not to blame: the answer is a 5xx, and the client should keep its token.
    pub fn is_our_fault(self) -> bool {
        matches!(
            self,
            Self::KeysUnavailable | Self::ReplayStateUnavailable | Self::RevocationUnavailable | Self::Misconfigured
        )
    }
}

impl fmt::Display for AuthErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl AuthError {
    /// An error of this kind and nothing more.
    pub fn new(kind: AuthErrorKind) -> Self {
        Self { kind, issuer: IssuerNumber::default(), more: None }
    }

    /// Which rule refused.
    pub fn kind(&self) -> AuthErrorKind {
        self.kind
    }

    /// What the operator may know beyond the kind. Never sent to a client, never a value from a token.
    pub fn detail(&self) -> Option<&str> {
        self.more.as_ref()?.detail.as_deref()
    }

    /// The scopes that were needed, separated by spaces: with [`AuthErrorKind::InsufficientScope`].
    pub fn scope(&self) -> Option<&str> {
        self.more.as_ref()?.scope.as_deref()
    }

    /// Whose token it is, as far as that is known: for the label of a metric.
    pub(crate) fn issuer(&self) -> IssuerNumber {
        self.issuer
    }

    pub(crate) fn with_issuer(self, issuer: IssuerNumber) -> Self {
        Self { issuer, ..self }
    }

    pub(crate) fn params(&self) -> Option<&str> {
        self.more.as_ref()?.params.as_deref()
    }

    pub(crate) fn dpop_nonce(&self) -> Option<&HeaderValue> {
        self.more.as_ref()?.dpop_nonce.as_ref()
    }

    /// How long the client should wait before it tries again: with [`AuthErrorKind::KeysUnavailable`],
    /// [`AuthErrorKind::ReplayStateUnavailable`] and [`AuthErrorKind::RevocationUnavailable`].
    pub fn retry_after(&self) -> Option<Duration> {
        self.more.as_ref()?.retry_after
    }

    /// The same error with a detail for the operator. Keep tokens, keys and claim values out of it.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        self.with(|more| more.detail = Some(detail.into()))
    }

    /// The same error with its cause, for [`Error::source`].
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        self.with(|more| more.source = Some(Arc::new(source)))
    }

    pub(crate) fn with_scope(self, scope: &str) -> Self {
        self.with(|more| more.scope = Some(scope.to_owned()))
    }

    pub(crate) fn with_params(self, params: &Arc<str>) -> Self {
        self.with(|more| more.params = Some(Arc::clone(params)))
    }

    pub(crate) fn with_dpop_nonce(self, nonce: HeaderValue) -> Self {
        self.with(|more| more.dpop_nonce = Some(nonce))
    }

    pub(crate) fn with_retry_after(self, retry_after: Duration) -> Self {
        self.with(|more| more.retry_after = Some(retry_after))
    }

    fn with(mut self, change: impl FnOnce(&mut More)) -> Self {
        change(Arc::make_mut(self.more.get_or_insert_default()));
        self
    }
}

/// Whose token an error is about: the place of an issuer among those of its verifier, for the label of a metric. The
/// default is none that is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct IssuerNumber {
    /// Small, so that an error is.
    #[cfg(feature = "metrics")]
    number: u32,
}

#[cfg(feature = "metrics")]
impl IssuerNumber {
    pub(crate) fn new(number: usize) -> Self {
        Self { number: u32::try_from(number).unwrap_or_default() }
    }

    pub(crate) fn number(self) -> usize {
        usize::try_from(self.number).unwrap_or_default()
    }
}

impl From<AuthErrorKind> for AuthError {
    fn from(kind: AuthErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.phrase())?;
        match self.detail() {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AuthError");
        out.field("kind", &self.kind);
        if let Some(detail) = self.detail() {
            out.field("detail", &detail);
        }
        out.finish_non_exhaustive()
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.more.as_ref()?.source.as_ref()?;
        Some(&**source)
    }
}

/// Why a verifier, a key set or a layer could not be built. The message names what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    /// An error with this message: lower case, no full stop, naming the fix.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The same error with the place that it came from in front.
    #[must_use]
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_keep_to_the_characters_of_rfc_6750() {
        for kind in AuthErrorKind::ALL {
            let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
            assert!(kind.phrase().bytes().all(allowed), "{kind}");
        }
    }

    #[test]
    fn labels_are_unique() {
        let mut labels: Vec<_> = AuthErrorKind::ALL.iter().map(|kind| kind.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), AuthErrorKind::ALL.len());
    }

    #[test]
    fn a_source_is_kept_and_an_error_stays_small() {
        let error = AuthError::new(AuthErrorKind::KeysUnavailable).with_source(ConfigError::new("no route"));
        assert_eq!(error.source().expect("just set").to_string(), "no route");
        assert!(size_of::<AuthError>() <= 16);
    }
}
