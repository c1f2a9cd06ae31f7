//! `htu`: the URL of the request, without query and fragment (RFC 9449 §4.2, §4.3).
//!
//! - Compared after the normalization of RFC 3986 §6.2.2 and §6.2.3: the case of scheme and host, the default port, the
//!   empty path, percent-encodings.

use std::fmt::{self, Write as _};

use crate::error::ConfigError;
use crate::quote;

/// A URL under which clients reach the service, normalized, its path without a slash at the end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    url: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let refused = || {
            ConfigError::new(format!(
                "{} is not the URL of a service: write it like `https://api.example.com`, without query and user",
                quote::url(url)
            ))
        };
        if url.contains(['?', '#']) {
            return Err(refused());
        }
        let mut url = normalize(url).ok_or_else(refused)?;
        while url.ends_with('/') {
            url.pop();
        }
        Ok(Self { url })
    }

    /// True when `htu`, [normalized](normalize), is this URL with `path` behind it.
    pub(super) fn is(&self, htu: &str, path: &str) -> bool {
        let Some(rest) = htu.strip_prefix(self.url.as_str()) else { return false };
        rest == normalize_path(path)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The normal form of a URL without its query and fragment; `None` where it is no http URL.
pub(super) fn normalize(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(default_port).or(authority.strip_suffix(':')).unwrap_or(&authority);
    if authority.is_empty() || authority.contains('@') || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    Some(format!("{scheme}://{authority}{}", normalize_path(path)))
}

/// Percent-encodings in capitals, and none for what needs none; a slash where there is nothing.
fn normalize_path(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte =
            part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok().filter(|_| !part.starts_with('+')));
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            // Writing to a `String` does not fail.
            Some(byte) => drop(write!(out, "%{byte:02X}")),
            None => out.push('%'),
        }
        out.push_str(&part[if byte.is_some() { 2 } else { 0 }..]);
    }
    if out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_recognized_in_every_spelling_of_its_url_and_in_no_other() {
        // the service, the path that the layer sees, `htu`, whether it is this request
        let cases = [
            ("https://a.example", "/x", "https://a.example/x", true),
            ("https://a.example/", "/x", "HTTPS://A.EXAMPLE:443/x", true),
            ("https://a.example:8443", "/x", "https://a.example:8443/x", true),
            ("https://a.example", "/x", "https://a.example/x?y=z#f", true),
            ("https://a.example", "/", "https://a.example", true),
            ("https://a.example", "/", "https://a.example/", true),
            ("https://a.example", "/a%7eb%2f", "https://a.example/a~b%2F", true),
            ("https://a.example/api", "/x", "https://a.example/api/x", true),
            ("https://a.example/api/", "/", "https://a.example/api/", true),
            ("http://[::1]:80", "/x", "http://[::1]/x", true),
            ("https://a.example", "/x", "https://a.example/X", false),
            ("https://a.example", "/x", "https://a.example/x/", false),
            ("https://a.example", "/x", "http://a.example/x", false),
            ("https://a.example", "/x", "https://a.example:444/x", false),
            ("https://a.example", "/x", "https://b.example/x", false),
            ("https://a.example", "/x", "https://a.example.evil/x", false),
            ("https://a.example", "/x", "https://a.example@evil/x", false),
            ("https://a.example/api", "/x", "https://a.example/x", false),
            ("https://a.example/api", "/x", "https://a.example/apix", false),
            ("https://a.example", "/a/b", "https://a.example/a%2Fb", false),
            ("https://a.example", "/x", "/x", false),
            ("https://a.example", "/x", "", false),
        ];
        for (service, path, htu, expected) in cases {
            let target = Target::parse(service).expect("a URL");
            assert_eq!(normalize(htu).is_some_and(|htu| target.is(&htu, path)), expected, "{service} {path} {htu}");
        }
        for wrong in ["a.example", "ftp://a.example", "https://", "https://u@a.example", "https://a.example?x", "x"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
