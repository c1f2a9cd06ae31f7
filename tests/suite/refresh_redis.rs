//! Refresh tokens on a real Redis server: shared, swept by the server, and none lost to its faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_harness::Random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower_jwt_auth::Redis;
use tower_jwt_auth::issue::refresh::{RedisRefreshStore, RefreshErrorKind, RefreshToken};

use crate::redis_server::RedisServer;
use crate::refreshing::{self, Seen, Tokens, login, refused, rotate, start, tokens, with_grace};
use crate::tcp_proxy::Proxy;

/// Two instances, with connections of their own.
fn instances(server: &RedisServer) -> [RedisRefreshStore; 2] {
    [(); 2].map(|()| RedisRefreshStore::new(server.redis()))
}

fn families(server: &RedisServer) -> Vec<String> {
    server.ask(&["KEYS", "tower-jwt-auth:refresh:family:*"])
}

#[tokio::test]
async fn a_token_is_good_for_one_use_and_a_second_one_ends_its_family() {
    refreshing::one_use_each(&instances(&RedisServer::start())).await;
}

#[tokio::test]
async fn what_is_no_token_is_refused_and_ends_nothing() {
    refreshing::forgeries(&instances(&RedisServer::start())).await;
}

#[tokio::test]
async fn within_the_window_the_token_spent_last_gives_the_same_successor() {
    refreshing::the_window(&instances(&RedisServer::start())).await;
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_one_by_one_or_all_together() {
    refreshing::sessions(&instances(&RedisServer::start())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_uses_at_once_exactly_one_rotates() {
    refreshing::many_at_once(&instances(&RedisServer::start())).await;
}

/// Waits until it holds; the server sweeps when it likes to.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_server_sweeps_what_has_expired() {
    let server = RedisServer::start();
    let [store, _] = instances(&server);
    let day = Duration::from_secs(24 * 60 * 60);
    let ttl = |key: &str| server.ask::<i64>(&["PTTL", key]);
    let index = || server.ask::<Vec<String>>(&["KEYS", "*:refresh:subject:*"]).pop().expect("a subject");
    let millis = |days: i64| (days * 86_400_000 - 20_000)..=days * 86_400_000;

    // Idle for 14 days, ended after 30; then a shorter family of the same subject, which must not shorten the index.
    let token = start(&tokens(&store), "user").await;
    assert!(millis(14).contains(&ttl(&families(&server)[0])) && millis(30).contains(&ttl(&index())));
    let shorter = Tokens::builder(store.clone()).lifetime(day).build().expect("valid");
    start(&shorter, "user").await;
    assert!(millis(30).contains(&ttl(&index())));
    // What is rotated starts to idle anew, as long as its family lasts.
    let idle = Tokens::builder(store.clone()).idle(day * 20).build().expect("valid");
    let rotated = idle.rotate(token.as_str()).await.expect("live");
    let left = ttl(&format!("tower-jwt-auth:refresh:family:{}", token.family()));
    assert!(millis(20).contains(&left), "{left}");
    let session = rotated.session();
    assert!((20 * 86_400 - 20..=20 * 86_400).contains(&(session.expires().as_secs() - session.last_used().as_secs())));
    let idle = Tokens::builder(store.clone()).idle(day * 40).build().expect("valid");
    idle.rotate(rotated.token().as_str()).await.expect("live");
    let left = ttl(&format!("tower-jwt-auth:refresh:family:{}", token.family()));
    assert!(millis(30).contains(&left), "never past its end: {left}");
    let _: i64 = server.ask(&["DEL", &index(), &families(&server)[0], &families(&server)[1]]);

    // What is short passes before our eyes.
    let span = Duration::from_millis(200);
    let brief = Tokens::builder(store).lifetime(span * 2).idle(span).build().expect("valid");
    let token = start(&brief, "user").await;
    eventually("the family stays", || families(&server).is_empty()).await;
    assert_eq!(refused(&brief, &token).await, RefreshErrorKind::Invalid);
    eventually("the index stays", || server.ask::<i64>(&["DBSIZE"]) == 0).await;
}

#[tokio::test]
async fn the_window_is_as_long_as_it_says_by_the_servers_clock() {
    let server = RedisServer::start();
    let [store, _] = instances(&server);
    let window = Duration::from_millis(300);
    let tokens = Tokens::builder(store).grace(window).build().expect("valid");
    let first = start(&tokens, "user").await;
    let begun = Instant::now();
    let second = rotate(&tokens, &first).await;
    let mut repeated = 0;
    let refusal = loop {
        match tokens.rotate(first.as_str()).await {
            Ok(again) => assert_eq!(again.token().as_str(), second.as_str()),
            Err(error) => break error.kind(),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        repeated += 1;
    };
    assert_eq!(refusal, RefreshErrorKind::Reused);
    // The server's time is in whole milliseconds.
    let lasted = begun.elapsed() + Duration::from_millis(1);
    assert!(repeated > 1 && lasted >= window, "{repeated} times in {lasted:?}");
}

#[tokio::test]
async fn a_server_whose_memory_is_full_lets_sessions_end_and_leaves_the_others_as_they_are() {
    let server = RedisServer::start();
    let [store, _] = instances(&server);
    let tokens = tokens(&store);
    let [one, other] = [start(&tokens, "user").await, start(&tokens, "user").await];
    let one = rotate(&tokens, &one).await;
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(refused(&tokens, &one).await, RefreshErrorKind::Unavailable);
    let error = tokens.start("user", &login()).await.expect_err("there is no room");
    assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
    tokens.revoke_own("user", other.family()).await.expect("that makes room");
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(refused(&tokens, &other).await, RefreshErrorKind::Invalid);
    rotate(&tokens, &one).await;
    assert_eq!(tokens.sessions("user").await.expect("listed").len(), 1);
}

#[tokio::test]
async fn a_subject_with_too_many_sessions_starts_none_and_loses_none() {
    let server = RedisServer::start();
    let tokens = Tokens::new(RedisRefreshStore::with_bounds(server.redis(), 2)).expect("a backend");
    let [one, other] = [start(&tokens, "user").await, start(&tokens, "user").await];
    let full = async || tokens.start("user", &login()).await.expect_err("full").kind();
    assert_eq!(full().await, RefreshErrorKind::Full);
    start(&tokens, "another user").await;
    rotate(&tokens, &one).await;
    assert_eq!(refused(&tokens, &one).await, RefreshErrorKind::Reused);
    start(&tokens, "user").await;
    assert_eq!(full().await, RefreshErrorKind::Full);
    rotate(&tokens, &other).await;
}

#[tokio::test]
async fn what_is_on_the_server_is_no_token_and_makes_none() {
    let server = RedisServer::start();
    let [store, _] = instances(&server);
    let with_grace = with_grace(&store);
    let first = start(&with_grace, "user").await;
    let second = rotate(&with_grace, &first).await;
    let mut stored: Vec<Vec<u8>> = Vec::new();
    for key in server.ask::<Vec<String>>(&["KEYS", "*"]) {
        if server.ask::<String>(&["TYPE", &key]) == "hash" {
            stored.extend(server.ask::<Vec<Vec<u8>>>(&["HVALS", &key]));
        } else {
            stored.extend(server.ask::<Vec<Vec<u8>>>(&["ZRANGE", &key, "0", "-1"]));
        }
        stored.push(key.into_bytes());
    }
    stored.push(std::fs::read(server.folder().join("appendonlydir/appendonly.aof.1.incr.aof")).expect("its file"));
    assert!(stored.iter().any(|value| value.windows(5).any(|part| part == b"live\r")), "the file was read");
    for token in [&first, &second] {
        let bytes = URL_SAFE_NO_PAD.decode(token.as_str()).expect("base64url");
        // The whole of it, its mark and its secret, as text and as bytes.
        for part in [token.as_str().as_bytes(), &token.as_str().as_bytes()[..20], &bytes[..16], &bytes[16..]] {
            assert!(!stored.iter().any(|value| value.windows(part.len()).any(|window| window == part)));
        }
    }
    // Whatever is put together of it is refused, and ends nothing.
    let id = URL_SAFE_NO_PAD.decode(first.family().to_string()).expect("base64url");
    let hashes: Vec<_> = stored.iter().filter(|value| value.len() == 32).collect();
    assert_eq!(hashes.len(), 3, "of the live token, of the spent one, and a salt");
    for hash in &hashes {
        for mark in [&id[..], &hash[..16], &hash[16..]] {
            let text = URL_SAFE_NO_PAD.encode([mark, &hash[..]].concat());
            let error = with_grace.rotate(&text).await.expect_err("it is made of hashes");
            assert_eq!(error.kind(), RefreshErrorKind::Invalid);
        }
    }
    rotate(&with_grace, &second).await;
}

/// A client that uses its token again until it hears of the next one. `Err` when it is told to log in again.
async fn persist(tokens: &Tokens<RedisRefreshStore>, token: &RefreshToken) -> Result<RefreshToken, RefreshErrorKind> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match tokens.rotate(token.as_str()).await {
            Ok(rotated) => return Ok(rotated.into_parts().0),
            Err(error) if error.kind() == RefreshErrorKind::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error.kind()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_the_middle_of_rotations_costs_no_session() {
    let mut server = RedisServer::start();
    let stores = instances(&server);
    let mut clients = JoinSet::new();
    let stop = Arc::new(AtomicBool::new(false));
    for number in 0..16 {
        let (tokens, stop) = (with_grace(&stores[number % 2]), Arc::clone(&stop));
        let mut token = start(&tokens, "user").await;
        clients.spawn(async move {
            let mut rotations = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                token = persist(&tokens, &token).await.expect("its session stands");
                rotations += 1;
            }
            (token, rotations)
        });
    }
    let mut random = Random::new(7);
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(20 + random.below(150) as u64)).await;
        server = tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart();
            server
        })
        .await
        .expect("it starts again");
    }
    stop.store(true, Ordering::Relaxed);
    let mut last = Vec::new();
    for (token, rotations) in clients.join_all().await {
        assert!(rotations > 20, "it was at it: {rotations}");
        last.push(token);
    }
    // What was acknowledged last is live, and one of its family.
    assert_eq!(families(&server).len(), 16);
    for token in &last {
        persist(&with_grace(&stores[0]), token).await.expect("what was acknowledged is live");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_window_a_kill_costs_only_the_sessions_whose_rotation_was_not_answered() {
    let mut server = RedisServer::start();
    let [store, _] = instances(&server);
    let tokens = tokens(&store);
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let tokens = tokens.clone();
        let mut token = start(&tokens, "user").await;
        clients.spawn(async move {
            loop {
                match tokens.rotate(token.as_str()).await {
                    Ok(rotated) => token = rotated.into_parts().0,
                    Err(error) => {
                        assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
                        return token;
                    }
                }
            }
        });
    }
    let resting = rotate(&tokens, &start(&tokens, "resting").await).await;
    let gone = start(&tokens, "gone").await;
    tokens.revoke_subject("gone").await.expect("it is there");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    let unanswered = clients.join_all().await;
    server.restart();
    let resting = persist(&tokens, &resting).await.expect("what was acknowledged is live");
    assert_eq!(persist(&tokens, &gone).await.expect_err("what was revoked"), RefreshErrorKind::Invalid);
    for token in &unanswered {
        // The rotation happened or it did not; what is over is over in the one way that there is.
        match persist(&tokens, token).await {
            Ok(next) => drop(rotate(&tokens, &next).await),
            Err(kind) => assert_eq!(kind, RefreshErrorKind::Reused),
        }
    }
    rotate(&tokens, &resting).await;
}

#[tokio::test]
async fn a_server_that_stands_still_is_a_503_in_time_and_nothing_is_lost() {
    let server = RedisServer::start();
    let store = RedisRefreshStore::new(server.redis().timeout(Duration::from_secs(1)));
    let (strict, patient) = (tokens(&store), with_grace(&store));
    let [one, other, revoked] = [start(&strict, "a").await, start(&patient, "b").await, start(&strict, "c").await];
    server.pause();
    let begun = Instant::now();
    assert_eq!(refused(&patient, &other).await, RefreshErrorKind::Unavailable);
    let error = strict.revoke_family(revoked.family()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).is_some(), "with a reason for the operator");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    server.resume();
    // What was sent is done now, late; who tries again loses nothing.
    let next = persist(&patient, &other).await.expect("within the window");
    rotate(&patient, &next).await;
    strict.revoke_family(revoked.family()).await.expect("it is back");
    assert_eq!(refused(&strict, &revoked).await, RefreshErrorKind::Invalid);
    rotate(&strict, &one).await;
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let server = RedisServer::start();
    let store = RedisRefreshStore::new(server.redis());
    let tokens = tokens(&store);
    let mut token = start(&tokens, "user").await;
    for _ in 0..3 {
        let _: () = server.ask(&["CLIENT", "PAUSE", "150", "ALL"]);
        token = rotate(&tokens, &token).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_between_rotations_is_not_noticed() {
    let server = RedisServer::start();
    let [store, _] = instances(&server);
    let tokens = tokens(&store);
    let mut token = start(&tokens, "user").await;
    for _ in 0..10 {
        let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        token = rotate(&tokens, &token).await;
    }
    assert_eq!(tokens.sessions("user").await.expect("listed").len(), 1);
}

/// A wire to the server that can be cut after the server has done something and before its answer arrives.
async fn wire(port: u16) -> (Redis, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let redis = Redis::open(&format!("redis://{}/", listener.local_addr().expect("bound"))).expect("a URL");
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let is_cut = Arc::clone(&is_cut);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
                let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
                loop {
                    let passed = tokio::select! {
                        length = client.read(&mut asked) => {
                            let length = length.unwrap_or(0);
                            length > 0 && server.write_all(&asked[..length]).await.is_ok()
                        }
                        length = server.read(&mut answered) => {
                            let length = length.unwrap_or(0);
                            length > 0
                                && !is_cut.swap(false, Ordering::Relaxed)
                                && client.write_all(&answered[..length]).await.is_ok()
                        }
                    };
                    if !passed {
                        return;
                    }
                }
            });
        }
    });
    (redis, cut)
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_again_and_the_rotation_counts_once() {
    let server = RedisServer::start();
    let (redis, cut) = wire(server.port()).await;
    let tokens = tokens(&RedisRefreshStore::new(redis));
    let mut token = start(&tokens, "user").await;
    token = rotate(&tokens, &token).await;
    for _ in 0..10 {
        let live = || server.ask::<Vec<u8>>(&["HGET", &families(&server)[0], "live"]);
        let before = live();
        cut.store(true, Ordering::Relaxed);
        token = rotate(&tokens, &token).await;
        assert!(!cut.load(Ordering::Relaxed), "an answer was cut off");
        assert_ne!(live(), before);
    }
    cut.store(true, Ordering::Relaxed);
    tokens.revoke_token(token.as_str()).await.expect("twice is as good as once");
    assert!(families(&server).is_empty());
    // A start is not repeated: it could bring back what was revoked in between. Nobody has a token of the family.
    cut.store(true, Ordering::Relaxed);
    let error = tokens.start("user", &login()).await.expect_err("unknown");
    assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
    assert_eq!(families(&server).len(), 1);
    tokens.revoke_subject("user").await.expect("it can be ended");
    assert!(families(&server).is_empty());
}

/// A connection whose other end is gone without a word is never closed.
#[tokio::test]
async fn a_connection_that_falls_silent_is_left_for_another() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let redis = Redis::open(&proxy.url()).expect("a URL").timeout(Duration::from_secs(2));
    let tokens = tokens(&RedisRefreshStore::new(redis));
    let token = start(&tokens, "user").await;
    proxy.silence();
    rotate(&tokens, &token).await;
    // What is not done twice fails once.
    proxy.silence();
    let error = tokens.start("user", &login()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
    start(&tokens, "user").await;
}

/// Its answer was used when it came, over another connection than the first.
#[tokio::test]
async fn a_rotation_that_arrives_after_its_repetition_was_used_ends_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let redis = Redis::open(&proxy.url()).expect("a URL").timeout(Duration::from_secs(2));
    let runs = || {
        let stats: String = server.ask(&["INFO", "commandstats"]);
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next());
        calls.map_or(0, |calls| calls.parse::<u64>().expect("a number"))
    };
    for tokens in [tokens, with_grace].map(|make| make(&RedisRefreshStore::new(redis.clone()))) {
        let first = start(&tokens, "user").await;
        let first = rotate(&tokens, &first).await;
        proxy.silence();
        let second = rotate(&tokens, &first).await;
        let third = rotate(&tokens, &second).await;
        let before = runs();
        proxy.deliver();
        eventually("it does not arrive", || runs() > before).await;
        rotate(&tokens, &third).await;
        assert_eq!(refused(&tokens, &second).await, RefreshErrorKind::Reused);
    }
}

/// Whoever finds that a token was stolen must hear of it: the family is gone, and nothing else tells.
#[tokio::test]
async fn a_reuse_whose_answer_is_lost_or_late_is_reported_all_the_same() {
    let server = RedisServer::start();
    let (redis, cut) = wire(server.port()).await;
    let store = RedisRefreshStore::new(redis.timeout(Duration::from_secs(2)));
    for (way, window) in [("lost", false), ("lost", true), ("late", false), ("late", true)] {
        let reported = Arc::new(AtomicUsize::new(0));
        let report = Arc::clone(&reported);
        let builder = Tokens::builder(store.clone()).on_reuse(move |_| {
            report.fetch_add(1, Ordering::Relaxed);
        });
        let tokens = if window { builder.grace(Duration::from_millis(1)) } else { builder }.build().expect("valid");
        let first = start(&tokens, "user").await;
        let second = rotate(&tokens, &first).await;
        let third = rotate(&tokens, &second).await;
        if way == "lost" {
            cut.store(true, Ordering::Relaxed);
        } else {
            // Longer than the client waits for one answer.
            let _: String = server.ask(&["CLIENT", "PAUSE", "2500", "WRITE"]);
        }
        assert_eq!(refused(&tokens, &first).await, RefreshErrorKind::Reused, "{way}, {window}");
        assert_eq!(refused(&tokens, &first).await, RefreshErrorKind::Invalid, "{way}, {window}");
        assert_eq!(refused(&tokens, &third).await, RefreshErrorKind::Invalid, "{way}, {window}");
        assert_eq!(reported.load(Ordering::Relaxed), 1, "{way}, {window}");
    }
    let ended: Vec<String> = server.ask(&["KEYS", "tower-jwt-auth:refresh:ended:*"]);
    assert_eq!((ended.len(), families(&server).len()), (4, 0));
    assert!(ended.iter().all(|key| (1..=60).contains(&server.ask::<i64>(&["TTL", key]))), "they leave by themselves");
}

#[tokio::test]
async fn a_server_that_comes_back_empty_refuses_what_was_before() {
    let mut server = RedisServer::start();
    let [store, _] = instances(&server);
    let tokens = with_grace(&store);
    let spent = start(&tokens, "user").await;
    let live = rotate(&tokens, &spent).await;
    server.restart_empty();
    for token in [&spent, &live] {
        assert_eq!(persist(&tokens, token).await.expect_err("it is gone"), RefreshErrorKind::Invalid);
    }
    assert!(tokens.sessions("user").await.expect("listed").is_empty());
    let next = start(&tokens, "user").await;
    rotate(&tokens, &next).await;
}

#[tokio::test]
async fn a_service_starts_while_the_server_is_away() {
    let mut server = RedisServer::start();
    server.kill();
    let [store, _] = instances(&server);
    let tokens = tokens(&store);
    let error = tokens.start("user", &login()).await.expect_err("nobody is there");
    assert_eq!(error.kind(), RefreshErrorKind::Unavailable);
    server.restart();
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokens.start("user", &login()).await.is_err() {
        assert!(Instant::now() < deadline, "it does not find the server");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_order_of_calls_and_crashes_leaves_two_live_tokens_or_revives_a_session() {
    let server = RedisServer::start();
    let stores = instances(&server);
    let mut happened = [0; 4];
    for seed in 1..=60 {
        let has_window = seed % 2 == 0;
        let instances = stores.each_ref().map(if has_window { with_grace } else { tokens });
        let (mut random, seen) = (Random::new(seed), Arc::new(Seen::default()));
        let mut calls = JoinSet::new();
        for _ in 0..120 {
            let call = seen.call(&instances[random.below(2)], &mut random);
            // One in four is dropped somewhere on its way.
            let patience = if random.below(4) == 0 { random.below(600) } else { 60_000_000 };
            let patience = Duration::from_micros(patience as u64);
            calls.spawn(async move { tokio::time::timeout(patience, call).await.is_ok() });
            if random.below(40) == 0 {
                let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            while calls.len() > 6 {
                calls.join_next().await.expect("there are some").expect("no panic");
            }
        }
        while let Some(call) = calls.join_next().await {
            call.expect("no panic");
        }
        let [rotated, repeated, ended] = seen.check(has_window);
        for family in families(&server) {
            // All windows are over.
            let _: i64 = server.ask(&["HDEL", &family, "spent", "salt", "retry"]);
        }
        // The first answer may be that the connection was cut.
        let _ = instances[0].sessions("user").await;
        let live = seen.count_live(&instances[0], &mut random).await;
        for (all, some) in happened.iter_mut().zip([rotated, repeated, ended, live]) {
            *all += some;
        }
    }
    assert!(happened.iter().all(|&times| times > 50), "too little happened: {happened:?}");
}
