//! A judge of answers: are they well-formed, and do they say what the error says?

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use tower_jwt_auth::{AuthError, AuthErrorKind};

/// A challenge: its scheme and its parameters.
pub struct Challenge {
    pub scheme: String,
    pub params: BTreeMap<String, String>,
}

impl Challenge {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// Reads one challenge by the grammar of RFC 9110 §11.6.1, and panics where it is not followed.
    pub fn read(text: &str) -> Self {
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        assert!(is_token(scheme), "the scheme of {text:?}");
        assert!(!text.ends_with(' '), "a space at the end of {text:?}");
        let mut params = BTreeMap::new();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a parameter in {text:?}"));
            assert!(is_token(name), "{name:?} in {text:?}");
            let (value, end) = quoted(after).unwrap_or_else(|| panic!("the value of {name:?} in {text:?}"));
            assert!(params.insert(name.to_owned(), value).is_none(), "{name:?} twice in {text:?}");
            rest = &after[end..];
            if !rest.is_empty() {
                rest = rest.strip_prefix(", ").unwrap_or_else(|| panic!("a comma in {text:?}"));
                assert!(!rest.is_empty(), "a parameter after the comma in {text:?}");
            }
        }
        Self { scheme: scheme.to_owned(), params }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A quoted-string behind its first quote: its value, and where it ends.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (_, '\\') => value.push(characters.next()?.1),
            (at, '"') => return Some((value, at + 1)),
            (_, c @ (' '..='~' | '\t')) => value.push(c),
            _ => return None,
        }
    }
}

/// The challenges of an answer.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    lines.map(|line| Challenge::read(line.to_str().expect("visible ASCII"))).collect()
}

/// Judges an answer that the layer or a guard gave by itself, and returns its kind of error.
pub fn check<B>(answer: &Response<B>) -> AuthErrorKind {
    let error = answer.extensions().get::<AuthError>().expect("the error stands in the extensions");
    let (kind, headers) = (error.kind(), answer.headers());
    let code = match headers.get("grpc-status") {
        None => answer.status(),
        Some(code) => {
            assert_eq!(answer.status(), StatusCode::OK, "{kind}");
            let message = headers["grpc-message"].as_bytes();
            assert!(message.iter().all(|byte| matches!(byte, b' '..=b'~')), "{kind}");
            assert!(headers["content-type"].as_bytes().starts_with(b"application/grpc"));
            match code.as_bytes() {
                b"16" if is_malformed(kind) => StatusCode::BAD_REQUEST,
                b"16" => StatusCode::UNAUTHORIZED,
                b"7" => StatusCode::FORBIDDEN,
                b"14" => StatusCode::SERVICE_UNAVAILABLE,
                other => panic!("grpc-status {other:?} for {kind}"),
            }
        }
    };
    let challenges = challenges(headers);
    assert!(challenges.iter().all(|challenge| matches!(&*challenge.scheme, "Bearer" | "DPoP")));
    let codes: Vec<_> = challenges.iter().map(|challenge| challenge.param("error")).collect();
    match code {
        StatusCode::UNAUTHORIZED if kind == AuthErrorKind::MissingToken => {
            assert!(!codes.is_empty() && codes.iter().all(Option::is_none), "{codes:?}");
        }
        StatusCode::UNAUTHORIZED => {
            let known = ["invalid_token", "invalid_dpop_proof", "use_dpop_nonce", "insufficient_user_authentication"];
            assert!(matches!(*codes, [Some(code)] if known.contains(&code)), "{kind}: {codes:?}");
        }
        StatusCode::BAD_REQUEST => {
            assert!(is_malformed(kind) && codes == [Some("invalid_request")], "{kind}: {codes:?}");
        }
        StatusCode::FORBIDDEN if kind == AuthErrorKind::InsufficientScope => {
            assert_eq!(codes, [Some("insufficient_scope")]);
        }
        StatusCode::FORBIDDEN => assert!(codes.is_empty(), "{kind}: {codes:?}"),
        StatusCode::SERVICE_UNAVAILABLE => {
            assert!(codes.is_empty() && kind.is_our_fault(), "{kind}: {codes:?}");
            let wait = headers.get(RETRY_AFTER).or(headers.get("grpc-retry-pushback-ms"));
            assert!(wait.is_some_and(|wait| wait.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())), "{kind}");
        }
        other => panic!("{other} for {kind}"),
    }
    if matches!(code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{kind}");
    }
    for challenge in &challenges {
        if let Some(words) = challenge.param("error_description") {
            assert_eq!(words, kind.phrase());
        }
    }
    kind
}

fn is_malformed(kind: AuthErrorKind) -> bool {
    matches!(kind, AuthErrorKind::MalformedCredential | AuthErrorKind::SeveralCredentials)
}
