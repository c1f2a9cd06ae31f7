//! The record of used proofs (RFC 9449 §11.1).

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::crypto;
use crate::sync::{Mutex, PoisonError};

/// For how long a proof can be accepted, and so has to be remembered: it may be 300 seconds old, or 30 ahead.
const KEPT_FOR: Duration = Duration::from_secs(330);

/// Remembers which proofs were used. One that several instances share makes a proof good for one request at all of them.
///
/// It is asked only for proofs that have passed every other check, with a token that has passed as well.
pub trait ReplayStore: Send + Sync + 'static {
    /// Records a proof, and says whether it is new: [`ReplayCheck::ready`] from memory, else [`ReplayCheck::pending`].
    /// Of several that ask for the same proof at once, exactly one may hear that it is new.
    fn check(&self, proof: UsedProof) -> ReplayCheck;
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn check(&self, proof: UsedProof) -> ReplayCheck {
        (**self).check(proof)
    }
}

/// The answer of a [`ReplayStore`]: `Some(true)` for a new proof, `Some(false)` for one that was used before, `None`
/// where that cannot be said: the request is then answered 503.
pub struct ReplayCheck(pub(super) Replay);

pub(super) enum Replay {
    Ready(Option<bool>),
    Pending(Pin<Box<dyn Future<Output = Option<bool>> + Send>>),
}

impl ReplayCheck {
    /// The answer is at hand.
    pub fn ready(answer: Option<bool>) -> Self {
        Self(Replay::Ready(answer))
    }

    /// The answer needs time. Give the future a time limit of its own.
    pub fn pending(answer: impl Future<Output = Option<bool>> + Send + 'static) -> Self {
        Self(Replay::Pending(Box::pin(answer)))
    }
}

impl fmt::Debug for ReplayCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Replay::Ready(answer) => f.debug_tuple("ReplayCheck::ready").field(&answer).finish(),
            Replay::Pending(_) => f.write_str("ReplayCheck::pending"),
        }
    }
}

/// A proof that is about to be used. Nothing in it leads back to the proof.
#[derive(Clone, Copy)]
pub struct UsedProof {
    id: [u8; 32],
    key: [u8; 32],
    now: UnixTime,
}

impl UsedProof {
    pub(super) fn new(jti: &str, jkt: &str, now: UnixTime) -> Option<Self> {
        let key = crypto::sha256(jkt.as_bytes())?;
        // The first part has a fixed length, so that no two pairs make the same text.
        let id = crypto::sha256(&[&key[..], jti.as_bytes()].concat())?;
        Some(Self { id, key, now })
    }

    #[cfg(shuttle)]
    pub(super) fn numbered(n: u8, now: UnixTime) -> Self {
        Self { id: [n; 32], key: [0; 32], now }
    }

    /// What to record: a hash of `jti` and of the key's thumbprint.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The key that made it: a hash of its thumbprint. One key should not be able to fill the record.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// For how long to record it: 330 seconds.
    pub fn keep_for(&self) -> Duration {
        KEPT_FOR
    }
}

impl fmt::Debug for UsedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedProof").finish_non_exhaustive()
    }
}

/// A record in the memory of this process: 1,000,000 proofs, 1,000 of one key; while it is full, requests with further
/// proofs are answered 503.
pub struct MemoryReplayStore {
    most: usize,
    most_of_one_key: u32,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    ids: HashSet<[u8; 32]>,
    /// How many there are of each key.
    by_key: HashMap<[u8; 32], u32>,
    /// In the order in which they leave.
    queue: VecDeque<(UnixTime, UsedProof)>,
}

impl MemoryReplayStore {
    /// An empty record.
    pub fn new() -> Self {
        Self::with_bounds(1_000_000, 1_000)
    }

    /// With other bounds: in all, and for one key. A proof takes about 250 bytes.
    pub fn with_bounds(most: usize, most_of_one_key: u32) -> Self {
        Self { most, most_of_one_key, used: Mutex::default() }
    }
}

impl Default for MemoryReplayStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Used {
    fn expire(&mut self, now: UnixTime) {
        while self.queue.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, proof)) = self.queue.pop_front() else { return };
            self.ids.remove(&proof.id);
            if let Some(count) = self.by_key.get_mut(&proof.key) {
                *count -= 1;
                if *count == 0 {
                    self.by_key.remove(&proof.key);
                }
            }
        }
    }
}

impl ReplayStore for MemoryReplayStore {
    fn check(&self, proof: UsedProof) -> ReplayCheck {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.expire(proof.now);
        if used.ids.contains(&proof.id) {
            return ReplayCheck::ready(Some(false));
        }
        let of_key = used.by_key.get(&proof.key).copied().unwrap_or(0);
        if used.ids.len() >= self.most || of_key >= self.most_of_one_key {
            return ReplayCheck::ready(None);
        }
        used.ids.insert(proof.id);
        *used.by_key.entry(proof.key).or_default() += 1;
        // A clock that steps back must not let an entry leave before those in front of it.
        let until = proof.now.plus(KEPT_FOR).max(used.queue.back().map_or(UnixTime::MIN, |(until, _)| *until));
        used.queue.push_back((until, proof));
        ReplayCheck::ready(Some(true))
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore").finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    fn ask(store: &MemoryReplayStore, jti: &str, jkt: &str, at: i64) -> Option<bool> {
        let proof = UsedProof::new(jti, jkt, UnixTime::from_secs(at)).expect("a backend");
        match store.check(proof).0 {
            Replay::Ready(answer) => answer,
            Replay::Pending(_) => unreachable!("memory needs no time"),
        }
    }

    #[test]
    fn a_proof_is_new_once_and_again_after_its_time() {
        let store = MemoryReplayStore::new();
        assert_eq!(ask(&store, "a", "k", 0), Some(true));
        assert_eq!(ask(&store, "a", "k", 329), Some(false));
        assert_eq!(ask(&store, "a", "other", 329), Some(true));
        assert_eq!(ask(&store, "a", "k", 330), Some(true));
    }

    #[test]
    fn one_key_cannot_fill_the_record_and_a_full_one_says_so() {
        let store = MemoryReplayStore::with_bounds(5, 2);
        assert_eq!([ask(&store, "a", "k", 0), ask(&store, "b", "k", 0)], [Some(true); 2]);
        assert_eq!(ask(&store, "c", "k", 0), None);
        assert_eq!(ask(&store, "a", "k", 0), Some(false), "known, though the key has used up its share");
        assert_eq!([ask(&store, "a", "l", 0), ask(&store, "a", "m", 0), ask(&store, "a", "n", 0)], [Some(true); 3]);
        assert_eq!(ask(&store, "a", "o", 329), None);
        assert_eq!(ask(&store, "a", "o", 330), Some(true));
        let used = store.used.lock().expect("not poisoned");
        assert_eq!((used.ids.len(), used.by_key.len(), used.queue.len()), (1, 1, 1));
    }

    #[test]
    fn a_clock_that_steps_back_forgets_nothing_early() {
        let store = MemoryReplayStore::new();
        assert_eq!(ask(&store, "a", "k", 1000), Some(true));
        assert_eq!(ask(&store, "b", "k", 500), Some(true));
        assert_eq!(ask(&store, "b", "k", 1329), Some(false));
        assert_eq!(ask(&store, "b", "k", 1330), Some(true));
    }
}
