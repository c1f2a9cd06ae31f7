//! The service that the layer makes of a client.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use super::{BoxError, RelayFuture, RelayToken};

/// What [`RelayToken`] makes of a client.
#[derive(Clone)]
pub struct RelayTokenService<S> {
    inner: S,
    relay: Arc<RelayToken>,
}

impl<S> RelayTokenService<S> {
    pub(super) fn new(inner: S, relay: RelayToken) -> Self {
        Self { inner, relay: Arc::new(relay) }
    }
}

impl<S, B> Service<Request<B>> for RelayTokenService<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RelayFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.relay.apply(&mut request) {
            Ok(()) => RelayFuture::inner(self.inner.call(request)),
            Err(kind) => RelayFuture::refused(kind.into()),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RelayTokenService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayTokenService").field("inner", &self.inner).field("relay", &self.relay).finish()
    }
}
