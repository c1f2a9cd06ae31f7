//! The tables of the guide against what is emitted where all of it is emitted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Request;
use metrics_util::MetricKind;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::authorize::Require;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::Query;
use tower_jwt_auth::forward::ForwardClaims;
use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RefreshTokens};
use tower_jwt_auth::issue::{KeyRing, MemoryKeyStore};
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::revocation::{RedisRevocations, RevocationList};
use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth, Redis, RequireScopes, TokenCache, Verifier};

use super::collect::{Measured, Shape, Trace, list, rows};
use super::{ask, authority, dead, nothing, request};
use crate::redis_server::RedisServer;

const SOURCE: &str = "https://login.test/jwks";

/// What is said once a second may just have been said by another test of this process.
async fn until(trace: &Trace, event: &str, mut cause: impl AsyncFnMut()) {
    let start = Instant::now();
    while trace.named(event).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "no {event}");
        cause().await;
    }
}

/// Requests of every kind.
async fn requests(trace: &Trace) {
    let authority = authority();
    let verifier = Verifier::<Value>::builder().trust(authority.trusted()).cache(TokenCache::new(10));
    let auth = JwtAuth::with(verifier.build().expect("valid"));
    let good = authority.token().sign();
    for token in [None, Some(&*good), Some(&*good), Some("a.b.c")] {
        ask(&auth, token).await;
    }
    let guarded = auth.layer(RequireScopes::all(["a"]).layer(service_fn(nothing)));
    guarded.oneshot(request(Some(&good))).await.expect("infallible");
    let outage = JwtAuth::<Value>::new(Issuer::new("https://issuer.test", dead()).audience("a")).expect("valid");
    until(trace, "request_not_judged", async || {
        ask(&outage, Some(&good)).await;
    })
    .await;

    let alone = Require::new(|_: &Jwt<Vec<Value>>| true).layer(service_fn(nothing));
    until(trace, "layer_missing", async || drop(alone.clone().oneshot(request(None)).await)).await;
    let other = auth.layer(alone);
    until(trace, "claims_of_another_type", async || drop(other.clone().oneshot(request(Some(&good))).await)).await;
    let strip =
        auth.extractor(Query::access_token()).layer(ForwardClaims::new().strip_token().layer(service_fn(nothing)));
    let query = || Request::builder().uri(format!("/?access_token={good}")).body(()).expect("a request");
    until(trace, "token_not_stripped", async || drop(strip.clone().oneshot(query()).await)).await;
}

/// A source that works, is asked for a key that it lacks, and fails.
async fn keys(clock: &Clock) {
    let authority = authority();
    let provider = authority.provider();
    let keys = RemoteJwks::from_url(SOURCE).client(provider.clone()).clock(clock.clone()).build().expect("valid");
    let issuer = Issuer::new(authority.name(), keys.clone()).audience(authority.audience());
    let auth = JwtAuth::<Value>::new(issuer).expect("valid");
    ask(&auth, Some(&authority.token().sign())).await;
    ask(&auth, Some(&authority.token().header("kid", "x").sign())).await;
    clock.advance(Duration::from_secs(7));
    provider.refuse();
    keys.refresh().await.expect_err("the provider fails");
}

/// What issues tokens, and what instances share.
async fn stores(trace: &Trace) {
    let ring = KeyRing::builder(Algorithm::ES256).store(MemoryKeyStore::new()).open().await.expect("in memory");
    ring.rotate().await.expect("in memory");

    let tokens = RefreshTokens::<Value, _>::new(MemoryRefreshStore::new()).expect("valid");
    let first = tokens.start("user", &json!({})).await.expect("room");
    tokens.rotate(first.as_str()).await.expect("live");
    tokens.rotate(first.as_str()).await.expect_err("spent");

    RevocationList::new().revoke("https://issuer.test", "a", UnixTime::from_secs(i64::MAX / 2000)).expect("room");
    let mut server = RedisServer::with_options(&["--maxmemory-policy", "allkeys-lru"]);
    let revocations = RedisRevocations::new(RevocationList::new(), server.redis());
    revocations.ready().await.expect("a runtime");
    server.kill();
    let away = Redis::open("redis://127.0.0.1:1/").expect("a URL");
    let revocations = RedisRevocations::new(RevocationList::new(), away);
    until(trace, "store_failed", async || {
        revocations.is_ready();
        tokio::task::yield_now().await;
    })
    .await;
}

#[tokio::test]
async fn the_guide_names_every_event_span_and_metric_with_its_fields_and_labels() {
    let (trace, measured) = (Trace::start(), Measured::start());
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    requests(&trace).await;
    keys(&clock).await;
    stores(&trace).await;

    let row = |row: Vec<String>| Shape { name: row[0].clone(), level: row[1].clone(), fields: list(&row[2]) };
    let documented: BTreeSet<_> = rows("Event").into_iter().chain(rows("Span")).map(row).collect();
    let emitted: BTreeSet<_> = trace.seen().into_iter().map(|seen| seen.shape).collect();
    assert_eq!(emitted, documented);

    let documented: BTreeSet<_> =
        rows("Metric").into_iter().map(|row| (row[0].clone(), row[1].clone(), list(&row[2]))).collect();
    let all = measured.take();
    let emitted = all.0.iter().map(|((name, labels), metric)| {
        assert!(metric.is_described, "{name}");
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        (name.clone(), kind.to_owned(), labels.iter().map(|(label, _)| label.clone()).collect())
    });
    assert_eq!(emitted.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn the_metrics_of_a_source_tell_how_old_its_keys_are_and_why_they_were_fetched() {
    let (trace, measured) = (Trace::start(), Measured::start());
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    keys(&clock).await;
    let all = measured.take();
    let values = |name| all.values(name).into_iter().collect::<Vec<_>>();
    let source = format!("source={SOURCE}");
    let refreshes = ["asked, outcome=failed", "scheduled, outcome=ok", "unknown_kid, outcome=ok"];
    let refreshes = refreshes.map(|cause| (format!("cause={cause}, {source}"), 1.0));
    assert_eq!(values("jwt_auth_key_refreshes_total"), refreshes);
    assert_eq!(values("jwt_auth_keys"), [(source.clone(), 1.0)]);
    let confirmed = [(source.clone(), 1_700_000_000.0)];
    assert_eq!(values("jwt_auth_keys_last_success_timestamp_seconds"), confirmed, "a failure leaves it as it is");
    assert_eq!(values("jwt_auth_key_waiting_requests"), [(source, 0.0)]);

    let fetches = trace.named("fetch_keys");
    let said: Vec<_> = fetches.iter().map(|fetch| (&*fetch.values["cause"], &*fetch.values["outcome"])).collect();
    assert_eq!(said, [("scheduled", "ok"), ("unknown_kid", "ok"), ("asked", "failed")]);
    assert!(fetches.iter().all(|fetch| fetch.values["location"] == SOURCE), "{fetches:?}");
}

#[tokio::test]
async fn shared_revocations_tell_how_many_there_are_and_when_the_server_was_last_heard() {
    let (measured, server) = (Measured::start(), RedisServer::start());
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let list = RevocationList::builder().clock(clock).build();
    let revocations = RedisRevocations::new(list, server.redis());
    revocations.ready().await.expect("a runtime");
    let confirmed = measured.take().values("jwt_auth_revocation_last_success_timestamp_seconds");
    assert_eq!(confirmed.into_values().collect::<Vec<_>>(), [1_700_000_000.0]);
    revocations.revoke("https://issuer.test", "a", UnixTime::from_secs(1_700_000_600)).await.expect("acknowledged");
    let start = Instant::now();
    while !measured.take().values("jwt_auth_revocation_entries").values().any(|entries| *entries >= 1.0) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", measured.take());
        tokio::task::yield_now().await;
    }
}
