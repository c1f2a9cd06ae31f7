//! Refresh tokens in memory: one use each, theft found out, lifetimes, bounds, and nothing that leaks.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RefreshErrorKind, RefreshStore, RefreshTokens};

use crate::redaction::Log;
use crate::refreshing::{self, Login, Tokens, login, refused, tokens};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn store() -> Arc<MemoryRefreshStore> {
    Arc::new(MemoryRefreshStore::new())
}

/// What two instances share.
fn twice<S: Clone>(store: &S) -> [S; 2] {
    [store.clone(), store.clone()]
}

/// A store whose time is moved by hand.
fn timed() -> (Arc<MemoryRefreshStore>, Clock) {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    (Arc::new(MemoryRefreshStore::new().clock(clock.clone())), clock)
}

#[tokio::test]
async fn a_token_is_good_for_one_use_and_a_second_one_ends_its_family() {
    refreshing::one_use_each(&twice(&store())).await;
}

#[tokio::test]
async fn what_is_no_token_is_refused_and_ends_nothing() {
    refreshing::forgeries(&twice(&store())).await;
}

#[tokio::test]
async fn within_the_window_the_token_spent_last_gives_the_same_successor() {
    refreshing::the_window(&twice(&store())).await;
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_one_by_one_or_all_together() {
    refreshing::sessions(&twice(&store())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_uses_at_once_exactly_one_rotates() {
    refreshing::many_at_once(&twice(&store())).await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_when_its_time_is_over() {
    let (store, clock) = timed();
    let tokens = Tokens::builder(Arc::clone(&store)).lifetime(seconds(100)).idle(seconds(40)).build().expect("valid");

    // Not used: its last second, and the end.
    let unused = tokens.start("user", &login()).await.expect("there is room");
    clock.advance(seconds(39));
    let token = tokens.rotate(unused.as_str()).await.expect("39 of 40 seconds").token().clone();
    clock.advance(seconds(40));
    assert_eq!(refused(&tokens, &token).await, RefreshErrorKind::Invalid);

    // Used all the time.
    let mut token = tokens.start("user", &login()).await.expect("there is room");
    for _ in 0..3 {
        clock.advance(seconds(33));
        let rotated = tokens.rotate(token.as_str()).await.expect("used often enough");
        let session = rotated.session();
        assert_eq!(session.last_used(), clock.now());
        let left = session.expires().as_secs() - clock.now().as_secs();
        assert_eq!(left, 40.min(session.created().as_secs() + 100 - clock.now().as_secs()));
        token = rotated.token().clone();
    }
    assert_eq!(tokens.sessions("user").await.expect("memory").len(), 1);
    clock.advance(seconds(1));
    assert_eq!(refused(&tokens, &token).await, RefreshErrorKind::Invalid, "100 seconds are over");
    assert!(tokens.sessions("user").await.expect("memory").is_empty());

    // Never used, and over before it is idle for too long.
    let tokens = Tokens::builder(store).lifetime(seconds(10)).idle(seconds(40)).build().expect("valid");
    let [one, other] = [refreshing::start(&tokens, "user").await, refreshing::start(&tokens, "user").await];
    clock.advance(seconds(9));
    tokens.rotate(one.as_str()).await.expect("9 of 10 seconds");
    clock.advance(seconds(1));
    assert_eq!(refused(&tokens, &other).await, RefreshErrorKind::Invalid);
}

#[tokio::test]
async fn the_window_is_as_long_as_it_says_and_counts_from_the_rotation() {
    let (store, clock) = timed();
    let tokens = Tokens::builder(store).grace(seconds(10)).build().expect("valid");
    let first = tokens.start("user", &login()).await.expect("there is room");
    let second = tokens.rotate(first.as_str()).await.expect("live").token().clone();
    for _ in 0..3 {
        clock.advance(seconds(3));
        let again = tokens.rotate(first.as_str()).await.expect("9 of 10 seconds");
        assert_eq!(again.token().as_str(), second.as_str());
    }
    clock.advance(seconds(1));
    assert_eq!(refused(&tokens, &first).await, RefreshErrorKind::Reused);
    assert_eq!(refused(&tokens, &second).await, RefreshErrorKind::Invalid);
}

#[tokio::test]
async fn a_full_store_says_so_and_pushes_nobody_out() {
    let clock = Clock::manual(UnixTime::from_secs(0));
    let store = Arc::new(MemoryRefreshStore::with_bounds(3, 2).clock(clock.clone()));
    let tokens = Tokens::builder(store).idle(seconds(10)).build().expect("valid");
    let full = async |subject| tokens.start(subject, &login()).await.expect_err("full").kind();
    let first = tokens.start("one", &login()).await.expect("there is room");
    tokens.start("one", &login()).await.expect("there is room");
    assert_eq!(full("one").await, RefreshErrorKind::Full, "a third of one subject");
    tokens.start("two", &login()).await.expect("there is room");
    assert_eq!(full("three").await, RefreshErrorKind::Full, "a fourth in all");
    clock.advance(seconds(9));
    assert_eq!(full("three").await, RefreshErrorKind::Full);
    let first = tokens.rotate(first.as_str()).await.expect("nobody was pushed out");
    clock.advance(seconds(1));
    tokens.start("three", &login()).await.expect("two have expired");
    tokens.start("one", &login()).await.expect("one of its own has expired");
    tokens.rotate(first.token().as_str()).await.expect("this one was used");
}

#[tokio::test]
async fn what_is_too_long_or_no_json_starts_no_session() {
    let tokens = RefreshTokens::<String, _>::new(store()).expect("a backend");
    let start = async |subject: usize, data: usize| tokens.start(&"s".repeat(subject), &"d".repeat(data)).await;
    start(512, 4094).await.expect("just short enough, with the quotes");
    for (subject, data) in [(513, 0), (0, 4095)] {
        assert_eq!(start(subject, data).await.expect_err("too long").kind(), RefreshErrorKind::Unfit);
    }
    let keys_that_are_no_strings = std::collections::HashMap::from([((1, 2), 3)]);
    let tokens = RefreshTokens::<std::collections::HashMap<(u8, u8), u8>, _>::new(store()).expect("a backend");
    let error = tokens.start("user", &keys_that_are_no_strings).await.expect_err("no JSON");
    assert_eq!(error.kind(), RefreshErrorKind::Unfit);
}

#[tokio::test]
async fn data_of_another_form_is_our_fault_and_not_the_clients() {
    let store = store();
    let before = RefreshTokens::<u32, _>::new(Arc::clone(&store)).expect("a backend");
    let after = RefreshTokens::<Login, _>::new(store).expect("a backend");
    let token = before.start("user", &7).await.expect("there is room");
    let error = after.rotate(token.as_str()).await.expect_err("no login");
    assert_eq!(error.kind(), RefreshErrorKind::DataMismatch);
    assert!(error.kind().is_our_fault());
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let builder = || Tokens::builder(store());
    let day = seconds(24 * 60 * 60);
    assert!(builder().grace(seconds(60)).lifetime(day * 3650).idle(day * 3650).build().is_ok());
    for (wrong, name) in [
        (builder().grace(seconds(60) + Duration::from_millis(1)), "grace"),
        (builder().lifetime(Duration::ZERO), "lifetime"),
        (builder().lifetime(day * 3651), "lifetime"),
        (builder().idle(Duration::ZERO), "idle"),
        (builder().idle(day * 3651), "idle"),
    ] {
        let error = wrong.build().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_reuse_is_reported_once_and_no_text_of_a_token_is_seen_anywhere() {
    let log = Log::start();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&heard);
    let builder = Tokens::builder(store()).grace(seconds(1)).on_reuse(move |reuse| {
        hook.lock().expect("not poisoned").push((reuse.family(), reuse.subject().to_owned()));
    });
    let mut seen = format!("{builder:?}");
    let tokens = builder.build().expect("valid");
    let mut texts = Vec::new();
    let mut token = tokens.start("SubjectCanary", &login()).await.expect("there is room");
    let family = token.family();
    for _ in 0..3 {
        texts.push(token.as_str().to_owned());
        let rotated = tokens.rotate(token.as_str()).await.expect("live");
        write!(seen, "{tokens:?} {token:?} {rotated:?} {:?}", rotated.session()).expect("a string");
        token = rotated.into_parts().0;
    }
    texts.push(token.as_str().to_owned());
    assert!(heard.lock().expect("not poisoned").is_empty());
    for text in &texts {
        let error = tokens.rotate(text).await.expect_err("ended, or about to");
        assert_eq!(error.reuse().map(|reuse| (reuse.family(), reuse.subject())).is_some(), *text == texts[0]);
        write!(seen, "{error} {error:?} {:?}", error.reuse()).expect("a string");
    }
    assert_eq!(*heard.lock().expect("not poisoned"), [(family, "SubjectCanary".to_owned())]);

    let events = log.text();
    assert_eq!(events.matches("a spent refresh token was used").count(), 1, "{events}");
    assert!(events.contains("WARN") && events.contains(&family.to_string()), "{events}");
    for text in &texts {
        // Its mark, its secret, and what it starts with.
        for part in [&text[..20], &text[22..], &text[..]] {
            assert!(!seen.contains(part) && !events.contains(part));
        }
    }
    assert!(!seen.contains("SubjectCanary") && !events.contains("SubjectCanary"));
}

#[test]
fn what_is_public_can_be_shared_and_sent() {
    fn is_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn is_sent<T: Send>(_: T) {}
    fn futures<S: RefreshStore>(tokens: &Tokens<S>) {
        is_sent(tokens.start("user", &login()));
        is_sent(tokens.rotate("token"));
        is_sent(tokens.revoke_token("token"));
        is_sent(tokens.revoke_subject("user"));
        is_sent(tokens.sessions("user"));
    }
    let tokens = tokens(&store());
    is_shared(&tokens);
    futures(&tokens);
}
