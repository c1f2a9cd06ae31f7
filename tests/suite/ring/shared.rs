//! A ring on a real Redis server: shared by instances that race, through crashes of the server.

use std::time::Duration;

use tower_jwt_auth::issue::{KeyPhase, KeyRing, RedisKeyStore};

use super::{MINUTE, assert_all_rotate_as_one, clock, issue, kids, open, phases, verifies};
use crate::redis_server::RedisServer;

fn store(server: &RedisServer) -> RedisKeyStore {
    RedisKeyStore::new(server.redis())
}

#[tokio::test]
async fn of_many_instances_that_change_the_ring_at_once_one_wins_and_the_others_follow() {
    let (server, clock) = (RedisServer::start(), clock());
    let mut opened = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (clock, store) = (clock.clone(), store(&server));
        opened.spawn(async move { open(&clock, store).await });
    }
    let rings = opened.join_all().await;
    assert_all_rotate_as_one(&clock, &rings).await;
    let names: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(names, ["tower-jwt-auth:ring:keys"]);
    let of_its_own = open(&clock, store(&server).named("admin")).await;
    assert_ne!(kids(&of_its_own)[0], kids(&rings[0])[0]);
}

#[tokio::test]
async fn a_withdrawal_and_a_rotation_at_once_both_hold() {
    let (server, clock) = (RedisServer::start(), clock());
    let [one, other] = [open(&clock, store(&server)).await, open(&clock, store(&server)).await];
    for _ in 0..10 {
        let before = kids(&one)[0].clone();
        let (withdrawn, rotated, again) = tokio::join!(one.withdraw(&before), other.rotate(), other.refresh());
        withdrawn.expect("it was there");
        rotated.expect("the server answers");
        again.expect("the server answers");
        one.refresh().await.expect("the server answers");
        other.refresh().await.expect("the server answers");
        assert_eq!(kids(&one), kids(&other));
        assert!(!kids(&one).contains(&before), "a withdrawn key does not come back");
        clock.advance(10 * MINUTE);
    }
}

#[tokio::test]
async fn a_server_that_crashes_keeps_the_ring_and_one_that_lost_it_gets_it_back() {
    let (mut server, clock) = (RedisServer::start(), clock());
    let impatient = || RedisKeyStore::new(server.redis().timeout(Duration::from_secs(1)));
    let [one, other] = [open(&clock, impatient()).await, open(&clock, store(&server)).await];
    one.rotate().await.expect("the server answers");
    let token = issue(&one, &clock);
    server.kill();
    assert!(one.refresh().await.is_err() && one.rotate().await.is_err());
    assert!(verifies(&one, &clock, &issue(&one, &clock)).await, "it signs and publishes meanwhile");
    assert!(one.status().last_error.is_some_and(|error| error.to_string().starts_with("redis: ")));
    server.restart();
    until_refreshed(&other).await;
    assert_eq!(kids(&other), kids(&one), "what was answered is in the file");
    assert!(verifies(&other, &clock, &token).await);

    server.restart_empty();
    until_refreshed(&one).await;
    until_refreshed(&other).await;
    let late = open(&clock, store(&server)).await;
    assert_eq!((kids(&late), phases(&late)), (kids(&one), vec![KeyPhase::Signing, KeyPhase::Published]));
    server.pause();
    assert!(one.refresh().await.is_err(), "a server that stands still is away");
    server.resume();
    until_refreshed(&one).await;
}

async fn until_refreshed(ring: &KeyRing) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while ring.refresh().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the server does not come back");
    }
}
