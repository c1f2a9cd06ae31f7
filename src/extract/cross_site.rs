//! Whether a request with a cookie was caused by this site: fetch metadata, and `Origin` where it is absent.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::websocket::is_handshake;

/// A scheme, a host and a port (RFC 6454 §4), in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Vec<u8>,
    host: Vec<u8>,
    port: Option<u16>,
}

impl Origin {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let at = memchr::memmem::find(text, b"://")?;
        let scheme = text[..at].to_ascii_lowercase();
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
        let (host, port) = host_and_port(&text[at + 3..])?;
        let port = port.or(default_port(&scheme));
        is_scheme.then_some(Self { scheme, host, port })
    }

    /// True when a request to this authority is one to this origin.
    fn is_at(&self, authority: &[u8]) -> bool {
        host_and_port(authority)
            .is_some_and(|(host, port)| host == self.host && port.or(default_port(&self.scheme)) == self.port)
    }
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" | b"ws" => Some(80),
        b"https" | b"wss" => Some(443),
        _ => None,
    }
}

/// Of `host:port`, with an IPv6 address in brackets. `None` where anything else is in it: a path, a user, a space.
fn host_and_port(text: &[u8]) -> Option<(Vec<u8>, Option<u16>)> {
    let end_of_host = match text.first()? {
        b'[' => text.iter().position(|&byte| byte == b']')? + 1,
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end_of_host);
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(byte);
    let port = match rest {
        [] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (!host.is_empty() && host.iter().all(allowed)).then(|| (host.to_ascii_lowercase(), port))
}

/// True when a request that carries a cookie may pass: its method is safe, or this site has caused it.
pub(super) fn is_our_own(head: &Parts, origins: &[Origin]) -> bool {
    let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_handshake(head);
    is_safe || is_same_origin(head, origins)
}

fn is_same_origin(head: &Parts, origins: &[Origin]) -> bool {
    if head.headers.contains_key("sec-fetch-site") {
        return matches!(only(&head.headers, "sec-fetch-site"), Some(b"same-origin" | b"none"));
    }
    let Some(origin) = only(&head.headers, ORIGIN.as_str()).and_then(Origin::parse) else { return false };
    if !origins.is_empty() {
        return origins.contains(&origin);
    }
    let authority = match head.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => only(&head.headers, HOST.as_str()),
    };
    authority.is_some_and(|authority| origin.is_at(authority))
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let same = [
            ("https://a.example", "https://a.example:443"),
            ("http://a.example", "http://a.example:80"),
            ("https://A.Example", "https://a.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ];
        for (one, other) in same {
            let one = Origin::parse(one.as_bytes());
            assert!(one.is_some());
            assert_eq!(one, Origin::parse(other.as_bytes()), "{other}");
        }
        let none = [
            "",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example:",
            "https://a.example:x",
            "https://a.example:99999",
            "https://u@a.example",
            "https://a.example?x",
            "https://a b",
            "://a",
            "1s://a",
            "https://[::1",
            "https://a.example:+80",
            "https://a.example https://b.example",
        ];
        for text in none {
            assert_eq!(Origin::parse(text.as_bytes()), None, "{text}");
        }
    }
}
