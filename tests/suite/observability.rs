//! Metrics, events and spans: what the guide says of them, nothing that clients can swell, and nothing of a token.

mod collect;
#[cfg(all(feature = "issue", feature = "redis", feature = "remote"))]
mod tables;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::keys::{KeyError, KeyFile, KeyLookup, KeyQuery};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, JwtAuth, KeySet, RequireScopes, TokenCache, Verifier};

use self::collect::{Measured, Trace, is_watch};

const CANARY: &str = "CanaryCanaryCanaryCanary";

fn authority() -> Authority {
    Authority::new(Algorithm::ES256)
}

async fn nothing(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn request(token: Option<&str>) -> Request<()> {
    let request = Request::builder();
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(()).expect("a request")
}

/// What a layer in front of nothing answers.
async fn ask(auth: &JwtAuth<Value>, token: Option<&str>) -> StatusCode {
    auth.layer(service_fn(nothing)).oneshot(request(token)).await.expect("infallible").status()
}

/// A source whose provider is dead.
fn dead() -> impl Fn(&KeyQuery<'_>) -> KeyLookup<'static> + Send + Sync {
    |_: &KeyQuery<'_>| KeyLookup::failed(KeyError::new("the provider does not answer"))
}

#[tokio::test]
async fn each_request_of_a_layer_and_each_token_of_a_verifier_has_one_verdict() {
    let (measured, authority) = (Measured::start(), authority());
    let verifier = Verifier::<Value>::builder().trust(authority.trusted()).build().expect("valid");
    let auth = JwtAuth::with(verifier.clone());
    let good = authority.token().sign();
    assert_eq!(ask(&auth, Some(&good)).await, StatusCode::OK);
    assert_eq!(ask(&auth, Some(&authority.token().expires_in(-60).sign())).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&auth, Some("a.b.c")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&auth, Some("a b")).await, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&auth, None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&auth.clone().optional(), None).await, StatusCode::OK);
    verifier.verify(&good).await.expect("good");
    let bound = authority.token().claim("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})).sign();
    verifier.verify(&bound).await.expect_err("bound");
    assert_eq!(ask(&auth, Some(&bound)).await, StatusCode::UNAUTHORIZED);

    let verdicts = measured.take().values("jwt_auth_verdicts_total");
    let expected = [
        ("issuer=https://issuer.test, reason=accepted", 2.0),
        ("issuer=https://issuer.test, reason=binding_not_checked", 2.0),
        ("issuer=https://issuer.test, reason=expired", 1.0),
        ("issuer=unknown, reason=malformed_credential", 1.0),
        ("issuer=unknown, reason=malformed_token", 1.0),
        ("issuer=unknown, reason=missing_token", 1.0),
    ];
    let read: Vec<_> = verdicts.iter().map(|(labels, value)| (&**labels, *value)).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn what_a_guard_refuses_was_accepted_and_is_counted_apart() {
    let (measured, authority) = (Measured::start(), authority());
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let service = auth.layer(RequireScopes::all(["a"]).layer(service_fn(nothing)));
    for scope in ["a", "b"] {
        let token = authority.token().claim("scope", scope).sign();
        service.clone().oneshot(request(Some(&token))).await.expect("infallible");
    }
    let taken = measured.take();
    let verdicts = taken.values("jwt_auth_verdicts_total");
    assert_eq!(verdicts.into_values().collect::<Vec<_>>(), [2.0]);
    let refusals = taken.values("jwt_auth_guard_refusals_total");
    assert_eq!(refusals.into_iter().collect::<Vec<_>>(), [("reason=insufficient_scope".to_owned(), 1.0)]);
}

#[tokio::test]
async fn the_first_request_after_a_recorder_came_is_counted_and_so_are_all_that_follow() {
    let authority = authority();
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let good = authority.token().sign();
    assert_eq!(ask(&auth, Some(&good)).await, StatusCode::OK);
    let measured = Measured::start();
    for _ in 0..3 {
        assert_eq!(ask(&auth, Some(&good)).await, StatusCode::OK);
    }
    assert_eq!(measured.take().values("jwt_auth_verdicts_total").into_values().collect::<Vec<_>>(), [3.0]);
}

#[tokio::test]
async fn a_signature_is_timed_when_it_is_checked_and_not_when_its_verdict_is_remembered() {
    let (measured, authority) = (Measured::start(), authority());
    let builder = Verifier::<Value>::builder().trust(authority.trusted()).cache(TokenCache::new(10));
    let auth = JwtAuth::with(builder.build().expect("valid"));
    let good = authority.token().sign();
    for _ in 0..5 {
        assert_eq!(ask(&auth, Some(&good)).await, StatusCode::OK);
    }
    assert_eq!(ask(&auth, Some(&authority.token().tampered().sign())).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&auth, Some(&authority.token().header("kid", "x").sign())).await, StatusCode::UNAUTHORIZED);
    let all = measured.take();
    let checks = ("jwt_auth_signature_check_seconds".to_owned(), vec![("algorithm".to_owned(), "ES256".to_owned())]);
    let checks = &all.0[&checks];
    assert!(checks.sum > 1e-6 && checks.sum < 10.0, "in seconds: {}", checks.sum);
    assert!((checks.value - 2.0).abs() < 0.1, "{}", checks.value);
    let lookups = all.values("jwt_auth_cache_lookups_total");
    let expected = [("result=hit".to_owned(), 4.0), ("result=miss".to_owned(), 3.0)];
    assert_eq!(lookups.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_tokens_say_makes_no_series() {
    let measured = Measured::start();
    let (first, second) = (authority(), authority().named("https://other.test"));
    let several = Verifier::<Value>::builder().trust(first.trusted()).trust(second.trusted()).build().expect("valid");
    let any = Issuer::danger_any_issuer(first.key_set()).audience("test-audience");
    let auths = [several, Verifier::new(any).expect("valid")].map(JwtAuth::with);
    let storm = async || {
        for n in 0..100 {
            let name = format!("{CANARY}{n}");
            for (claim, header) in [("iss", "x"), ("aud", "x"), ("x", "kid"), ("x", "typ"), ("x", "alg")] {
                let token = first.token().claim(claim, &name).header(header, &name).sign();
                for auth in &auths {
                    ask(auth, Some(&token)).await;
                }
            }
        }
    };
    storm().await;
    let before: BTreeSet<_> = measured.take().0.into_keys().collect();
    assert!(before.iter().any(|(_, labels)| labels.iter().any(|(_, value)| value == "any")), "{before:?}");
    storm().await;
    let after: BTreeSet<_> = measured.take().0.into_keys().collect();
    assert_eq!(before, after);
    assert!(!format!("{after:?}").contains(CANARY), "{after:?}");
}

#[tokio::test]
async fn a_flood_of_forged_tokens_is_below_info_and_an_outage_is_said_once_a_second() {
    let trace = Trace::start();
    let authority = authority();
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let forged = authority.token().tampered().sign();
    for _ in 0..300 {
        ask(&auth, Some(&forged)).await;
    }
    let loud = |seen: &collect::Seen| !matches!(&*seen.shape.level, "debug" | "trace");
    assert_eq!(trace.named("request_refused").len(), 300);
    assert!(!trace.seen().iter().any(loud), "{:?}", trace.seen());

    let outage = JwtAuth::<Value>::new(Issuer::new("https://issuer.test", dead()).audience("a")).expect("valid");
    let start = Instant::now();
    for _ in 0..300 {
        assert_eq!(ask(&outage, Some(&forged)).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let said = trace.named("request_not_judged");
    // Another test of this process may have been the one that was heard.
    assert!(said.len() as u64 <= start.elapsed().as_secs() + 1, "{}", said.len());
    assert!(
        said.iter().all(|said| said.values["kind"] == "keys_unavailable" && said.values.contains_key("suppressed"))
    );
}

#[tokio::test]
async fn a_span_says_how_a_token_fared() {
    let trace = Trace::start();
    let authority = authority();
    let builder = Verifier::<Value>::builder().trust(authority.trusted()).cache(TokenCache::new(10));
    let auth = JwtAuth::with(builder.build().expect("valid"));
    let good = authority.token().sign();
    for token in [&good, &good, &authority.token().expires_in(-60).sign()] {
        ask(&auth, Some(token)).await;
    }
    let spans = trace.named("verify_token");
    let values = |at: usize| spans[at].values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(values(0), ["algorithm=ES256", "issuer=https://issuer.test", "verdict=accepted"]);
    let remembered = ["algorithm=ES256", "issuer=https://issuer.test", "remembered=true", "verdict=accepted"];
    assert_eq!(values(1), remembered);
    assert_eq!(values(2), ["verdict=expired"]);
    assert_eq!(spans.len(), 3);
}

#[tokio::test]
async fn no_byte_of_a_token_is_in_an_event_a_span_or_a_label() {
    let (trace, measured, authority) = (Trace::start(), Measured::start(), authority());
    let builder = Verifier::<Value>::builder().trust(authority.trusted()).cache(TokenCache::new(10));
    let auth = JwtAuth::with(builder.build().expect("valid"));
    let outage = JwtAuth::<Value>::new(Issuer::new("https://issuer.test", dead()).audience("a")).expect("valid");
    let token = || authority.token().claim("sub", CANARY).claim("jti", CANARY).claim("scope", CANARY);
    let tokens = [
        token().sign(),
        token().tampered().sign(),
        token().header("kid", CANARY).sign(),
        token().header("alg", CANARY).sign(),
        token().header("typ", CANARY).sign(),
        token().claim("iss", CANARY).sign(),
        token().claim("aud", CANARY).sign(),
        token().claim("exp", CANARY).sign(),
        token().raw_payload(CANARY).sign(),
        token().raw_header(CANARY).sign(),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        CANARY.to_owned(),
        format!("{CANARY} {CANARY}"),
    ];
    let guarded = auth.layer(RequireScopes::all(["a"]).layer(service_fn(nothing)));
    for token in &tokens {
        for auth in [&auth, &auth, &outage] {
            ask(auth, Some(token)).await;
        }
        guarded.clone().oneshot(request(Some(token))).await.expect("infallible");
    }
    let (seen, series) = (trace.seen(), measured.take());
    assert!(seen.len() > tokens.len() && series.0.len() > 5, "{} and {}", seen.len(), series.0.len());
    let shown = format!("{seen:?} {series:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    for token in &tokens {
        for segment in token.split(['.', ' ']).filter(|segment| segment.len() > 16) {
            assert!(!shown.contains(segment), "a segment of a token");
        }
    }
}

/// Nothing but its own thread sees a file go.
#[test]
fn a_file_of_keys_says_once_that_it_is_gone_and_once_that_it_is_back() {
    let (trace, measured) = (Trace::start(), Measured::start());
    let mut authority = authority();
    let path = std::env::temp_dir().join(format!("tower-jwt-auth-watched-{}.json", std::process::id()));
    let name = path.display().to_string();
    std::fs::write(&path, authority.jwks()).expect("a file");
    let listener = measured.listener();
    // It is parsed here, and then by the watch.
    let parse = move |content: &[u8]| {
        if is_watch() {
            listener();
        }
        KeySet::jwk_set(content)
    };
    let keys = KeyFile::with(&path, Duration::from_millis(5), parse).expect("a set");
    let mut publish = || {
        authority.add_key(Algorithm::ES256);
        let next = path.with_extension("next");
        std::fs::write(&next, authority.jwks()).expect("a file");
        std::fs::rename(&next, &path).expect("a file");
    };

    // Until it has been looked at ten times more with this outcome.
    let watch = |outcome: &str| {
        let labels = format!("cause=scheduled, outcome={outcome}, source={name}");
        let (start, mut looks) = (Instant::now(), 0.0);
        while looks < 10.0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", trace.of_file(&name));
            std::thread::sleep(Duration::from_millis(5));
            looks += measured.take().values("jwt_auth_key_refreshes_total").get(&labels).unwrap_or(&0.0);
        }
    };
    // What is taken is gone, and set again at the next look.
    let gauge = |metric: &str| {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(10), "{metric}");
            match measured.take().values(metric).get(&format!("source={name}")) {
                Some(value) if *value > 0.0 => return *value,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    };
    publish();
    watch("ok");
    std::fs::remove_file(&path).expect("a file");
    watch("failed");
    publish();
    watch("ok");

    assert!((gauge("jwt_auth_keys") - 3.0).abs() < f64::EPSILON);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
    assert!((now - gauge("jwt_auth_keys_last_success_timestamp_seconds")).abs() < 60.0);
    let said: Vec<_> = trace.of_file(&name).into_iter().map(|seen| (seen.shape.name, seen.values)).collect();
    let names: Vec<_> = said.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["keys_refreshed", "keys_refreshed", "keys_not_refreshed", "keys_refreshed"], "{said:?}");
    assert_eq!([0, 1, 3].map(|at| &*said[at].1["keys"]), ["1", "2", "3"]);
    assert!(said[2].1["reason"].contains("No such file") && said[2].1["has_keys"] == "true", "{said:?}");
    drop(keys);
    std::fs::remove_file(&path).expect("a file");
}
