//! A bounded table of entries, in shards that are read and swept one by one.
//!
//! - An entry is 16 bytes of a hash and 4 of a time. Of two for the same key the later time stands: to revoke again never
//!   weakens what was said before.
//! - A shard drops what has left when it is written to, once a minute at most: some thousand entries, some 20 µs.

use std::collections::HashMap;
use std::time::Duration;

use super::key::{EntryKey, Kind, Spread};
use crate::clock::UnixTime;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError, RwLock};

/// No leeway is longer than that: past it, no token that an entry is about can pass.
pub(super) const MARGIN: u32 = 5 * 60;

/// A model of all would have too many steps.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 256 };

/// How often a shard is swept at most, in seconds.
const SWEEP_EVERY: u32 = 60;

/// Whole seconds since the Unix epoch; the last one stands for all that come after.
pub(super) type Seconds = u32;

/// Rounded down.
pub(super) fn floor(time: UnixTime) -> Seconds {
    Seconds::try_from(time.as_secs().max(0)).unwrap_or(Seconds::MAX)
}

/// Rounded up.
pub(super) fn ceiling(time: UnixTime) -> Seconds {
    let seconds = floor(time);
    if UnixTime::from_secs(seconds.into()) < time { seconds.saturating_add(1) } else { seconds }
}

/// Rounded up.
pub(super) fn span(span: Duration) -> Seconds {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    Seconds::try_from(seconds).unwrap_or(Seconds::MAX)
}

type Map = HashMap<EntryKey, Seconds, Spread>;

pub(super) struct Table {
    shards: Box<[RwLock<Shard>]>,
    most: usize,
    /// How long a token lives at most: so much longer than its time a subject stays. `None`: for good.
    lives: Option<Seconds>,
    /// The places that are taken: before an entry is there, until after it has left.
    held: AtomicUsize,
    /// How many of them are for which kind.
    ids: AtomicUsize,
    subjects: AtomicUsize,
    /// When every shard was last swept because there was no room.
    swept_all: Mutex<Seconds>,
}

#[derive(Default)]
struct Shard {
    /// Until when an id is held.
    ids: Map,
    /// Up to which `iat` the tokens of a subject are refused.
    subjects: Map,
    swept: Seconds,
}

impl Shard {
    fn map(&self, kind: Kind) -> &Map {
        match kind {
            Kind::Id => &self.ids,
            Kind::Subject => &self.subjects,
        }
    }

    fn map_mut(&mut self, kind: Kind) -> &mut Map {
        match kind {
            Kind::Id => &mut self.ids,
            Kind::Subject => &mut self.subjects,
        }
    }
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Table {
    pub(super) fn new(most: usize, lives: Option<Seconds>) -> Self {
        let hashes = Spread::default();
        let shard = || Shard { ids: Map::with_hasher(hashes), subjects: Map::with_hasher(hashes), swept: 0 };
        Self {
            shards: (0..SHARDS).map(|_| RwLock::new(shard())).collect(),
            most,
            lives,
            held: AtomicUsize::new(0),
            ids: AtomicUsize::new(0),
            subjects: AtomicUsize::new(0),
            swept_all: Mutex::new(0),
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn lives(&self) -> Option<Seconds> {
        self.lives
    }

    pub(super) fn len(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    pub(super) fn holds_any(&self, kind: Kind) -> bool {
        self.count(kind).load(Ordering::Acquire) > 0
    }

    /// The time of an entry that has not left.
    pub(super) fn get(&self, kind: Kind, key: EntryKey, now: Seconds) -> Option<Seconds> {
        let shard = self.shards[usize::from(key.shard()) % SHARDS].read().unwrap_or_else(PoisonError::into_inner);
        shard.map(kind).get(&key).copied().filter(|time| now < self.leaves(kind, *time))
    }

    /// Enters a time, unless a later one is there, or it has left already. There may be `most` entries.
    pub(super) fn insert(
        &self,
        kind: Kind,
        key: EntryKey,
        time: Seconds,
        now: Seconds,
        most: usize,
    ) -> Result<(), Full> {
        if self.leaves(kind, time) <= now || self.try_insert(kind, key, time, now, most) {
            return Ok(());
        }
        // Shards that nobody has written to may hold what has left. Who comes meanwhile waits, and finds the room as well.
        let mut swept_all = self.swept_all.lock().unwrap_or_else(PoisonError::into_inner);
        if *swept_all != now {
            *swept_all = now;
            for shard in &self.shards {
                self.sweep(&mut shard.write().unwrap_or_else(PoisonError::into_inner), now);
            }
        }
        drop(swept_all);
        if self.try_insert(kind, key, time, now, most) { Ok(()) } else { Err(Full) }
    }

    fn try_insert(&self, kind: Kind, key: EntryKey, time: Seconds, now: Seconds, most: usize) -> bool {
        let mut shard = self.shards[usize::from(key.shard()) % SHARDS].write().unwrap_or_else(PoisonError::into_inner);
        if now.abs_diff(shard.swept) >= SWEEP_EVERY {
            self.sweep(&mut shard, now);
        }
        if let Some(known) = shard.map_mut(kind).get_mut(&key) {
            *known = time.max(*known);
            return true;
        }
        // Of two that come at once, one gets the last place.
        let take = |held: usize| (held < most).then_some(held + 1);
        if self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            return false;
        }
        self.count(kind).fetch_add(1, Ordering::AcqRel);
        shard.map_mut(kind).insert(key, time);
        true
    }

    fn sweep(&self, shard: &mut Shard, now: Seconds) {
        shard.swept = now;
        for kind in [Kind::Id, Kind::Subject] {
            let map = shard.map_mut(kind);
            let before = map.len();
            map.retain(|_, time| now < self.leaves(kind, *time));
            let left = before - map.len();
            self.count(kind).fetch_sub(left, Ordering::AcqRel);
            self.held.fetch_sub(left, Ordering::AcqRel);
            if map.len() < map.capacity() / 4 {
                map.shrink_to(map.len() * 2);
            }
        }
    }

    /// When an entry leaves.
    fn leaves(&self, kind: Kind, time: Seconds) -> Seconds {
        match kind {
            Kind::Id => time,
            Kind::Subject => self.lives.map_or(Seconds::MAX, |lives| {
                // The last second stands for all that come after: it never leaves.
                time.saturating_add(lives).saturating_add(MARGIN)
            }),
        }
    }

    fn count(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Id => &self.ids,
            Kind::Subject => &self.subjects,
        }
    }

    /// The entries, one shard after the other: no lock is held in between.
    #[cfg(feature = "redis")]
    pub(super) fn entries(&self) -> impl Iterator<Item = Vec<(Kind, EntryKey, Seconds)>> {
        self.shards.iter().map(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let of = |kind| shard.map(kind).iter().map(move |(key, time)| (kind, *key, *time));
            of(Kind::Id).chain(of(Kind::Subject)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> EntryKey {
        // Spread over the shards, as hashes are.
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        bytes[4..8].copy_from_slice(&n.to_be_bytes());
        EntryKey(bytes)
    }

    fn insert(table: &Table, kind: Kind, n: u32, time: Seconds, now: Seconds) -> Result<(), Full> {
        table.insert(kind, key(n), time, now, table.most)
    }

    #[test]
    fn seconds_are_rounded_away_from_the_token_and_saturate() {
        assert_eq!(ceiling(UnixTime::from_secs(5)), 5);
        assert_eq!(ceiling(UnixTime::from_millis(5001)), 6);
        assert_eq!((floor(UnixTime::from_millis(5999)), floor(UnixTime::from_secs(-1))), (5, 0));
        assert_eq!(ceiling(UnixTime::from_secs(-9)), 0);
        assert_eq!(ceiling(UnixTime::from_secs(i64::MAX)), Seconds::MAX);
        assert_eq!((span(Duration::from_millis(1001)), span(Duration::MAX)), (2, Seconds::MAX));
    }

    #[test]
    fn the_later_time_stands_and_an_entry_ends_with_it() {
        let table = Table::new(10, Some(1000));
        for time in [100, 300, 200] {
            assert_eq!(insert(&table, Kind::Id, 1, time, 50), Ok(()));
        }
        assert_eq!(table.len(), 1);
        assert_eq!(table.get(Kind::Id, key(1), 299), Some(300));
        assert_eq!(table.get(Kind::Id, key(1), 300), None);
        assert_eq!(table.get(Kind::Subject, key(1), 299), None, "the kinds are apart");
        assert_eq!(insert(&table, Kind::Subject, 1, 100, 50), Ok(()));
        assert_eq!(table.get(Kind::Subject, key(1), 1399), Some(100));
        assert_eq!(table.get(Kind::Subject, key(1), 1400), None, "its time, the longest life, and the margin");
        assert_eq!(insert(&table, Kind::Id, 2, 50, 50), Ok(()));
        assert_eq!(table.len(), 2, "what has left is not entered");
        assert_eq!(insert(&table, Kind::Subject, 3, Seconds::MAX, 50), Ok(()));
        assert_eq!(table.get(Kind::Subject, key(3), Seconds::MAX - 1), Some(Seconds::MAX));
    }

    #[test]
    fn a_full_table_evicts_nothing_and_takes_more_once_something_has_left() {
        let table = Table::new(1000, None);
        for n in 0..1000 {
            assert_eq!(insert(&table, Kind::Id, n, 200 + n % 2, 100), Ok(()));
        }
        assert_eq!(insert(&table, Kind::Id, 5000, 900, 100), Err(Full));
        assert_eq!(insert(&table, Kind::Subject, 5000, 900, 101), Err(Full));
        assert_eq!(insert(&table, Kind::Id, 1, 900, 101), Ok(()), "one that is known needs no room");
        assert!((0..1000).all(|n| table.get(Kind::Id, key(n), 199).is_some()));
        for n in 5000..5500 {
            assert_eq!(insert(&table, Kind::Id, n, 900, 200), Ok(()), "{n}");
        }
        assert_eq!(insert(&table, Kind::Id, 5500, 900, 200), Err(Full));
        assert!((0..1000).all(|n| table.get(Kind::Id, key(n), 200).is_some() == (n % 2 == 1)));
    }

    #[test]
    fn shards_are_swept_as_they_are_written_to_even_after_the_clock_went_back() {
        let table = Table::new(100_000, None);
        for now in [1_000_000, 2000, 4000, 6000] {
            for n in 0..20_000 {
                assert_eq!(insert(&table, Kind::Id, n + now, now + 100, now), Ok(()));
            }
        }
        assert!(table.len() < 41_000, "{}", table.len());
        assert!((0..20_000).all(|n| table.get(Kind::Id, key(n + 6000), 6099) == Some(6100)));
    }

    #[test]
    fn threads_that_come_at_once_do_not_exceed_the_bound() {
        let table = Table::new(1000, None);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for n in 0..1000 {
                        let _ = insert(table, Kind::Id, thread * 1000 + n, 200, 100);
                    }
                });
            }
        });
        let held = (0..4000).filter(|n| table.get(Kind::Id, key(*n), 100).is_some()).count();
        assert!(held <= 1000 && held == table.len(), "{held} of {}", table.len());
    }
}
