//! `Authorization: Bearer …` (RFC 6750 §2.1, RFC 9110 §11.4).

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind};

/// The bearer token in the `Authorization` header: the default of [`JwtAuth`](crate::JwtAuth).
///
/// The scheme is matched in any case, and one space or more follows it (RFC 9110 §11.1). Another scheme counts as no
/// token. Two `Authorization` headers are refused, whatever their schemes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BearerHeader(());

impl BearerHeader {
    /// The extractor.
    pub fn new() -> Self {
        Self(())
    }
}

impl ExtractToken for BearerHeader {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        let mut values = head.headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials.into());
        }
        let Some(token) = after_scheme(value.as_bytes()) else { return Ok(None) };
        let token = std::str::from_utf8(token).map_err(|_| AuthErrorKind::MalformedCredential)?;
        Credential::bearer(token).map(Some)
    }
}

/// What follows `Bearer` and its spaces; `None` for another scheme.
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let end = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| {
        let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
        &rest[spaces..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Request};

    fn extract(values: &[&[u8]]) -> Result<Option<String>, AuthErrorKind> {
        let (mut head, ()) = Request::new(()).into_parts();
        for value in values {
            head.headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a legal header"));
        }
        let bearer = BearerHeader::new();
        let found = bearer.extract(&head).map_err(|error| error.kind())?;
        Ok(found.map(Credential::into_token))
    }

    /// Header values, and the token or the error.
    type Case<'c> = (&'c [&'c [u8]], Result<Option<String>, AuthErrorKind>);

    #[test]
    fn headers_are_judged() {
        let none = Ok(None);
        let token = |text: &str| Ok(Some(text.to_owned()));
        let malformed = Err(AuthErrorKind::MalformedCredential);
        let several = Err(AuthErrorKind::SeveralCredentials);
        let cases: &[Case<'_>] = &[
            (&[], none.clone()),
            (&[b"Basic dTpw"], none.clone()),
            (&[b"Bearerabc"], none.clone()),
            (&[b"Bearer\tabc"], none.clone()),
            (&[b""], none.clone()),
            (&[b"Bearer abc"], token("abc")),
            (&[b"bearer abc"], token("abc")),
            (&[b"BEARER   abc"], token("abc")),
            (&[b"bEaReR a.b-c_~+/9=="], token("a.b-c_~+/9==")),
            (&[b"Bearer abc "], token("abc")),
            (&[b"Bearer"], malformed.clone()),
            (&[b"Bearer "], malformed.clone()),
            (&[b"Bearer a b"], malformed.clone()),
            (&[b"Bearer a,b"], malformed.clone()),
            (&[b"Bearer \"abc\""], malformed.clone()),
            (&[b"Bearer a=b"], malformed.clone()),
            (&[b"Bearer =="], malformed.clone()),
            (&[b"Bearer \tabc"], malformed.clone()),
            (&[b"Bearer a\xffb"], malformed.clone()),
            (&["Bearer \u{e9}".as_bytes()], malformed),
            (&[b"Bearer abc", b"Bearer abc"], several.clone()),
            (&[b"Basic dTpw", b"Bearer abc"], several.clone()),
            (&[b"Bearer abc", b"Basic dTpw"], several),
        ];
        for (values, expected) in cases {
            assert_eq!(
                extract(values),
                *expected,
                "{:?}",
                values.iter().map(|v| v.escape_ascii().to_string()).collect::<Vec<_>>()
            );
        }
    }
}
