//! Spans: around the verification of a token, and around a fetch of keys.
//!
//! Without the feature `tracing`, and where nobody listens, they are nothing.

#[cfg(feature = "tracing")]
use tracing::field::Empty;

use crate::error::AuthError;
use crate::jose::Algorithm;

/// The span around the verification of one token: `debug`, as whatever a client can cause.
pub(crate) struct Verifying {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Verifying {
    pub(crate) fn start() -> Self {
        #[cfg(feature = "tracing")]
        let span = tracing::debug_span!(
            "verify_token",
            verdict = Empty,
            issuer = Empty,
            algorithm = Empty,
            remembered = Empty
        );
        Self {
            #[cfg(feature = "tracing")]
            span,
        }
    }

    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        run()
    }

    pub(crate) async fn around<F: Future>(&self, future: F) -> F::Output {
        #[cfg(feature = "tracing")]
        let future = tracing::Instrument::instrument(future, self.span.clone());
        future.await
    }

    /// The verdict was remembered.
    pub(crate) fn remembered(&self) {
        #[cfg(feature = "tracing")]
        self.span.record("remembered", true);
    }

    /// The token passed. The name is the issuer's configured one.
    pub(crate) fn accepted(&self, issuer: Option<&str>, algorithm: Algorithm) {
        #[cfg(feature = "tracing")]
        if !self.span.is_disabled() {
            self.span.record("verdict", "accepted").record("issuer", issuer).record("algorithm", algorithm.name());
        }
    }

    pub(crate) fn refused(&self, error: &AuthError) {
        #[cfg(feature = "tracing")]
        self.span.record("verdict", error.kind().label());
    }

    /// Keys have to be waited for: another span tells how it ends.
    pub(crate) fn waits(&self) {
        #[cfg(feature = "tracing")]
        self.span.record("verdict", "waits");
    }
}

/// The span around one fetch of keys. Tokens can cause one: `debug`.
#[cfg(feature = "remote")]
pub(crate) struct Fetching {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "remote")]
impl Fetching {
    pub(crate) fn start(cause: &'static str) -> Self {
        // The task belongs to the source, and to no request.
        #[cfg(feature = "tracing")]
        let span = tracing::debug_span!(parent: None, "fetch_keys", cause, location = Empty, outcome = Empty);
        Self {
            #[cfg(feature = "tracing")]
            span,
        }
    }

    pub(crate) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        run()
    }

    pub(crate) async fn around<F: Future>(&self, future: F) -> F::Output {
        #[cfg(feature = "tracing")]
        let future = tracing::Instrument::instrument(future, self.span.clone());
        future.await
    }

    /// Where the keys were looked for: what is discovered is known only then.
    pub(crate) fn ended(&self, location: &str, outcome: &'static str) {
        #[cfg(feature = "tracing")]
        self.span.record("location", location).record("outcome", outcome);
    }
}
