//! A header of one's own.

use http::HeaderName;
use http::request::Parts;

use super::{Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::quote;

/// The token in a header, as it is: `Cf-Access-Jwt-Assertion`, `X-Forwarded-Access-Token`.
///
/// Two headers of this name are refused. Whoever can reach the service can send any header: a gateway in front that adds
/// it must remove those that clients send.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
}

impl Header {
    /// The header of this name.
    ///
    /// # Errors
    /// When it is no header name (RFC 9110 §5.1), or `Authorization` or `Cookie`, which have sources of their own.
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        let name = HeaderName::try_from(name)
            .map_err(|_| ConfigError::new(format!("{} is no header name", quote::name(name))))?;
        match name.as_str() {
            "authorization" => Err(ConfigError::new("for `Authorization`, see `BearerHeader`")),
            "cookie" => Err(ConfigError::new("for `Cookie`, see `extract::Cookie`")),
            _ => Ok(Self { name }),
        }
    }
}

super::combine!(Header);

impl ExtractToken for Header {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        let mut values = head.headers.get_all(&self.name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials.into());
        }
        let token = std::str::from_utf8(value.as_bytes()).map_err(|_| AuthErrorKind::MalformedCredential)?;
        Credential::bearer(token).map(Some)
    }
}
