//! What several modules share: claims, verdicts, and a reader of challenges.

use std::collections::BTreeMap;

use serde::Deserialize;
use tower_jwt_auth::{AuthErrorKind, Verifier};

/// Claims as a service would have them.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
}

/// What a verifier says of a token.
pub(crate) async fn verdict(verifier: &Verifier<serde_json::Value>, token: &str) -> Result<(), AuthErrorKind> {
    verifier.verify(token).await.map(drop).map_err(|error| error.kind())
}

/// A challenge: its scheme and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadChallenge {
    pub(crate) scheme: String,
    pub(crate) params: BTreeMap<String, String>,
}

impl ReadChallenge {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }
}

/// Reads one challenge by the grammar of RFC 9110 §11.6.1, and panics where it is not followed.
pub(crate) fn read_challenge(text: &str) -> ReadChallenge {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    assert!(is_token(scheme), "the scheme of {text:?}");
    let mut params = BTreeMap::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("a parameter in {text:?}"));
        assert!(is_token(name), "{name:?} in {text:?}");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => value.push(characters.next().expect("a quoted pair").1),
                Some((at, '"')) => break at,
                Some((_, c @ (' '..='~' | '\t'))) => value.push(c),
                other => panic!("{other:?} in {text:?}"),
            }
        };
        assert!(params.insert(name.to_owned(), value).is_none(), "{name} twice in {text:?}");
        rest = &after[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(", ").unwrap_or_else(|| panic!("a comma in {text:?}"));
            assert!(!rest.is_empty(), "a parameter after the comma in {text:?}");
        }
    }
    ReadChallenge { scheme: scheme.to_owned(), params }
}

#[test]
fn the_reader_of_challenges_is_strict() {
    let read = read_challenge(r#"Bearer realm="a\"b", error="c""#);
    assert_eq!((read.scheme.as_str(), read.param("realm"), read.param("error")), ("Bearer", Some("a\"b"), Some("c")));
    for wrong in [r#"Bearer a="b" c="d""#, r#"Bearer a="b","#, r#"Bearer a="b"#, "Bearer a=b", r#"B"r a="b""#] {
        assert!(std::panic::catch_unwind(|| read_challenge(wrong)).is_err(), "{wrong}");
    }
}
