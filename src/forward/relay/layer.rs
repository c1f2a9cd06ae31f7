//! Whose requests get the caller's token.

use http::Request;
use http::header::{AUTHORIZATION, HOST};
use tower_layer::Layer;

use super::super::headers::unlist;
use super::origin::Origin;
use super::{RelayErrorKind, RelayTokenService};
use crate::caller::CallerToken;
use crate::error::ConfigError;

/// A layer around a client that sends the caller's token on, as `Authorization: Bearer …`.
///
/// It takes the [`CallerToken`] out of the extensions of each request, and none is sent with a token that must not be:
/// see [the module](crate::forward#the-token-itself). Requests without one are left as they are.
///
/// Errors are boxed, as in tower's own layers for clients: a [`RelayError`](super::RelayError), or the client's.
#[derive(Clone, Debug, Default)]
pub struct RelayToken {
    origins: Vec<Origin>,
    is_required: bool,
}

impl RelayToken {
    /// A layer that relays to no upstream yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An upstream that may see the token: scheme, host, and a port unless it is the default one, compared whole. Call
    /// it again for more.
    ///
    /// # Errors
    /// When it is no origin, as `https://orders.internal:8443` is one, or is plain http and not loopback (`localhost`,
    /// `127.0.0.0/8`, `[::1]`).
    pub fn to(self, origin: &str) -> Result<Self, ConfigError> {
        let parsed = Origin::parse(origin)?;
        if !parsed.is_private() {
            return Err(ConfigError::new(format!(
                "{origin:?} would get the token in the clear: use https, or `danger_to_http` where the network encrypts"
            )));
        }
        Ok(self.and(parsed))
    }

    /// An upstream that may see the token over plain http: whoever is on the way can read it, and use it until it
    /// expires. For a network that encrypts by itself, as a service mesh does.
    ///
    /// # Errors
    /// When it is no origin.
    pub fn danger_to_http(self, origin: &str) -> Result<Self, ConfigError> {
        Origin::parse(origin).map(|origin| self.and(origin))
    }

    fn and(mut self, origin: Origin) -> Self {
        self.origins.push(origin);
        self
    }

    /// Refuses requests without a [`CallerToken`], so that none is made in nobody's name by oversight.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Judges the request, and puts the token where it belongs.
    pub(super) fn apply<B>(&self, request: &mut Request<B>) -> Result<(), RelayErrorKind> {
        let Some(token) = request.extensions_mut().remove::<CallerToken>() else {
            return if self.is_required { Err(RelayErrorKind::MissingToken) } else { Ok(()) };
        };
        let origin = self.origins.iter().find(|origin| origin.is_of(request.uri()));
        let origin = origin.ok_or(RelayErrorKind::ForeignOrigin)?;
        // Where several sites share an address, it is `Host` that says who gets the request.
        let mut hosts = request.headers().get_all(HOST).iter();
        if !hosts.all(|host| host.to_str().is_ok_and(|host| origin.is_at(host))) {
            return Err(RelayErrorKind::ForeignHost);
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return Err(RelayErrorKind::AlreadyAuthorized);
        }
        let credentials = token.credentials().ok_or(RelayErrorKind::BoundToken)?;
        if !token.is_current() {
            return Err(RelayErrorKind::Expired);
        }
        // What a client lists there, a later hop would remove (RFC 9110 §7.6.1), and the request go on without a token.
        unlist(request.headers_mut(), |name| name.eq_ignore_ascii_case(b"authorization"));
        request.headers_mut().insert(AUTHORIZATION, credentials.clone());
        Ok(())
    }
}

impl<S> Layer<S> for RelayToken {
    type Service = RelayTokenService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RelayTokenService::new(inner, self.clone())
    }
}
