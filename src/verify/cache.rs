//! Verdicts that are remembered, so that the same token costs no second signature check.
//!
//! - An entry is found by the whole token, compared in full, and by the verifier that made it.
//! - It stands only while its source still hands out the very key that verified it, and never past `exp`, nor 5
//!   minutes. Times, and rules of one's own, are judged again on every hit.
//! - Refusals are never remembered: a refusal may be about the moment (a key that is to come, a token that is to
//!   become valid), and strangers could fill the cache with them.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};
use zeroize::Zeroizing;

/// How long a verdict is remembered at most.
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What an entry takes beside its token: the proof with its strings, and its place in the map.
const OVERHEAD: u64 = 512;

/// A bounded, sharded memory of accepted tokens. A cheap clone; several verifiers may share one.
///
/// Give it to [`VerifierBuilder::cache`](super::VerifierBuilder::cache). It is off unless asked for: it trades memory
/// for processor time, which pays where clients send the same token many times.
#[derive(Clone)]
pub struct TokenCache(Arc<Map>);

type Map = Cache<Key, Proof, Weigh, RandomState>;

/// A `Jwt<C>` whose claims type only its verifier knows.
type Proof = Arc<dyn Any + Send + Sync>;

impl TokenCache {
    /// A memory of at most this many tokens, and of 2 KiB for each on average: a token of common size takes its
    /// length and about half a KiB, claims not counted.
    pub fn new(entries: usize) -> Self {
        Self::with_bytes(entries, entries.saturating_mul(2048))
    }

    /// A memory of at most this many tokens and this many bytes, claims not counted.
    pub fn with_bytes(entries: usize, bytes: usize) -> Self {
        let (entries, bytes) = (entries.max(1), (bytes as u64).max(1));
        // An entry weighs its bytes, and no less than its share: the one bound then keeps both.
        let share = bytes.div_ceil(entries as u64);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .ghost_allocation(0.0)
            .shards(64)
            .build()
            .unwrap_or_else(|_| unreachable!("both capacities are set, and the shares are between 0 and 1"));
        let map = Cache::with_options(options, Weigh { share }, RandomState::new(), DefaultLifecycle::default());
        Self(Arc::new(map))
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn get<T: Send + Sync + 'static>(&self, verifier: VerifierId, token: &str) -> Option<Arc<T>> {
        self.0.get(&Query { verifier, token })?.downcast().ok()
    }

    pub(super) fn insert<T: Send + Sync + 'static>(&self, verifier: VerifierId, token: &str, proof: Arc<T>) {
        self.0.insert(Key { verifier, token: Zeroizing::new(token.into()) }, proof);
    }

    pub(super) fn remove(&self, verifier: VerifierId, token: &str) {
        self.0.remove(&Query { verifier, token });
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Which verifier made an entry: no two in a process have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct VerifierId(u64);

impl VerifierId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(PartialEq, Eq)]
struct Key {
    verifier: VerifierId,
    /// A credential until it expires: wiped once it is forgotten.
    token: Zeroizing<Box<str>>,
}

struct Query<'t> {
    verifier: VerifierId,
    token: &'t str,
}

/// Only the end of the token is hashed, with a seed of the process: it is the signature, and spreads evenly. Nobody
/// can plant entries with equal ends, for only tokens with good signatures are entered.
fn hash_end<H: Hasher>(verifier: VerifierId, token: &str, state: &mut H) {
    let bytes = token.as_bytes();
    verifier.hash(state);
    state.write(&bytes[bytes.len().saturating_sub(16)..]);
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(self.verifier, &self.token, state);
    }
}

impl Hash for Query<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(self.verifier, self.token, state);
    }
}

impl Equivalent<Key> for Query<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.verifier == key.verifier && *self.token == **key.token
    }
}

#[derive(Clone)]
struct Weigh {
    share: u64,
}

impl Weighter<Key, Proof> for Weigh {
    fn weight(&self, key: &Key, _: &Proof) -> u64 {
        (key.token.len() as u64 + OVERHEAD).max(self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;

    const _: fn(&Key) = |key| assert_wiped(&key.token);

    #[test]
    fn entries_and_bytes_are_bounded() {
        let verifier = VerifierId::next();
        let fill = |cache: &TokenCache, tokens: usize, len: usize| {
            for n in 0..tokens {
                cache.insert(verifier, &format!("{}{n:08}", "x".repeat(len - 8)), Arc::new(n));
            }
            cache.len()
        };
        let by_entries = fill(&TokenCache::new(1000), 5000, 100);
        assert!((900..=1000).contains(&by_entries), "{by_entries}");
        let by_bytes = fill(&TokenCache::with_bytes(100_000, 1 << 20), 5000, 4096);
        assert!((150..=(1 << 20) / 4096).contains(&by_bytes), "{by_bytes}");
    }

    #[test]
    fn a_token_is_compared_in_full_and_belongs_to_its_verifier() {
        let (cache, a, b) = (TokenCache::new(10), VerifierId::next(), VerifierId::next());
        let end = "the same sixteen ends";
        cache.insert(a, &format!("x{end}"), Arc::new(1));
        assert_eq!(cache.get::<i32>(a, &format!("x{end}")).as_deref(), Some(&1));
        assert!(cache.get::<i32>(a, &format!("y{end}")).is_none());
        assert!(cache.get::<i32>(b, &format!("x{end}")).is_none());
        assert!(cache.get::<u8>(a, &format!("x{end}")).is_none(), "another type");
        cache.remove(a, &format!("x{end}"));
        assert!(cache.is_empty());
    }
}
