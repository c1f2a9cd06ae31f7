//! Where the caller's token may go.
//!
//! - An origin is a scheme, a host and a port (RFC 6454 §4), compared whole: no wildcard, no suffix, no list of ports.
//! - The case of scheme and host does not matter, and neither does the default port (RFC 3986 §6.2.2, §6.2.3). Anything
//!   else that may name the same host, such as a dot at its end or a user in front, is another origin.

use std::fmt;
use std::net::IpAddr;

use http::uri::{Scheme, Uri};

use crate::error::ConfigError;
use crate::quote;

/// The origin of an upstream.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Scheme,
    /// In lower case, without the scheme's own port.
    authority: Box<str>,
    is_loopback: bool,
}

impl Origin {
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let refused = || {
            ConfigError::new(format!(
                "{} is no origin: write it like `https://orders.internal:8443`, with nothing behind the port",
                quote::url(url)
            ))
        };
        if url.contains(['?', '#', '@', '*']) {
            return Err(refused());
        }
        let uri: Uri = url.parse().map_err(|_| refused())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(refused()) };
        let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        if !is_http || uri.path() != "/" || authority.host().is_empty() || authority.as_str().ends_with(':') {
            return Err(refused());
        }
        let is_loopback = is_loopback(authority.host());
        let authority = without_default_port(scheme, authority.as_str()).to_ascii_lowercase().into_boxed_str();
        Ok(Self { scheme: scheme.clone(), authority, is_loopback })
    }

    /// True where nobody on the way can read what is sent: over https, or not over a network at all.
    pub(super) fn is_private(&self) -> bool {
        self.scheme == Scheme::HTTPS || self.is_loopback
    }

    /// True where the URL is of this origin.
    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme) && uri.authority().is_some_and(|authority| self.is_at(authority.as_str()))
    }

    /// True where a host with its port is this origin's.
    pub(super) fn is_at(&self, authority: &str) -> bool {
        without_default_port(&self.scheme, authority).eq_ignore_ascii_case(&self.authority)
    }
}

fn without_default_port<'a>(scheme: &Scheme, authority: &'a str) -> &'a str {
    let port = if *scheme == Scheme::HTTPS { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

fn is_loopback(host: &str) -> bool {
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_whole() {
        // origin, URL, whether it is of it
        let cases = [
            ("https://a.example", "https://a.example/x?y=z", true),
            ("https://a.example/", "https://a.example", true),
            ("HTTPS://A.Example:443", "https://a.example/", true),
            ("https://a.example", "HTTPS://A.EXAMPLE:443/", true),
            ("https://a.example:8443", "https://a.example:8443/", true),
            ("http://127.0.0.1:80", "http://127.0.0.1/", true),
            ("https://[::1]:443", "https://[::1]/", true),
            ("https://a.example", "http://a.example/", false),
            ("https://a.example", "http://a.example:443/", false),
            ("https://a.example", "https://a.example:80/", false),
            ("https://a.example", "https://a.example:8443/", false),
            ("https://a.example", "https://a.example.:443/", false),
            ("https://a.example", "https://a.example.evil.example/", false),
            ("https://a.example", "https://b.a.example/", false),
            ("https://a.example", "https://a.example@evil.example/", false),
            ("https://a.example", "https://user@a.example/", false),
            ("https://a.example", "https://evil.example/https://a.example/", false),
            ("https://a.example", "wss://a.example/", false),
            ("https://a.example", "/x", false),
            ("https://a.example", "a.example:443", false),
            ("https://a.example", "*", false),
        ];
        for (origin, url, expected) in cases {
            let parsed = Origin::parse(origin).expect("an origin");
            assert_eq!(parsed.is_of(&url.parse().expect("a URL")), expected, "{origin} {url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "",
            "a.example",
            "/",
            "*",
            "https://",
            "https://a.example/path",
            "https://a.example?x",
            "https://a.example#x",
            "https://user@a.example",
            "https://*.a.example",
            "https://a.example:",
            "https://:443",
            "https://a b",
            "ftp://a.example",
            "https:a.example",
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn http_is_private_on_loopback_alone() {
        for (origin, expected) in [
            ("https://a.example", true),
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:3000", true),
            ("http://a.example", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
            ("http://[::]", false),
            ("http://127.1", false),
        ] {
            assert_eq!(Origin::parse(origin).expect("an origin").is_private(), expected, "{origin}");
        }
    }
}
