//! What all guards share: the layer, the service, and the answer where the rule refuses.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::admission::{Admission, refuse};
use crate::early::EarlyFuture;
use crate::error::{AuthError, AuthErrorKind};
use crate::events;
use crate::rejection::{EmptyBody, MakeRejection};
use crate::verify::AnyJwt;

/// What a guard asks of the verified token.
pub trait Rule {
    /// The name of the guard, and the claims that it wants: for the log of a misplaced one.
    const NAME: &'static str;

    fn judge(&self, admission: &Admission, jwt: &AnyJwt, extensions: &Extensions) -> Result<(), AuthError>;
}

/// A layer that lets a request through when its verified token meets a rule: [`RequireScopes`](super::RequireScopes),
/// [`Require`](super::Require) or [`StepUp`](super::StepUp).
///
/// It belongs behind [`JwtAuth`](crate::JwtAuth). In axum the last `.layer` is the first to run:
/// `.route_layer(RequireScopes::all(["orders:read"]))` comes before `.layer(JwtAuth…)`. In a `ServiceBuilder` and in
/// tonic the first is the first: `JwtAuth` comes before the guard. With several `JwtAuth` in front, it asks the
/// innermost, the one nearest to it. Do not let a handler act on the claims of another.
///
/// Refused: with the rule's own answer; with 401 where authentication is optional and no token came; with 500, and an
/// error in the log, where no `JwtAuth` is in front.
pub struct Guard<G, R = EmptyBody> {
    rule: Arc<G>,
    maker: Arc<R>,
}

impl<G> Guard<G> {
    pub(super) fn by(rule: G) -> Self {
        Self { rule: Arc::new(rule), maker: Arc::new(EmptyBody) }
    }

    pub(super) fn map(self, change: impl FnOnce(G) -> G) -> Self
    where
        G: Clone,
    {
        Self { rule: Arc::new(change(Arc::unwrap_or_clone(self.rule))), maker: self.maker }
    }
}

impl<G, R> Guard<G, R> {
    /// Another body for refusals: [`ProblemJson`](crate::ProblemJson), a closure, or a [`MakeRejection`] of one's own.
    #[must_use]
    pub fn on_reject<R2>(self, maker: R2) -> Guard<G, R2> {
        Guard { rule: self.rule, maker: Arc::new(maker) }
    }
}

impl<S, G, R> Layer<S> for Guard<G, R> {
    type Service = GuardService<S, G, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { inner, guard: self.clone() }
    }
}

impl<G, R> Clone for Guard<G, R> {
    fn clone(&self) -> Self {
        Self { rule: Arc::clone(&self.rule), maker: Arc::clone(&self.maker) }
    }
}

impl<G: Rule, R> fmt::Debug for Guard<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(G::NAME).finish_non_exhaustive()
    }
}

/// What a [`Guard`] makes of a service.
pub struct GuardService<S, G, R = EmptyBody> {
    inner: S,
    guard: Guard<G, R>,
}

impl<S, G, R, Q, B> Service<Request<Q>> for GuardService<S, G, R>
where
    S: Service<Request<Q>, Response = Response<B>>,
    G: Rule,
    R: MakeRejection<B>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match judge(&*self.guard.rule, request.extensions()) {
            Ok(()) => EarlyFuture::inner(self.inner.call(request)),
            Err(error) => EarlyFuture::early(refuse(&*self.guard.maker, error, &request.into_parts().0)),
        }
    }
}

/// What a rule says of a request, if a layer has let it through.
pub(crate) fn judge<G: Rule>(rule: &G, extensions: &Extensions) -> Result<(), AuthError> {
    let Some(admission) = extensions.get::<Admission>() else {
        events::misplaced(G::NAME, "any claims", None);
        return Err(AuthErrorKind::Misconfigured.into());
    };
    let jwt = admission.jwt.as_ref().ok_or(AuthErrorKind::MissingToken)?;
    rule.judge(admission, jwt, extensions)
}

impl<S: Clone, G, R> Clone for GuardService<S, G, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: self.guard.clone() }
    }
}

impl<S: fmt::Debug, G, R> fmt::Debug for GuardService<S, G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
