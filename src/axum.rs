//! [`Jwt<C>`](Jwt) as an extractor for axum handlers.

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
    events::misplaced("the extractor `Jwt`", std::any::type_name::<C>(), found);
    Err(MissingJwt::new(AuthErrorKind::Misconfigured.into(), head))
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

    /// 401, or 500 where the layer is not there.
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
