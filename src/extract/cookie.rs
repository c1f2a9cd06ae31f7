//! A cookie, with its protection against requests that other sites cause.

use http::header::COOKIE;
use http::request::Parts;

use super::cross_site::{self, Origin};
use super::{Carrier, Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::quote;

/// The token in a cookie (RFC 6265 §4.2).
///
/// A browser sends cookies with requests that other sites cause (CSRF). So a request with an unsafe method (all but GET,
/// HEAD and OPTIONS), and every websocket handshake, must come from the same origin: `Sec-Fetch-Site` is `same-origin` or
/// `none`, or, where an old browser sends none, `Origin` is this service's. Everything else is refused with 403: `null`,
/// and neither of the two, as from a client that is no browser, which should send the token in a header.
///
/// The same cookie twice is refused with 400. Name it `__Host-…`, which no other host can plant, and set it with
/// `HttpOnly; Secure; SameSite=Lax; Path=/`.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: Box<str>,
    origins: Vec<Origin>,
    takes_cross_site: bool,
}

impl Cookie {
    /// The cookie of this name, in this very case.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into().into_boxed_str(), origins: Vec::new(), takes_cross_site: false }
    }

    /// An `Origin` that is this service's, such as `https://shop.example.com`. Call it again for more. Without any, it is
    /// the host and port of the request's own URI or `Host`; name them where a proxy in front changes those. Only asked
    /// where `Sec-Fetch-Site` is absent.
    ///
    /// # Errors
    /// When it is not a scheme, a host, and a port if it is not the scheme's.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, ConfigError> {
        let example = "`https://shop.example.com`";
        let refused = || ConfigError::new(format!("{} is no origin: write it like {example}", quote::url(origin)));
        self.origins.push(Origin::parse(origin.as_bytes()).ok_or_else(refused)?);
        Ok(self)
    }

    /// Takes cookies with every request. Gives up the protection against requests that other sites cause: only for a
    /// service with another one, such as a token in its forms.
    #[must_use]
    pub fn danger_allow_cross_site(mut self) -> Self {
        self.takes_cross_site = true;
        self
    }
}

super::combine!(Cookie);

impl ExtractToken for Cookie {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        let lines = head.headers.get_all(COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
        let mut values = pairs.filter_map(|pair| match pair.strip_prefix(self.name.as_bytes())?.trim_ascii_start() {
            [b'=', value @ ..] => Some(value.trim_ascii_start()),
            // A name without a value.
            [] => Some(&[][..]),
            _ => None,
        });
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials.into());
        }
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let token = std::str::from_utf8(value).map_err(|_| AuthErrorKind::MalformedCredential)?;
        let credential = Credential::carried(token, Carrier::Cookie)?;
        if self.takes_cross_site || cross_site::is_our_own(head, &self.origins) {
            Ok(Some(credential))
        } else {
            let why = "neither `Sec-Fetch-Site` nor `Origin` says that this site has caused the request";
            Err(AuthError::new(AuthErrorKind::CrossSite).with_detail(why))
        }
    }
}
