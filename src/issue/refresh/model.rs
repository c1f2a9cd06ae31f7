//! Uses of a refresh token at once.

use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use super::memory::MemoryRefreshStore;
use super::store::{NewFamily, Outcome, RefreshStore, Rotation};
use super::token::FamilyId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn family() -> FamilyId {
    FamilyId::parse("AAAAAAAAAAAAAAAAAAAAAA").expect("22 characters")
}

fn store() -> Arc<MemoryRefreshStore> {
    let store = Arc::new(MemoryRefreshStore::with_bounds(1, 1));
    let new = NewFamily {
        id: family(),
        subject: "user".to_owned(),
        data: String::new(),
        live: [0; 32],
        lifetime: DAY,
        idle: DAY,
    };
    block_on(store.start(&new)).expect("room");
    store
}

/// Uses the first token; what comes after it is named by a number.
fn rotate(store: &Arc<MemoryRefreshStore>, n: u8, grace: Duration) -> JoinHandle<Outcome> {
    let store = Arc::clone(store);
    thread::spawn(move || {
        let rotation =
            Rotation { family: family(), presented: [0; 32], successor: [n; 32], salt: [n; 32], grace, idle: DAY };
        block_on(store.rotate(&rotation)).expect("in memory")
    })
}

fn is_live(store: &MemoryRefreshStore) -> bool {
    !block_on(store.list("user")).expect("in memory").is_empty()
}

/// One of two uses succeeds, and the other ends the family.
pub fn a_refresh_token_is_spent_once() {
    let store = store();
    let uses = [1, 2].map(|n| rotate(&store, n, Duration::ZERO));
    let outcomes = uses.map(|used| used.join().expect("no panic"));
    assert!(
        matches!(
            &outcomes,
            [Outcome::Rotated(_), Outcome::Reused { .. }] | [Outcome::Reused { .. }, Outcome::Rotated(_)]
        ),
        "{outcomes:?}"
    );
    assert!(!is_live(&store));
}

/// With a window for retries, the one that is later is told the salt of the other, and the family lives.
pub fn a_retry_within_the_window_gets_what_the_first_use_got() {
    let store = store();
    let uses = [1, 2].map(|n| rotate(&store, n, DAY));
    match uses.map(|used| used.join().expect("no panic")) {
        [Outcome::Rotated(_), Outcome::Repeated(_, salt)] => assert_eq!(salt, [1; 32]),
        [Outcome::Repeated(_, salt), Outcome::Rotated(_)] => assert_eq!(salt, [2; 32]),
        outcomes => panic!("{outcomes:?}"),
    }
    assert!(is_live(&store));
}

/// Whatever else is asked meanwhile; and its place is free.
pub fn a_session_that_is_ended_stays_ended() {
    let store = store();
    let used = rotate(&store, 1, DAY);
    let ended = {
        let store = Arc::clone(&store);
        thread::spawn(move || block_on(store.end_all("user")).expect("in memory"))
    };
    let outcome = used.join().expect("no panic");
    ended.join().expect("no panic");
    assert!(matches!(outcome, Outcome::Rotated(_) | Outcome::Unknown), "{outcome:?}");
    assert!(!is_live(&store));
    let new = NewFamily {
        id: family(),
        subject: "user".to_owned(),
        data: String::new(),
        live: [9; 32],
        lifetime: DAY,
        idle: DAY,
    };
    block_on(store.start(&new)).expect("its place is free");
}
