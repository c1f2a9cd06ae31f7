//! A ring verifies what it signs: for a service that takes its own tokens, without a way over the network.

use std::sync::PoisonError;
use std::time::Duration;

use super::handle::{Held, KeyRing};
use crate::crypto;
use crate::jose::AlgorithmSet;
use crate::keys::{KeyError, KeyLookup, KeyQuery, KeySet, KeySource};

/// For how long known keys verify while the store does not answer, past the `max-age` of the JWK set: as long as the keys
/// of a remote source.
const STALE_FOR: Duration = Duration::from_secs(60 * 60);

/// The keys of a state, prepared.
#[derive(Default)]
pub(super) struct Prepared {
    kids: Vec<Box<str>>,
    set: Option<KeySet>,
}

/// The published keys, retiring ones too. While the store does not answer, those that are known go on for an hour past
/// the [`max_age`](KeyRing::max_age); a token with another key, which this instance may have missed, is answered 503.
impl KeySource for KeyRing {
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        let shared = self.shared();
        shared.ensure_kept();
        let held = shared.held.read().unwrap_or_else(PoisonError::into_inner);
        let age = held.read.age(&shared.clock);
        let Some(set) = self.prepared(&held) else {
            return KeyLookup::failed(KeyError::new("the ring has no key that verifies"));
        };
        let is_known = query.kid().is_some_and(|kid| set.knows(kid));
        let usable_for = if is_known { shared.rules.max_age + STALE_FOR } else { shared.rules.publishable_for() };
        drop(held);
        if age > usable_for {
            return KeyLookup::failed(KeyError::new("the store of the key ring has not answered for too long"));
        }
        KeyLookup::ready(set)
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        Some(AlgorithmSet::ASYMMETRIC.iter().filter(|&algorithm| crypto::supports(algorithm)).collect())
    }
}

impl KeyRing {
    /// The same set for as long as the same keys are published.
    fn prepared(&self, held: &Held) -> Option<KeySet> {
        let shared = self.shared();
        let now = shared.clock.now();
        let kids = || held.state.published(now).filter_map(|(entry, _)| entry.key.kid());
        let prepared = shared.prepared.read().unwrap_or_else(PoisonError::into_inner);
        if prepared.kids.iter().map(|kid| &**kid).eq(kids()) {
            return prepared.set.clone();
        }
        drop(prepared);
        let keys = held.state.published(now).filter_map(|(entry, _)| entry.key.verifying().ok());
        let set = KeySet::new(keys).ok();
        let fresh = Prepared { kids: kids().map(Into::into).collect(), set: set.clone() };
        *shared.prepared.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        set
    }
}
