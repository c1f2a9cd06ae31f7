//! Serves the document, and passes everything else on.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::early::EarlyFuture;

/// What [`ProtectedResource`](super::ProtectedResource) makes of a service.
#[derive(Clone)]
pub struct ProtectedResourceService<S> {
    inner: S,
    path: Arc<str>,
    document: Bytes,
}

impl<S> ProtectedResourceService<S> {
    pub(super) fn new(inner: S, path: &str, document: Bytes) -> Self {
        Self { inner, path: path.into(), document }
    }

    fn answer<B: Default + From<Bytes>>(&self, method: &Method) -> Response<B> {
        let mut response = Response::new(B::default());
        match *method {
            Method::GET => *response.body_mut() = B::from(self.document.clone()),
            Method::HEAD => {}
            _ => {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                return response;
            }
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.document.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
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
            EarlyFuture::early(self.answer(request.method()))
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
