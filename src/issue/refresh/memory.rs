//! Families in the memory of this process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::store::{Family, NewFamily, Outcome, RefreshStore, RefreshStoreError, Rotation};
use super::token::FamilyId;
use crate::clock::{Clock, UnixTime};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Families in the memory of this process: for a single instance whose users may have to log in again when it restarts,
/// and for tests.
///
/// 1,000,000 families, 1,000 of one subject; beyond, no session is started, and none is pushed out. A family takes about
/// 800 bytes besides its data.
pub struct MemoryRefreshStore {
    most: usize,
    most_of_one_subject: usize,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    families: HashMap<FamilyId, Record>,
    by_subject: HashMap<String, BTreeSet<FamilyId>>,
    /// By the time at which they expire.
    queue: BTreeSet<(UnixTime, FamilyId)>,
}

struct Record {
    family: Family,
    ends: UnixTime,
    live: [u8; 32],
    retry: Option<Retry>,
}

/// The token that was spent last, for as long as it may be presented again.
struct Retry {
    spent: [u8; 32],
    salt: [u8; 32],
    until: UnixTime,
}

impl MemoryRefreshStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_bounds(1_000_000, 1_000)
    }

    /// With other bounds: families in all, and of one subject.
    pub fn with_bounds(most: usize, most_of_one_subject: usize) -> Self {
        Self { most, most_of_one_subject, clock: Clock::system(), state: Mutex::default() }
    }

    /// Takes the time from here; the machine's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The state, without what has expired.
    fn at(&self, now: UnixTime) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(expires, id)) = state.queue.first()
            && expires <= now
        {
            state.remove(id);
        }
        state
    }
}

impl RefreshStore for MemoryRefreshStore {
    async fn start(&self, new: &NewFamily) -> Result<(), RefreshStoreError> {
        let now = self.clock.now();
        let mut state = self.at(now);
        let of_subject = state.by_subject.get(new.subject()).map_or(0, BTreeSet::len);
        if state.families.len() >= self.most || of_subject >= self.most_of_one_subject {
            return Err(RefreshStoreError::full());
        }
        let ends = now.plus(new.lifetime());
        let expires = ends.min(now.plus(new.idle()));
        let (id, subject) = (new.id(), new.subject().to_owned());
        state.queue.insert((expires, id));
        state.by_subject.entry(subject.clone()).or_default().insert(id);
        let family = Family { id, subject, data: new.data().to_owned(), created: now, last_used: now, expires };
        state.families.insert(id, Record { family, ends, live: *new.live(), retry: None });
        Ok(())
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Outcome, RefreshStoreError> {
        let now = self.clock.now();
        Ok(self.at(now).rotate(rotation, now))
    }

    async fn end(&self, family: FamilyId, of: Option<&str>) -> Result<(), RefreshStoreError> {
        let mut state = self.at(self.clock.now());
        if of.is_none_or(|subject| state.families.get(&family).is_some_and(|record| record.family.subject == subject)) {
            state.remove(family);
        }
        Ok(())
    }

    async fn end_all(&self, subject: &str) -> Result<(), RefreshStoreError> {
        let mut state = self.at(self.clock.now());
        for id in state.by_subject.get(subject).cloned().unwrap_or_default() {
            state.remove(id);
        }
        Ok(())
    }

    async fn list(&self, subject: &str) -> Result<Vec<Family>, RefreshStoreError> {
        let state = self.at(self.clock.now());
        let ids = state.by_subject.get(subject).into_iter().flatten();
        Ok(ids.filter_map(|id| state.families.get(id)).map(|record| record.family.clone()).collect())
    }
}

impl State {
    /// The steps of [`RefreshStore`]; the third does not arise, as no answer is lost on the way.
    fn rotate(&mut self, rotation: &Rotation, now: UnixTime) -> Outcome {
        let id = rotation.family();
        let Some(record) = self.families.get_mut(&id) else { return Outcome::Unknown };
        if record.live == *rotation.presented() {
            record.retry = rotation.retry().map(|(salt, window)| Retry {
                spent: record.live,
                salt: *salt,
                until: now.plus(window),
            });
            record.live = *rotation.successor();
            self.queue.remove(&(record.family.expires, id));
            record.family.last_used = now;
            record.family.expires = record.ends.min(now.plus(rotation.idle()));
            self.queue.insert((record.family.expires, id));
            return Outcome::Rotated(record.family.clone());
        }
        if let Some(retry) = &record.retry
            && retry.spent == *rotation.presented()
            && now < retry.until
        {
            return Outcome::Repeated(record.family.clone(), retry.salt);
        }
        match self.remove(id) {
            Some(record) => Outcome::Reused { subject: record.family.subject },
            None => Outcome::Unknown,
        }
    }

    fn remove(&mut self, id: FamilyId) -> Option<Record> {
        let record = self.families.remove(&id)?;
        self.queue.remove(&(record.family.expires, id));
        if let Some(ids) = self.by_subject.get_mut(&record.family.subject) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_subject.remove(&record.family.subject);
            }
        }
        Some(record)
    }
}

impl Default for MemoryRefreshStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRefreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRefreshStore").finish_non_exhaustive()
    }
}
