//! The engine without HTTP: whole tokens against whole policies. Each rule from both sides: see `tests/attacks`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::keys::{Key, KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::{Check, CheckReport, VerifierBuilder};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, KeySet, Verifier};

use crate::support::verdict;

const LACKING: &[Algorithm] = if cfg!(feature = "aws-lc-rs") {
    &[]
} else {
    &[Algorithm::ES512, Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87]
};

fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|algorithm| !LACKING.contains(algorithm))
}

fn verifier(issuer: Issuer) -> Verifier<Value> {
    Verifier::new(issuer).expect("a valid configuration")
}

#[tokio::test]
async fn every_algorithm_of_the_backend_verifies_its_own_tokens_and_no_tampered_ones() {
    for algorithm in algorithms() {
        let authority = Authority::new(algorithm);
        let verifier = verifier(authority.trusted());
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()), "{algorithm}");
        let tampered = authority.token().tampered().sign();
        assert_eq!(verdict(&verifier, &tampered).await, Err(Kind::InvalidSignature), "{algorithm}");
        let unsigned = authority.token().unsigned().sign();
        assert_eq!(verdict(&verifier, &unsigned).await, Err(Kind::InvalidSignature), "{algorithm}");
        let other = Authority::new(algorithm);
        let foreign = authority.token().signed_by(&other).sign();
        assert_eq!(verdict(&verifier, &foreign).await, Err(Kind::InvalidSignature), "{algorithm}");
    }
}

#[test]
fn an_algorithm_that_the_backend_lacks_is_a_configuration_error() {
    let authority = Authority::new(Algorithm::ES256);
    for &algorithm in LACKING {
        let issuer = authority.trusted().algorithms([algorithm, Algorithm::ES256]);
        let error = Verifier::<Value>::new(issuer).expect_err("lacking").to_string();
        assert!(error.contains("aws-lc-rs"), "{error}");
    }
}

#[tokio::test]
async fn a_token_of_16_kib_passes_and_one_byte_more_does_not() {
    let authority = Authority::new(Algorithm::HS256);
    let verifier = verifier(authority.trusted());
    let of_len = |fill: usize| authority.token().claim("fill", "x".repeat(fill)).sign();
    let base = of_len(0).len();
    // Four characters of base64url are three bytes of payload.
    let fill = (base..).step_by(1).find(|fill| of_len(*fill).len() >= 16 * 1024).expect("grows");
    let longest = (0..4).map(|less| of_len(fill - less)).find(|token| token.len() <= 16 * 1024).expect("one fits");
    assert!(longest.len() >= 16 * 1024 - 2);
    assert_eq!(verdict(&verifier, &longest).await, Ok(()));
    assert_eq!(verdict(&verifier, &of_len(fill + 1)).await, Err(Kind::TokenTooLong));
}

#[tokio::test]
async fn trailing_bits_of_a_signature_do_not_make_a_second_token() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().sign();
    // 64 bytes leave two characters of which the last carries 4 unused bits.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&token[token.len() - 1..]).expect("base64url");
    for other in (0..64).filter(|other| other / 16 == last / 16 && *other != last) {
        let twin = format!("{}{}", &token[..token.len() - 1], &alphabet[other..=other]);
        assert_eq!(verdict(&verifier, &twin).await, Err(Kind::MalformedToken));
    }
}

#[tokio::test]
async fn an_expired_token_is_told_so_even_where_its_claims_have_changed() {
    #[derive(Deserialize, Debug)]
    struct Strict {
        #[expect(dead_code)]
        tenant: u64,
    }
    let authority = Authority::new(Algorithm::ES256);
    let verifier = Verifier::<Strict>::new(authority.trusted()).expect("valid");
    let kind = async |token: String| verifier.verify(&token).await.map(drop).map_err(|error| error.kind());
    assert_eq!(kind(authority.token().claim("tenant", 1).sign()).await, Ok(()));
    assert_eq!(kind(authority.token().sign()).await, Err(Kind::ClaimsMismatch));
    assert_eq!(kind(authority.token().expires_in(-60).sign()).await, Err(Kind::Expired));
    let error = verifier.verify(&authority.token().sign()).await.expect_err("tenant is missing");
    assert!(error.detail().is_some_and(|detail| detail.starts_with("missing field `tenant`")), "{error}");
}

#[tokio::test]
async fn rules_of_ones_own_refuse_with_401_or_403() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = Verifier::<Value>::builder()
        .trust(authority.trusted())
        .require(|jwt| jwt.claims()["tenant"].is_string())
        .authorize(|jwt| jwt.claims()["tenant"] == "a")
        .build()
        .expect("valid");
    let of = |tenant: Value| authority.token().claim("tenant", tenant).sign();
    assert_eq!(verdict(&verifier, &of(json!("a"))).await, Ok(()));
    assert_eq!(verdict(&verifier, &of(json!("b"))).await, Err(Kind::Forbidden));
    assert_eq!(verdict(&verifier, &of(json!(1))).await, Err(Kind::ClaimRefused));
}

#[tokio::test]
async fn an_unknown_issuer_ends_before_any_key_is_looked_for() {
    let a = Authority::new(Algorithm::ES256).named("https://a.test");
    let never = |_: &KeyQuery<'_>| -> KeyLookup<'static> { panic!("a key was looked for") };
    let verifier = Verifier::<Value>::builder()
        .trust(Issuer::new("https://b.test", never).audience("b"))
        .trust(Issuer::new("https://c.test", never).audience("c"))
        .build()
        .expect("valid");
    assert_eq!(verdict(&verifier, &a.token().sign()).await, Err(Kind::InvalidIssuer));
}

#[test]
fn what_cannot_work_is_said_when_it_is_built() {
    let keys = || Authority::new(Algorithm::ES256).key_set();
    let named = || Issuer::new("https://a.test", keys());
    let secret = || KeySet::secret(Algorithm::HS256, [7; 32]).expect("valid");
    let wrong: Vec<(Issuer, &str)> = vec![
        (named(), "audience"),
        (named().audience("a").danger_any_audience(), "exclude"),
        (named().audience(""), "empty"),
        (named().audience("a").types([""; 0]), "empty"),
        (Issuer::new("", keys()).audience("a"), "name"),
        (Issuer::new("i".repeat(513), keys()).audience("a"), "512"),
        (named().audience("a").leeway(Duration::from_secs(301)), "5 minutes"),
        (named().audience("a").algorithms([]), "empty"),
        (named().audience("a").algorithms([Algorithm::HS256, Algorithm::ES256]), "public keys"),
        (named().audience("a").algorithms([Algorithm::RS256]), "RS256"),
        (Issuer::new("https://a.test", secret()).audience("a").algorithms([Algorithm::ES256]), "HS256"),
        (named().audience("a").require_claims((0..65).map(|n| n.to_string())), "64"),
    ];
    for (issuer, word) in wrong {
        let error = Verifier::<Value>::new(issuer).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(Verifier::<Value>::new(named().audience("a").leeway(Duration::from_secs(300))).is_ok());
    let any = || Issuer::danger_any_issuer(keys()).audience("a");
    assert!(Verifier::<Value>::builder().trust(any()).build().is_ok());
    assert!(Verifier::<Value>::builder().trust(any()).trust(named().audience("a")).build().is_err());
    assert!(Verifier::<Value>::builder().trust(named().audience("a")).trust(named().audience("b")).build().is_err());
    assert!(Verifier::<Value>::builder().build().is_err());
}

#[tokio::test]
async fn secrets_rotate_without_a_kid() {
    let (old, new) = (Authority::new(Algorithm::HS256), Authority::new(Algorithm::HS256));
    let key = |authority: &Authority| {
        let jwks: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
        Key::base64_secret(Algorithm::HS256, jwks["keys"][0]["k"].as_str().expect("a secret")).expect("valid")
    };
    let keys = KeySet::new([key(&old), key(&new)]).expect("valid");
    let verifier = verifier(Issuer::new(old.name(), keys).audience(old.audience()));
    for authority in [&old, &new] {
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    }
    let stranger = Authority::new(Algorithm::HS256);
    assert_eq!(verdict(&verifier, &stranger.token().sign()).await, Err(Kind::InvalidSignature));
}

#[tokio::test]
async fn a_source_is_asked_once_more_for_an_unknown_kid_and_never_for_a_bad_signature() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let mut authority = Authority::new(Algorithm::ES256);
    let old = authority.key_set();
    authority.add_key(Algorithm::ES256);
    let new = authority.key_set();
    let retries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&retries);
    let source = move |query: &KeyQuery<'_>| {
        if query.is_retry() {
            let (new, counted) = (new.clone(), Arc::clone(&counted));
            return KeyLookup::pending(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(new)
            });
        }
        KeyLookup::ready(old.clone())
    };
    let verifier = verifier(Issuer::new(authority.name(), source).audience(authority.audience()));
    let asked = || retries.swap(0, Ordering::Relaxed);

    assert_eq!(verdict(&verifier, &authority.token().with_key(0).sign()).await, Ok(()));
    assert_eq!(verdict(&verifier, &authority.token().with_key(0).tampered().sign()).await, Err(Kind::InvalidSignature));
    assert_eq!(asked(), 0, "the kid is known");
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    assert_eq!(asked(), 1, "the first token of a rotation");
    assert_eq!(verdict(&verifier, &authority.token().without_header("kid").sign()).await, Ok(()));
    assert_eq!(asked(), 1, "no kid, and nothing that verifies");
    for hopeless in [
        authority.token().header("kid", "forged").expires_in(-60),
        authority.token().header("kid", "forged").claim("aud", "other"),
        authority.token().header("kid", "forged").claim("iss", "other"),
        authority.token().header("kid", "forged").raw_payload("[]"),
        authority.token().header("kid", "forged").header("alg", "none"),
    ] {
        assert!(verdict(&verifier, &hopeless.sign()).await.is_err());
    }
    assert_eq!(asked(), 0, "no key could save them");
    assert_eq!(verdict(&verifier, &authority.token().header("kid", "forged").sign()).await, Err(Kind::UnknownKey));
}

#[tokio::test]
async fn a_pending_lookup_is_not_polled_for_a_token_that_no_key_can_save() {
    let authority = Authority::new(Algorithm::ES256);
    let source = |_: &KeyQuery<'_>| KeyLookup::pending(async { panic!("polled for a token that is refused anyway") });
    let verifier = verifier(Issuer::new(authority.name(), source).audience(authority.audience()));
    let cases = [
        (authority.token().expires_in(-60), Kind::Expired),
        (authority.token().claim("nbf", 9_999_999_999_u64), Kind::NotYetValid),
        (authority.token().claim("aud", "other"), Kind::InvalidAudience),
        (authority.token().claim("iss", "other"), Kind::InvalidIssuer),
        (authority.token().raw_payload("[]"), Kind::MalformedPayload),
    ];
    for (token, kind) in cases {
        assert_eq!(verdict(&verifier, &token.sign()).await, Err(kind));
    }
}

#[tokio::test]
async fn a_source_that_fails_is_not_the_tokens_fault() {
    let authority = Authority::new(Algorithm::ES256);
    let failing = |_: &KeyQuery<'_>| {
        KeyLookup::failed(KeyError::new("the vault is sealed").retry_after(Duration::from_millis(1500)))
    };
    let verifier = verifier(Issuer::new(authority.name(), failing).audience(authority.audience()));
    let error = verifier.verify(&authority.token().sign()).await.expect_err("no keys");
    assert_eq!(error.kind(), Kind::KeysUnavailable);
    assert!(error.kind().is_our_fault());
    assert_eq!(error.detail(), Some("the vault is sealed"));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
}

/// A slash too many in a name is found in the log, whatever the keys come from and however many are trusted.
#[tokio::test]
async fn the_detail_names_who_was_expected() {
    let authority = Authority::new(Algorithm::ES256);
    let other = Authority::new(Algorithm::ES256);
    other.rotate();
    other.withdraw("key-1");
    let (keys, others) = (authority.key_set(), other.key_set());
    // As a source that fetches answers where a `kid` is unknown.
    let fetching = move |query: &KeyQuery<'_>| {
        let keys = keys.clone();
        if query.is_retry() { KeyLookup::pending(async { Ok(keys) }) } else { KeyLookup::ready(others.clone()) }
    };
    let fetched = verifier(authority.trusted_with(fetching));
    let fixed = verifier(authority.trusted());
    let names = |count: usize| (0..count).map(|at| format!("https://{at:02}.test"));
    let several = |count: usize| {
        let issuers = names(count).map(|name| Issuer::new(name, authority.key_set()).audience("a"));
        issuers.fold(Verifier::<Value>::builder(), VerifierBuilder::trust).build().expect("valid")
    };
    let wrong = authority.token().claim("iss", "https://issuer.test/").sign();
    let foreign = authority.token().claim("aud", "theirs").sign();
    let cases = [
        (fixed.clone(), &wrong, r#"expected "https://issuer.test""#),
        (fetched.clone(), &wrong, r#"expected "https://issuer.test""#),
        (fixed, &foreign, r#"expected ["test-audience"] from "https://issuer.test""#),
        (fetched, &foreign, r#"expected ["test-audience"] from "https://issuer.test""#),
        (several(2), &wrong, r#"expected one of ["https://00.test", "https://01.test"]"#),
    ];
    for (verifier, token, expected) in cases {
        let error = verifier.verify(token).await.expect_err("wrong");
        assert_eq!(error.detail(), Some(expected), "{error}");
    }
    let many = several(12).verify(&wrong).await.expect_err("wrong");
    let shown = names(10).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    assert_eq!(many.detail(), Some(&*format!("expected one of [{shown}] and 2 more")));
}

#[tokio::test]
async fn a_verified_token_tells_what_it_was() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().claim("jti", "j\u{e9}\"1").claim("client_id", "c").claim("scp", ["a", "b"]).sign();
    let jwt = verifier.verify(&token).await.expect("valid");
    assert_eq!(jwt.issuer(), Some("https://issuer.test"));
    assert_eq!(jwt.subject(), Some("user-1"));
    assert_eq!(jwt.jwt_id(), Some("j\u{e9}\"1"));
    assert_eq!(jwt.client_id(), Some("c"));
    assert_eq!(jwt.key_id(), Some("key-1"));
    assert_eq!(jwt.algorithm(), Algorithm::ES256);
    assert_eq!(jwt.scopes().collect::<Vec<_>>(), ["a", "b"]);
    assert!(jwt.has_scope("a") && !jwt.has_scope("a b") && !jwt.has_scope(""));
    assert_eq!(jwt.expires_at().map(UnixTime::as_secs), jwt.claims()["exp"].as_i64());
    assert_eq!(jwt.issued_at().map(UnixTime::as_secs), jwt.claims()["iat"].as_i64());
    let erased = jwt.erase();
    assert_eq!(erased.subject(), Some("user-1"));
    assert_eq!(erased.claims().downcast_ref::<Value>(), Some(jwt.claims()));

    let plain = verifier
        .verify(&authority.token().without("sub").without("jti").without_header("kid").sign())
        .await
        .expect("valid");
    assert_eq!((plain.subject(), plain.jwt_id(), plain.key_id()), (None, None, None));
    assert_eq!(plain.scopes().count(), 0);

    let any =
        Verifier::<Value>::new(Issuer::danger_any_issuer(authority.key_set()).danger_any_audience()).expect("valid");
    assert_eq!(any.verify(&token).await.expect("valid").issuer(), Some("https://issuer.test"));
    assert_eq!(any.verify(&authority.token().without("iss").sign()).await.expect("valid").issuer(), None);
}

#[tokio::test]
async fn an_explanation_names_the_checks_in_their_order_and_ends_with_the_first_that_failed() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let all =
        ["envelope", "header", "algorithm", "key", "signature", "payload", "issuer", "audience", "time", "claims"];
    let cases = [
        (authority.token().sign(), 10, None),
        ("a.b".to_owned(), 1, Some(Kind::MalformedToken)),
        (authority.token().header("crit", ["x"]).sign(), 2, Some(Kind::CriticalHeader)),
        (authority.token().header("typ", "logout+jwt").sign(), 2, Some(Kind::WrongType)),
        (authority.token().header("alg", "none").sign(), 3, Some(Kind::AlgorithmNotAllowed)),
        (authority.token().header("kid", "x").sign(), 4, Some(Kind::UnknownKey)),
        (authority.token().tampered().sign(), 5, Some(Kind::InvalidSignature)),
        (authority.token().without_header("kid").tampered().sign(), 5, Some(Kind::InvalidSignature)),
        (authority.token().raw_payload("[]").sign(), 6, Some(Kind::MalformedPayload)),
        (authority.token().claim("iss", "x").sign(), 7, Some(Kind::InvalidIssuer)),
        (authority.token().claim("aud", "x").sign(), 8, Some(Kind::InvalidAudience)),
        (authority.token().expires_in(-99).sign(), 9, Some(Kind::Expired)),
        (authority.token().claim("events", 1).sign(), 10, Some(Kind::SecurityEvent)),
    ];
    for (token, length, kind) in cases {
        let explanation = verifier.explain(&token).await;
        let labels: Vec<_> = explanation.checks().iter().map(|report| report.check().label()).collect();
        assert_eq!(labels, all[..length], "{kind:?}");
        assert_eq!(explanation.error().map(tower_jwt_auth::AuthError::kind), kind);
        assert_eq!(explanation.accepted(), kind.is_none());
        let failed = explanation.checks().iter().filter(|report| !report.ok()).count();
        assert_eq!(failed, usize::from(kind.is_some()), "{kind:?}");
        assert_eq!(verdict(&verifier, &token).await.err(), kind, "explaining and verifying agree");
    }
    let failing = |_: &KeyQuery<'_>| KeyLookup::failed(KeyError::new("sealed"));
    let verifier = Verifier::<Value>::new(Issuer::new("x", failing).audience("y")).expect("valid");
    let explanation = verifier.explain(&authority.token().sign()).await;
    assert_eq!(explanation.checks().last().map(|report| report.check().label()), Some("key"));
}

#[tokio::test]
async fn an_explanation_shows_no_signature_as_good_that_no_key_verified() {
    let [ours, forger] = [Authority::new(Algorithm::ES256), Authority::new(Algorithm::ES256)];
    let first = ours.key_set();
    let second = ours.key_set();
    let source = move |query: &KeyQuery<'_>| {
        let second = second.clone();
        if query.is_retry() { KeyLookup::pending(async { Ok(second) }) } else { KeyLookup::ready(first.clone()) }
    };
    let verifier = verifier(Issuer::danger_any_issuer(source).danger_any_audience());
    let forged = || ours.token().without_header("kid").signed_by(&forger);
    for (token, last) in [(forged().expires_in(-600).sign(), Check::Time), (forged().sign(), Check::Signature)] {
        let explanation = verifier.explain(&token).await;
        let signatures = explanation.checks().iter().filter(|report| report.check() == Check::Signature);
        assert!(signatures.clone().all(|report| !report.ok()));
        assert!(signatures.count() <= 1);
        assert_eq!(explanation.checks().last().map(CheckReport::check), Some(last));
    }
}
