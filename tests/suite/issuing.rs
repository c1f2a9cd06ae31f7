//! Issued tokens: accepted by the verifier, whatever the algorithm; and what is refused is refused before it is signed.

mod keys;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::{IssueErrorKind, SigningKey, TokenIssuer};
use tower_jwt_auth::{Algorithm, Issuer, Verifier};

const NAME: &str = "https://login.test";
const NOW: i64 = 1_700_000_000;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    client_id: &'a str,
    scope: &'a str,
    roles: [&'a str; 2],
}

const CLAIMS: Claims<'static> =
    Claims { sub: "user-1", client_id: "shop", scope: "orders:read orders:write", roles: ["buyer", "söller \"x\""] };

pub(crate) fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|&algorithm| SigningKey::generate(algorithm).is_ok())
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).expect("the backend has it")
}

fn issuer(key: &SigningKey) -> TokenIssuer {
    TokenIssuer::builder(NAME, key.clone()).audience("orders").build().expect("valid")
}

/// A verifier as strict as it gets: the access-token profile, and an audience.
fn verifier(key: &SigningKey, audience: &str) -> Verifier<Value> {
    let trusted = Issuer::new(NAME, key.key_set().expect("a good key")).audience(audience).access_token_profile();
    Verifier::new(trusted).expect("valid")
}

/// A segment of a token.
fn segment(token: &str, at: usize) -> Value {
    use base64::Engine as _;
    let segment = token.split('.').nth(at).expect("three segments");
    let json = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(segment).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

#[tokio::test]
async fn every_algorithm_of_the_backend_makes_the_way_to_the_verifier_and_back() {
    let lacking = if cfg!(feature = "aws-lc-rs") { 0 } else { 4 };
    assert_eq!(algorithms().count(), Algorithm::ALL.len() - lacking);
    for algorithm in algorithms() {
        let key = SigningKey::generate(algorithm).expect("it has just been");
        let token = issuer(&key).issue(&CLAIMS).expect("issued");
        let jwt = verifier(&key, "orders").verify(token.as_str()).await.unwrap_or_else(|error| {
            panic!("{algorithm}: {error}");
        });
        assert_eq!(jwt.claims()["roles"], json!(["buyer", "söller \"x\""]), "{algorithm}");
        assert_eq!(jwt.claims()["jti"], token.jti(), "{algorithm}");
        assert_eq!(jwt.claims()["exp"], token.expires_at().as_secs(), "{algorithm}");
        let header = segment(token.as_str(), 0);
        assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm.name()), &json!("at+jwt")), "{algorithm}");
        assert_eq!(header.get("kid").and_then(Value::as_str), key.kid(), "{algorithm}");
        assert_eq!(key.kid().is_none(), algorithm.is_symmetric(), "{algorithm}");
        assert_eq!(key.jwks().is_none(), algorithm.is_symmetric(), "a secret is never published: {algorithm}");
        if let Some(jwks) = key.jwks() {
            let published = tower_jwt_auth::KeySet::jwk_set(jwks).expect("a JWK set");
            let trusted = Issuer::new(NAME, published).audience("orders");
            let verifier = Verifier::<Value>::new(trusted).expect("valid");
            assert!(verifier.verify(token.as_str()).await.is_ok(), "{algorithm}");
        }
        let another = verifier(&SigningKey::generate(algorithm).expect("it has just been"), "orders");
        assert!(another.verify(token.as_str()).await.is_err(), "{algorithm}");
    }
}

#[test]
fn a_token_has_what_rfc_9068_wants_and_a_random_name() {
    let clock = Clock::manual(UnixTime::from_secs(NOW));
    clock.advance(Duration::from_millis(999));
    let issuer = TokenIssuer::builder(NAME, key()).audience("orders").audience("stock").clock(clock).build();
    let issuer = issuer.expect("valid");
    let token = issuer.token().subject("u\"1").client("shop").scopes(["a", "b"]).sign().expect("issued");
    let expected = json!({
        "iss": NAME, "aud": ["orders", "stock"], "iat": NOW, "exp": NOW + 300, "jti": token.jti(),
        "sub": "u\"1", "client_id": "shop", "scope": "a b",
    });
    assert_eq!(segment(token.as_str(), 1), expected);
    assert_eq!((token.issued_at(), token.expires_at()), (UnixTime::from_secs(NOW), UnixTime::from_secs(NOW + 300)));
    let mut names: Vec<String> = (0..1000).map(|_| issuer.token().sign().expect("issued").jti().to_owned()).collect();
    assert!(names.iter().all(|name| name.len() == 22), "128 bits in base64url");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1000);
}

#[tokio::test]
async fn one_token_may_have_another_audience_and_lifetime() {
    let key = key();
    let issuer = issuer(&key);
    let token = issuer.token().audience("stock").lifetime(Duration::from_secs(60)).issue(&CLAIMS).expect("issued");
    assert_eq!(token.expires_at().as_secs() - token.issued_at().as_secs(), 60);
    assert!(verifier(&key, "stock").verify(token.as_str()).await.is_ok());
    assert!(verifier(&key, "orders").verify(token.as_str()).await.is_err());
}

#[test]
fn a_claim_is_set_once() {
    let issuer = issuer(&key());
    for name in ["iss", "aud", "iat", "exp", "jti"] {
        let error = issuer.issue(&json!({"sub": "u", name: null})).expect_err(name);
        assert_eq!(error.kind(), IssueErrorKind::ReservedClaim);
        assert!(error.to_string().contains(name), "{error}");
    }
    for (name, request) in [
        ("sub", issuer.token().subject("u")),
        ("client_id", issuer.token().client("c")),
        ("scope", issuer.token().scopes(["s"])),
    ] {
        let error = request.issue(&json!({name: "other"})).expect_err(name);
        assert_eq!(error.kind(), IssueErrorKind::ReservedClaim);
        assert!(issuer.issue(&json!({name: "other"})).is_ok(), "{name}");
    }
    let twice = issuer.token().subject("first").subject("last").sign().expect("issued");
    assert_eq!(segment(twice.as_str(), 1)["sub"], "last");
}

#[test]
fn claims_that_a_verifier_would_refuse_are_not_signed() {
    #[derive(Serialize)]
    struct Twice {
        a: u8,
        #[serde(flatten)]
        more: std::collections::BTreeMap<&'static str, u8>,
    }
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("secret"))
        }
    }
    let issuer = issuer(&key());
    let invalid = [
        issuer.issue(&Twice { a: 1, more: [("a", 2)].into() }),
        issuer.issue(&Unwritable),
        issuer.issue(&json!({"sub": 7})),
        issuer.issue(&json!({"client_id": ["shop"]})),
        issuer.issue(&json!({"nbf": "tomorrow"})),
        issuer.issue(&json!({"events": {}})),
        issuer.issue(&json!([])),
        issuer.issue("sub"),
        issuer.issue(&()),
        issuer.issue(&None::<Claims<'_>>),
    ];
    for (at, outcome) in invalid.into_iter().enumerate() {
        let error = outcome.expect_err("refused");
        assert_eq!(error.kind(), IssueErrorKind::InvalidClaims, "{at}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_as_long_as_verifiers_take_and_no_longer() {
    let key = key();
    let issuer = issuer(&key);
    let with = |len: usize| issuer.token().subject("u").client("c").issue(&json!({"x": "x".repeat(len)}));
    let longest = (0..16 * 1024).rev().find(|&len| with(len).is_ok()).expect("an empty one fits");
    let token = with(longest).expect("it has just been issued");
    assert!(token.as_str().len() > 16 * 1024 - 4);
    assert!(verifier(&key, "orders").verify(token.as_str()).await.is_ok());
    assert_eq!(with(longest + 1).expect_err("too long").kind(), IssueErrorKind::TooLong);
}

#[test]
fn lifetimes_have_bounds() {
    let hour = Duration::from_secs(3600);
    let second = Duration::from_secs(1);
    let build = |lifetime| TokenIssuer::builder(NAME, key()).audience("orders").lifetime(lifetime).build();
    assert!(build(second).is_ok() && build(hour).is_ok());
    for wrong in [Duration::ZERO, Duration::from_nanos(999_999_999), hour + second] {
        assert!(build(wrong).is_err(), "{wrong:?}");
    }
    let error = build(hour + second).expect_err("too long").to_string();
    assert!(error.contains("danger_long_lifetime"), "{error}");

    let issuer = build(second).expect("valid");
    assert!(issuer.token().lifetime(hour).sign().is_ok());
    for wrong in [Duration::ZERO, hour + second] {
        let error = issuer.token().lifetime(wrong).sign().expect_err("out of bounds");
        assert_eq!(error.kind(), IssueErrorKind::LifetimeOutOfBounds);
    }
    let long = TokenIssuer::builder(NAME, key()).audience("orders").danger_long_lifetime(24 * hour).build();
    let long = long.expect("valid");
    assert!(long.token().lifetime(24 * hour).sign().is_ok());
    assert!(long.token().lifetime(24 * hour + second).sign().is_err());
    let endless = TokenIssuer::builder(NAME, key()).audience("orders").danger_long_lifetime(Duration::MAX).build();
    let token = endless.expect("valid").token().lifetime(Duration::MAX).sign().expect("it saturates");
    assert!(token.expires_at() > token.issued_at());
}

#[test]
fn whom_tokens_are_for_has_to_be_said() {
    let builder = || TokenIssuer::builder(NAME, key());
    assert!(builder().build().is_err());
    assert!(builder().audience("").build().is_err());
    let issuer = builder().danger_no_audience().build().expect("valid");
    assert_eq!(segment(issuer.token().sign().expect("issued").as_str(), 1).get("aud"), None);
    let token = issuer.token().audience("orders").sign().expect("issued");
    assert_eq!(segment(token.as_str(), 1)["aud"], "orders");

    for name in [String::new(), "x".repeat(513)] {
        assert!(TokenIssuer::builder(name, key()).audience("orders").build().is_err());
    }
    for wrong in ["", "JWT\"", "at jwt"] {
        assert!(builder().audience("orders").token_type(wrong).build().is_err(), "{wrong}");
    }
    let older = builder().audience("orders").token_type("JWT").build().expect("valid");
    assert_eq!(segment(older.token().sign().expect("issued").as_str(), 0)["typ"], "JWT");
}
