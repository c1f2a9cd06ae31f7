//! Key rings: their stores, several instances of an issuer, and what they publish.

mod published;
#[cfg(feature = "redis")]
mod shared;
mod verifying;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::{
    FileKeyStore, IssueErrorKind, KeyPhase, KeyRing, KeyRingBuilder, KeyRingDocument, KeyRingError, KeyStore,
    KeyStoreFuture, MemoryKeyStore, TokenIssuer,
};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, KeySet, TokenCache, Verifier};

const NAME: &str = "https://login.test";
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn clock() -> Clock {
    Clock::manual(UnixTime::from_secs(1_700_000_000))
}

/// A ring with the defaults, which does nothing but when it is told.
fn builder(clock: &Clock, store: impl KeyStore) -> KeyRingBuilder {
    KeyRing::builder(Algorithm::EdDSA).store(store).clock(clock.clone())
}

async fn open(clock: &Clock, store: impl KeyStore) -> KeyRing {
    builder(clock, store).open().await.expect("the store answers")
}

fn issuer(ring: &KeyRing, clock: &Clock) -> TokenIssuer {
    let builder = TokenIssuer::builder(NAME, ring.clone()).audience("orders").clock(clock.clone());
    builder.lifetime(60 * MINUTE).build().expect("valid")
}

fn issue(ring: &KeyRing, clock: &Clock) -> String {
    issuer(ring, clock).token().subject("u").sign().expect("issued").into_string()
}

fn phases(ring: &KeyRing) -> Vec<KeyPhase> {
    ring.status().keys.iter().map(|key| key.phase).collect()
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.status().keys.into_iter().map(|key| key.kid).collect()
}

/// Whether a token verifies with what a ring publishes now.
async fn verifies(ring: &KeyRing, clock: &Clock, token: &str) -> bool {
    let keys = KeySet::jwk_set(ring.jwks().expect("fresh")).expect("a JWK set");
    let issuer = Issuer::new(NAME, keys).audience("orders");
    let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock.clone()).build().expect("valid");
    verifier.verify(token).await.is_ok()
}

/// A folder of its own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tower-jwt-auth-ring-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store that can be away.
#[derive(Clone, Default)]
struct Unsteady {
    store: Arc<Mutex<MemoryKeyStore>>,
    away: Arc<AtomicBool>,
    /// The next change is made, and its answer lost.
    loses_answer: Arc<AtomicBool>,
}

impl Unsteady {
    fn leave(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Another that has what this one has now.
    async fn replica(&self) -> MemoryKeyStore {
        let replica = MemoryKeyStore::new();
        let held = self.load().await.expect("there").expect("a ring");
        assert!(replica.replace(0, &held).await.expect("there"));
        replica
    }

    fn become_another(&self, store: MemoryKeyStore) {
        *self.store.lock().expect("not poisoned") = store;
    }

    fn reach(&self) -> Result<MemoryKeyStore, KeyRingError> {
        let store = self.store.lock().expect("not poisoned").clone();
        if self.away.load(Ordering::Relaxed) { Err(KeyRingError::new("away")) } else { Ok(store) }
    }
}

impl KeyStore for Unsteady {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        Box::pin(async { self.reach()?.load().await })
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        Box::pin(async move {
            let answer = self.reach()?.replace(expected, document).await;
            if self.loses_answer.swap(false, Ordering::Relaxed) { Err(KeyRingError::new("no answer")) } else { answer }
        })
    }
}

#[tokio::test]
async fn a_token_verifies_from_the_moment_it_is_signed_until_it_expires_through_a_rotation() {
    let clock = clock();
    let ring = open(&clock, MemoryKeyStore::new()).await;
    assert_eq!(phases(&ring), [KeyPhase::Signing]);
    let before = issue(&ring, &clock);

    let signs = ring.rotate().await.expect("in memory");
    assert_eq!(signs, UnixTime::from_secs(1_700_000_000 + 600), "twice the max-age of 5 minutes");
    let published_early = ring.jwks().expect("fresh");
    clock.set(UnixTime::from_secs(1_700_000_000 + 599));
    ring.refresh().await.expect("in memory");
    let last = issue(&ring, &clock);
    assert_eq!(phases(&ring), [KeyPhase::Signing, KeyPhase::Published]);
    clock.advance(SECOND);
    let first = issue(&ring, &clock);
    assert_eq!(phases(&ring), [KeyPhase::Retiring, KeyPhase::Signing]);
    assert_ne!(first.split('.').next(), last.split('.').next(), "the header names another key");
    for token in [&before, &last, &first] {
        assert!(verifies(&ring, &clock, token).await);
    }
    assert_eq!(ring.jwks().expect("fresh"), published_early, "nothing is new to verifiers");
    // An hour for an instance that missed it, an hour of life, five minutes.
    clock.advance(Duration::from_secs(124 * 60 + 59));
    ring.refresh().await.expect("in memory");
    assert_eq!(phases(&ring), [KeyPhase::Retiring, KeyPhase::Signing]);
    clock.advance(SECOND);
    ring.refresh().await.expect("in memory");
    assert_eq!(phases(&ring), [KeyPhase::Signing]);
}

#[tokio::test]
async fn a_schedule_turns_by_itself_and_a_withdrawn_key_is_gone_at_once() {
    let clock = clock();
    let ring = builder(&clock, MemoryKeyStore::new()).rotate_every(DAY).open().await.expect("in memory");
    let first = kids(&ring);
    clock.advance(Duration::from_secs((24 * 60 - 10) * 60));
    ring.refresh().await.expect("in memory");
    assert_eq!(phases(&ring), [KeyPhase::Signing, KeyPhase::Published]);
    clock.advance(10 * MINUTE);
    assert_eq!(phases(&ring), [KeyPhase::Retiring, KeyPhase::Signing], "without a look at the store");
    ring.refresh().await.expect("in memory");
    let token = issue(&ring, &clock);
    let stolen = kids(&ring)[1].clone();
    ring.withdraw(&stolen).await.expect("it is there");
    assert!(!verifies(&ring, &clock, &token).await);
    assert_eq!(kids(&ring)[..1], first, "the one before signs while the next becomes known");
    assert_eq!(phases(&ring), [KeyPhase::Signing, KeyPhase::Published]);
    assert!(verifies(&ring, &clock, &issue(&ring, &clock)).await);
    ring.withdraw(&stolen).await.expect("gone already");
    assert!(ring.withdraw("another").await.is_err(), "there is no such key");
}

/// In virtual time: nobody waits, and nobody asks for a refresh.
#[tokio::test(start_paused = true)]
async fn a_task_keeps_the_ring_and_ends_with_it() {
    let store = Unsteady::default();
    let clock = clock();
    let ring = open(&clock, store.clone()).await;
    let other = open(&clock, store.clone()).await;
    ring.rotate().await.expect("in memory");
    assert_eq!(kids(&other).len(), 1);
    tokio::time::sleep(MINUTE + SECOND).await;
    assert_eq!(kids(&other), kids(&ring), "read every minute");
    assert!(ring.status().age <= MINUTE);
    store.leave(true);
    tokio::time::sleep(MINUTE).await;
    assert!(other.status().last_error.is_some_and(|error| error.to_string() == "away"));
    store.leave(false);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(other.status().last_error, None);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 2);
    let clone = other.clone();
    drop((ring, other));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 1);
    drop(clone);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test]
async fn an_instance_without_the_store_publishes_and_signs_as_long_as_that_is_safe() {
    let clock = clock();
    let store = Unsteady::default();
    let ring = open(&clock, store.clone()).await;
    store.leave(true);
    assert!(ring.refresh().await.is_err());
    assert!(ring.rotate().await.is_err());
    // 0.9 of the max-age: then a key of another instance might be missing.
    clock.advance(270 * SECOND);
    assert!(ring.jwks().is_ok());
    clock.advance(SECOND);
    assert!(ring.jwks().is_err());
    // An hour: then the key might have left elsewhere.
    clock.advance(Duration::from_secs(60 * 60 - 271));
    assert!(issuer(&ring, &clock).token().sign().is_ok());
    clock.advance(SECOND);
    let error = issuer(&ring, &clock).token().sign().expect_err("too old");
    assert_eq!(error.kind(), IssueErrorKind::NoKey);
    assert!(!issuer(&ring, &clock).is_ready());
    store.leave(false);
    ring.refresh().await.expect("it is back");
    assert!(ring.jwks().is_ok() && issuer(&ring, &clock).token().sign().is_ok() && issuer(&ring, &clock).is_ready());
    assert!(
        KeyRing::builder(Algorithm::EdDSA)
            .store({
                store.leave(true);
                store
            })
            .open()
            .await
            .is_err()
    );
}

/// The timers of a suspended machine stood still, and the wall clock did not.
#[tokio::test]
async fn after_a_suspend_whoever_needs_the_ring_makes_it_read_its_store() {
    let clock = clock();
    let [one, other, third] = [(); 3].map(|()| open(&clock, MemoryKeyStore::new()));
    let [publishing, signing, verifying] = [one.await, other.await, third.await];
    let issuer = issuer(&signing, &clock);
    let trusted = Issuer::new(NAME, verifying.clone()).audience("orders");
    let verifier = Verifier::<Value>::builder().trust(trusted).clock(clock.clone()).build().expect("valid");
    let authority = Authority::new(Algorithm::EdDSA).named(NAME).for_audience("orders").with_clock(clock.clone());
    let works = async || {
        let error = verifier.verify(&authority.token().sign()).await.expect_err("another's key");
        [publishing.jwks().is_ok(), issuer.token().sign().is_ok(), error.kind() == AuthErrorKind::UnknownKey]
    };
    clock.advance(2 * 60 * MINUTE);
    assert_eq!(works().await, [false; 3]);
    let deadline = std::time::Instant::now() + 20 * SECOND;
    while works().await != [true; 3] {
        assert!(std::time::Instant::now() < deadline, "{publishing:?} {signing:?} {verifying:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_store_that_lost_its_data_gets_it_back() {
    let (clock, store) = (clock(), Unsteady::default());
    let ring = open(&clock, store.clone()).await;
    let older = store.load().await.expect("in memory").expect("begun");
    ring.rotate().await.expect("in memory");
    let newest = store.load().await.expect("in memory").expect("kept");
    assert_eq!((older.version(), newest.version()), (1, 2));
    let before = kids(&ring);
    // Emptied, or as after a failover to a copy without the last change.
    let behind = [MemoryKeyStore::new(), MemoryKeyStore::new()];
    assert_eq!(behind[1].replace(0, &older).await, Ok(true));
    for other in behind {
        store.become_another(other.clone());
        ring.refresh().await.expect("in memory");
        assert_eq!(kids(&ring), before);
        assert_eq!(other.load().await, Ok(Some(newest.clone())));
    }
}

#[tokio::test]
async fn a_withdrawn_key_does_not_come_back_with_a_store_that_forgot_it_was() {
    let (clock, store) = (clock(), Unsteady::default());
    let (one, other) = (open(&clock, store.clone()).await, open(&clock, store.clone()).await);
    let stolen = kids(&one).remove(0);
    // A replica takes over that had not heard of the withdrawal, and then the ring goes on from there.
    let replica = store.replica().await;
    one.withdraw(&stolen).await.expect("withdrawn");
    store.become_another(replica);
    other.rotate().await.expect("another change");
    assert!(kids(&other).contains(&stolen), "it cannot know");
    one.refresh().await.expect("the store answers");
    other.refresh().await.expect("the store answers");
    for ring in [&one, &other] {
        assert!(!kids(ring).contains(&stolen), "{:?}", ring.status());
        assert!(verifies(&one, &clock, &issue(ring, &clock)).await);
    }
}

#[tokio::test]
async fn a_withdrawal_whose_answer_was_lost_is_remembered_and_can_be_made_again() {
    let (clock, store) = (clock(), Unsteady::default());
    let (one, other) = (open(&clock, store.clone()).await, open(&clock, store.clone()).await);
    let stolen = kids(&one).remove(0);
    let replica = store.replica().await;
    store.loses_answer.store(true, Ordering::Relaxed);
    one.withdraw(&stolen).await.expect_err("unknown");
    // It looks at once, not when the minute is over.
    let deadline = std::time::Instant::now() + 20 * SECOND;
    while kids(&one).contains(&stolen) {
        assert!(std::time::Instant::now() < deadline, "{one:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    one.withdraw(&stolen).await.expect("it is gone");
    // A replica takes over that had not heard of it.
    store.become_another(replica);
    other.rotate().await.expect("another change");
    assert!(kids(&other).contains(&stolen), "it cannot know");
    one.withdraw(&stolen).await.expect("withdrawn");
    other.refresh().await.expect("the store answers");
    assert!(!kids(&one).contains(&stolen) && !kids(&other).contains(&stolen));
    assert!(one.withdraw("another").await.is_err(), "there is no such key");
}

#[tokio::test]
async fn an_issuer_gives_no_token_that_outlives_its_key() {
    let ring = KeyRing::builder(Algorithm::EdDSA).longest_lifetime(10 * MINUTE).open().await.expect("in memory");
    let build = |lifetime| TokenIssuer::builder(NAME, ring.clone()).audience("orders").lifetime(lifetime).build();
    assert!(build(11 * MINUTE).is_err());
    let issuer = build(MINUTE).expect("shorter");
    assert!(issuer.token().lifetime(10 * MINUTE).sign().is_ok());
    let error = issuer.token().lifetime(10 * MINUTE + SECOND).sign().expect_err("longer");
    assert_eq!(error.kind(), IssueErrorKind::LifetimeOutOfBounds);
}

#[tokio::test]
async fn options_that_would_refuse_tokens_are_refused() {
    let ring = || KeyRing::builder(Algorithm::EdDSA);
    let wrong = [
        KeyRing::builder(Algorithm::HS256),
        ring().max_age(Duration::ZERO),
        ring().max_age(Duration::from_millis(1500)),
        ring().max_age(DAY + SECOND),
        ring().publish_ahead(Duration::from_secs(599)),
        ring().poll_every(Duration::ZERO),
        ring().poll_every(2 * MINUTE + SECOND),
        ring().rotate_every(Duration::from_secs(599)),
        // It would hold a hundred keys.
        ring().rotate_every(10 * MINUTE).longest_lifetime(16 * 60 * MINUTE),
        ring().longest_lifetime(Duration::ZERO),
    ];
    for (at, builder) in wrong.into_iter().enumerate() {
        builder.open().await.expect_err(&at.to_string());
    }
    let right = [
        ring().max_age(SECOND),
        ring().max_age(DAY),
        ring().publish_ahead(10 * MINUTE).poll_every(2 * MINUTE),
        ring().rotate_every(10 * MINUTE),
        ring().rotate_by_hand(),
    ];
    for builder in right {
        builder.open().await.expect("within bounds");
    }
}

#[tokio::test]
async fn another_algorithm_begins_a_rotation() {
    let clock = clock();
    let store = MemoryKeyStore::new();
    let before = open(&clock, store.clone()).await;
    let after = KeyRing::builder(Algorithm::ES256).store(store).clock(clock.clone()).open().await.expect("in memory");
    let algorithms: Vec<_> = after.status().keys.iter().map(|key| key.algorithm).collect();
    assert_eq!(algorithms, [Algorithm::EdDSA, Algorithm::ES256]);
    before.refresh().await.expect("in memory");
    assert_eq!(kids(&before), kids(&after), "an instance that is not updated yet does not turn back");
    clock.advance(10 * MINUTE);
    before.refresh().await.expect("in memory");
    assert!(verifies(&before, &clock, &issue(&before, &clock)).await);
}

#[tokio::test]
async fn a_file_keeps_the_ring_through_a_restart_for_its_owner_alone() {
    let (clock, folder) = (clock(), Folder::new());
    let store = || FileKeyStore::new(folder.file());
    let ring = open(&clock, store()).await;
    let token = issue(&ring, &clock);
    let before = kids(&ring);
    drop(ring);
    let ring = open(&clock, store()).await;
    assert_eq!(kids(&ring), before);
    assert!(verifies(&ring, &clock, &token).await);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |mode| std::fs::set_permissions(folder.file(), std::fs::Permissions::from_mode(mode));
        for entry in std::fs::read_dir(&folder.0).expect("it is there") {
            let entry = entry.expect("an entry");
            assert_eq!(entry.metadata().expect("its own").permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
        for open in [0o604, 0o602, 0o644] {
            mode(open).expect("its own");
            let error = ring.refresh().await.expect_err("others may read it").to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        mode(0o660).expect("its own");
        ring.refresh().await.expect("a group may share it");
    }
    std::fs::write(folder.file(), "{}").expect("its own");
    ring.refresh().await.expect_err("not a ring");
    assert_eq!(kids(&ring), before, "and the last state stays");
    std::fs::remove_file(folder.file()).expect("its own");
    ring.refresh().await.expect("written again");
    assert_eq!(kids(&open(&clock, store()).await), before);
    let nowhere = FileKeyStore::new(folder.0.join("missing").join("keys.json"));
    assert!(builder(&clock, nowhere).open().await.is_err());
}

#[tokio::test]
async fn of_many_that_change_a_file_at_once_one_wins_and_nobody_loses() {
    let (clock, folder) = (clock(), Folder::new());
    let mut opened = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (clock, store) = (clock.clone(), FileKeyStore::new(folder.file()));
        opened.spawn(async move { open(&clock, store).await });
    }
    let rings = opened.join_all().await;
    assert_all_rotate_as_one(&clock, &rings).await;
}

/// Every instance has the same first key, and of rotations that are asked for at once comes one.
async fn assert_all_rotate_as_one(clock: &Clock, rings: &[KeyRing]) {
    let first = kids(&rings[0]);
    assert_eq!(first.len(), 1);
    for turn in 1..=3 {
        let mut turning = tokio::task::JoinSet::new();
        for ring in rings {
            let ring = ring.clone();
            turning.spawn(async move { ring.rotate().await.expect("the store answers") });
        }
        let times = turning.join_all().await;
        assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
        for ring in rings {
            ring.refresh().await.expect("the store answers");
            assert_eq!(kids(ring), kids(&rings[0]));
            assert_eq!(kids(ring).len(), turn + 1);
        }
        clock.advance(10 * MINUTE);
        for ring in rings {
            ring.refresh().await.expect("the store answers");
            for other in rings {
                assert!(other.refresh().await.is_ok() && verifies(other, clock, &issue(ring, clock)).await);
            }
        }
    }
    assert_eq!(kids(&rings[0])[..1], first);
}

#[tokio::test]
async fn a_ring_shows_nothing_of_its_keys() {
    let clock = clock();
    let store = MemoryKeyStore::new();
    let ring = open(&clock, store.clone()).await;
    let document = store.load().await.expect("in memory").expect("begun");
    let text: Value = serde_json::from_slice(document.as_bytes()).expect("JSON");
    let private = text["keys"][0]["private"].as_str().expect("PKCS #8");
    // The seed is the bytes 16 to 48 (RFC 8410).
    let seed = &private[24..60];
    let issuer = issuer(&ring, &clock);
    let published = tower_jwt_auth::issue::IssuerMetadata::new(NAME, ring.clone()).expect("a URL");
    let seen =
        format!("{ring:?} {store:?} {document:?} {issuer:?} {published:?} {:?} {:?}", ring.status(), ring.jwks());
    assert!(!seen.contains(seed) && std::str::from_utf8(document.as_bytes()).expect("JSON").contains(seed));
}

/// A service that takes its own tokens: the ring is the source of their keys.
#[tokio::test]
async fn a_ring_verifies_what_it_signs_through_rotations_withdrawals_and_outages() {
    let clock = clock();
    let store = Unsteady::default();
    let (ring, other) = (open(&clock, store.clone()).await, open(&clock, store.clone()).await);
    let trusted = Issuer::new(NAME, ring.clone()).audience("orders");
    let builder = Verifier::<Value>::builder().trust(trusted).clock(clock.clone()).cache(TokenCache::new(10));
    let verifier = builder.build().expect("valid");
    let verdict = async |token: &str| verifier.verify(token).await.map(drop).map_err(|error| error.kind());
    let first = issue(&ring, &clock);
    assert_eq!(verdict(&first).await, Ok(()));

    other.rotate().await.expect("in memory");
    ring.refresh().await.expect("in memory");
    clock.advance(10 * MINUTE);
    let second = issue(&other, &clock);
    assert_ne!(jwt_header(&first)["kid"], jwt_header(&second)["kid"]);
    assert_eq!((verdict(&first).await, verdict(&second).await), (Ok(()), Ok(())));

    let stranger = open(&clock, MemoryKeyStore::new()).await;
    let forged = issue(&stranger, &clock);
    ring.refresh().await.expect("in memory");
    assert_eq!(verdict(&forged).await, Err(AuthErrorKind::UnknownKey));

    // Without the store: known keys go on, and of others nobody can say.
    store.leave(true);
    clock.advance(5 * MINUTE);
    let third = issue(&other, &clock);
    assert_eq!(verdict(&third).await, Ok(()));
    assert_eq!(verdict(&issue(&stranger, &clock)).await, Err(AuthErrorKind::KeysUnavailable));
    clock.advance(54 * MINUTE);
    assert_eq!(verdict(&third).await, Ok(()), "its last minute");
    store.leave(false);
    other.refresh().await.expect("it is back");
    let fourth = issue(&other, &clock);
    clock.advance(6 * MINUTE + SECOND);
    assert_eq!(verdict(&fourth).await, Err(AuthErrorKind::KeysUnavailable), "an hour and `max-age` without the store");

    ring.refresh().await.expect("it is back");
    assert_eq!(verdict(&fourth).await, Ok(()));
    other.withdraw(jwt_header(&fourth)["kid"].as_str().expect("a text")).await.expect("in memory");
    ring.refresh().await.expect("in memory");
    assert_eq!(verdict(&fourth).await, Err(AuthErrorKind::UnknownKey), "gone at once, remembered or not");
}

fn jwt_header(token: &str) -> Value {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a segment")).expect("base64url");
    serde_json::from_slice(&header).expect("JSON")
}

/// A store that panics, never answers, or whose runtime went away takes the task along; the next use starts another.
#[tokio::test(start_paused = true)]
async fn a_ring_is_kept_again_after_whatever_befell_its_task() {
    #[derive(Clone, Default)]
    struct Odd(MemoryKeyStore, Arc<AtomicU32>);
    impl KeyStore for Odd {
        fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
            match self.1.swap(0, Ordering::Relaxed) {
                1 => panic!("a bug of the store's"),
                2 => Box::pin(std::future::pending()),
                _ => self.0.load(),
            }
        }

        fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
            self.0.replace(expected, document)
        }
    }
    let (clock, store) = (clock(), Odd::default());
    let ring = open(&clock, store.clone()).await;
    for bug in [1, 2] {
        store.1.store(bug, Ordering::Relaxed);
        tokio::time::sleep(MINUTE + 11 * SECOND).await;
        assert_eq!(store.1.load(Ordering::Relaxed), 0, "it was asked");
        assert!(ring.jwks().is_ok(), "used, and so kept again");
        tokio::time::sleep(MINUTE + SECOND).await;
        assert!(ring.status().age <= MINUTE && ring.status().last_error.is_none(), "{bug}: {:?}", ring.status());
    }
    store.1.store(2, Ordering::Relaxed);
    let error = ring.refresh().await.expect_err("no answer").to_string();
    assert!(error.contains("10 seconds"), "{error}");
}

#[test]
fn a_ring_whose_runtime_went_away_before_its_task_began_is_kept_by_the_next() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let clock = clock();
    let ring = runtime().block_on(open(&clock, MemoryKeyStore::default()));
    runtime().block_on(async {
        assert!(ring.jwks().is_ok(), "used, and so kept");
        tokio::time::sleep(2 * MINUTE + SECOND).await;
        assert!(ring.status().age <= MINUTE, "{:?}", ring.status());
    });
}
