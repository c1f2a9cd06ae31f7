//! The future of a response.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::layer::Gate;
use crate::error::AuthError;
use crate::rejection::{MakeRejection, respond};
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
        Inner { #[pin] future: S::Future },
        Refused { response: Option<Response<B>> },
        Waiting { waiting: Pin<Box<Waiting<S, Q, C, R>>> },
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
        Verifying { verification: Verification<C>, request: Option<Request<Q>>, service: Option<S>, gate: Arc<Gate<C, R>> },
        Readying { request: Option<Request<Q>>, service: S },
        Calling { #[pin] future: S::Future },
    }
}

impl<S, Q, B, C, R> ResponseFuture<S, Q, B, C, R>
where
    S: Service<Request<Q>>,
    C: DeserializeOwned + Send + Sync + 'static,
{
    pub(super) fn inner(future: S::Future) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) fn refused(response: Response<B>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn waiting(gate: Arc<Gate<C, R>>, token: String, request: Request<Q>, service: S) -> Self {
        let verifier = gate.verifier.clone();
        let verification = Box::pin(async move { verifier.verify(&token).await });
        let waiting = Waiting::Verifying { verification, request: Some(request), service: Some(service), gate };
        Self { state: State::Waiting { waiting: Box::pin(waiting) } }
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
            StateProjection::Inner { future } => future.poll(cx),
            StateProjection::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it has completed")))
            }
            StateProjection::Waiting { waiting } => waiting.as_mut().poll_response(cx),
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
                WaitingProjection::Verifying { verification, request, service, gate } => {
                    let verdict = ready!(verification.as_mut().poll(cx));
                    let (mut head, body) = request.take().expect(ONCE).into_parts();
                    match verdict {
                        Ok(jwt) => gate.admit(&mut head, jwt),
                        Err(error) => return Poll::Ready(Ok(respond(&*gate.maker, &gate.challenges, error, &head))),
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
