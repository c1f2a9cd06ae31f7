//! A parameter of the query.

use std::borrow::Cow;

use http::request::Parts;

use super::{Carrier, Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind};

/// The token in a parameter of the URI's query (RFC 6750 §2.3).
///
/// For links and event streams that cannot have headers. The token then stands in browser histories, in the logs of
/// servers and proxies, and in `Referer`: RFC 6750 advises against it, and OAuth 2.1 has dropped it. Give such tokens a
/// short life.
///
/// The parameter twice is refused with 400, and so is a broken percent-encoding in it.
#[derive(Clone, Debug)]
pub struct Query {
    name: Box<str>,
}

impl Query {
    /// The parameter of this name, in this very case.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into().into_boxed_str() }
    }

    /// The parameter `access_token`.
    pub fn access_token() -> Self {
        Self::new("access_token")
    }
}

super::combine!(Query);

impl ExtractToken for Query {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        let pairs = head.uri.query().unwrap_or_default().split('&');
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name)?.as_ref() == self.name.as_bytes()).then_some(value)
        });
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials.into());
        }
        let malformed = || AuthError::from(AuthErrorKind::MalformedCredential);
        let token = match decode(value).ok_or_else(malformed)? {
            Cow::Borrowed(_) => Cow::Borrowed(value),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| malformed())?),
        };
        Credential::carried(token, Carrier::Query).map(Some)
    }
}

/// Percent-decoding (RFC 3986 §2.1); `None` where two hexadecimal digits do not follow. A `+` stays one, and is then no
/// part of a token.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let mut parts = text.as_bytes().split(|&byte| byte == b'%');
    let plain = parts.next()?;
    if plain.len() == text.len() {
        return Some(Cow::Borrowed(plain));
    }
    let mut decoded = plain.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(digit(digits[0])? << 4 | digit(digits[1])?);
        decoded.extend_from_slice(rest);
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_strictly() {
        let cases = [
            ("", Some("")),
            ("abc", Some("abc")),
            ("a%2Eb%2ec", Some("a.b.c")),
            ("%41", Some("A")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("a%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%%41", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text).as_deref(), expected.map(str::as_bytes), "{text}");
        }
        assert_eq!(decode("%FF").as_deref(), Some(&b"\xFF"[..]));
    }
}
