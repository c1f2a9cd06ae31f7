//! Serves the document, and passes everything else on.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use crate::document::Document;
use crate::early::EarlyFuture;

/// What [`ProtectedResource`](super::ProtectedResource) makes of a service.
#[derive(Clone)]
pub struct ProtectedResourceService<S> {
    inner: S,
    path: Arc<str>,
    document: Document,
}

impl<S> ProtectedResourceService<S> {
    pub(super) fn new(inner: S, path: &str, content: Bytes) -> Self {
        let document = Document::new(content, "application/json", Duration::from_secs(60 * 60));
        Self { inner, path: path.into(), document }
    }
}

impl<S, Q, B> Service<Request<Q>> for ProtectedResourceService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        if request.uri().path() == &*self.path {
            EarlyFuture::early(self.document.answer(request.method(), request.headers()))
        } else {
            EarlyFuture::inner(self.inner.call(request))
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ProtectedResourceService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResourceService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
