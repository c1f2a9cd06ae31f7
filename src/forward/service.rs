//! The service that the layer makes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::ForwardClaims;
use crate::admission::refuse;
use crate::early::EarlyFuture;
use crate::rejection::{EmptyBody, MakeRejection};

/// What [`ForwardClaims`] makes of a service.
#[derive(Clone)]
pub struct ForwardClaimsService<S> {
    inner: S,
    forward: Arc<ForwardClaims>,
}

impl<S> ForwardClaimsService<S> {
    pub(super) fn new(inner: S, forward: ForwardClaims) -> Self {
        Self { inner, forward: Arc::new(forward) }
    }
}

impl<S, Q, B> Service<Request<Q>> for ForwardClaimsService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    EmptyBody: MakeRejection<B>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.forward.apply(&mut head) {
            Ok(()) => EarlyFuture::inner(self.inner.call(Request::from_parts(head, body))),
            Err(error) => EarlyFuture::early(refuse(&EmptyBody, error, &head)),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ForwardClaimsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardClaimsService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
