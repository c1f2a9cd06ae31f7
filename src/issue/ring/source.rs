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
/// the [`max_age`](KeyRing::max_age).
///
/// A token with a `kid` that the ring lacks, as after a withdrawal at another instance, makes it read the store, and waits
/// for that: for 5 seconds at most, and 64 requests at a time. If the key is there, this instance signs with what it has
/// read from then on, too. If not, the token is refused, 401; if the store does not answer it is a 503, for nobody can say.
/// Forged tokens make the ring read its store twice in 30 seconds; in that time what the last read lacked is refused. A
/// token without a `kid` is none of a ring's, and asks for nothing.
impl KeySource for KeyRing {
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        self.shared().ensure_kept();
        match (self.at_hand(), query.kid()) {
            (Err(error), _) => KeyLookup::failed(error),
            (Ok((set, _)), Some(kid)) if query.is_retry() && !set.knows(kid) => {
                KeyLookup::pending(self.look_for(kid.to_owned()))
            }
            (Ok((set, _)), _) => KeyLookup::ready(set),
        }
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        Some(AlgorithmSet::ASYMMETRIC.iter().filter(|&algorithm| crypto::supports(algorithm)).collect())
    }
}

impl KeyRing {
    /// The keys, and how long ago they were read.
    pub(super) fn at_hand(&self) -> Result<(KeySet, Duration), KeyError> {
        let shared = self.shared();
        let held = shared.held.read().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = self.prepared(&held) else {
            return Err(KeyError::new("the ring has no key that verifies"));
        };
        if shared.is_past(&held, shared.rules.max_age + STALE_FOR) {
            return Err(KeyError::new("the store of the key ring has not answered for too long"));
        }
        Ok((set, held.read.age(&shared.clock)))
    }

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
