//! The rules for remote keys in virtual time: nobody sleeps, and the provider is a script.

mod interleaved;
mod published;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{RemoteJwks, RemoteJwksBuilder};
use tower_jwt_auth::testing::{Authority, TestProvider};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier};

use crate::support::verdict;

const URL: &str = "https://issuer.test/jwks";

/// An authority, its provider, and a verifier that fetches.
struct World {
    authority: Authority,
    provider: TestProvider,
    keys: RemoteJwks,
    verifier: Verifier<Value>,
    clock: Clock,
}

fn world() -> World {
    world_with(|builder| builder)
}

fn world_with(options: impl FnOnce(RemoteJwksBuilder) -> RemoteJwksBuilder) -> World {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
    let provider = authority.provider();
    let builder = RemoteJwks::from_url(URL).client(provider.clone()).clock(clock.clone());
    let keys = options(builder).build().expect("valid");
    let verifier = trusting(&authority, &keys, &clock);
    World { authority, provider, keys, verifier, clock }
}

fn trusting(authority: &Authority, keys: &RemoteJwks, clock: &Clock) -> Verifier<Value> {
    Verifier::builder().trust(authority.trusted_with(keys.clone())).clock(clock.clone()).build().expect("valid")
}

impl World {
    async fn judge(&self, token: &str) -> Result<(), Kind> {
        verdict(&self.verifier, token).await
    }

    /// The verdict, which must not take any virtual time.
    async fn judge_at_once(&self, token: &str) -> Result<(), Kind> {
        let before = Instant::now();
        let verdict = self.judge(token).await;
        assert_eq!(Instant::now(), before, "somebody waited");
        verdict
    }

    fn good(&self) -> String {
        self.authority.token().sign()
    }

    fn forged(&self, n: usize) -> String {
        self.authority.token().header("kid", format!("forged-{n}")).sign()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_thousand_first_requests_cost_one_fetch_and_all_are_served() {
    let world = world();
    world.provider.delay(SECOND);
    let (token, verifier) = (world.good(), world.verifier.clone());
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let (token, verifier) = (token.clone(), verifier.clone());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic"), Ok(()));
    }
    assert_eq!(world.provider.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_request_that_started_a_fetch_may_go_away_and_the_others_are_served() {
    let world = world();
    world.provider.delay(SECOND);
    let token = world.good();
    let first = tokio::time::timeout(SECOND / 2, world.judge(&token));
    let second = async {
        sleep(SECOND / 4).await;
        world.judge(&token).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err(), "the first request was dropped");
    assert_eq!(second, Ok(()));
    assert_eq!(world.provider.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_first_requests_are_answered_at_once() {
    let world = world_with(|builder| builder.waiting_requests(10, 2));
    world.provider.hang();
    let token = world.good();
    let verdicts: Vec<_> = (0..15)
        .map(|_| {
            let (token, verifier) = (token.clone(), world.verifier.clone());
            tokio::spawn(async move {
                let before = Instant::now();
                (verdict(&verifier, &token).await, before.elapsed())
            })
        })
        .collect();
    sleep(SECOND).await;
    assert_eq!(world.keys.status().waiting, 10);
    let mut at_once = 0;
    for request in verdicts {
        let (verdict, waited) = request.await.expect("no panic");
        assert_eq!(verdict, Err(Kind::KeysUnavailable));
        at_once += usize::from(waited.is_zero());
        assert!(waited <= 5 * SECOND, "{waited:?}");
    }
    assert_eq!(at_once, 5);
    assert_eq!(world.keys.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_ahead_of_time_and_no_request_waits() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(SECOND);
    for minute in 0..60 {
        assert_eq!(world.judge_at_once(&world.good()).await, Ok(()), "minute {minute}");
        sleep(MINUTE).await;
    }
    let fetches = world.provider.fetches();
    assert!((7..=10).contains(&fetches), "80 % of ten minutes, give or take: {fetches}");
    assert!(world.provider.forced().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_request_of_a_rotation_passes_and_a_withdrawn_key_is_dead_on_the_next_refresh() {
    for overlap in [true, false] {
        let world = world();
        assert_eq!(world.judge(&world.good()).await, Ok(()));
        sleep(MINUTE).await;
        world.authority.rotate();
        if !overlap {
            world.authority.withdraw_old();
        }
        let old = world.authority.token().with_key(0).sign();
        assert_eq!(world.judge(&old).await, Ok(()), "nobody has asked yet");
        assert_eq!(world.judge(&world.good()).await, Ok(()), "the first request with the new key");
        assert_eq!(world.provider.forced().len(), 1);
        let expected = if overlap { Ok(()) } else { Err(Kind::UnknownKey) };
        assert_eq!(world.judge(&old).await, expected, "overlap: {overlap}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_withdrawn_without_a_successor_is_dead_at_the_latest_after_its_time_to_live() {
    let world = world();
    world.authority.rotate();
    let old = world.authority.token().with_key(0).expires_in(99_999).sign();
    assert_eq!(world.judge(&old).await, Ok(()));
    world.authority.withdraw_old();
    assert_eq!(world.judge(&old).await, Ok(()));
    sleep(10 * MINUTE).await;
    assert_eq!(world.judge(&old).await, Err(Kind::UnknownKey));
}

/// Ten thousand forged `kid`s, one every 30 ms, with a valid token among each ten.
async fn storm(world: &World, start: usize, mut each: impl FnMut(usize)) -> VecDeque<Kind> {
    let good = world.authority.token().with_key(0).expires_in(99_999).sign();
    let mut verdicts = VecDeque::new();
    let mut running = Vec::new();
    for n in start..start + 10_000 {
        let (forged, verifier) = (world.forged(n), world.verifier.clone());
        running.push(tokio::spawn(async move { verdict(&verifier, &forged).await }));
        if n % 10 == 0 {
            assert_eq!(world.judge_at_once(&good).await, Ok(()), "a valid token waits for nobody");
            assert!(world.keys.status().waiting <= 64);
        }
        each(n);
        sleep(Duration::from_millis(30)).await;
    }
    for request in running {
        verdicts.push_back(request.await.expect("no panic").expect_err("forged"));
    }
    verdicts
}

/// At most this many fetches start in any 30 seconds.
fn assert_rate(fetches: &[Duration], most: usize) {
    for window in fetches.windows(most + 1) {
        assert!(window[most] >= window[0] + 30 * SECOND, "{most} fetches within 30 s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_forged_kids_costs_two_fetches_in_thirty_seconds_whatever_the_provider_does() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));

    let up = storm(&world, 0, |_| {}).await;
    assert!(up.iter().all(|kind| *kind == Kind::UnknownKey), "while the provider answers, no forged token gets a 5xx");
    let forced = world.provider.forced();
    assert_rate(&forced, 2);
    assert!((18..=22).contains(&forced.len()), "300 s of storm: {}", forced.len());

    world.provider.fail();
    let down = storm(&world, 10_000, |_| {}).await;
    assert_rate(&world.provider.forced(), 2);
    let late = down.iter().skip(2_000).filter(|kind| **kind != Kind::KeysUnavailable).count();
    assert_eq!(late, 0, "nobody can say, so it is a 503");

    world.provider.hang();
    let hanging = storm(&world, 20_000, |_| {}).await;
    assert_rate(&world.provider.forced(), 2);
    assert!(hanging.iter().all(|kind| *kind == Kind::KeysUnavailable));
    assert!(world.provider.forced().len() <= 64, "{}", world.provider.forced().len());
}

#[tokio::test(start_paused = true)]
async fn no_number_of_refetches_means_that_there_is_no_bound() {
    let world = world_with(|builder| builder.forced_refetches(0, 30 * SECOND));
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    for n in 0..20 {
        assert_eq!(world.judge(&world.forged(n)).await, Err(Kind::UnknownKey), "{n}");
    }
    assert_eq!(world.provider.fetches(), 2, "the first fetch, and one for all of them");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_in_the_middle_of_a_storm_is_seen_within_thirty_seconds() {
    let world = world();
    world.authority.rotate();
    world.authority.withdraw("key-2");
    let new = world.authority.token().expires_in(99_999).sign();
    let (authority, verifier) = (world.authority.clone(), world.verifier.clone());
    let rotated = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&rotated);
    let rotate_at = 1500; // After both slots of a window are gone.
    storm(&world, 0, move |n| {
        if n != rotate_at {
            return;
        }
        authority.publish("key-2");
        *seen.lock().expect("not poisoned") = Some(Instant::now());
        let (new, verifier, seen) = (new.clone(), verifier.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            while verdict(&verifier, &new).await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
            let since = seen.lock().expect("not poisoned").take().expect("set before");
            assert!(since.elapsed() <= 30 * SECOND, "{:?}", since.elapsed());
        });
    })
    .await;
    assert!(rotated.lock().expect("not poisoned").is_none(), "the rotation was seen");
    assert_rate(&world.provider.forced(), 3);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_no_key_could_save_cause_no_fetch() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    let forged = || world.authority.token().header("kid", "forged");
    let hopeless = [
        (forged().header("alg", "HS256").sign(), Kind::AlgorithmNotAllowed),
        (forged().header("alg", "none").sign(), Kind::AlgorithmNotAllowed),
        (forged().claim("iss", "https://other.test").sign(), Kind::InvalidIssuer),
        (forged().claim("aud", "other").sign(), Kind::InvalidAudience),
        (forged().expires_in(-60).sign(), Kind::Expired),
        (forged().header("typ", "dpop+jwt").sign(), Kind::WrongType),
        (forged().header("kid", "k".repeat(257)).sign(), Kind::MalformedHeader),
        (forged().claim("fill", "x".repeat(16 * 1024)).sign(), Kind::TokenTooLong),
        (world.authority.token().tampered().sign(), Kind::InvalidSignature),
    ];
    for (token, kind) in hopeless {
        assert_eq!(world.judge_at_once(&token).await, Err(kind));
    }
    sleep(SECOND).await;
    assert_eq!(world.provider.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_stuck_on_a_retired_kid_asks_for_one_fetch_in_thirty_seconds() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    let retired = world.authority.token().header("kid", "retired").expires_in(99_999).sign();
    for _ in 0..600 {
        assert_eq!(world.judge(&retired).await, Err(Kind::UnknownKey));
        sleep(SECOND / 2).await;
    }
    let forced = world.provider.forced();
    assert_rate(&forced, 1);
    assert!((9..=11).contains(&forced.len()), "{}", forced.len());
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_kid_that_nothing_verifies_makes_the_source_look_again() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.authority.rotate();
    assert_eq!(world.judge(&world.authority.token().without_header("kid").sign()).await, Ok(()));
    assert_eq!(world.provider.forced().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_unseen_for_an_hour_past_the_time_to_live_then_503_then_healed() {
    let world = world();
    let good = world.authority.token().expires_in(99_999).sign();
    assert_eq!(world.judge(&good).await, Ok(()));
    for breaks in [TestProvider::refuse, TestProvider::hang] {
        breaks(&world.provider);
        for minute in 0..=59 {
            assert_eq!(world.judge_at_once(&good).await, Ok(()), "minute {minute}");
            sleep(MINUTE).await;
        }
        assert!(world.keys.is_ready());
        sleep(11 * MINUTE).await;
        let error = world.verifier.verify(&good).await.expect_err("too old");
        assert_eq!(error.kind(), Kind::KeysUnavailable);
        assert!(error.retry_after().is_some_and(|wait| !wait.is_zero() && wait <= MINUTE), "{error:?}");
        assert!(!world.keys.is_ready());
        assert!(world.keys.status().last_error.is_some());
        world.provider.heal();
        sleep(MINUTE).await;
        assert_eq!(world.judge_at_once(&good).await, Ok(()), "the first good answer heals it");
        assert_eq!(world.keys.status().last_error, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_in_an_outage_is_a_503_until_the_provider_is_there() {
    let world = world();
    world.provider.refuse();
    assert!(!world.keys.is_ready());
    let error = world.verifier.verify(&world.good()).await.expect_err("no keys");
    assert_eq!(error.kind(), Kind::KeysUnavailable);
    assert!(world.keys.status().last_error.is_some_and(|reason| reason.contains("connection refused")));
    let mut waits = Vec::new();
    for _ in 0..20 {
        waits.push(world.keys.status().next_refresh);
        sleep(5 * SECOND).await;
    }
    assert!(waits.iter().all(|wait| *wait <= 15 * SECOND), "at most 15 s without keys: {waits:?}");
    let ready = tokio::spawn({
        let keys = world.keys.clone();
        async move { keys.ready().await }
    });
    world.provider.heal();
    assert!(ready.await.expect("no panic").is_ok());
    assert_eq!(world.judge_at_once(&world.good()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_fetch_delays_no_known_key_and_an_unknown_one_for_five_seconds_at_most() {
    let world = world();
    let good = world.authority.token().expires_in(99_999).sign();
    assert_eq!(world.judge(&good).await, Ok(()));
    sleep(5 * MINUTE).await;
    world.provider.hang();
    let before = Instant::now();
    let forged = world.forged(1);
    let unknown = world.judge(&forged);
    let known = async {
        sleep(SECOND).await;
        world.judge_at_once(&good).await
    };
    let (unknown, known) = tokio::join!(unknown, known);
    assert_eq!((unknown, known), (Err(Kind::KeysUnavailable), Ok(())));
    assert!(before.elapsed() <= 5 * SECOND + SECOND / 10, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_by_scheduled_and_forced_fetches() {
    let world = world();
    let good = world.authority.token().expires_in(99_999).sign();
    assert_eq!(world.judge(&good).await, Ok(()));
    let busy = Response::builder().status(429).header("retry-after", "120").body(String::new());
    world.provider.answer(busy.expect("a response"));
    sleep(31 * SECOND).await;
    assert_eq!(world.judge(&world.forged(1)).await, Err(Kind::KeysUnavailable));
    let fetches = world.provider.fetches();
    for n in 2..100 {
        let error = world.verifier.verify(&world.forged(n)).await.expect_err("forged");
        assert_eq!(error.kind(), Kind::KeysUnavailable);
        assert!(world.keys.refresh().await.is_err());
        sleep(SECOND).await;
    }
    assert_eq!(world.provider.fetches(), fetches, "the provider is left alone");
    world.provider.heal();
    sleep(30 * SECOND).await;
    assert!(world.provider.fetches() > fetches);
}

#[tokio::test(start_paused = true)]
async fn an_initial_set_serves_at_once_and_is_refreshed_at_once() {
    let other = Authority::new(Algorithm::ES256);
    let jwks = other.jwks();
    let world = world_with(|builder| builder.initial(jwks));
    world.provider.refuse();
    assert!(world.keys.is_ready());
    let verifier = trusting(&world.authority, &world.keys, &world.clock);
    let early = world.authority.token().signed_by(&other).sign();
    assert_eq!(verdict(&verifier, &early).await, Ok(()), "before any fetch");
    sleep(SECOND).await;
    assert!(world.provider.fetches() > 0);
    assert_eq!(verdict(&verifier, &early).await, Ok(()), "in the outage");
    sleep(61 * MINUTE).await;
    assert_eq!(verdict(&verifier, &early).await, Err(Kind::KeysUnavailable), "an hour at most");
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_refresh_and_sees_the_state() {
    let world = world();
    let status = world.keys.status();
    assert_eq!((status.is_ready, status.keys, status.fetches, status.age), (false, 0, 0, None));
    world.keys.refresh().await.expect("the provider answers");
    let status = world.keys.status();
    assert_eq!((status.is_ready, status.keys, status.last_error), (true, 1, None));
    assert_eq!(status.location, URL);
    world.authority.rotate();
    let mut jwks: Value = serde_json::from_str(&world.authority.jwks()).expect("JSON");
    jwks["keys"].as_array_mut().expect("an array").push(json!({"kty": "LATTICE"}));
    world.provider.publish(jwks.to_string());
    sleep(MINUTE).await;
    assert_eq!(world.keys.status().age, Some(MINUTE));
    world.keys.refresh().await.expect("the provider answers");
    let status = world.keys.status();
    assert_eq!((status.keys, status.skipped.len(), status.age), (2, 1, Some(Duration::ZERO)));
    assert_eq!((status.skipped[0].index(), status.skipped[0].reason()), (2, "its `kty` is unknown"));
    world.provider.fail();
    let error = world.keys.refresh().await.expect_err("500").to_string();
    assert!(error.contains("500"), "{error}");
    assert_eq!(world.keys.status().keys, 2, "a failure drops no key");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_goes_back_does_no_harm_and_a_suspend_counts() {
    let world = world();
    let good = world.authority.token().expires_in(99_999).sign();
    assert_eq!(world.judge(&good).await, Ok(()));
    world.clock.set(UnixTime::from_secs(1_700_000_000 - 5));
    assert_eq!(world.judge_at_once(&good).await, Ok(()));
    assert_eq!(world.keys.status().age, Some(Duration::ZERO));
    let fetches = world.provider.fetches();
    // The machine sleeps for two hours: only the wall clock sees it. The keys are too old to be used.
    world.clock.set(UnixTime::from_secs(1_700_000_000 + 7200));
    assert!(!world.keys.is_ready());
    assert_eq!(world.judge(&good).await, Ok(()), "the first request waits for fresh ones");
    assert_eq!(world.provider.fetches(), fetches + 1);
    // A shorter sleep: the keys still serve, and the first request starts the refresh that the task has missed.
    world.clock.advance(30 * MINUTE);
    assert_eq!(world.judge_at_once(&good).await, Ok(()));
    sleep(SECOND).await;
    assert_eq!(world.provider.fetches(), fetches + 2);
}

#[tokio::test(start_paused = true)]
async fn a_refetch_that_failed_before_a_suspend_does_not_hold_up_the_one_after_it() {
    let world = world();
    let good = world.authority.token().expires_in(99_999).sign();
    assert_eq!(world.judge(&good).await, Ok(()));
    world.provider.fail();
    world.keys.refresh().await.expect_err("it fails");
    world.provider.heal();
    world.clock.advance(120 * MINUTE);
    assert_eq!(world.judge(&good).await, Ok(()), "the provider is well");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_first_keys_and_for_an_unknown_kid_is_one() {
    let world = world();
    world.provider.delay(4900 * SECOND / 1000);
    let start = Instant::now();
    assert_eq!(world.judge(&world.forged(1)).await, Err(Kind::UnknownKey));
    assert_eq!(start.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle_in_the_middle_of_a_fetch_too() {
    let world = world();
    world.provider.hang();
    assert!(!world.keys.is_ready());
    sleep(SECOND).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    let World { keys, verifier, .. } = world;
    drop(keys);
    sleep(SECOND).await;
    assert_eq!(metrics.num_alive_tasks(), 1, "the verifier holds one");
    drop(verifier);
    sleep(SECOND).await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

#[test]
fn a_runtime_that_went_away_is_replaced_by_the_next() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let world = world();
    assert!(!world.keys.is_ready(), "no runtime, and no panic");
    let first = runtime();
    world.provider.hang();
    let verdict = first.block_on(async { tokio::time::timeout(SECOND, world.judge(&world.good())).await.is_err() });
    assert!(verdict, "the first runtime ends in the middle of a fetch");
    drop(first);
    world.provider.heal();
    assert_eq!(runtime().block_on(world.judge(&world.good())), Ok(()));
    world.provider.delay(SECOND);
    let third = runtime();
    assert_eq!(third.block_on(world.judge_at_once(&world.good())), Ok(()));
    third.block_on(async {
        advance(9 * MINUTE + 30 * SECOND).await;
        assert_eq!(world.judge_at_once(&world.good()).await, Ok(()));
        sleep(2 * SECOND).await;
        assert_eq!(world.keys.status().age.map(|age| age < MINUTE), Some(true), "refreshed here");
    });
}

/// A runtime that nobody drives, with the task on it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

#[test]
fn requests_that_wait_for_a_task_whose_runtime_goes_away_start_another() {
    let mut world = world();
    let first = runtime();
    assert_eq!(first.block_on(world.judge(&world.good())), Ok(()));
    world.authority.add_key(Algorithm::ES256);
    world.provider.publish(world.authority.jwks());
    let new = world.authority.token().sign();
    runtime().block_on(async {
        let mut waiting = std::pin::pin!(world.judge(&new));
        let mut asked = std::pin::pin!(world.keys.refresh());
        assert!(step(waiting.as_mut()).is_pending() && step(asked.as_mut()).is_pending());
        let fetches = world.provider.fetches();
        // Not within a runtime, which would panic.
        std::thread::spawn(move || drop(first)).join().expect("no panic");
        assert_eq!(waiting.await, Ok(()));
        asked.await.expect("the provider answers");
        assert!(world.provider.fetches() > fetches, "fetched here");
        assert_eq!(world.keys.status().waiting, 0);
    });
}

fn step<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn a_task_that_is_dropped_before_its_first_step_is_started_again() {
    let world = world();
    let first = runtime();
    {
        let _entered = first.enter();
        assert!(!world.keys.is_ready(), "it is spawned, and nobody drives it");
    }
    drop(first);
    assert_eq!(runtime().block_on(world.judge(&world.good())), Ok(()));
    assert_eq!(world.provider.fetches(), 1);
}

#[test]
fn keys_that_were_seen_overdue_without_a_runtime_are_refreshed_where_there_is_one() {
    let world = world();
    assert_eq!(runtime().block_on(world.judge(&world.good())), Ok(()));
    world.clock.advance(9 * MINUTE + 30 * SECOND);
    assert_eq!(step(std::pin::pin!(world.judge(&world.good()))), Poll::Ready(Ok(())));
    runtime().block_on(async {
        assert_eq!(world.judge_at_once(&world.good()).await, Ok(()));
        sleep(2 * SECOND).await;
        assert_eq!(world.keys.status().age.map(|age| age < MINUTE), Some(true), "{:?}", world.keys.status());
    });
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let world = world();
    let judge_here = |token: &str| {
        let mut waiting = std::pin::pin!(world.judge(token));
        waiting.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    };
    assert_eq!(judge_here(&world.good()), Poll::Ready(Err(Kind::KeysUnavailable)), "no keys");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    assert_eq!(runtime.block_on(world.judge(&world.good())), Ok(()));
    assert_eq!(judge_here(&world.good()), Poll::Ready(Ok(())), "known keys need no runtime");
    assert_eq!(judge_here(&world.forged(1)), Poll::Ready(Err(Kind::KeysUnavailable)), "an unknown kid");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_sources_in_one_verifier_keep_their_own_state() {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let worlds: Vec<_> = (0..300)
        .map(|n| {
            let authority =
                Authority::new(Algorithm::ES256).named(format!("https://{n}.test")).with_clock(clock.clone());
            let provider = authority.provider();
            let keys = RemoteJwks::from_url(format!("https://{n}.test/jwks"))
                .client(provider.clone())
                .clock(clock.clone())
                .build()
                .expect("valid");
            (authority, provider, keys)
        })
        .collect();
    let mut builder = Verifier::<Value>::builder().clock(clock);
    for (authority, _, keys) in &worlds {
        builder = builder.trust(authority.trusted_with(keys.clone()));
    }
    let verifier = builder.build().expect("valid");
    worlds[7].1.fail();
    for (n, (authority, provider, keys)) in worlds.iter().enumerate().take(20) {
        let expected = if n == 7 { Err(Kind::KeysUnavailable) } else { Ok(()) };
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, expected, "{n}");
        assert_eq!(provider.fetches(), if n == 7 { 2 } else { 1 }, "one retry of a scheduled fetch that failed");
        assert_eq!(keys.is_ready(), n != 7);
    }
    assert!(worlds[20..].iter().all(|(_, provider, _)| provider.fetches() == 0), "nobody asked for these");
}

#[test]
fn a_remote_source_has_no_secrets() {
    let issuer = Issuer::discover("https://issuer.test").expect("valid").audience("a").algorithms([Algorithm::HS256]);
    assert!(Verifier::<Value>::new(issuer).is_err());
    assert!(Issuer::discover("http://issuer.test").is_err());
    assert!(Issuer::discover_at("https://a.test/metadata", "not a URL at all").is_ok());
}

/// A time of nothing would be a fetch without a pause, and one without an end a sum that overflows.
#[test]
fn times_are_a_millisecond_at_least_and_a_year_at_most() {
    type Option = fn(RemoteJwksBuilder, Duration) -> RemoteJwksBuilder;
    let options: [(&str, Option); 9] = [
        ("time_to_live", RemoteJwksBuilder::time_to_live),
        ("shortest_time_to_live", |builder, time| builder.time_to_live_bounds(time, time)),
        ("forced_window", |builder, time| builder.forced_refetches(2, time)),
        ("shortest_backoff", |builder, time| builder.backoff(time, time, time)),
        ("longest_retry_after", RemoteJwksBuilder::longest_retry_after),
        ("connect_timeout", RemoteJwksBuilder::connect_timeout),
        ("fetch_timeout", RemoteJwksBuilder::fetch_timeout),
        ("wait_timeout", RemoteJwksBuilder::wait_timeout),
        ("stale_for", RemoteJwksBuilder::stale_for),
    ];
    for (name, option) in options {
        let build = |time| option(RemoteJwks::from_url(URL), time).build().map(drop);
        let too_long = build(Duration::MAX).expect_err(name).to_string();
        assert!(too_long.starts_with(&format!("`{name}` is ")) && too_long.ends_with("366 days at most"), "{too_long}");
        assert_eq!(build(Duration::ZERO).is_ok(), ["stale_for", "longest_retry_after"].contains(&name), "{name}");
        build(Duration::from_millis(1)).expect(name);
        build(366 * 24 * 60 * MINUTE).expect(name);
    }
}
