//! What the handles and the task share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::script::{Reply, Scripts};
use super::status::RevocationStatus;
use crate::clock::UnixTime;
use crate::meters;
use crate::redis::{Redis, RedisFailure, Repeat};
use crate::revocation::key::{EntryKey, Kind};
use crate::revocation::list::{Entry, RevocationList};
use crate::revocation::table::Seconds;

/// How many revocations wait for the server by themselves; beyond, everything is published.
const MOST_PENDING: usize = 10_000;

pub(super) struct Shared {
    pub(super) list: RevocationList,
    pub(super) redis: Redis,
    pub(super) scripts: Scripts,
    /// `None`: the state serves however old it is.
    stale_after: Option<Duration>,
    /// Everything has been read, and since then nothing was lost.
    is_complete: AtomicBool,
    confirmed: Confirmed,
    pub(super) is_followed: AtomicBool,
    pending: Mutex<Pending>,
    acknowledged: Mutex<Acknowledged>,
    notes: Mutex<Notes>,
    changed: watch::Sender<()>,
}

/// What the server may not have.
#[derive(Default)]
pub(super) struct Pending {
    entries: HashMap<(Kind, EntryKey), Seconds>,
    /// More than are kept apart.
    pub(super) all: bool,
    /// The server was full, or took nothing: there is no point in asking before.
    pub(super) not_before: Option<Instant>,
}

/// What the server has taken, and the task has not seen there yet: a server that fails just then may come back without
/// it, and with nothing that shows that.
#[derive(Default)]
struct Acknowledged {
    entries: Vec<Entry>,
    /// More than are kept apart.
    more: bool,
}

/// What is said of the server.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) last_error: Option<String>,
    pub(super) full_reads: u64,
    pub(super) never_evicts: Option<bool>,
    pub(super) append_only: Option<bool>,
    pub(super) append_fsync: Option<String>,
    pub(super) has_warned: bool,
}

/// When the server last confirmed that nothing is missing, on two clocks. Each request reads it: no lock.
struct Confirmed {
    start: Instant,
    /// Milliseconds since the start, and one; 0 for never.
    monotonic: AtomicU64,
    /// Milliseconds since the Unix epoch.
    wall: AtomicU64,
}

impl Confirmed {
    fn confirm(&self, now: UnixTime) {
        self.wall.store(millis(now.since(EPOCH)), Ordering::Relaxed);
        self.monotonic.store(millis(self.start.elapsed()).saturating_add(1), Ordering::Release);
    }

    /// The larger of both: a suspend stops the monotonic clock, a correction may turn the wall clock back.
    fn age(&self, now: UnixTime) -> Option<Duration> {
        let confirmed = self.monotonic.load(Ordering::Acquire).checked_sub(1)?;
        let monotonic = millis(self.start.elapsed()).saturating_sub(confirmed);
        let wall = millis(now.since(EPOCH)).saturating_sub(self.wall.load(Ordering::Relaxed));
        Some(Duration::from_millis(monotonic.max(wall)))
    }
}

const EPOCH: UnixTime = UnixTime::from_secs(0);

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Shared {
    pub(super) fn new(list: RevocationList, redis: Redis, stale_after: Option<Duration>) -> Self {
        let start = Instant::now();
        Self {
            scripts: Scripts::new(&redis),
            list,
            redis,
            stale_after,
            is_complete: AtomicBool::new(false),
            confirmed: Confirmed { start, monotonic: AtomicU64::new(0), wall: AtomicU64::new(0) },
            is_followed: AtomicBool::new(false),
            pending: Mutex::default(),
            acknowledged: Mutex::default(),
            notes: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Acquire)
    }

    /// Whether a token that is not listed is known to be good.
    pub(super) fn is_usable(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
            && self.stale_after.is_none_or(|bound| self.age().is_some_and(|age| age < bound))
    }

    fn age(&self) -> Option<Duration> {
        self.confirmed.age(self.list.clock().now())
    }

    /// The server has just shown that nothing is missing.
    pub(super) fn confirm(&self) {
        let now = self.list.clock().now();
        self.confirmed.confirm(now);
        meters::revocations_shared(self.list.len(), now);
        self.is_complete.store(true, Ordering::Release);
        self.notes().last_error = None;
        self.changed.send_replace(());
    }

    /// Takes what the server has. Its bound is the list's, which may hold as much again of what the server has lost.
    pub(super) fn take(&self, entry: Entry) -> Result<(), RedisFailure> {
        self.list.enter_within(entry, self.list.most().saturating_mul(2)).map_err(|_| {
            // A revocation that cannot be held is one that would not be seen.
            self.is_complete.store(false, Ordering::Release);
            RedisFailure::new("the server holds more revocations than there is room for here")
        })
    }

    /// Sends one entry, and says whether there was room for it.
    pub(super) async fn send(&self, entry: Entry) -> Result<bool, RedisFailure> {
        let call = self.scripts.publish(&[entry], &self.list);
        let (_, _, refused): Reply = self.redis.script(&call, Repeat::Safe).await?;
        Ok(refused.is_empty())
    }

    /// Marks an entry as one that the server may not have, until it is known to.
    pub(super) fn unpublished(&self, entry: Entry) -> Unpublished<'_> {
        Unpublished { shared: self, entry: Some(entry) }
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledged(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries the server has acknowledged that have not been seen there.
    pub(super) fn unseen(&self) -> usize {
        self.acknowledged().entries.len()
    }

    /// The first of them have been seen.
    pub(super) fn seen(&self, first: usize) {
        let entries = &mut self.acknowledged().entries;
        entries.drain(..first.min(entries.len()));
    }

    /// The server may be another one, or have another past: what has not been seen there is sent once more.
    pub(super) fn doubt_unseen(&self) {
        let Acknowledged { entries, more } = std::mem::take(&mut *self.acknowledged());
        let mut pending = self.pending();
        pending.all |= more;
        pending.add(entries);
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Lets those who wait look again.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn status(&self) -> RevocationStatus {
        let unpublished = {
            let pending = self.pending();
            if pending.all { self.list.len() } else { pending.entries.len() }
        };
        let notes = self.notes();
        RevocationStatus {
            is_ready: self.is_usable(),
            age: self.age(),
            entries: self.list.len(),
            unpublished,
            full_reads: notes.full_reads,
            last_error: notes.last_error.clone(),
            never_evicts: notes.never_evicts,
            append_only: notes.append_only,
            append_fsync: notes.append_fsync.clone(),
        }
    }
}

impl Pending {
    pub(super) fn add(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for Entry { kind, key, time } in entries {
            let known = self.entries.entry((kind, key)).or_insert(time);
            *known = time.max(*known);
        }
        if self.entries.len() > MOST_PENDING {
            self.all = true;
        }
        if self.all {
            self.entries.clear();
        }
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().map(|(&(kind, key), &time)| Entry { kind, key, time }).collect()
    }
}

/// A revocation on its way to the server. If it does not arrive, or nobody waits for it any longer, the task sends it.
pub(super) struct Unpublished<'s> {
    shared: &'s Shared,
    entry: Option<Entry>,
}

impl Unpublished<'_> {
    pub(super) fn published(mut self) {
        let mut acknowledged = self.shared.acknowledged();
        acknowledged.entries.extend(self.entry.take());
        if acknowledged.entries.len() > MOST_PENDING {
            *acknowledged = Acknowledged { entries: Vec::new(), more: true };
        }
    }
}

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            self.shared.pending().add([entry]);
        }
    }
}
