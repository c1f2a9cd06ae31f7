//! The token of a request, kept for the way to the next hop.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::clock::Clock;
use crate::verify::AnyJwt;

/// The verified token of a request, which [`RelayToken`](crate::forward::RelayToken) sends on to an upstream.
///
/// [`JwtAuth::keep_token`](crate::JwtAuth::keep_token) puts it into the request's extensions; put a clone into those
/// of the request to the upstream. It is one `Arc`, cheap to clone, and gives its text to nobody else: neither a
/// method nor `Debug` shows it.
#[derive(Clone)]
pub struct CallerToken(Arc<Kept>);

struct Kept {
    /// What `Authorization` will hold. `None` where the token is bound to a key: only the caller can use it, so its
    /// text is not kept.
    credentials: Option<HeaderValue>,
    jwt: AnyJwt,
    /// The verifier's.
    clock: Clock,
}

impl CallerToken {
    /// Of a token that has been verified.
    pub(crate) fn new(token: Option<&str>, jwt: AnyJwt, clock: Clock) -> Self {
        let credentials = token.filter(|_| !jwt.is_bound()).map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .expect("a token that has been verified is base64url and dots");
            value.set_sensitive(true);
            value
        });
        Self(Arc::new(Kept { credentials, jwt, clock }))
    }

    /// The value of `Authorization`, marked sensitive; `None` where the token is bound to a key.
    pub(crate) fn credentials(&self) -> Option<&HeaderValue> {
        self.0.credentials.as_ref()
    }

    /// True while the verifier that accepted the token would not find it too old.
    pub(crate) fn is_current(&self) -> bool {
        self.0.jwt.is_current(self.0.clock.now())
    }
}

impl fmt::Debug for CallerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerToken").finish_non_exhaustive()
    }
}
