//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).

use std::fmt::Write as _;
use std::sync::OnceLock;

use http::HeaderValue;

use super::answer::Challenge;
use crate::error::{AuthError, AuthErrorKind};

/// How a layer words its challenges.
#[derive(Debug)]
pub(crate) struct Challenges {
    /// The scheme and the parameters that every challenge has.
    common: String,
    bare: HeaderValue,
    /// Those with an error and nothing of one request, by kind: a flood of refusals writes each once.
    written: Box<[OnceLock<HeaderValue>]>,
}

impl Challenges {
    pub(crate) fn new(realm: Option<&str>) -> Self {
        let mut common = "Bearer".to_owned();
        if let Some(realm) = realm {
            common.push_str(" realm=");
            quote(&mut common, realm);
        }
        let bare = value(&common);
        Self { common, bare, written: AuthErrorKind::ALL.iter().map(|_| OnceLock::new()).collect() }
    }

    /// The field value, or `None` where a challenge would mislead.
    pub(crate) fn write(&self, challenge: Challenge, error: &AuthError) -> Option<HeaderValue> {
        let code = match challenge {
            Challenge::None => return None,
            Challenge::Bare => return Some(self.bare.clone()),
            Challenge::Error(code) => code,
        };
        match error.scope() {
            None => Some(self.written[error.kind() as usize].get_or_init(|| self.with_error(code, error)).clone()),
            Some(_) => Some(self.with_error(code, error)),
        }
    }

    fn with_error(&self, code: &str, error: &AuthError) -> HeaderValue {
        let mut text = self.common.clone();
        text.push_str(if text.contains('=') { ", " } else { " " });
        // Writing to a `String` does not fail.
        let _ = write!(text, "error=\"{code}\", error_description=\"{}\"", error.kind().phrase());
        if let Some(scope) = error.scope() {
            text.push_str(", scope=");
            quote(&mut text, scope);
        }
        value(&text)
    }
}

/// A quoted-string (RFC 9110 §5.6.4). What cannot stand in a header becomes a question mark.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => out.push('?'),
        }
    }
    out.push('"');
}

/// Text of visible ASCII as a header value.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AuthErrorKind;

    fn written(realm: Option<&str>, challenge: Challenge) -> Option<String> {
        let error = AuthError::new(AuthErrorKind::Expired).with_scope("a b");
        let value = Challenges::new(realm).write(challenge, &error)?;
        Some(value.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn parameters_are_separated_by_commas() {
        assert_eq!(written(None, Challenge::None), None);
        assert_eq!(written(None, Challenge::Bare).as_deref(), Some("Bearer"));
        assert_eq!(written(Some("shop"), Challenge::Bare).as_deref(), Some(r#"Bearer realm="shop""#));
        assert_eq!(
            written(Some("shop"), Challenge::Error("x")).as_deref(),
            Some(r#"Bearer realm="shop", error="x", error_description="the token has expired", scope="a b""#)
        );
        assert_eq!(
            written(None, Challenge::Error("x")).as_deref(),
            Some(r#"Bearer error="x", error_description="the token has expired", scope="a b""#)
        );
    }

    #[test]
    fn a_realm_cannot_break_out_of_its_quotes() {
        assert_eq!(
            written(Some("a\"b\\c\r\nd\u{e9}"), Challenge::Bare).as_deref(),
            Some(r#"Bearer realm="a\"b\\c??d?""#)
        );
    }
}
