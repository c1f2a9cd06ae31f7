//! A ring as the source of keys at one instance, while another one withdraws keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tower_jwt_auth::clock::Clock;
use tower_jwt_auth::issue::{KeyRing, KeyRingDocument, KeyStore, KeyStoreFuture, MemoryKeyStore};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, Verifier};

use crate::support::verdict;

use super::{MINUTE, NAME, SECOND, Unsteady, clock, issue, jwt_header, kids, open};

/// Counts how often the ring is read, and takes some milliseconds to say what was there, or does not.
#[derive(Clone, Default)]
struct Counted {
    store: Unsteady,
    loads: Arc<AtomicU32>,
    millis: Arc<AtomicU32>,
}

const NEVER: u32 = u32::MAX;

impl Counted {
    fn takes(&self, millis: u32) {
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// The reads since the last question.
    fn loads(&self) -> u32 {
        self.loads.swap(0, Ordering::Relaxed)
    }
}

impl KeyStore for Counted {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            let read = self.store.load().await;
            match self.millis.load(Ordering::Relaxed) {
                NEVER => std::future::pending().await,
                millis => tokio::time::sleep(Duration::from_millis(millis.into())).await,
            }
            read
        })
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        self.store.replace(expected, document)
    }
}

/// Two instances of an issuer, of which the second verifies, with the ring that it signs with.
struct Pair {
    clock: Clock,
    one: KeyRing,
    other: KeyRing,
    /// As the second one sees it.
    store: Counted,
    verifier: Arc<Verifier<Value>>,
}

impl Pair {
    async fn open() -> Self {
        let (clock, memory, store) = (clock(), MemoryKeyStore::new(), Counted::default());
        store.store.become_another(memory.clone());
        let one = open(&clock, memory).await;
        let other = open(&clock, store.clone()).await;
        let trusted = Issuer::new(NAME, other.clone()).audience("orders");
        let verifier = Verifier::builder().trust(trusted).clock(clock.clone()).build().expect("valid");
        store.loads();
        Self { clock, one, other, store, verifier: Arc::new(verifier) }
    }

    async fn withdraw_at_the_first(&self) {
        self.one.withdraw(&signs(&self.one)).await.expect("in memory");
    }

    async fn verdict(&self, token: &str) -> Result<(), AuthErrorKind> {
        self.verifier.verify(token).await.map(drop).map_err(|error| error.kind())
    }

    async fn forged(&self, kid: &str) -> Result<(), AuthErrorKind> {
        self.verdict(&forged(&self.clock, kid)).await
    }
}

/// A token that could be of the issuer, but for its key.
fn forged(clock: &Clock, kid: &str) -> String {
    let authority = Authority::new(Algorithm::EdDSA).named(NAME).for_audience("orders").with_clock(clock.clone());
    authority.token().header("kid", kid).sign()
}

/// The key that signs.
fn signs(ring: &KeyRing) -> String {
    let signing = ring.status().keys.into_iter().find(|key| key.phase == super::KeyPhase::Signing);
    signing.expect("there is always one").kid
}

#[tokio::test(start_paused = true)]
async fn the_first_token_after_a_withdrawal_elsewhere_passes_and_the_signing_key_follows() {
    let pair = Pair::open().await;
    let start = Instant::now();
    let before = issue(&pair.other, &pair.clock);
    pair.withdraw_at_the_first().await;
    let token = issue(&pair.one, &pair.clock);
    assert_eq!(pair.verdict(&before).await, Ok(()), "it cannot know yet");
    assert_eq!(pair.verdict(&token).await, Ok(()));
    assert_eq!((pair.store.loads(), start.elapsed()), (1, Duration::ZERO));
    assert_eq!(kids(&pair.other), kids(&pair.one));
    let own = issue(&pair.other, &pair.clock);
    assert_eq!(jwt_header(&own)["kid"], jwt_header(&token)["kid"]);
    assert_eq!(pair.verdict(&own).await, Ok(()));
    assert_eq!(pair.verdict(&before).await, Err(AuthErrorKind::UnknownKey));

    // One after the other, as after a break into the store: each brings its key, and none counts.
    for _ in 0..5 {
        pair.withdraw_at_the_first().await;
        assert_eq!(pair.verdict(&issue(&pair.one, &pair.clock)).await, Ok(()));
        assert_eq!(signs(&pair.other), signs(&pair.one));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn those_that_come_at_once_share_a_look_and_one_that_leaves_ends_it_for_nobody() {
    let pair = Pair::open().await;
    pair.store.takes(100);
    pair.withdraw_at_the_first().await;
    let token = issue(&pair.one, &pair.clock);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (verifier, token) = (Arc::clone(&pair.verifier), token.clone());
        asking.spawn(async move { verifier.verify(&token).await.map(drop).map_err(|error| error.kind()) });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(pair.verdict(&token).await, Err(AuthErrorKind::KeysUnavailable), "64 wait, which is the most");
    asking.abort_all();
    while asking.join_next().await.is_some() {}
    assert_eq!(pair.verdict(&token).await, Ok(()), "with the look that the first has asked for");
    assert_eq!(pair.store.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_began_before_the_key_was_there_says_nothing_about_it() {
    let pair = Pair::open().await;
    pair.store.takes(100);
    let early = async {
        let forged = pair.forged("forged").await;
        (forged, pair.store.loads())
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        pair.withdraw_at_the_first().await;
        pair.verdict(&issue(&pair.one, &pair.clock)).await
    };
    let (early, late) = tokio::join!(early, late);
    assert_eq!(early.0, Err(AuthErrorKind::UnknownKey));
    assert_eq!(late, Ok(()));
    assert_eq!(early.1 + pair.store.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn forged_kids_make_two_looks_in_thirty_seconds_and_lock_nobody_out_for_longer() {
    let pair = Pair::open().await;
    let good = issue(&pair.one, &pair.clock);
    for _ in 0..10 {
        assert_eq!(pair.forged("again").await, Err(AuthErrorKind::UnknownKey));
    }
    assert_eq!(pair.store.loads(), 1, "what a look lacked asks for no other");
    for n in 0..100 {
        assert_eq!(pair.forged(&format!("forged-{n}")).await, Err(AuthErrorKind::UnknownKey), "the store is well");
        assert_eq!(pair.verdict(&good).await, Ok(()));
    }
    assert_eq!(pair.store.loads(), 1);
    pair.withdraw_at_the_first().await;
    let token = issue(&pair.one, &pair.clock);
    assert_eq!(pair.verdict(&token).await, Err(AuthErrorKind::UnknownKey), "no look is free");
    tokio::time::sleep(29 * SECOND).await;
    assert_eq!((pair.verdict(&token).await, pair.store.loads()), (Err(AuthErrorKind::UnknownKey), 0));
    tokio::time::sleep(SECOND).await;
    assert_eq!((pair.verdict(&token).await, pair.store.loads()), (Ok(()), 1));
    assert_eq!(pair.forged("again").await, Err(AuthErrorKind::UnknownKey));
    assert_eq!(pair.store.loads(), 1, "looked for again");
    assert_eq!(pair.other.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_kid_or_that_is_refused_anyway_makes_no_look() {
    let pair = Pair::open().await;
    let stranger =
        || Authority::new(Algorithm::EdDSA).named(NAME).for_audience("orders").with_clock(pair.clock.clone());
    let tokens = [
        stranger().token().without_header("kid").sign(),
        stranger().token().expires_in(-60).sign(),
        stranger().token().claim("aud", "other").sign(),
        stranger().token().header("kid", signs(&pair.other)).sign(),
    ];
    for token in tokens {
        let verdict = pair.verdict(&token).await;
        assert!(verdict.is_err_and(|kind| kind != AuthErrorKind::KeysUnavailable), "{verdict:?}");
    }
    assert_eq!(pair.store.loads(), 0);
}

/// An outage is no logout, and it is the tokens with unknown keys alone that it concerns.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_a_503_within_five_seconds_and_signing_goes_on() {
    for hangs in [false, true] {
        let pair = Pair::open().await;
        let good = issue(&pair.one, &pair.clock);
        pair.withdraw_at_the_first().await;
        let token = issue(&pair.one, &pair.clock);
        if hangs {
            pair.store.takes(NEVER);
        } else {
            pair.store.store.leave(true);
        }
        let begin = Instant::now();
        for n in 0..30 {
            let start = Instant::now();
            assert_eq!(pair.verdict(&token).await, Err(AuthErrorKind::KeysUnavailable), "{hangs} {n}");
            assert_eq!(pair.forged(&format!("{n}")).await, Err(AuthErrorKind::KeysUnavailable), "{hangs} {n}");
            assert!(start.elapsed() <= 10 * SECOND, "{hangs} {n}: {:?} for two", start.elapsed());
            assert_eq!(pair.verdict(&good).await, Ok(()));
            assert_eq!(pair.verdict(&issue(&pair.other, &pair.clock)).await, Ok(()));
            tokio::time::sleep(SECOND).await;
        }
        let (windows, loads) = (begin.elapsed().as_secs() / 30 + 1, pair.store.loads());
        assert!(
            u64::from(loads) <= 3 * windows,
            "{hangs}: {loads} in {windows} times 30 seconds, the schedule's included"
        );
        pair.store.takes(0);
        pair.store.store.leave(false);
        tokio::time::sleep(30 * SECOND).await;
        assert_eq!(pair.verdict(&token).await, Ok(()), "{hangs}: it is back");
        assert_eq!(pair.verdict(&good).await, Err(AuthErrorKind::UnknownKey));
        assert_eq!(pair.other.status().last_error, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_asked_no_more_often_for_that() {
    #[derive(Clone, Default)]
    struct Broken(MemoryKeyStore, Arc<AtomicU32>);
    impl KeyStore for Broken {
        fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
            assert!(self.1.fetch_add(1, Ordering::Relaxed) < 1, "a bug of the store's");
            self.0.load()
        }

        fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
            self.0.replace(expected, document)
        }
    }
    let (clock, store) = (clock(), Broken::default());
    let ring = open(&clock, store.clone()).await;
    let trusted = Issuer::new(NAME, ring).audience("orders");
    let verifier = Verifier::<Value>::builder().trust(trusted).clock(clock.clone()).build().expect("valid");
    for n in 0..10 {
        let error = verifier.verify(&forged(&clock, &format!("{n}"))).await.expect_err("forged");
        assert_eq!(error.kind(), AuthErrorKind::KeysUnavailable);
    }
    assert_eq!(store.1.load(Ordering::Relaxed), 1 + 2);
    tokio::time::sleep(MINUTE).await;
}

/// Who asked for a look may leave: it counts for nobody where it brought a key.
#[tokio::test(start_paused = true)]
async fn a_look_that_brought_the_key_is_free_whoever_is_left_to_see_it() {
    let pair = Pair::open().await;
    pair.store.takes(100);
    for round in 0..4 {
        pair.withdraw_at_the_first().await;
        let token = issue(&pair.one, &pair.clock);
        let ask = || {
            let (verifier, token) = (Arc::clone(&pair.verifier), token.clone());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        };
        let first = ask();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let second = ask();
        tokio::time::sleep(Duration::from_millis(10)).await;
        first.abort();
        assert_eq!(second.await.expect("no panic"), Ok(()), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_given_up_says_nothing_to_those_who_waited_for_it() {
    let pair = Pair::open().await;
    pair.store.takes(100);
    pair.withdraw_at_the_first().await;
    let token = issue(&pair.one, &pair.clock);
    let other = pair.other.clone();
    let refreshing = tokio::spawn(async move { other.refresh().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let verifier = Arc::clone(&pair.verifier);
    let asking = tokio::spawn(async move { verdict(&verifier, &token).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    refreshing.abort();
    assert_eq!(asking.await.expect("no panic"), Ok(()));
}
