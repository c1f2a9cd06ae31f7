//! Requests with DPoP proofs at once.

use std::sync::Arc;

use shuttle::thread;

use super::replay::{MemoryReplayStore, Replay, ReplayStore, UsedProof};
use crate::clock::UnixTime;

fn answers(store: MemoryReplayStore, proofs: [u8; 3], now: i64) -> Vec<Option<bool>> {
    let store = Arc::new(store);
    let requests = proofs.map(|n| {
        let store = Arc::clone(&store);
        thread::spawn(move || match store.check(UsedProof::numbered(n, UnixTime::from_secs(now))).0 {
            Replay::Ready(answer) => answer,
            Replay::Pending(_) => unreachable!("memory needs no time"),
        })
    });
    let mut answers: Vec<_> = requests.into_iter().map(|request| request.join().expect("no panic")).collect();
    answers.sort_unstable();
    answers
}

/// Of three requests with the same proof, one hears that it is new; also where an earlier one leaves just then.
pub fn a_proof_is_new_to_one_request() {
    let store = MemoryReplayStore::new();
    let _ = store.check(UsedProof::numbered(1, UnixTime::from_secs(0)));
    assert_eq!(answers(store, [1; 3], 330), [Some(false), Some(false), Some(true)]);
}

/// Of three proofs of a key that may have two, two are taken.
pub fn proofs_of_one_key_keep_its_bound() {
    assert_eq!(answers(MemoryReplayStore::with_bounds(9, 2), [1, 2, 3], 0), [None, Some(true), Some(true)]);
}
