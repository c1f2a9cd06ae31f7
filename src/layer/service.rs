//! The service that the layer makes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::ResponseFuture;
use super::layer::{Gate, Verdict};
use crate::rejection::{EmptyBody, MakeRejection};

/// What [`JwtAuth`](super::JwtAuth) makes of a service.
pub struct JwtAuthService<S, C, R = EmptyBody> {
    inner: S,
    gate: Arc<Gate<C, R>>,
}

impl<S, C, R> JwtAuthService<S, C, R> {
    pub(super) fn new(inner: S, gate: Gate<C, R>) -> Self {
        Self { inner, gate: Arc::new(gate) }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, R, Q, B> Service<Request<Q>> for JwtAuthService<S, C, R>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    R: MakeRejection<B>,
    C: DeserializeOwned + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q, B, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.gate.judge(&mut head) {
            Verdict::Pass(caching) => ResponseFuture::inner(self.inner.call(Request::from_parts(head, body)), caching),
            Verdict::Refuse(error, scheme) => ResponseFuture::refused(self.gate.refuse(error, scheme, &head)),
            Verdict::Wait(waited, carrier) => {
                // The instance that was polled ready may hold a permit that others wait for: it is dropped, and the
                // clone is made ready once the token is verified.
                let unready = self.inner.clone();
                self.inner = unready.clone();
                let request = Request::from_parts(head, body);
                ResponseFuture::waiting(Arc::clone(&self.gate), waited, request, unready, carrier)
            }
        }
    }
}

impl<S: Clone, C, R> Clone for JwtAuthService<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for JwtAuthService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
