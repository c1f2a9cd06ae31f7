//! Who makes the body of a refusal, and what the crate adds to it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::answer::Answer;
use super::challenge::Challenges;
use super::grpc;
use crate::error::AuthError;
use crate::scheme::Scheme;

/// A refused request: its head and the error.
pub struct Rejection<'a> {
    error: &'a AuthError,
    head: &'a Parts,
}

impl<'a> Rejection<'a> {
    /// Why the request is refused.
    pub fn error(&self) -> &'a AuthError {
        self.error
    }

    /// Method, URI, headers and extensions of the request. The credential is in there: keep it out of the answer.
    pub fn head(&self) -> &'a Parts {
        self.head
    }

    /// The status that the answer will have over HTTP. Over gRPC it is 200.
    pub fn status(&self) -> StatusCode {
        Answer::from(self.error.kind()).status
    }

    /// True when the request is gRPC (a POST with its content type): the body must then be empty.
    pub fn is_grpc(&self) -> bool {
        grpc::answer_type(self.head).is_some()
    }
}

impl fmt::Debug for Rejection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("error", &self.error).finish_non_exhaustive()
    }
}

/// Makes the body of a refusal, and headers of its own; status, challenge and the other headers are the crate's.
///
/// [`EmptyBody`] is the default, [`ProblemJson`] for bodies made from bytes; a closure from `&Rejection<'_>` to
/// `Response<B>` is a maker as well (see [`from_fn`]). An implementation of one's own answers gRPC with an empty
/// body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` makes no answers with the body `{B}`",
    note = "`EmptyBody` needs `{B}: Default`, `ProblemJson` also `{B}: From<Bytes>`; a closure takes `&Rejection<'_>` \
            and returns `Response<{B}>`. Where a layer further in changes the body (tracing, limits), put `JwtAuth` \
            further in than it, or in a `.layer` call of its own, or \
            `MapResponseBodyLayer::new(axum::body::Body::new)` between them"
)]
pub trait MakeRejection<B> {
    /// The answer, as far as it is the maker's.
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B>;
}

/// No body: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyBody;

impl<B: Default> MakeRejection<B> for EmptyBody {
    fn make_rejection(&self, _: &Rejection<'_>) -> Response<B> {
        Response::new(B::default())
    }
}

/// A problem document (RFC 9457): `type`, `title`, `status`, `detail` as a fixed phrase, and `error`, the label of the
/// [`AuthErrorKind`](crate::AuthErrorKind).
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemJson;

impl<B: Default + From<Bytes>> MakeRejection<B> for ProblemJson {
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B> {
        if refused.is_grpc() {
            return Response::new(B::default());
        }
        let (status, kind) = (refused.status(), refused.error().kind());
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": kind.phrase(),
            "error": kind.label(),
        });
        let mut response = Response::new(B::from(Bytes::from(problem.to_string())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl<F, B> MakeRejection<B> for F
where
    F: Fn(&Rejection<'_>) -> Response<B>,
    B: Default,
{
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B> {
        if refused.is_grpc() { Response::new(B::default()) } else { self(refused) }
    }
}

/// A closure as a [`MakeRejection`]: helps the compiler to infer its types.
pub fn from_fn<F, B>(make: F) -> FromFn<F>
where
    F: Fn(&Rejection<'_>) -> Response<B>,
{
    FromFn(make)
}

/// What [`from_fn`] returns.
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F, B> MakeRejection<B> for FromFn<F>
where
    F: Fn(&Rejection<'_>) -> Response<B>,
    B: Default,
{
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B> {
        self.0.make_rejection(refused)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rejection::from_fn")
    }
}

/// Sends what the maker makes, untouched. Gives up the right status, the challenge, `Retry-After`, the cache headers
/// and the gRPC form: clients may then take an outage for a logout, and caches may keep a refusal.
pub fn danger_verbatim<R>(maker: R) -> Verbatim<R> {
    Verbatim(maker)
}

/// What [`danger_verbatim`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Verbatim<R>(R);

/// Tells [`respond`] to leave a response alone.
#[derive(Clone)]
struct LeaveAlone;

impl<R: MakeRejection<B>, B> MakeRejection<B> for Verbatim<R> {
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B> {
        let mut response = self.0.make_rejection(refused);
        response.extensions_mut().insert(LeaveAlone);
        response
    }
}

/// The whole answer.
pub(crate) fn respond<B>(
    maker: &impl MakeRejection<B>,
    challenges: &Challenges,
    scheme: Scheme,
    error: AuthError,
    head: &Parts,
) -> Response<B> {
    crate::events::refused(&error);
    let refused = Rejection { error: &error, head };
    let grpc_type = grpc::answer_type(head);
    let mut response = maker.make_rejection(&refused);
    if response.extensions_mut().remove::<LeaveAlone>().is_none() {
        let answer = Answer::from(error.kind());
        challenges.write(response.headers_mut(), answer.challenge, scheme, &error);
        if let Some(nonce) = error.dpop_nonce() {
            response.headers_mut().insert(HeaderName::from_static("dpop-nonce"), nonce.clone());
        }
        match grpc_type {
            Some(content_type) => grpc_head(&mut response, answer, &error, content_type),
            None => http_head(&mut response, answer, &error),
        }
    }
    response.extensions_mut().insert(error);
    response
}

fn http_head<B>(response: &mut Response<B>, answer: Answer, error: &AuthError) {
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
}

fn grpc_head<B>(response: &mut Response<B>, answer: Answer, error: &AuthError, content_type: HeaderValue) {
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    // A status of 200 could be kept by a cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(answer.grpc)));
    headers.insert(HeaderName::from_static("grpc-message"), grpc::message(error.kind().phrase()));
    if let Some(wait) = error.retry_after() {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        headers.insert(HeaderName::from_static("grpc-retry-pushback-ms"), HeaderValue::from(millis));
    }
}

/// Rounded up: a client that comes a moment early would be refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
