//! The future of a response.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::layer::{Caching, Gate, Presented, Waited};
use crate::binding::Pending;
use crate::error::AuthError;
use crate::extract::Carrier;
use crate::rejection::MakeRejection;
use crate::scheme::Scheme;
use crate::verify::Jwt;

pin_project! {
    /// The future of [`JwtAuthService`](super::JwtAuthService): the inner service's response, or a refusal.
    ///
    /// With the key at hand it is the inner future and nothing more. What happens while a key is fetched is one box
    /// of its own, so that the future stays small.
    pub struct ResponseFuture<S, Q, B, C, R>
    where
        S: Service<Request<Q>>,
    {
        #[pin]
        state: State<S, Q, B, C, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Q, B, C, R>
    where
        S: Service<Request<Q>>,
    {
        Inner { #[pin] future: S::Future, caching: Caching },
        Refused { response: Option<Response<B>> },
        Waiting { waiting: Pin<Box<Waiting<S, Q, C, R>>>, caching: Caching },
    }
}

type Verification<C> = Pin<Box<dyn Future<Output = Result<Jwt<C>, AuthError>> + Send>>;

pin_project! {
    /// A request whose keys are not at hand.
    #[project = WaitingProjection]
    enum Waiting<S, Q, C, R>
    where
        S: Service<Request<Q>>,
    {
        Verifying {
            verification: Verification<C>,
            // Where the binding of the token is still to be judged, the token.
            presented: Option<Presented>,
            scheme: Scheme,
            carrier: Carrier,
            request: Option<Request<Q>>,
            service: Option<S>,
            gate: Arc<Gate<C, R>>,
        },
        Readying { request: Option<Request<Q>>, service: S },
        Calling { #[pin] future: S::Future },
    }
}

impl<S, Q, B, C, R> ResponseFuture<S, Q, B, C, R>
where
    S: Service<Request<Q>>,
    C: DeserializeOwned + Send + Sync + 'static,
{
    pub(super) fn inner(future: S::Future, caching: Caching) -> Self {
        Self { state: State::Inner { future, caching } }
    }

    pub(super) fn refused(response: Response<B>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn waiting(
        gate: Arc<Gate<C, R>>,
        waited: Waited<C>,
        request: Request<Q>,
        service: S,
        carrier: Carrier,
    ) -> Self {
        let (scheme, presented, verification): (_, _, Verification<C>) = match waited {
            Waited::Keys(presented) => {
                let (verifier, token) = (gate.verifier.clone(), presented.token.clone());
                (presented.scheme, Some(presented), Box::pin(async move { verifier.verify_later(&token).await }))
            }
            Waited::Binding(jwt, scheme, pending) => (scheme, None, after(pending, jwt)),
        };
        let (request, service) = (Some(request), Some(service));
        let waiting = Waiting::Verifying { verification, presented, scheme, carrier, request, service, gate };
        Self { state: State::Waiting { waiting: Box::pin(waiting), caching: carrier.into() } }
    }
}

/// The token, once its binding has been judged.
fn after<C: Send + Sync + 'static>(pending: Pending, jwt: Jwt<C>) -> Verification<C> {
    Box::pin(async move { pending.await.map_err(|error| jwt.blame(error)).map(|()| jwt) })
}

/// Keeps an answer out of shared caches, unless the handler keeps it out of all. What else the handler has said stays.
fn make_private(headers: &mut HeaderMap) {
    let said: Vec<_> =
        headers.get_all(CACHE_CONTROL).iter().map(|value| value.as_bytes().to_ascii_lowercase()).collect();
    let directives = said.iter().flat_map(|value| split_at_commas(value));
    let name =
        |directive: &[u8]| directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii().to_vec();
    if directives.clone().any(|directive| directive == b"no-store") {
        return;
    }
    let kept = directives.filter(|directive| {
        !directive.is_empty()
            && memchr::memchr_iter(b'"', directive).count().is_multiple_of(2)
            && !matches!(&*name(directive), b"public" | b"private" | b"s-maxage" | b"proxy-revalidate")
    });
    let all: Vec<_> = std::iter::once(&b"private"[..]).chain(kept).collect();
    let value = HeaderValue::from_bytes(&all.join(&b", "[..]));
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private")));
}

/// The members of a list; a quoted string may hold commas (RFC 9110 §5.6.1, §5.6.4).
fn split_at_commas(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let members = value.split(move |&byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
        byte == b',' && !is_quoted
    });
    members.map(<[u8]>::trim_ascii)
}

/// In place: a response that is moved once more is copied.
fn finish<B, E>(caching: Caching, polled: &mut Poll<Result<Response<B>, E>>) {
    if caching == Caching::Private
        && let Poll::Ready(Ok(response)) = polled
    {
        make_private(response.headers_mut());
    }
}

impl<S, Q, B, C, R> Future for ResponseFuture<S, Q, B, C, R>
where
    S: Service<Request<Q>, Response = Response<B>>,
    C: DeserializeOwned + Send + Sync + 'static,
    R: MakeRejection<B>,
{
    type Output = Result<Response<B>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future, caching } => {
                let mut polled = future.poll(cx);
                finish(*caching, &mut polled);
                polled
            }
            StateProjection::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it has completed")))
            }
            StateProjection::Waiting { waiting, caching } => {
                let mut polled = waiting.as_mut().poll_response(cx);
                finish(*caching, &mut polled);
                polled
            }
        }
    }
}

impl<S, Q, C, R> Waiting<S, Q, C, R>
where
    S: Service<Request<Q>>,
    C: DeserializeOwned + Send + Sync + 'static,
{
    fn poll_response<B>(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<B>, S::Error>>
    where
        S: Service<Request<Q>, Response = Response<B>>,
        R: MakeRejection<B>,
    {
        const ONCE: &str = "each part of a waiting request is taken once";
        loop {
            let next = match self.as_mut().project() {
                WaitingProjection::Verifying { verification, presented, scheme, carrier, request, service, gate } => {
                    let verdict = ready!(verification.as_mut().poll(cx));
                    let (mut head, body) = request.take().expect(ONCE).into_parts();
                    let presented = presented.take();
                    let bound = verdict.and_then(|jwt| {
                        let Some(Presented { token, scheme }) = &presented else { return Ok((jwt, None)) };
                        let pending = gate.check_binding(&jwt, *scheme, token, &head)?;
                        Ok((jwt, pending))
                    });
                    match bound {
                        Ok((jwt, Some(pending))) => {
                            *verification = after(pending, jwt);
                            *request = Some(Request::from_parts(head, body));
                            continue;
                        }
                        Ok((jwt, None)) => {
                            let token = presented.as_ref().map(|presented| presented.token.as_str());
                            gate.admit(&mut head, jwt, *scheme, *carrier, token);
                        }
                        Err(error) => {
                            return Poll::Ready(Ok(gate.refuse(error, *scheme, &head)));
                        }
                    }
                    let request = Some(Request::from_parts(head, body));
                    Waiting::Readying { request, service: service.take().expect(ONCE) }
                }
                WaitingProjection::Readying { request, service } => {
                    ready!(service.poll_ready(cx))?;
                    Waiting::Calling { future: service.call(request.take().expect(ONCE)) }
                }
                WaitingProjection::Calling { future } => return future.poll(cx),
            };
            self.set(next);
        }
    }
}

impl<S, Q, B, C, R> fmt::Debug for ResponseFuture<S, Q, B, C, R>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
