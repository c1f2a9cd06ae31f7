//! Two sources, of which one may be present.

use http::request::Parts;

use super::{Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind};

/// One source or another: what `or` of the built-in sources returns.
///
/// A request that carries both is refused with 400 (RFC 6750 §2): which of the two counts must not depend on who planted
/// which.
///
/// ```
/// use http::Request;
/// use tower_jwt_auth::extract::{BearerHeader, Cookie, ExtractToken};
///
/// let either = BearerHeader::new().or(Cookie::new("__Host-access"));
/// let request = Request::builder().header("cookie", "__Host-access=abc").body(()).unwrap();
/// assert_eq!(either.extract(&request.into_parts().0).unwrap().unwrap().token(), "abc");
///
/// let both = Request::builder().header("cookie", "__Host-access=abc").header("authorization", "Bearer abc");
/// assert!(either.extract(&both.body(()).unwrap().into_parts().0).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Or<A, B> {
    first: A,
    second: B,
    prefers_header: bool,
}

impl<A, B> Or<A, B> {
    pub(crate) fn new(first: A, second: B) -> Self {
        Self { first, second, prefers_header: false }
    }

    /// Takes the token in a header where there is one, and looks at nothing else then: for gateways that send both, and
    /// browsers in which somebody has planted a cookie. A header that is there and malformed is refused all the same.
    #[must_use]
    pub fn prefer_header(self) -> Self {
        Self { prefers_header: true, ..self }
    }
}

impl<A: ExtractToken, B: ExtractToken> ExtractToken for Or<A, B> {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        let found = [self.first.extract(head), self.second.extract(head)];
        let is_header = |found: &Result<Option<Credential<'_>>, AuthError>| matches!(found, Ok(Some(credential)) if credential.carrier().is_header());
        match found {
            [one, other] if self.prefers_header && is_header(&one) && !is_header(&other) => one,
            [one, other] if self.prefers_header && is_header(&other) && !is_header(&one) => other,
            [Ok(None), found] | [found, Ok(None)] => found,
            [Ok(Some(_)), Ok(Some(_))] => Err(AuthErrorKind::SeveralCredentials.into()),
            [Err(error), _] | [_, Err(error)] => Err(error),
        }
    }
}

/// Gives a source its `or`.
macro_rules! combine {
    ($source:ident$(<$($parameter:ident),+>)?) => {
        impl$(<$($parameter),+>)? $source$(<$($parameter),+>)? {
            /// This source or another. A request that carries both is refused, see [`Or`](crate::extract::Or).
            #[must_use]
            pub fn or<O: $crate::extract::ExtractToken>(self, other: O) -> $crate::extract::Or<Self, O> {
                $crate::extract::Or::new(self, other)
            }
        }
    };
}

pub(super) use combine;

combine!(Or<A, B>);
