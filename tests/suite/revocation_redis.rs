//! Revocations on a real Redis server: shared, gap-free, and in force whatever happens to the server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tokio::time::{sleep, timeout};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::revocation::{
    RedisRevocations, Revocation as _, RevocationList, RevocationListBuilder, RevocationVerdict, RevokeErrorKind,
    TokenFacts,
};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Redis, TokenCache, Verifier};

use crate::redaction::Log;
use crate::redis_server::RedisServer;
use crate::support::verdict;
use crate::tcp_proxy::Proxy;

const ISSUER: &str = "https://issuer.test";
const HOUR: Duration = Duration::from_secs(3600);
/// For tests in which the server does not answer.
const LIMIT: Duration = Duration::from_secs(2);
/// For the others: where the machine is busy, the server is not away.
const PATIENCE: Duration = Duration::from_secs(10);

fn list() -> RevocationListBuilder {
    RevocationList::builder().max_lifetime(HOUR)
}

/// An instance of a service.
fn instance(url: &str) -> RedisRevocations {
    within(url, PATIENCE)
}

fn within(url: &str, limit: Duration) -> RedisRevocations {
    RedisRevocations::new(list().build(), Redis::open(url).expect("a URL").timeout(limit))
}

async fn ready(revocations: &RedisRevocations) {
    let is_ready = timeout(Duration::from_secs(20), revocations.ready()).await;
    is_ready.unwrap_or_else(|_| panic!("not ready: {:?}", revocations.status())).expect("a runtime");
}

async fn started(url: &str) -> RedisRevocations {
    let revocations = instance(url);
    ready(&revocations).await;
    revocations
}

fn now() -> UnixTime {
    SystemTime::now().into()
}

fn later() -> UnixTime {
    UnixTime::from_secs(now().as_secs() + 600)
}

fn judge(revocations: &RedisRevocations, id: &str) -> RevocationVerdict {
    revocations.check(&TokenFacts::new(ISSUER, now()).with_ids([id]))
}

fn is_revoked(revocations: &RedisRevocations, id: &str) -> bool {
    judge(revocations, id) == RevocationVerdict::Revoked
}

fn is_unknown(revocations: &RedisRevocations, id: &str) -> bool {
    matches!(judge(revocations, id), RevocationVerdict::Unknown { .. })
}

/// Waits for something that has to come, looking again and again.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_one_instance_revokes_is_refused_at_every_other() {
    let server = RedisServer::start();
    let authority = Authority::new(Algorithm::ES256);
    let revocations = [started(&server.url()).await, started(&server.url()).await];
    let verifiers = revocations.clone().map(|revocations| {
        let builder = Verifier::<Value>::builder().trust(authority.trusted().max_lifetime(HOUR));
        builder.revocation(revocations).cache(TokenCache::new(10)).build().expect("valid")
    });
    let old = authority.token().claim("iat", now().as_secs() - 60);
    let [a, b] = [old.claim("jti", "a").sign(), authority.token().claim("jti", "b").claim("sub", "user-2").sign()];
    for verifier in &verifiers {
        assert_eq!((verdict(verifier, &a).await, verdict(verifier, &b).await), (Ok(()), Ok(())));
    }
    revocations[0].revoke(authority.name(), "b", later()).await.expect("acknowledged");
    assert_eq!(verdict(&verifiers[0], &b).await, Err(Kind::Revoked), "here at once");
    until("the other instance knows of b", || revocations[1].status().entries == 1).await;
    assert_eq!((verdict(&verifiers[1], &a).await, verdict(&verifiers[1], &b).await), (Ok(()), Err(Kind::Revoked)));

    revocations[1].revoke_subject(authority.name(), "user-1", now()).await.expect("acknowledged");
    until("the first instance knows of user-1", || revocations[0].status().entries == 2).await;
    for verifier in &verifiers {
        assert_eq!(verdict(verifier, &a).await, Err(Kind::Revoked));
    }
    let elsewhere = RedisRevocations::new(list().build(), server.redis().prefix("another-service:"));
    ready(&elsewhere).await;
    assert!(!is_revoked(&elsewhere, "b"), "an application of its own");
}

#[tokio::test]
async fn before_the_first_full_read_nobody_can_say() {
    let mut server = RedisServer::start();
    server.kill();
    let authority = Authority::new(Algorithm::ES256);
    let revocations = instance(&server.url());
    let builder = Verifier::<Value>::builder().trust(authority.trusted().max_lifetime(HOUR));
    let verifier = builder.revocation(revocations.clone()).build().expect("valid");
    let token = authority.token().claim("jti", "a").sign();
    let error = verifier.verify(&token).await.expect_err("nobody can say");
    assert_eq!(error.kind(), Kind::RevocationUnavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    until("the failure is in the status", || revocations.status().last_error.is_some()).await;
    assert!(!revocations.is_ready() && revocations.status().age.is_none());

    let error = revocations.revoke(authority.name(), "b", later()).await.expect_err("not acknowledged");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    assert!(is_revoked(&revocations, "b"), "in force here all the same");
    server.restart();
    ready(&revocations).await;
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    let status = revocations.status();
    assert_eq!((status.last_error, status.unpublished), (None, 0));
    assert!(is_revoked(&started(&server.url()).await, "b"), "published once the server was there");
}

#[tokio::test]
async fn an_instance_that_starts_reads_everything_that_has_not_left() {
    let server = RedisServer::start();
    // Thousands at once, on a machine that may be busy.
    let first = RedisRevocations::new(list().build(), server.redis());
    ready(&first).await;
    let of = |n: usize| format!("token-{n}");
    let mut sent = tokio::task::JoinSet::new();
    for n in 0..3000 {
        let first = first.clone();
        sent.spawn(async move { first.revoke(ISSUER, &of(n), later()).await });
    }
    sent.join_all().await.into_iter().collect::<Result<(), _>>().expect("acknowledged");
    let past = UnixTime::from_secs(now().as_secs() - 299);
    first.revoke(ISSUER, "about to leave", past).await.expect("acknowledged");
    first.revoke_subject(ISSUER, "someone", now()).await.expect("acknowledged");
    let gone = UnixTime::from_secs(now().as_secs() - 301);
    first.revoke(ISSUER, "gone", gone).await.expect("nothing to do");

    let second = started(&server.url()).await;
    assert!((0..3000).all(|n| is_revoked(&second, &of(n))));
    assert!(!is_revoked(&second, "token-3000") && !is_revoked(&second, "gone"));
    let token = TokenFacts::new(ISSUER, now()).with_subject("someone");
    assert_eq!(second.check(&token.with_times(now(), None)), RevocationVerdict::Revoked);
    assert_eq!(second.check(&token.with_times(later(), None)), RevocationVerdict::Valid);

    // What has left leaves the server with the next write, by the server's clock.
    until("the entry has left", || !is_revoked(&first, "about to leave")).await;
    let start = Instant::now();
    for n in 1.. {
        second.revoke(ISSUER, &format!("another-{n}"), later()).await.expect("acknowledged");
        if server.ask::<usize>(&["ZCARD", "tower-jwt-auth:revoked:ids"]) == 3000 + n {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it stays");
    }
}

/// Revokes one id after the other until it is told to stop: those that were acknowledged, and the others.
async fn revoke_on(revocations: RedisRevocations, name: String, next: Arc<AtomicUsize>) -> [Vec<String>; 2] {
    let mut sent = [Vec::new(), Vec::new()];
    while next.load(Ordering::Relaxed) < usize::MAX / 2 {
        let id = format!("{name}-{}", next.fetch_add(1, Ordering::Relaxed));
        let answer = revocations.revoke(ISSUER, &id, later()).await;
        assert!(is_revoked(&revocations, &id), "in force here whatever the server does");
        sent[usize::from(answer.is_err())].push(id);
    }
    sent
}

#[tokio::test]
async fn killed_in_the_middle_of_revocations_the_server_loses_none_and_learns_of_those_in_flight() {
    let mut server = RedisServer::start();
    let [one, other] = [started(&server.url()).await, started(&server.url()).await];
    one.revoke(ISSUER, "before", later()).await.expect("acknowledged");
    let (mut acknowledged, mut in_flight) = (Vec::new(), Vec::new());
    for round in 0.. {
        // On a busy machine, all may have been answered.
        if round >= 4 && !in_flight.is_empty() {
            break;
        }
        assert!(round < 40, "the server was killed in the middle of something");
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = [&one, &one, &other]
            .into_iter()
            .enumerate()
            .map(|(task, instance)| {
                tokio::spawn(revoke_on(instance.clone(), format!("{round}-{task}"), Arc::clone(&next)))
            })
            .collect();
        until("some revocations", || next.load(Ordering::Relaxed) > 200).await;
        server.kill();
        assert!(is_revoked(&one, "before") && !is_revoked(&one, "never"), "the last state serves");
        next.store(usize::MAX / 2, Ordering::Relaxed);
        for task in tasks {
            let [known, unknown] = task.await.expect("no panic");
            acknowledged.extend(known);
            in_flight.extend(unknown);
        }
        server.restart();
        let fresh = started(&server.url()).await;
        assert!(acknowledged.iter().all(|id| is_revoked(&fresh, id)), "from its file, in round {round}");
        assert!(acknowledged.len() > 200 * round && !is_revoked(&fresh, "never"));
    }
    for instance in [&one, &other] {
        let all = || acknowledged.iter().chain(&in_flight).all(|id| is_revoked(instance, id));
        until("both know of everything, acknowledged or not", all).await;
        assert!(!is_revoked(instance, "never"));
        until("nothing is left to publish", || instance.status().unpublished == 0).await;
    }
}

#[tokio::test]
async fn while_the_server_stands_still_the_last_state_serves_and_revoking_says_so_in_time() {
    let server = RedisServer::start();
    let [one, other] = [(); 2].map(|()| within(&server.url(), LIMIT));
    ready(&one).await;
    ready(&other).await;
    one.revoke(ISSUER, "before", later()).await.expect("acknowledged");
    until("the other knows", || is_revoked(&other, "before")).await;
    server.pause();
    let start = Instant::now();
    let error = one.revoke(ISSUER, "meanwhile", later()).await.expect_err("not acknowledged");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    assert!(start.elapsed() < LIMIT * 5, "{:?}", start.elapsed());
    // Nobody waits for this one any longer; it is on its way all the same.
    let dropped = timeout(Duration::from_millis(50), one.revoke(ISSUER, "dropped", later())).await;
    assert!(dropped.is_err());
    for instance in [&one, &other] {
        assert!(is_revoked(instance, "before") && judge(instance, "never") == RevocationVerdict::Valid);
    }
    assert!(is_revoked(&one, "meanwhile") && is_revoked(&one, "dropped") && !is_revoked(&other, "meanwhile"));
    until("both have noticed", || [&one, &other].iter().all(|each| each.status().last_error.is_some())).await;
    server.resume();
    until("the other learns of both", || is_revoked(&other, "meanwhile") && is_revoked(&other, "dropped")).await;
    assert_eq!(judge(&other, "never"), RevocationVerdict::Valid);
}

#[tokio::test]
async fn over_a_slow_connection_everything_arrives_and_no_check_waits() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.slow_down(Duration::from_millis(60));
    let [near, far] = [started(&server.url()).await, within(&proxy.url(), LIMIT)];
    ready(&far).await;
    for n in 0..100 {
        near.revoke(ISSUER, &format!("near-{n}"), later()).await.expect("acknowledged");
    }
    far.revoke(ISSUER, "far", later()).await.expect("acknowledged, in its own time");
    until("the far one knows", || (0..100).all(|n| is_revoked(&far, &format!("near-{n}")))).await;
    until("the near one knows", || is_revoked(&near, "far")).await;
    // Slower than any limit: the connection is of no use, and the last state serves.
    proxy.slow_down(LIMIT * 3);
    let error = far.revoke(ISSUER, "too slow", later()).await.expect_err("not in time");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(is_revoked(&far, "far") && judge(&far, "never") == RevocationVerdict::Valid);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "2000 checks took {:?}", start.elapsed());
    proxy.slow_down(Duration::ZERO);
    until("the near one learns", || is_revoked(&near, "too slow")).await;
}

#[tokio::test]
async fn after_a_cut_connection_nothing_is_missing_and_little_is_read_again() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let [near, far] = [started(&server.url()).await, started(&proxy.url()).await];
    near.revoke(ISSUER, "before", later()).await.expect("acknowledged");
    until("the far one knows", || is_revoked(&far, "before")).await;

    proxy.cut();
    near.revoke(ISSUER, "meanwhile", later()).await.expect("acknowledged");
    assert!(is_revoked(&far, "before") && judge(&far, "meanwhile") == RevocationVerdict::Valid);
    proxy.mend();
    until("the far one learns", || is_revoked(&far, "meanwhile")).await;
    assert_eq!(far.status().full_reads, 1, "the stream had it");

    proxy.cut();
    for n in 0..10 {
        near.revoke(ISSUER, &format!("gap-{n}"), later()).await.expect("acknowledged");
    }
    let _: usize = server.ask(&["XTRIM", "tower-jwt-auth:revoked:stream", "MAXLEN", "2"]);
    proxy.mend();
    until("the far one learns", || (0..10).all(|n| is_revoked(&far, &format!("gap-{n}")))).await;
    until("it has read everything", || far.status().full_reads == 2).await;

    proxy.cut();
    near.revoke(ISSUER, "last", later()).await.expect("acknowledged");
    let _: usize = server.ask(&["DEL", "tower-jwt-auth:revoked:stream"]);
    proxy.mend();
    until("the far one learns", || is_revoked(&far, "last")).await;
    near.revoke(ISSUER, "after", later()).await.expect("acknowledged");
    until("the far one follows on", || is_revoked(&far, "after")).await;
    assert_eq!(judge(&far, "never"), RevocationVerdict::Valid);
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_told_again_by_the_instances_that_run() {
    let mut server = RedisServer::start();
    let [one, other] = [started(&server.url()).await, started(&server.url()).await];
    for n in 0..1200 {
        let instance = if n % 2 == 0 { &one } else { &other };
        instance.revoke(ISSUER, &format!("{n}"), later()).await.expect("acknowledged");
    }
    one.revoke_subject(ISSUER, "someone", now()).await.expect("acknowledged");
    let all = |instance: &RedisRevocations| (0..1200).all(|n| is_revoked(instance, &format!("{n}")));
    until("both know", || all(&one) && all(&other)).await;
    drop(other);

    server.restart_empty();
    assert!(all(&one), "it forgets nothing on account of the server");
    let cards =
        || ["ids", "subjects"].map(|name| server.ask::<usize>(&["ZCARD", &format!("tower-jwt-auth:revoked:{name}")]));
    until("the server has all again", || cards() == [1200, 1]).await;
    assert!(all(&started(&server.url()).await) && all(&one));

    // Without a lost connection to tell of it.
    let fresh = started(&server.url()).await;
    let _: String = server.ask(&["FLUSHALL"]);
    until("the server has all again", || cards() == [1200, 1]).await;
    let _: usize = server.ask(&["DEL", "tower-jwt-auth:revoked:meta"]);
    let reads = fresh.status().full_reads;
    until("it is noticed", || fresh.status().full_reads > reads).await;
    fresh.revoke(ISSUER, "after", later()).await.expect("acknowledged");
    until("they follow on", || is_revoked(&one, "after")).await;
    assert!(all(&one) && all(&fresh) && judge(&one, "never") == RevocationVerdict::Valid);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).expect("a file");
        }
    }
}

/// What a failover to a replica that lags, or a backup, looks like.
#[tokio::test]
async fn a_server_that_comes_back_without_its_last_changes_is_told_again() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let [one, late] = [started(&server.url()).await, started(&proxy.url()).await];
    one.revoke(ISSUER, "kept", later()).await.expect("acknowledged");
    let backup = server.folder().with_extension("backup");
    copy(server.folder(), &backup);
    one.revoke(ISSUER, "lost", later()).await.expect("acknowledged");
    until("the late one knows", || is_revoked(&late, "lost")).await;

    // The late one comes back after the server has gone on in another direction.
    proxy.cut();
    server.kill();
    std::fs::remove_dir_all(server.folder()).expect("it is this server's own");
    copy(&backup, server.folder());
    std::fs::remove_dir_all(&backup).expect("it is this test's own");
    server.restart();
    let fresh = started(&server.url()).await;
    fresh.revoke(ISSUER, "new", later()).await.expect("acknowledged");
    until("the lost one is back", || is_revoked(&fresh, "lost")).await;
    until("the first instance follows", || is_revoked(&one, "new")).await;
    proxy.mend();
    until("the late one follows", || is_revoked(&late, "new")).await;
    for instance in [&one, &late, &fresh, &started(&server.url()).await] {
        assert!(["kept", "lost", "new"].iter().all(|id| is_revoked(instance, id)) && !is_revoked(instance, "never"));
    }
}

#[tokio::test]
async fn past_five_minutes_the_state_is_stale_and_what_then_is_the_users_choice() {
    let mut server = RedisServer::start();
    let clock = Clock::manual(now());
    let builder = || RedisRevocations::builder(list().clock(clock.clone()).build(), server.redis());
    let [closed, open, patient] =
        [builder().build(), builder().danger_serve_when_stale().build(), builder().stale_after(HOUR).build()];
    for each in [&closed, &open, &patient] {
        ready(each).await;
    }
    closed.revoke(ISSUER, "before", later()).await.expect("acknowledged");
    until("all know", || [&closed, &open, &patient].iter().all(|each| is_revoked(each, "before"))).await;
    server.kill();
    until("all have noticed", || [&closed, &open, &patient].iter().all(|each| each.status().last_error.is_some()))
        .await;

    clock.advance(Duration::from_secs(290));
    assert!([&closed, &open, &patient].iter().all(|each| judge(each, "x") == RevocationVerdict::Valid));
    clock.advance(Duration::from_secs(10));
    assert!(is_unknown(&closed, "x") && !closed.is_ready());
    assert!(is_revoked(&closed, "before"), "what is known stays known");
    assert!(closed.status().age >= Some(Duration::from_secs(300)), "{:?}", closed.status());
    assert_eq!(judge(&open, "x"), RevocationVerdict::Valid);
    assert!(judge(&patient, "x") == RevocationVerdict::Valid && is_revoked(&open, "before"));
    clock.advance(HOUR);
    assert!(is_unknown(&patient, "x") && judge(&open, "x") == RevocationVerdict::Valid);
    server.restart();
    for each in [&closed, &open, &patient] {
        ready(each).await;
        assert_eq!(judge(each, "x"), RevocationVerdict::Valid);
    }
}

#[tokio::test]
async fn a_full_server_is_an_error_to_the_one_who_revokes_and_evicts_nothing() {
    let server = RedisServer::start();
    let bounded = || RedisRevocations::new(list().entries(3).build(), server.redis().timeout(LIMIT));
    let [one, other] = [bounded(), bounded()];
    ready(&one).await;
    for id in ["a", "b"] {
        one.revoke(ISSUER, id, later()).await.expect("acknowledged");
    }
    server.pause();
    let error = one.revoke(ISSUER, "c", later()).await.expect_err("not acknowledged");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    server.resume();
    until("it is published", || one.status().unpublished == 0).await;
    ready(&other).await;
    assert!(["a", "b", "c"].iter().all(|id| is_revoked(&other, id)));
    assert_eq!(other.revoke(ISSUER, "d", later()).await.expect_err("full").kind(), RevokeErrorKind::Full);
    assert!(!is_revoked(&other, "d"));
    other.revoke(ISSUER, "a", UnixTime::from_secs(later().as_secs() + 99)).await.expect("it is there already");

    // The server is full, and this instance has not read it yet.
    let unread = bounded();
    let error = unread.revoke(ISSUER, "d", later()).await.expect_err("full");
    assert_eq!(error.kind(), RevokeErrorKind::Full);
    assert!(is_revoked(&unread, "d"), "in force here alone");
    ready(&unread).await;
    assert!(["a", "b", "c", "d"].iter().all(|id| is_revoked(&unread, id)), "there is room for both");
    assert_eq!(unread.status().unpublished, 1);
}

/// A full memory, a primary without its replicas, a disk that fails: the server answers, and takes nothing.
#[tokio::test]
async fn what_the_server_does_not_take_keeps_nobody_from_following_it() {
    let server = RedisServer::start();
    let _: String = server.ask(&["ACL", "SETUSER", "other", "on", "nopass", "~*", "&*", "+@all"]);
    let one = started(&server.url()).await;
    let other = started(&server.url().replace("redis://", "redis://other:x@")).await;
    let _: String = server.ask(&["ACL", "SETUSER", "default", "-zadd"]);
    let error = one.revoke(ISSUER, "one's", later()).await.expect_err("not taken");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    other.revoke(ISSUER, "other's", later()).await.expect("acknowledged");
    until("the one follows", || is_revoked(&one, "other's")).await;
    assert_eq!(one.status().full_reads, 1);
    until("it remembers", || one.status().unpublished == 1).await;
    // A server with another past is read as a whole.
    let _: usize = server.ask(&["DEL", "tower-jwt-auth:revoked:meta"]);
    other.revoke(ISSUER, "anew", later()).await.expect("acknowledged");
    until("the one has read everything", || one.status().full_reads == 2 && is_revoked(&one, "anew")).await;
    assert!(one.status().is_ready && !is_revoked(&other, "one's"));
    until("it remembers", || one.status().unpublished > 0).await;
    let _: String = server.ask(&["ACL", "SETUSER", "default", "+zadd"]);
    until("the other learns", || is_revoked(&other, "one's")).await;
    until("nothing is left to publish", || one.status().unpublished == 0).await;
}

/// The connections of those that are there stay with the old primary, which takes nothing any more.
#[tokio::test]
async fn after_a_failover_what_was_revoked_is_published_to_the_new_primary() {
    let [old, new] = [RedisServer::start(), RedisServer::start()];
    let proxy = Proxy::to(old.port()).await;
    let follow = |server: &RedisServer, port: String| {
        let _: String = server.ask(&["REPLICAOF", "127.0.0.1", &port]);
    };
    let _: String = old.ask(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    let one = started(&proxy.url()).await;
    one.revoke(ISSUER, "before", later()).await.expect("acknowledged");
    follow(&new, old.port().to_string());
    until("the replica has it", || new.ask::<usize>(&["ZCARD", "tower-jwt-auth:revoked:ids"]) == 1).await;
    let _: String = new.ask(&["REPLICAOF", "NO", "ONE"]);
    follow(&old, new.port().to_string());
    proxy.lead_to(new.port());

    let other = started(&new.url()).await;
    let error = one.revoke(ISSUER, "meanwhile", later()).await.expect_err("the old primary is none");
    assert_eq!(error.kind(), RevokeErrorKind::NotShared);
    let start = Instant::now();
    while one.revoke(ISSUER, "after", later()).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not find the new one");
    }
    until("it learns of it", || is_revoked(&other, "meanwhile") && is_revoked(&other, "after")).await;
    until("nothing is left to publish", || one.status().unpublished == 0).await;
    other.revoke(ISSUER, "other", later()).await.expect("acknowledged");
    until("the one follows", || is_revoked(&one, "other")).await;
    assert!(is_revoked(&other, "before"));
}

#[tokio::test]
async fn a_server_that_may_forget_is_named_in_the_status_and_once_in_an_event() {
    let log = Log::start();
    let server = RedisServer::start();
    let good = started(&server.url()).await.status();
    assert_eq!((good.never_evicts, good.append_only), (Some(true), Some(true)));
    assert_eq!(good.append_fsync.as_deref(), Some("always"));
    assert!(!log.text().contains("may lose"));

    let mut server = RedisServer::with_options(&["--maxmemory-policy", "allkeys-lru"]);
    let revocations = started(&server.url()).await;
    let status = revocations.status();
    assert_eq!((status.never_evicts, status.append_only), (Some(false), Some(false)));
    server.restart();
    until("it is read again", || revocations.status().full_reads == 2).await;
    assert_eq!(log.text().matches("may lose").count(), 1, "{}", log.text());

    // Managed servers keep this to themselves.
    let server = RedisServer::with_options(&["--rename-command", "CONFIG", "", "--rename-command", "INFO", ""]);
    let revocations = started(&server.url()).await;
    let status = revocations.status();
    assert_eq!((status.never_evicts, status.append_only, status.append_fsync), (None, None, None));
    revocations.revoke(ISSUER, "a", later()).await.expect("acknowledged");
}

#[tokio::test]
async fn something_else_under_the_keys_is_no_empty_list() {
    let server = RedisServer::start();
    let _: usize = server.ask(&["ZADD", "tower-jwt-auth:revoked:ids", "99999999999", "someone else's"]);
    let revocations = instance(&server.url());
    assert!(!revocations.is_ready());
    until("it says so", || revocations.status().last_error.is_some_and(|error| error.contains("prefix"))).await;
    assert!(is_unknown(&revocations, "a"));
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle() {
    let server = RedisServer::start();
    let clients = || server.ask::<String>(&["CLIENT", "LIST"]).lines().count() - 1;
    let revocations = started(&server.url()).await;
    let clone = revocations.clone();
    revocations.revoke(ISSUER, "a", later()).await.expect("acknowledged");
    drop(revocations);
    clone.revoke(ISSUER, "b", later()).await.expect("acknowledged");
    assert_eq!(clients(), 2, "one that follows, one for the rest");
    drop(clone);
    until("both are closed", || clients() == 0).await;
}

#[test]
fn a_runtime_that_went_away_wedges_nothing() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let [one, other] = [instance(&server.url()), instance(&server.url())];
    assert!(is_unknown(&one, "a") && !one.is_ready(), "there is no runtime to follow on");
    for round in 0..3 {
        // `other` is in a runtime of its own in each round, `one` is taken along.
        runtime().block_on(async {
            ready(&one).await;
            one.revoke(ISSUER, &format!("one-{round}"), later()).await.expect("acknowledged");
        });
        assert!(is_revoked(&one, &format!("one-{round}")) && judge(&one, "never") == RevocationVerdict::Valid);
        runtime().block_on(async {
            ready(&other).await;
            until("the other follows", || is_revoked(&other, &format!("one-{round}"))).await;
            other.revoke(ISSUER, &format!("other-{round}"), later()).await.expect("acknowledged");
            ready(&one).await;
            until("the one follows again", || is_revoked(&one, &format!("other-{round}"))).await;
        });
    }
}

/// What a failover, or a crash without `appendfsync always`, does to a write that had just been answered.
#[tokio::test]
async fn what_was_acknowledged_and_then_lost_is_told_again_by_the_one_who_revoked() {
    let server = RedisServer::start();
    let revoking = started(&server.url()).await;
    revoking.revoke(ISSUER, "old", later()).await.expect("acknowledged");
    until("the record is read", || revoking.status().age.is_some_and(|age| age < Duration::from_millis(20))).await;
    let copy = |from: &str, to: &str| {
        for name in ["meta", "ids", "stream"] {
            let key = format!("tower-jwt-auth:revoked:{name}");
            let _: i64 = server.ask(&["COPY", &format!("{from}{key}"), &format!("{to}{key}"), "REPLACE"]);
        }
    };
    copy("", "replica:");
    // The task loses its connection, for longer than it takes to revoke something.
    let _: String = server.ask(&["ACL", "SETUSER", "default", "-xread"]);
    until("the task has lost the server", || revoking.status().last_error.is_some()).await;
    revoking.revoke(ISSUER, "new", later()).await.expect("acknowledged");
    copy("replica:", "");
    let _: String = server.ask(&["ACL", "SETUSER", "default", "+xread"]);
    until("the task is back", || revoking.status().last_error.is_none()).await;
    until("nothing waits", || revoking.status().unpublished == 0).await;
    assert!(is_revoked(&revoking, "new"));
    let starting = started(&server.url()).await;
    assert!(is_revoked(&starting, "old"));
    assert!(is_revoked(&starting, "new"), "an instance that starts now lets it pass");
}
