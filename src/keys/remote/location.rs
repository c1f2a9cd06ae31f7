//! Which URLs keys may come from.
//!
//! - https; http where the configured issuer or URL is itself loopback, or by `danger_allow_http`.
//! - Metadata cannot lead an https issuer to http, nor to loopback.

use url::{Host, Url};

use crate::error::ConfigError;
use crate::quote;

/// A URL that one has configured, and what it permits others to be.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    allow_http: bool,
    is_loopback: bool,
}

impl Trust {
    /// Judges a configured URL.
    pub(super) fn new(text: &str, allow_http: bool) -> Result<(Url, Self), ConfigError> {
        let shown = || quote::url(text);
        let url = Url::parse(text).map_err(|error| {
            let fix = if shown() == format!("{text:?}") && is_host(text) {
                format!("write `https://{text}`")
            } else {
                "write it like `https://login.example.com`".to_owned()
            };
            ConfigError::new(format!("{} is not a URL ({error}): {fix}", shown()))
        })?;
        let trust = Self { allow_http, is_loopback: is_loopback(&url) };
        trust.check(&url).map_err(|reason| ConfigError::new(format!("{}: {reason}", shown())))?;
        Ok((url, trust))
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Judges a URL that metadata names.
    pub(super) fn follow(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !self.is_loopback && !self.allow_http && is_loopback(&url) {
            return Err("it leads to this machine".to_owned());
        }
        self.check(&url)?;
        Ok(url)
    }

    fn check(&self, url: &Url) -> Result<(), String> {
        if has_user(url) {
            return Err(NO_USER.to_owned());
        }
        let http_is_fine = self.allow_http || (self.is_loopback && is_loopback(url));
        match url.scheme() {
            "https" => Ok(()),
            "http" if http_is_fine => Ok(()),
            "http" => {
                Err("keys come over https; http is for loopback, or by `RemoteJwks::discover(…).danger_allow_http()`"
                    .to_owned())
            }
            _ => Err("keys come over https and nothing else".to_owned()),
        }
    }
}

/// True for what a URL may be without its `https://`.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.contains('.') && text.chars().all(is_plain)
}

const NO_USER: &str = "a URL for keys has no user name or password: give the client a header instead";

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// True where the host is this machine by its very name: no name is resolved.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
            ip.is_loopback() || ip.is_unspecified() || mapped
        }
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_url_is_https_or_loopback() {
        let cases = [
            ("https://a.example/keys", true),
            ("http://127.0.0.1:9000/keys", true),
            ("http://127.1/", true),
            ("http://localhost:1/", true),
            ("http://a.localhost/", true),
            ("http://[::1]/", true),
            ("http://a.example/", false),
            ("http://10.0.0.1/", false),
            ("http://localhost.a.example/", false),
            ("ftp://127.0.0.1/", false),
            ("https://user:pass@a.example/", false),
            ("file:///etc/keys", false),
            ("a.example", false),
            ("", false),
        ];
        for (text, passes) in cases {
            assert_eq!(Trust::new(text, false).is_ok(), passes, "{text}");
        }
        assert!(Trust::new("http://a.example/", true).is_ok());
        assert!(Trust::new("ftp://a.example/", true).is_err());
    }

    #[test]
    fn a_host_is_told_how_to_be_a_url_unless_it_may_be_a_secret() {
        let generic = "write it like `https://login.example.com`";
        let long = format!("a.{}", "b".repeat(30));
        let cases = [
            ("a.example", "write `https://a.example`"),
            ("a.example/t-1/", "write `https://a.example/t-1/`"),
            (&long[..31], &format!("write `https://{}`", &long[..31])),
            (&long, generic),
            ("a", generic),
            ("", generic),
            ("/a.json", generic),
            ("me@a.example", generic),
            ("a.example?sig=secret", generic),
            ("https://", generic),
        ];
        for (text, fix) in cases {
            let error = Trust::new(text, false).expect_err("no URL").to_string();
            assert!(error.ends_with(&format!("): {fix}")), "{text}: {error}");
        }
    }

    #[test]
    fn metadata_cannot_lead_to_http_or_to_this_machine() {
        let follows = |issuer: &str, allow_http: bool, to: &str| {
            let (_, trust) = Trust::new(issuer, allow_http).expect("valid");
            trust.follow(to).is_ok()
        };
        for to in ["https://a.example/k", "https://keys.b.example/"] {
            assert!(follows("https://a.example", false, to), "{to}");
        }
        let inwards = [
            "http://a.example/k",
            "https://127.0.0.1/k",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "http://127.0.0.1/",
            "file:///k",
            "/k",
            "",
        ];
        for to in inwards {
            assert!(!follows("https://a.example", false, to), "{to}");
        }
        assert!(follows("http://127.0.0.1:9000", false, "http://127.0.0.1:9000/jwks"));
        assert!(!follows("http://127.0.0.1:9000", false, "http://a.example/jwks"));
        assert!(follows("http://a.example", true, "http://keys.a.example/jwks"));
    }
}
