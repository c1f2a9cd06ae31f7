//! `Authorization: Bearer …` (RFC 6750 §2.1, RFC 9110 §11.4).

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{Carrier, Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind};
use crate::scheme::Scheme;

/// The bearer token in the `Authorization` header: the default of [`JwtAuth`](crate::JwtAuth).
///
/// The scheme is matched in any case, and one space or more follows it (RFC 9110 §11.1). Another scheme counts as no
/// token, and so does `DPoP` (RFC 9449 §7.1) where the layer does not take it. Two `Authorization` headers are refused, whatever their schemes.
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
        match Self::find(head)? {
            // Whether `DPoP` counts is for the layer to say, and only then how it is formed.
            Some(credential) if credential.scheme() == Scheme::Bearer && !credential.is_well_formed() => {
                Err(AuthErrorKind::MalformedCredential.into())
            }
            found => Ok(found),
        }
    }
}

impl BearerHeader {
    /// The token, its form not judged: one that verifies has it, so that only a refused one need be looked at.
    pub(crate) fn find(head: &Parts) -> Result<Option<Credential<'_>>, AuthErrorKind> {
        let mut values = head.headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials);
        }
        let Some((scheme, token)) = after_scheme(value.as_bytes())? else { return Ok(None) };
        let token = std::str::from_utf8(token).map_err(|_| AuthErrorKind::MalformedCredential)?;
        Ok(Some(Credential::unchecked(token.into(), scheme, Carrier::Authorization)))
    }
}

super::combine!(BearerHeader);

const SCHEMES: &[(&[u8], Scheme)] = &[(b"bearer", Scheme::Bearer), (b"dpop", Scheme::Dpop)];

/// What follows the name of a scheme and its spaces; `None` for other schemes.
///
/// # Errors
/// Where a token is there in a form that is not one's: it must not pass for "no token" and then for anonymous.
fn after_scheme(value: &[u8]) -> Result<Option<(Scheme, &[u8])>, AuthErrorKind> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let value = value.trim_ascii();
    let after = |text: &'_ [u8]| {
        let starts = |name: &[u8]| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        SCHEMES.iter().find(|(name, _)| starts(name)).map(|(name, scheme)| (*scheme, name.len()))
    };
    if let Some((scheme, end)) = after(value) {
        let rest = &value[end..];
        return match rest.first() {
            // Spaces alone, and no tabs (RFC 9110 §11.4).
            Some(b' ') | None => {
                let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
                Ok(Some((scheme, &rest[spaces..])))
            }
            // The name of a longer scheme.
            Some(&byte) if is_token(byte) && byte != b'=' => Ok(None),
            Some(_) => Err(AuthErrorKind::MalformedCredential),
        };
    }
    // Two fields that something on the way has joined into one (RFC 9110 §5.3).
    let mut members = value.split(|&byte| byte == b',').skip(1).map(<[u8]>::trim_ascii_start);
    let is_joined = members.any(|member| after(member).is_some_and(|(_, end)| member.get(end) == Some(&b' ')));
    if is_joined { Err(AuthErrorKind::SeveralCredentials) } else { Ok(None) }
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
            (&[b"Bearer-x abc"], none.clone()),
            (&[b"Digest username=\"a, bearers\""], none.clone()),
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
            (&[b"Bearer\tabc"], malformed.clone()),
            (&[b"Bearer:abc"], malformed.clone()),
            (&[b"Bearer=abc"], malformed.clone()),
            (&[b"Bearer,abc"], malformed.clone()),
            (&[b"Bearer\xa0abc"], malformed.clone()),
            (&[b"Bearer a, Basic b"], malformed.clone()),
            (&[b"Basic dTpw, Bearer abc"], several.clone()),
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
