//! The future of an upstream's response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{BoxError, RelayError};

pin_project! {
    /// The future of [`RelayTokenService`](super::RelayTokenService): the client's response, or a [`RelayError`].
    pub struct RelayFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F },
        Refused { error: Option<RelayError> },
    }
}

impl<F> RelayFuture<F> {
    pub(super) fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) fn refused(error: RelayError) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, T, E> Future for RelayFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => Poll::Ready(ready!(future.poll(cx)).map_err(Into::into)),
            StateProjection::Refused { error } => {
                Poll::Ready(Err(error.take().expect("a future is not polled after it has completed").into()))
            }
        }
    }
}

impl<F> fmt::Debug for RelayFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayFuture").finish_non_exhaustive()
    }
}
