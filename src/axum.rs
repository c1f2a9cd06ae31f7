//! [`Jwt<C>`](Jwt), and [`Scoped`] with the scopes that a handler needs, as extractors for axum.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::admission::{Admission, refuse};
use crate::error::{AuthError, AuthErrorKind};
use crate::events;
use crate::rejection::EmptyBody;
use crate::verify::Jwt;

/// The verified token, put there by [`JwtAuth`](crate::JwtAuth).
///
/// Refused with 401 where authentication is optional and no token came, and with 500, and an error in the log, where
/// there is no layer in front or one with other claims.
impl<C: Send + Sync + 'static, S: Sync> FromRequestParts<S> for Jwt<C> {
    type Rejection = MissingJwt;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, MissingJwt> {
        find(head)?.ok_or_else(|| MissingJwt::new(AuthErrorKind::MissingToken.into(), head))
    }
}

/// `None` where authentication is [optional](crate::JwtAuth::optional) and no token came. Without a layer in front it
/// is refused with 500, and an error in the log.
impl<C: Send + Sync + 'static, S: Sync> OptionalFromRequestParts<S> for Jwt<C> {
    type Rejection = MissingJwt;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Option<Self>, MissingJwt> {
        find(head)
    }
}

fn find<C: Send + Sync + 'static>(head: &Parts) -> Result<Option<Jwt<C>>, MissingJwt> {
    if let Some(jwt) = head.extensions.get::<Jwt<C>>() {
        return Ok(Some(jwt.clone()));
    }
    let found = match head.extensions.get::<Admission>() {
        Some(Admission { jwt: None, .. }) => return Ok(None),
        Some(Admission { jwt: Some(jwt), .. }) => Some(jwt.claims_type()),
        None => None,
    };
    events::misplaced("the extractor `Jwt`", type_name::<C>(), found);
    Err(MissingJwt::new(AuthErrorKind::Misconfigured.into(), head))
}

/// The scopes that a handler needs, for [`Scoped`].
pub trait Scopes {
    /// Every one of these. A name that is no `scope-token` (RFC 6749 §3.3), and an empty list, do not compile.
    const ALL: &'static [&'static str];
}

/// The verified token, which grants every scope of `S`: a guard in the handler's own signature.
///
/// Refused with 403 `insufficient_scope` that names every one, and as [`Jwt<C>`](Jwt) is.
///
/// ```
/// use tower_jwt_auth::{Scoped, Scopes};
///
/// struct ReadOrders;
/// impl Scopes for ReadOrders {
///     const ALL: &'static [&'static str] = &["orders:read"];
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     sub: String,
/// }
///
/// async fn orders(jwt: Scoped<ReadOrders, Claims>) -> String {
///     format!("the orders of {}", jwt.claims().sub)
/// }
/// # let _: axum::Router = axum::Router::new().route("/orders", axum::routing::get(orders));
/// ```
pub struct Scoped<S, C> {
    jwt: Jwt<C>,
    scopes: PhantomData<fn() -> S>,
}

impl<S, C> Scoped<S, C> {
    /// The token alone.
    pub fn into_inner(self) -> Jwt<C> {
        self.jwt
    }
}

impl<S, C> Deref for Scoped<S, C> {
    type Target = Jwt<C>;

    fn deref(&self) -> &Jwt<C> {
        &self.jwt
    }
}

impl<S: Scopes, C: Send + Sync + 'static, T: Sync> FromRequestParts<T> for Scoped<S, C> {
    type Rejection = MissingJwt;

    async fn from_request_parts(head: &mut Parts, state: &T) -> Result<Self, MissingJwt> {
        const { assert!(are_scopes(S::ALL), "`Scopes::ALL` names at least one scope, each a `scope-token`") };
        let jwt = <Jwt<C> as FromRequestParts<T>>::from_request_parts(head, state).await?;
        // A guard asks the innermost layer: a token that one further out has left does not count.
        match head.extensions.get::<Admission>().map(|admission| &admission.jwt) {
            Some(Some(innermost)) if innermost.is(&jwt) => {}
            Some(None) => return Err(MissingJwt::new(AuthErrorKind::MissingToken.into(), head)),
            Some(Some(other)) => {
                events::misplaced("the extractor `Scoped`", type_name::<C>(), Some(other.claims_type()));
                return Err(MissingJwt::new(AuthErrorKind::Misconfigured.into(), head));
            }
            None => return Err(MissingJwt::new(AuthErrorKind::Misconfigured.into(), head)),
        }
        if S::ALL.iter().all(|scope| jwt.has_scope(scope)) {
            return Ok(Self { jwt, scopes: PhantomData });
        }
        let error = AuthError::new(AuthErrorKind::InsufficientScope).with_scope(&S::ALL.join(" "));
        Err(MissingJwt::new(error, head))
    }
}

/// [`is_scope`](crate::claims::is_scope) of every name, while compiling.
const fn are_scopes(names: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        let (name, mut byte) = (names[at].as_bytes(), 0);
        while byte < name.len() {
            if !matches!(name[byte], 0x21 | 0x23..=0x5B | 0x5D..=0x7E) {
                return false;
            }
            byte += 1;
        }
        if name.is_empty() {
            return false;
        }
        at += 1;
    }
    !names.is_empty()
}

impl<S, C> fmt::Debug for Scoped<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.jwt).finish()
    }
}

/// Why a handler got no [`Jwt`]: the answer is made already.
#[derive(Debug)]
pub struct MissingJwt {
    response: Box<Response>,
}

impl MissingJwt {
    fn new(error: AuthError, head: &Parts) -> Self {
        Self { response: Box::new(refuse(&EmptyBody, error, head)) }
    }

    /// 401, 403 where a scope is missing, or 500 where the layer is not there.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }
}

impl IntoResponse for MissingJwt {
    fn into_response(self) -> Response {
        *self.response
    }
}

/// So that handlers can end with the error of a token that they verified themselves: status and challenge included.
impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (head, ()) = http::Request::new(()).into_parts();
        refuse(&EmptyBody, self, &head)
    }
}

#[cfg(test)]
mod tests {
    use super::are_scopes;
    use crate::claims::is_scope;

    #[test]
    fn names_are_judged_while_compiling_as_they_are_at_run_time() {
        assert!(!are_scopes(&[]));
        assert!(are_scopes(&["orders:read", "a"]));
        assert!(!are_scopes(&["orders:read", ""]));
        for character in '\0'..='\u{ff}' {
            let name = format!("a{character}b");
            assert_eq!(are_scopes(&[&name]), is_scope(&name), "{character:?}");
        }
    }
}
