//! The response of a layer that may answer by itself: the inner service's, or its own.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// The inner service's response, or one that was made without asking it.
    pub struct EarlyFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Inner { #[pin] future: F },
        Early { response: Option<Response<B>> },
    }
}

impl<F, B> EarlyFuture<F, B> {
    pub(crate) fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(crate) fn early(response: Response<B>) -> Self {
        Self { state: State::Early { response: Some(response) } }
    }
}

impl<F, B, E> Future for EarlyFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => Poll::Ready(ready!(future.poll(cx))),
            StateProjection::Early { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it has completed")))
            }
        }
    }
}

impl<F, B> fmt::Debug for EarlyFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyFuture").finish_non_exhaustive()
    }
}
