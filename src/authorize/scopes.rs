//! A guard by scope.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::GuardFuture;
use crate::admission::Admission;
use crate::claims::is_scope;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::events;
use crate::rejection::{Challenges, EmptyBody, MakeRejection, respond};

/// A layer that lets a request through when its token grants every scope named.
///
/// With several `JwtAuth` in front, it asks for the scopes of the innermost, the one nearest to it. Do not let a handler
/// act on the claims of another.
///
/// It belongs behind [`JwtAuth`](crate::JwtAuth). In axum the last `.layer` is the first to run:
/// `.route_layer(RequireScopes::all(["orders:read"]))` comes before `.layer(JwtAuth…)`. In a `ServiceBuilder` and in
/// tonic the first is the first: `JwtAuth` comes before the guard.
///
/// Refusals: 403 `insufficient_scope` naming every scope needed; 401 where authentication is optional and no token
/// came; 500, and an error in the log, where no `JwtAuth` is in front.
#[derive(Debug)]
pub struct RequireScopes<R = EmptyBody> {
    needed: Arc<str>,
    maker: Arc<R>,
}

impl RequireScopes {
    /// Every one of these scopes.
    ///
    /// # Panics
    /// When a name is no `scope-token` (RFC 6749 §3.3) or there is none. For names from a configuration, and for
    /// `String`s, see [`try_all`](Self::try_all).
    pub fn all<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        match Self::try_all(scopes) {
            Ok(guard) => guard,
            Err(error) => panic!("{error}"),
        }
    }

    /// Every one of these scopes.
    ///
    /// # Errors
    /// When a name is no `scope-token` (RFC 6749 §3.3), or there is none.
    pub fn try_all<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let mut needed = String::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if !is_scope(scope) {
                return Err(ConfigError::new(format!(
                    "{scope:?} is no scope: visible ASCII without space, quote and backslash"
                )));
            }
            if !needed.is_empty() {
                needed.push(' ');
            }
            needed.push_str(scope);
        }
        if needed.is_empty() {
            return Err(ConfigError::new("a guard needs at least one scope"));
        }
        Ok(Self { needed: needed.into(), maker: Arc::new(EmptyBody) })
    }
}

impl<R> RequireScopes<R> {
    /// Another body for refusals.
    #[must_use]
    pub fn on_reject<R2>(self, maker: R2) -> RequireScopes<R2> {
        RequireScopes { needed: self.needed, maker: Arc::new(maker) }
    }

    fn judge<Q>(&self, request: &Request<Q>) -> Result<(), AuthError> {
        let Some(admission) = request.extensions().get::<Admission>() else {
            events::misplaced("RequireScopes", "any claims", None);
            return Err(AuthErrorKind::Misconfigured.into());
        };
        let Some(jwt) = &admission.jwt else { return Err(AuthErrorKind::MissingToken.into()) };
        if self.needed.split(' ').all(|scope| jwt.has_scope(scope)) {
            Ok(())
        } else {
            Err(AuthError::new(AuthErrorKind::InsufficientScope).with_scope(&self.needed))
        }
    }
}

impl<R> Clone for RequireScopes<R> {
    fn clone(&self) -> Self {
        Self { needed: Arc::clone(&self.needed), maker: Arc::clone(&self.maker) }
    }
}

impl<S, R> Layer<S> for RequireScopes<R> {
    type Service = RequireScopesService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScopesService { inner, guard: self.clone() }
    }
}

/// What [`RequireScopes`] makes of a service.
pub struct RequireScopesService<S, R = EmptyBody> {
    inner: S,
    guard: RequireScopes<R>,
}

impl<S, R, Q, B> Service<Request<Q>> for RequireScopesService<S, R>
where
    S: Service<Request<Q>, Response = Response<B>>,
    R: MakeRejection<B>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match self.guard.judge(&request) {
            Ok(()) => GuardFuture::inner(self.inner.call(request)),
            Err(error) => {
                let (head, _) = request.into_parts();
                let response = match head.extensions.get::<Admission>() {
                    Some(admission) => respond(&*self.guard.maker, &admission.challenges, error, &head),
                    None => respond(&*self.guard.maker, &Challenges::new(None), error, &head),
                };
                GuardFuture::refused(response)
            }
        }
    }
}

impl<S: Clone, R> Clone for RequireScopesService<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: self.guard.clone() }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for RequireScopesService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScopesService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
