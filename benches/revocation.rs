//! What revocation costs: `cargo bench --features redis --bench revocation`, or one group of it by a part of its name.
//!
//! - A list of 1,000,000 revoked tokens: its bytes, the time of a check, and what it adds to a request.
//! - On a Redis server, which is started where `redis-server` is found: how long 1,000,000 entries take to publish, and to
//!   load at the start of an instance; how long a revocation takes from one instance to another.
//!
//! A check is timed by the batch of 64, as requests are (see `bench-harness`), over ids that are asked for at random, so
//! that the processor's caches do not hold the entries.

#[path = "../tests/suite/redis_server.rs"]
mod redis_server;

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bench_harness::{AUDIENCE, Bench, Case, Claims, ISSUER, Nothing, Random, allocated, claims, request};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::layer::JwtAuthService;
use tower_jwt_auth::revocation::{RedisRevocations, Revocation, RevocationList, RevocationVerdict, TokenFacts};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, JwtAuth, Redis, TokenCache, Verifier};
use tower_layer::Layer;

use crate::redis_server::RedisServer;

const MILLION: u32 = 1_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn main() {
    let mut bench = Bench::from_arguments();
    if bench.wants("memory") {
        memory(&mut bench, "memory");
    }
    if bench.wants("check") {
        check(&mut bench, "check");
    }
    if bench.wants("request") {
        requests(&mut bench, "request");
    }
    let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if version.is_err() {
        println!("\nredis: left out, there is no redis-server: `apt-get install redis-server`");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if bench.wants("redis, load") {
        runtime.block_on(load(&mut bench, "redis, load"));
    }
    if bench.wants("redis, propagation") {
        runtime.block_on(propagation(&mut bench, "redis, propagation"));
    }
}

fn now() -> UnixTime {
    SystemTime::now().into()
}

/// As long as a UUID in text.
fn id(number: u32) -> String {
    format!("{number:08x}-5b6c-4d7e-8f90-a1b2c3d4e5f6")
}

fn empty() -> RevocationList {
    RevocationList::builder().max_lifetime(DAY).build()
}

/// A list of so many ids, from 0, and of so many subjects.
fn filled(ids: u32, subjects: u32) -> RevocationList {
    let list = empty();
    let later = UnixTime::from_secs(now().as_secs() + 3600);
    for number in 0..ids {
        list.revoke(ISSUER, &id(number), later).expect("room");
    }
    for number in 0..subjects {
        list.revoke_subject(ISSUER, &id(number), now()).expect("room");
    }
    list
}

#[expect(clippy::cast_precision_loss, reason = "less than 2^52 bytes")]
fn memory(bench: &mut Bench, group: &str) {
    let count = bench.scale(MILLION);
    for (name, ids) in [("revoked tokens", count), ("of them half subjects", count / 2)] {
        let (held, list) = allocated(|| filled(ids, count - ids));
        let entries = list.len() as f64;
        bench.figure(group, &format!("{entries} {name}"), held.bytes as f64 / 1e6, "MB");
        bench.figure(group, name, held.bytes as f64 / entries, "bytes each");
    }
}

/// The median of batches of 64 checks, in nanoseconds each.
fn time_checks(bench: &Bench, list: &impl Revocation, ids: &[String], expected: RevocationVerdict) -> f64 {
    let mut random = Random::new(7);
    let mut figures = Vec::new();
    let now = now();
    for _ in 0..bench.scale(20_000) {
        // In a request the token has just been read: its id is at hand, as the copy is.
        let ids: Vec<_> = (0..64).map(|_| ids[random.below(ids.len())].clone()).collect();
        let token = |id| TokenFacts::new(ISSUER, now).with_ids([id]).with_subject(id).with_times(now, None);
        let tokens: Vec<_> = ids.iter().map(|id| token(&**id)).collect();
        let start = Instant::now();
        for token in &tokens {
            assert_eq!(black_box(list.check(token)), expected);
        }
        figures.push(start.elapsed().as_secs_f64() * 1e9 / 64.0);
    }
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn check(bench: &mut Bench, group: &str) {
    let count = bench.scale(MILLION);
    let [revoked, others]: [Vec<_>; 2] = [0, count].map(|first| (first..first + count).map(id).collect());
    let valid = RevocationVerdict::Valid;
    let list = filled(count, 0);
    let figures = [
        ("none revoked", time_checks(bench, &empty(), &others, valid)),
        ("1,000,000 ids, this one is not among them", time_checks(bench, &list, &others, valid)),
        ("1,000,000 ids, it is", time_checks(bench, &list, &revoked, RevocationVerdict::Revoked)),
        ("half of them subjects, neither is", time_checks(bench, &filled(count / 2, count / 2), &others, valid)),
    ];
    for (name, figure) in figures {
        bench.figure(group, name, figure, "ns");
    }
    // Two threads, each with checks of its own.
    let both = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| time_checks(bench, &list, &others, valid)));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    bench.figure(group, "1,000,000 ids, on each of two threads", f64::max(both[0], both[1]), "ns");
}

/// The whole of a request, with the list and without.
fn requests(bench: &mut Bench, group: &str) {
    type Service = JwtAuthService<Nothing, Claims>;
    let authority = &Authority::new(Algorithm::HS256).named(ISSUER).for_audience(AUDIENCE);
    let token = &authority.token().claims(claims(1, 3600)).claim("jti", id(u32::MAX)).sign();
    let list = filled(bench.scale(MILLION), 0);
    let service = |list: Option<&RevocationList>, remembers: bool| -> Service {
        let mut builder = Verifier::builder().trust(authority.trusted().max_lifetime(DAY));
        if let Some(list) = list {
            builder = builder.revocation(list.clone());
        }
        if remembers {
            builder = builder.cache(TokenCache::new(1000));
        }
        JwtAuth::with(builder.build().expect("a good configuration")).layer(Nothing)
    };
    for (name, remembers) in [("verified", false), ("remembered", true)] {
        let cases = [("no list", None), ("1,000,000 revoked", Some(&list))].map(|(name, list)| {
            let send = move || request::<Full<Bytes>>(Some(token));
            Case::requests(name, StatusCode::OK, service(list, remembers), send)
        });
        bench.group(&format!("{group}, {name} (HS256)"), "no list", cases.into());
    }
}

fn connect(server: &RedisServer, list: RevocationList) -> RedisRevocations {
    RedisRevocations::new(list, Redis::open(&server.url()).expect("a URL").timeout(Duration::from_secs(5)))
}

async fn load(bench: &mut Bench, group: &str) {
    let server = RedisServer::with_options(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let count = bench.scale(MILLION);
    let first = connect(&server, filled(count, 0));
    let start = Instant::now();
    first.ready().await.expect("a runtime");
    bench.figure(group, &format!("{count} entries published and read back"), start.elapsed().as_secs_f64(), "s");
    let mut figures = Vec::new();
    for _ in 0..5 {
        let another = connect(&server, empty());
        let start = Instant::now();
        another.ready().await.expect("a runtime");
        figures.push(start.elapsed().as_secs_f64());
        assert_eq!(another.status().entries, count as usize);
    }
    figures.sort_by(f64::total_cmp);
    bench.figure(group, &format!("{count} entries at the start of an instance"), figures[2], "s");
    let bytes: String = server.ask(&["INFO", "memory"]);
    let used = bytes.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("Redis says so");
    bench.figure(group, "memory of the server", used.trim().parse::<f64>().expect("a number") / 1e6, "MB");

    let others: Vec<_> = (count..2 * count).map(id).collect();
    let figure = time_checks(bench, &first, &others, RevocationVerdict::Valid);
    bench.figure(group, "a check, 1,000,000 ids, this one is not among them", figure, "ns");
}

async fn propagation(bench: &mut Bench, group: &str) {
    for fsync in ["always", "everysec"] {
        let server = RedisServer::with_options(&["--appendonly", "yes", "--appendfsync", fsync]);
        let [one, other] = [connect(&server, empty()), connect(&server, empty())];
        for each in [&one, &other] {
            each.ready().await.expect("a runtime");
        }
        let later = UnixTime::from_secs(now().as_secs() + 3600);
        let [mut acknowledged, mut seen] = [Vec::new(), Vec::new()];
        for number in 0..bench.scale(20_000) {
            let id = id(number);
            let other = other.clone();
            let start = Instant::now();
            let watched = {
                let id = id.clone();
                // Looked at again and again, with pauses that leave the processor to the server.
                tokio::task::spawn_blocking(move || {
                    let token = TokenFacts::new(ISSUER, now()).with_ids([&*id]);
                    while other.check(&token) != RevocationVerdict::Revoked {
                        std::thread::sleep(Duration::from_micros(20));
                    }
                    start.elapsed()
                })
            };
            one.revoke(ISSUER, &id, later).await.expect("acknowledged");
            acknowledged.push(start.elapsed());
            seen.push(watched.await.expect("no panic"));
        }
        for (name, mut figures) in [("acknowledged", acknowledged), ("seen at the other instance", seen)] {
            figures.sort_unstable();
            for percent in [50, 99] {
                let figure = figures[(figures.len() - 1) * percent / 100].as_secs_f64() * 1e6;
                bench.figure(group, &format!("appendfsync {fsync}: {name}, p{percent}"), figure, "µs");
            }
        }
    }
}
