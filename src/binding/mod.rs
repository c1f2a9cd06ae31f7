//! Tokens that are bound to a key: whoever sends one must show that it has the key (RFC 7800).
//!
//! - Every `jkt` and `x5t#S256` in a token's `cnf` must be checked. A service that does not check one refuses the token,
//!   unless a gateway in front does ([`danger_binding_checked_upstream`](crate::Issuer::danger_binding_checked_upstream)).
//!   What else `cnf` holds is ignored beside a checked one, and refused alone.
//! - [`PeerCertificate`]: the certificate of a mutual-TLS connection (RFC 8705), with
//!   [`JwtAuth::mtls`](crate::JwtAuth::mtls).
//! - [`Dpop`]: a proof of possession in a header (RFC 9449), with [`JwtAuth::dpop`](crate::JwtAuth::dpop).
//! - The check is made on every request, remembered verdict or not.
//!
//! ```
//! use http::Request;
//! use tower_jwt_auth::binding::PeerCertificate;
//!
//! # let der = [0_u8; 4];
//! // What the server does with the certificate of a connection, once for each request on it.
//! let mut request = Request::new(());
//! request.extensions_mut().insert(PeerCertificate::from_der(der));
//! ```

mod dpop;
mod mtls;

#[cfg(feature = "redis")]
pub use dpop::RedisReplayStore;
#[cfg(shuttle)]
pub(crate) use dpop::model;
pub use dpop::{Dpop, DpopNonces, MemoryReplayStore, ReplayCheck, ReplayStore, UsedProof};
pub use mtls::PeerCertificate;

use std::sync::Arc;

use http::request::Parts;

use crate::clock::UnixTime;
use crate::crypto;
use crate::error::{AuthError, AuthErrorKind};
use crate::jose::compact::encode;
use crate::scheme::Scheme;

/// The hash of a certificate or a token, as claims have it.
pub(crate) fn hash(bytes: &[u8]) -> Option<String> {
    crypto::sha256(bytes).map(|hash| encode(&hash))
}

/// What a layer checks of bound tokens.
#[derive(Clone, Default)]
pub(crate) struct Bindings {
    pub(crate) mtls: bool,
    pub(crate) dpop: Option<Arc<Dpop>>,
}

/// A verified token and the request that it came with.
pub(crate) struct Shown<'s> {
    pub(crate) scheme: Scheme,
    pub(crate) token: &'s str,
    pub(crate) head: &'s Parts,
    pub(crate) jkt: Option<&'s str>,
    pub(crate) x5t_s256: Option<&'s str>,
    pub(crate) now: UnixTime,
}

/// The token and the way in which it was sent do not fit together.
fn unfit(why: &str) -> AuthError {
    AuthError::new(AuthErrorKind::BindingNotChecked).with_detail(why)
}

/// The record of used proofs has to be asked.
pub(crate) type Pending = std::pin::Pin<Box<dyn Future<Output = Result<(), AuthError>> + Send>>;

impl Bindings {
    /// True when credentials of this scheme are looked at; others count as none.
    pub(crate) fn takes(&self, scheme: Scheme) -> bool {
        scheme == Scheme::Bearer || self.dpop.is_some()
    }

    /// True when a token that is not bound passes under this scheme.
    pub(crate) fn pass_unseen(&self, scheme: Scheme) -> bool {
        let is_required = self.dpop.as_ref().is_some_and(|dpop| dpop.is_required());
        scheme == Scheme::Bearer && !is_required
    }

    /// Judges everything that the token is bound to; `Some` where the record of used proofs needs time.
    pub(crate) fn check(&self, shown: &Shown<'_>) -> Result<Option<Pending>, AuthError> {
        if let Some(thumbprint) = shown.x5t_s256
            && !(self.mtls && PeerCertificate::is_shown(shown.head, thumbprint))
        {
            return Err(unfit(if self.mtls {
                "the token is bound to another certificate, or the connection has shown none"
            } else {
                "the token is bound to a certificate: see `JwtAuth::mtls`"
            }));
        }
        if let Some(dpop) = &self.dpop {
            return dpop.check(shown);
        }
        if shown.jkt.is_some() || shown.scheme == Scheme::Dpop {
            return Err(unfit("the token is bound to a DPoP key: see `JwtAuth::dpop`"));
        }
        Ok(None)
    }
}
