//! Where a request carries its token.
//!
//! - [`BearerHeader`]: `Authorization: Bearer …` (RFC 6750 §2.1), the scheme in any case. The default; everything else is
//!   opt-in: [`Header`], [`Cookie`], [`Query`], [`WebSocketProtocol`], [`from_fn`].
//! - "No token" and "a bad token" are different: the first is `Ok(None)`, the second an error (CVE-2021-21378).
//! - Two credentials in one request are refused, never "the first wins" (RFC 6750 §2): two `Authorization` headers, the
//!   same cookie twice, or two sources combined by `or`, unless [`prefer_header`](Or::prefer_header) says otherwise.
//! - A browser sends cookies with requests that other sites cause: [`Cookie`] refuses those (CSRF).
//! - Answers to requests with a token elsewhere than in `Authorization`, the one place that shared caches know (RFC 9111
//!   §3.5), are `Cache-Control: private`; those to websocket handshakes are not kept anyway.
//! - The header that carries the token is marked sensitive. A token in the query stands in the access logs of others.
//!
//! ```
//! use http::Request;
//! use tower_jwt_auth::extract::{BearerHeader, ExtractToken};
//!
//! let (head, ()) = Request::builder().header("authorization", "bearer abc").body(()).unwrap().into_parts();
//! let bearer = BearerHeader::new();
//! assert_eq!(bearer.extract(&head).unwrap().unwrap().token(), "abc");
//!
//! let (head, ()) = Request::builder().header("authorization", "Bearer a b").body(()).unwrap().into_parts();
//! assert!(bearer.extract(&head).is_err());
//! ```

mod bearer;
mod combine;
mod cookie;
mod cross_site;
mod header;
mod query;
mod websocket;

pub use bearer::BearerHeader;
pub use combine::Or;
pub use cookie::Cookie;
pub use header::Header;
pub use query::Query;
pub use websocket::WebSocketProtocol;

use combine::combine;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use crate::error::{AuthError, AuthErrorKind};
use crate::scheme::Scheme;

/// Finds the credential of a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not extract tokens",
    note = "use `BearerHeader`, a closure wrapped by `extract::from_fn`, or implement `ExtractToken` (one method)"
)]
pub trait ExtractToken: Send + Sync + 'static {
    /// The credential; `None` where there is none of this kind.
    ///
    /// # Errors
    /// When there is one, and it cannot be a token, or when there are several.
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError>;
}

impl<T: ExtractToken + ?Sized> ExtractToken for Arc<T> {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        (**self).extract(head)
    }
}

/// A token as a request carries it. Nothing in it has been verified, and its `Debug` does not show it.
pub struct Credential<'a> {
    token: Cow<'a, str>,
    scheme: Scheme,
    carrier: Carrier,
}

/// The part of a request that carries a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The header `Authorization`, of which caches know (RFC 9111 §3.5).
    Authorization,
    /// Any other header.
    Header,
    Cookie,
    Query,
    WebSocketProtocol,
    /// A closure found it, and it stands in no header.
    Elsewhere,
}

impl Carrier {
    pub(crate) fn is_header(self) -> bool {
        matches!(self, Self::Authorization | Self::Header)
    }
}

impl<'a> Credential<'a> {
    /// A bearer token.
    ///
    /// # Errors
    /// When it is empty or has bytes outside `b64token` (RFC 6750 §2.1).
    pub fn bearer(token: impl Into<Cow<'a, str>>) -> Result<Self, AuthError> {
        Self::carried(token, Carrier::Header)
    }

    fn carried(token: impl Into<Cow<'a, str>>, carrier: Carrier) -> Result<Self, AuthError> {
        let credential = Self::unchecked(token.into(), Scheme::Bearer, carrier);
        if credential.is_well_formed() { Ok(credential) } else { Err(AuthErrorKind::MalformedCredential.into()) }
    }

    /// A token whose form is still to be judged.
    pub(crate) fn unchecked(token: Cow<'a, str>, scheme: Scheme, carrier: Carrier) -> Self {
        Self { token, scheme, carrier }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier
    }

    pub(crate) fn is_well_formed(&self) -> bool {
        let body = self.token.trim_end_matches('=');
        !body.is_empty() && is_b64token(body.as_bytes())
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn into_token(self) -> String {
        self.token.into_owned()
    }
}

/// `b64token` without its padding (RFC 6750 §2.1).
#[expect(clippy::needless_bitwise_bool, reason = "without a way out early, many bytes are looked at in one step")]
fn is_b64token(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, &byte| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit = byte.wrapping_sub(b'0') < 10;
        let is_mark = (byte.wrapping_sub(b'-') < 3) | (byte == b'_') | (byte == b'~') | (byte == b'+');
        all & (is_letter | is_digit | is_mark)
    })
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// A closure as an [`ExtractToken`].
///
/// ```
/// use tower_jwt_auth::extract::{self, Credential};
///
/// let from_api_gateway = extract::from_fn(|head| match head.headers.get("x-forwarded-access-token") {
///     Some(value) => Credential::bearer(value.to_str().unwrap_or_default()).map(Some),
///     None => Ok(None),
/// });
/// # let _: &dyn extract::ExtractToken = &from_api_gateway;
/// ```
pub fn from_fn<F>(extract: F) -> FromFn<F>
where
    F: for<'a> Fn(&'a Parts) -> Result<Option<Credential<'a>>, AuthError> + Send + Sync + 'static,
{
    FromFn(extract)
}

/// What [`from_fn`] returns.
#[derive(Clone)]
pub struct FromFn<F>(F);

combine!(FromFn<F>);

impl<F> ExtractToken for FromFn<F>
where
    F: for<'a> Fn(&'a Parts) -> Result<Option<Credential<'a>>, AuthError> + Send + Sync + 'static,
{
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        (self.0)(head)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("extract::from_fn")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_as_rfc_6750_says() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token(&[byte]), expected, "{byte}");
            assert_eq!(is_b64token(&[&[b'a'; 40][..], &[byte], &[b'a'; 40]].concat()), expected, "{byte}");
        }
    }
}
