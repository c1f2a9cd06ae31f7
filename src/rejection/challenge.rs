//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).

use std::fmt::Write as _;
use std::sync::OnceLock;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use super::answer::Challenge;
use crate::error::{AuthError, AuthErrorKind};
use crate::meters::GuardMeter;
use crate::scheme::Scheme;

/// What every challenge of a layer says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) realm: Option<Box<str>>,
    /// Where the metadata of the protected resource is (RFC 9728 §5.1).
    pub(crate) resource_metadata: Option<Box<str>>,
    /// The scopes to ask for, where the token at hand is of no use (RFC 6750 §3).
    pub(crate) scope: Option<Box<str>>,
    /// The algorithms of DPoP proofs, where they are taken.
    pub(crate) dpop_algorithms: Option<Box<str>>,
    /// No bearer tokens are taken.
    pub(crate) dpop_only: bool,
}

/// How a layer words its challenges: for each scheme that it accepts.
#[derive(Debug)]
pub(crate) struct Challenges {
    bearer: Option<Challenger>,
    dpop: Option<Challenger>,
    /// What the guards that speak with these words have refused.
    pub(crate) guards: GuardMeter,
}

/// The challenges of one scheme.
#[derive(Debug)]
struct Challenger {
    /// The scheme and the parameters that every challenge has.
    common: String,
    scope: Option<Box<str>>,
    bare: HeaderValue,
    /// Those with an error and nothing of one request, by kind: a flood of refusals writes each once.
    written: Box<[OnceLock<HeaderValue>]>,
}

impl Challenges {
    pub(crate) fn new(words: &Words) -> Self {
        let dpop = words.dpop_algorithms.as_deref();
        Self {
            bearer: (!words.dpop_only).then(|| Challenger::new("Bearer", words, None)),
            dpop: dpop.map(|algorithms| Challenger::new("DPoP", words, Some(algorithms))),
            guards: GuardMeter::new(),
        }
    }

    /// Those of a service without a layer in front.
    pub(crate) fn plain() -> Self {
        Self::new(&Words::default())
    }

    /// Adds the challenge to the headers of an answer: one field line for each accepted scheme where no credential
    /// came, and else one, in the scheme that was presented.
    pub(crate) fn write(&self, headers: &mut HeaderMap, challenge: Challenge, scheme: Scheme, error: &AuthError) {
        headers.remove(WWW_AUTHENTICATE);
        let (scheme, code) = match challenge {
            Challenge::None => return,
            Challenge::Bare => {
                for one in self.bearer.iter().chain(&self.dpop) {
                    headers.append(WWW_AUTHENTICATE, one.bare.clone());
                }
                return;
            }
            Challenge::Error(code) => (scheme, code),
            Challenge::Dpop(code) => (Scheme::Dpop, code),
        };
        let challenger = match scheme {
            Scheme::Bearer => self.bearer.as_ref().or(self.dpop.as_ref()),
            Scheme::Dpop => self.dpop.as_ref().or(self.bearer.as_ref()),
        };
        if let Some(challenger) = challenger {
            headers.append(WWW_AUTHENTICATE, challenger.error(code, error));
        }
    }
}

impl Challenger {
    fn new(scheme: &str, words: &Words, algorithms: Option<&str>) -> Self {
        let mut common = scheme.to_owned();
        let params = [
            ("realm", words.realm.as_deref()),
            ("algs", algorithms),
            ("resource_metadata", words.resource_metadata.as_deref()),
        ];
        for (name, text) in params {
            add(&mut common, name, text);
        }
        let mut bare = common.clone();
        add(&mut bare, "scope", words.scope.as_deref());
        let written = AuthErrorKind::ALL.iter().map(|_| OnceLock::new()).collect();
        Self { common, scope: words.scope.clone(), bare: value(&bare), written }
    }

    fn error(&self, code: &str, error: &AuthError) -> HeaderValue {
        match (error.scope(), error.params()) {
            (None, None) => self.written[error.kind() as usize].get_or_init(|| self.with_error(code, error)).clone(),
            _ => self.with_error(code, error),
        }
    }

    fn with_error(&self, code: &str, error: &AuthError) -> HeaderValue {
        let mut text = self.common.clone();
        separate(&mut text);
        // Writing to a `String` does not fail.
        let _ = write!(text, "error=\"{code}\", error_description=\"{}\"", error.kind().phrase());
        let to_ask_for = self.scope.as_deref().filter(|_| code == "invalid_token");
        add(&mut text, "scope", error.scope().or(to_ask_for));
        if let Some(params) = error.params() {
            text.push_str(", ");
            text.push_str(params);
        }
        value(&text)
    }
}

/// Adds a parameter, if there is one.
fn add(challenge: &mut String, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        separate(challenge);
        challenge.push_str(&param(name, text));
    }
}

/// A space after the scheme, a comma after a parameter.
fn separate(text: &mut String) {
    text.push_str(if text.contains('=') { ", " } else { " " });
}

/// A parameter of a challenge.
pub(crate) fn param(name: &str, text: &str) -> String {
    let mut out = format!("{name}=");
    quote(&mut out, text);
    out
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

    fn written(words: &Words, challenge: Challenge, scheme: Scheme) -> Vec<String> {
        let error = AuthError::new(AuthErrorKind::Expired).with_scope("a b");
        let mut headers = HeaderMap::new();
        Challenges::new(words).write(&mut headers, challenge, scheme, &error);
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        values.map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }

    #[test]
    fn parameters_are_separated_by_commas() {
        let (none, shop) = (Words::default(), Words { realm: Some("shop".into()), ..Words::default() });
        let (bearer, error) = (Scheme::Bearer, Challenge::Error("x"));
        assert!(written(&none, Challenge::None, bearer).is_empty());
        assert_eq!(written(&none, Challenge::Bare, bearer), ["Bearer"]);
        assert_eq!(written(&shop, Challenge::Bare, bearer), [r#"Bearer realm="shop""#]);
        assert_eq!(
            written(&shop, error, bearer),
            [r#"Bearer realm="shop", error="x", error_description="the token has expired", scope="a b""#]
        );
        assert_eq!(
            written(&none, error, bearer),
            [r#"Bearer error="x", error_description="the token has expired", scope="a b""#]
        );
    }

    #[test]
    fn every_scheme_has_a_line_where_no_credential_came_and_else_the_one_presented() {
        let both = Words {
            dpop_algorithms: Some("ES256 EdDSA".into()),
            resource_metadata: Some("https://a.example/m".into()),
            ..Words::default()
        };
        let metadata = r#"resource_metadata="https://a.example/m""#;
        assert_eq!(
            written(&both, Challenge::Bare, Scheme::Bearer),
            [format!("Bearer {metadata}"), format!(r#"DPoP algs="ES256 EdDSA", {metadata}"#)]
        );
        let error = r#"error_description="the token has expired", scope="a b""#;
        let dpop = |code: &str| [format!(r#"DPoP algs="ES256 EdDSA", {metadata}, error="{code}", {error}"#)];
        assert_eq!(
            written(&both, Challenge::Error("x"), Scheme::Bearer),
            [format!(r#"Bearer {metadata}, error="x", {error}"#)]
        );
        assert_eq!(written(&both, Challenge::Error("x"), Scheme::Dpop), dpop("x"));
        assert_eq!(written(&both, Challenge::Dpop("y"), Scheme::Bearer), dpop("y"));
        let only = Words { dpop_only: true, ..both };
        assert_eq!(written(&only, Challenge::Bare, Scheme::Bearer).len(), 1);
        assert_eq!(written(&only, Challenge::Error("x"), Scheme::Bearer), dpop("x"));
    }

    #[test]
    fn the_scopes_to_ask_for_are_said_where_another_token_is_needed() {
        let words = Words { realm: Some("shop".into()), scope: Some("a:read b".into()), ..Words::default() };
        let challenges = Challenges::new(&words);
        let written = |challenge, error: AuthError| {
            let mut headers = HeaderMap::new();
            challenges.write(&mut headers, challenge, Scheme::Bearer, &error);
            headers[WWW_AUTHENTICATE].to_str().expect("ASCII").to_owned()
        };
        let phrase = |kind: AuthErrorKind| format!("error_description=\"{}\"", kind.phrase());
        let (missing, expired, needed) =
            (AuthErrorKind::MissingToken, AuthErrorKind::Expired, AuthErrorKind::InsufficientScope);
        let malformed = AuthErrorKind::MalformedCredential;
        assert_eq!(written(Challenge::Bare, missing.into()), r#"Bearer realm="shop", scope="a:read b""#);
        assert_eq!(
            written(Challenge::Error("invalid_token"), expired.into()),
            format!(r#"Bearer realm="shop", error="invalid_token", {}, scope="a:read b""#, phrase(expired))
        );
        assert_eq!(
            written(Challenge::Error("insufficient_scope"), AuthError::new(needed).with_scope("c")),
            format!(r#"Bearer realm="shop", error="insufficient_scope", {}, scope="c""#, phrase(needed))
        );
        assert_eq!(
            written(Challenge::Error("invalid_request"), malformed.into()),
            format!(r#"Bearer realm="shop", error="invalid_request", {}"#, phrase(malformed))
        );
    }

    #[test]
    fn a_realm_cannot_break_out_of_its_quotes() {
        let words = Words { realm: Some("a\"b\\c\r\nd\u{e9}".into()), ..Words::default() };
        assert_eq!(written(&words, Challenge::Bare, Scheme::Bearer), [r#"Bearer realm="a\"b\\c??d?""#]);
    }
}
