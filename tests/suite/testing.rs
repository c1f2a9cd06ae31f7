//! The token authority: whatever can be wrong with a token, and its keys in rotations and outages.

use std::convert::Infallible;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::testing::{Authority, DpopClient, TestKeys};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, JwtAuth, Verifier};

use crate::support::verdict;

const HOUR: Duration = Duration::from_secs(3600);

/// Every kind is caused by a token of the table, or is no matter of a token.
#[tokio::test]
async fn whatever_a_token_can_be_refused_for_is_minted_in_one_chain() {
    let [authority, other] = [(); 2].map(|()| Authority::new(Algorithm::ES256));
    let client = DpopClient::new(Algorithm::ES256);
    let list = RevocationList::builder().max_lifetime(HOUR).build();
    list.revoke(authority.name(), "gone", UnixTime::from_secs(i64::MAX)).expect("room");
    let issuer = authority.trusted().max_age(HOUR).max_lifetime(HOUR);
    let issuer = issuer.require_claims(["sub"]).require_claim_value("tenant", ["acme"]);
    let verifier =
        Verifier::<Value>::builder().trust(issuer).revocation(list).authorize(|jwt| jwt.claims()["admin"] == true);
    let verifier = verifier.build().expect("valid");
    let good = || authority.token().claim("tenant", "acme").claim("admin", true);
    assert_eq!(verdict(&verifier, &good().sign()).await, Ok(()));

    let wrong = [
        (good().claim("fill", "x".repeat(16 * 1024)), Kind::TokenTooLong),
        (good().raw_header("{"), Kind::MalformedHeader),
        (good().raw_header("[]"), Kind::MalformedHeader),
        (good().header("kid", 7), Kind::MalformedHeader),
        (good().header("crit", ["exp"]), Kind::CriticalHeader),
        (good().header("typ", "logout+jwt"), Kind::WrongType),
        (good().header("alg", "none").unsigned(), Kind::AlgorithmNotAllowed),
        (good().without_header("alg"), Kind::AlgorithmNotAllowed),
        (good().header("kid", "unknown"), Kind::UnknownKey),
        (good().tampered(), Kind::InvalidSignature),
        (good().unsigned(), Kind::InvalidSignature),
        (good().signed_by(&other), Kind::InvalidSignature),
        (good().raw_payload("{"), Kind::MalformedPayload),
        (good().claim("iss", "https://other.test"), Kind::InvalidIssuer),
        (good().without("iss"), Kind::InvalidIssuer),
        (good().claim("aud", "other"), Kind::InvalidAudience),
        (good().without("exp"), Kind::MissingTime),
        (good().claim("exp", "soon"), Kind::MalformedTime),
        (good().expires_in(-31), Kind::Expired),
        (good().valid_in(40), Kind::NotYetValid),
        (good().issued_in(-3640), Kind::TooOld),
        (good().expires_in(3700), Kind::LivesTooLong),
        (good().without("sub"), Kind::MissingClaim),
        (good().claim("events", json!({})), Kind::SecurityEvent),
        (good().bound_to(&client), Kind::BindingNotChecked),
        (good().claim("tenant", "other"), Kind::ClaimRefused),
        (good().claim("jti", "gone"), Kind::Revoked),
        (good().claim("admin", false), Kind::Forbidden),
    ];
    let mut seen = Vec::new();
    for (token, kind) in wrong {
        assert_eq!(verdict(&verifier, &token.sign()).await, Err(kind));
        seen.push(kind);
    }
    let texts = Verifier::<Vec<String>>::new(authority.trusted()).expect("valid");
    assert_eq!(texts.verify(&good().sign()).await.expect_err("an object").kind(), Kind::ClaimsMismatch);
    // No builder makes it: it is text.
    assert_eq!(verdict(&verifier, &good().sign().replace('.', "")).await, Err(Kind::MalformedToken));
    seen.extend([Kind::ClaimsMismatch, Kind::MalformedToken]);

    let of_requests = [
        Kind::MissingToken,
        Kind::MalformedCredential,
        Kind::SeveralCredentials,
        Kind::CrossSite,
        Kind::InvalidDpopProof,
        Kind::UseDpopNonce,
    ];
    let of_routes = [Kind::InsufficientScope, Kind::InsufficientUserAuthentication];
    let never_the_tokens_fault = |kind: &Kind| kind.is_our_fault();
    for kind in Kind::ALL {
        let is_elsewhere = of_requests.contains(kind) || of_routes.contains(kind) || never_the_tokens_fault(kind);
        assert_ne!(seen.contains(kind), is_elsewhere, "{kind}");
    }
}

#[tokio::test]
async fn the_value_of_a_field_passes_the_layer_and_is_not_shown() {
    let authority = Authority::new(Algorithm::ES256);
    let service = JwtAuth::<Value>::new(authority.trusted())
        .expect("valid")
        .layer(service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new("reached".to_owned()))));
    let value = authority.token().bearer();
    assert!(value.is_sensitive());
    let shown = format!("{value:?} {authority:?} {:?} {:?}", authority.keys(), authority.token());
    let secret = value.to_str().expect("ASCII").rsplit('.').next().expect("a signature");
    assert!(!shown.contains(secret), "{shown}");
    for (value, body) in [(value, "reached"), (authority.token().expires_in(-60).bearer(), "")] {
        let request = Request::builder().header("authorization", value).body(String::new()).expect("a request");
        assert_eq!(service.clone().oneshot(request).await.expect("infallible").body(), body);
    }
}

/// One authority, a live source, and a verifier.
fn world() -> (Authority, TestKeys, Verifier<Value>) {
    let authority = Authority::new(Algorithm::EdDSA);
    let keys = authority.keys();
    let verifier = Verifier::new(authority.trusted_with(keys.clone())).expect("valid");
    (authority, keys, verifier)
}

#[tokio::test]
async fn a_clone_of_an_authority_rotates_with_it() {
    let (authority, _, verifier) = world();
    let twin = authority.clone().named("https://twin.test");
    authority.rotate();
    assert_eq!((twin.kid(), twin.jwks()), ("key-2".to_owned(), authority.jwks()));
    assert_eq!(verdict(&verifier, &twin.token().sign()).await, Err(Kind::InvalidIssuer));
    assert_eq!(verdict(&verifier, &twin.token().claim("iss", authority.name()).sign()).await, Ok(()));
}

#[tokio::test]
async fn a_key_verifies_while_it_is_published_and_a_fixed_set_stays_as_it_was() {
    let (authority, _, verifier) = world();
    let fixed = Verifier::<Value>::new(authority.trusted()).expect("valid");
    let old = authority.token().sign();
    authority.rotate();
    let new = authority.token().sign();
    authority.withdraw("key-1");
    assert_eq!(verdict(&verifier, &old).await, Err(Kind::UnknownKey));
    assert_eq!(verdict(&verifier, &authority.token().with_key(0).sign()).await, Err(Kind::UnknownKey));
    assert_eq!(verdict(&verifier, &new).await, Ok(()));
    assert_eq!((verdict(&fixed, &old).await, verdict(&fixed, &new).await), (Ok(()), Err(Kind::UnknownKey)));
    authority.publish("key-1");
    authority.withdraw("key-2");
    assert_eq!((verdict(&verifier, &old).await, verdict(&verifier, &new).await), (Ok(()), Err(Kind::UnknownKey)));
    authority.withdraw("key-1");
    assert_eq!(verdict(&verifier, &old).await, Err(Kind::UnknownKey), "none is left");
    assert!(authority.key_set().is_empty());
    let unknown = std::panic::catch_unwind(|| Authority::new(Algorithm::EdDSA).withdraw("key-9"));
    assert!(unknown.is_err(), "a mistake in a test is said");
}

#[tokio::test]
async fn in_an_outage_known_keys_serve_and_without_any_nobody_is_served() {
    let (authority, keys, verifier) = world();
    let known = authority.token().sign();
    keys.fail();
    authority.rotate();
    let unknown = authority.token().sign();
    assert_eq!(verdict(&verifier, &known).await, Ok(()));
    assert_eq!(verdict(&verifier, &unknown).await, Err(Kind::KeysUnavailable));
    authority.withdraw_old();
    assert_eq!(verdict(&verifier, &known).await, Ok(()), "nobody could hear of it");
    keys.forget();
    assert_eq!(verdict(&verifier, &known).await, Err(Kind::KeysUnavailable));
    keys.heal();
    assert_eq!(verdict(&verifier, &known).await, Err(Kind::UnknownKey));
    assert_eq!(verdict(&verifier, &unknown).await, Ok(()));
}

#[test]
fn who_waits_is_counted_and_let_go_by_either_end_of_the_outage() {
    let (authority, keys, verifier) = world();
    let known = authority.token().sign();
    keys.hang();
    authority.rotate();
    let token = authority.token().sign();
    let context = &mut Context::from_waker(Waker::noop());
    let ask = || Box::pin(verdict(&verifier, &token));

    let mut first = ask();
    assert_eq!((first.as_mut().poll(context), keys.waiting()), (Poll::Pending, 1));
    assert_eq!(Box::pin(verdict(&verifier, &known)).as_mut().poll(context), Poll::Ready(Ok(())), "waits for nobody");
    let mut second = ask();
    assert_eq!((second.as_mut().poll(context), keys.waiting()), (Poll::Pending, 2));
    drop(second);
    assert_eq!(keys.waiting(), 1, "who goes away waits no more");
    keys.fail();
    assert_eq!((first.as_mut().poll(context), keys.waiting()), (Poll::Ready(Err(Kind::KeysUnavailable)), 0));

    keys.hang();
    let mut third = ask();
    assert_eq!((third.as_mut().poll(context), keys.waiting()), (Poll::Pending, 1));
    keys.heal();
    assert_eq!((third.as_mut().poll(context), keys.waiting()), (Poll::Ready(Ok(())), 0));
    assert_eq!(keys.retries(), 3, "one for each that waited");
    let lookups = keys.lookups();
    assert_eq!(Box::pin(verdict(&verifier, &known)).as_mut().poll(context), Poll::Ready(Ok(())));
    assert_eq!((keys.lookups(), keys.retries()), (lookups + 1, 3), "a known key is asked for once");
}

#[tokio::test]
async fn who_waits_is_woken() {
    let (authority, keys, verifier) = world();
    keys.hang();
    keys.forget();
    let token = authority.token().sign();
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    while keys.waiting() < 3 {
        tokio::task::yield_now().await;
    }
    keys.heal();
    for request in requests {
        let verdict = tokio::time::timeout(Duration::from_secs(10), request).await.expect("woken");
        assert_eq!(verdict.expect("no panic"), Ok(()));
    }
}

#[tokio::test]
async fn secrets_are_as_good_as_public_keys() {
    let authority = Authority::new(Algorithm::HS256);
    let verifier = Verifier::<Value>::new(authority.trusted_with(authority.keys())).expect("valid");
    authority.rotate();
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    let other = Authority::new(Algorithm::ES256);
    assert_eq!(verdict(&verifier, &other.token().sign()).await, Err(Kind::AlgorithmNotAllowed));
}

#[cfg(feature = "remote")]
mod provider {
    use tower_jwt_auth::keys::{KeyStatus, RemoteJwks};
    use tower_jwt_auth::testing::TestProvider;

    use super::*;

    async fn after_refresh(name: &str, prepare: impl FnOnce(&Authority, &TestProvider)) -> KeyStatus {
        let authority = Authority::new(Algorithm::ES256).named(name);
        let provider = authority.provider();
        prepare(&authority, &provider);
        let keys = RemoteJwks::discover(name).client(provider).build().expect("valid");
        // The outcome is in the status.
        let _ = keys.refresh().await;
        keys.status()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_discovered_and_publishes_what_the_authority_does() {
        for name in ["https://issuer.test", "https://issuer.test/", "https://issuer.test/tenants/7"] {
            let status = after_refresh(name, |authority, _| authority.rotate()).await;
            assert_eq!((status.keys, status.last_error.as_deref()), (2, None), "{name}");
            assert!(status.location.ends_with("/jwks"), "{}", status.location);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_to_fail_is_seen_as_such() {
        let name = "https://issuer.test";
        let not_found = |provider: &TestProvider| {
            provider.answer(Response::builder().status(404).body(String::new()).expect("a response"));
        };
        let slow = |provider: &TestProvider| provider.delay(Duration::from_secs(6));
        let breaks: [fn(&TestProvider); 5] =
            [TestProvider::fail, TestProvider::refuse, TestProvider::hang, slow, not_found];
        for (breaks, reason) in breaks.into_iter().zip(["500", "connection refused", "5 s", "5 s", "404"]) {
            let status = after_refresh(name, |_, provider| breaks(provider)).await;
            assert!(status.last_error.as_ref().is_some_and(|error| error.contains(reason)), "{reason}: {status:?}");
        }
    }
}
