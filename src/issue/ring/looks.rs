//! Looks at the store out of turn: for a key that a token names and the ring lacks, as after a withdrawal at another
//! instance, and where what is held is too old, as after a suspend.
//!
//! - The token waits for the look that runs, and where that does not bring the key for one that began after it came: all
//!   that wait share it. The task of the ring makes it, so a client that leaves ends it for nobody.
//! - Two such looks begin in 30 seconds; one that brought the key does not count. A `kid` that a look lacked asks
//!   for none for as long.
//! - What is not there is refused, 401, when the store has just been read. Where the last look failed or hangs nobody
//!   can say: 503.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::handle::KeyRing;
use crate::keys::{KeyError, KeySet};

/// For how long a look counts.
const WINDOW: Duration = Duration::from_secs(30);

/// How many looks begin out of turn in that time.
const MOST_LOOKS: usize = 2;

/// How many `kid`s are remembered that looks lacked.
const MOST_MISSING: usize = 256;

/// How many requests wait for a look.
const MOST_WAITING: usize = 64;

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// The looks at a store, whatever they are for, and what tokens have asked for.
pub(super) struct Looks {
    progress: watch::Sender<Progress>,
    asked: Mutex<Asked>,
    places: Semaphore,
}

/// Looks by their numbers, from 1: one runs at a time.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// The last that is wanted out of turn.
    wanted: u64,
    begun: u64,
    /// The last that has read the store, or has ended without.
    answered: u64,
    /// The last that has read the store.
    read: u64,
}

/// What tokens have asked for in the last 30 seconds.
#[derive(Default)]
struct Asked {
    /// The looks that were asked for, and when.
    looks: Vec<(u64, Instant)>,
    /// What looks lacked, and since when.
    missing: Vec<(Box<str>, Instant)>,
}

/// A look at the store. Dropped before the store was read, it has failed.
pub(super) struct Look<'l>(&'l Looks);

impl Looks {
    pub(super) fn new() -> Self {
        let places = Semaphore::new(MOST_WAITING);
        Self { progress: watch::Sender::default(), asked: Mutex::default(), places }
    }

    /// By whoever has the turn.
    pub(super) fn begin(&self) -> Look<'_> {
        self.progress.send_modify(|progress| progress.begun += 1);
        Look(self)
    }

    /// What the store has is held.
    pub(super) fn succeeded(&self) {
        self.progress.send_modify(|progress| {
            progress.read = progress.begun;
            progress.answered = progress.begun;
        });
    }

    /// Until a look is wanted that has not begun.
    pub(super) async fn wanted(&self) {
        // The sender is `self`'s own, so the channel is open.
        let _ = self.progress.subscribe().wait_for(|progress| progress.wanted > progress.begun).await;
    }

    /// The numbers, and two lists of which each entry is whole: a panic elsewhere does not spoil them.
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever does not wait, and comes again: the network of a machine that was suspended takes a moment.
    pub(super) fn ask(&self) {
        let is_recent = self.asked().looks.last().is_some_and(|(_, at)| at.elapsed() < PATIENCE);
        if !is_recent {
            let _ = self.join();
        }
    }

    /// The look to wait for; `None` where no further one may begin yet.
    fn join(&self) -> Option<u64> {
        let (mut asked, now) = (self.asked(), Instant::now());
        let progress = *self.progress.borrow();
        if progress.begun > progress.answered {
            return Some(progress.begun);
        }
        if progress.wanted > progress.begun {
            return Some(progress.wanted);
        }
        asked.looks.retain(|(_, at)| now - *at < WINDOW);
        if asked.looks.len() >= MOST_LOOKS {
            return None;
        }
        let mut number = 0;
        self.progress.send_modify(|progress| {
            number = progress.begun + 1;
            progress.wanted = number;
        });
        asked.looks.push((number, now));
        Some(number)
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.answered = progress.begun);
    }
}

impl Asked {
    fn is_missing(&mut self, kid: &str, now: Instant) -> bool {
        self.missing.retain(|(_, at)| now - *at < WINDOW);
        self.missing.iter().any(|(missing, _)| **missing == *kid)
    }

    fn remember(&mut self, kid: &str, now: Instant) {
        if !self.is_missing(kid, now) && self.missing.len() < MOST_MISSING {
            self.missing.push((kid.into(), now));
        }
    }
}

impl KeyRing {
    /// The keys after a look for this one, with it or without.
    ///
    /// # Errors
    /// When nobody can say whether it is in the store.
    pub(super) async fn look_for(&self, kid: String) -> Result<KeySet, KeyError> {
        // Timers need a runtime: without this question first, they panic.
        if Handle::try_current().is_err() {
            return Err(KeyError::new("the store of the key ring is read on a tokio runtime, and there is none here"));
        }
        let looks = &self.shared().looks;
        let is_missing = looks.asked().is_missing(&kid, Instant::now());
        if !(is_missing && self.was_just_read()) {
            let Ok(_place) = looks.places.try_acquire() else {
                return Err(KeyError::new("too many requests wait for the store of the key ring"));
            };
            timeout(PATIENCE, self.wait_for(&kid)).await.unwrap_or_else(|_| Err(unanswered()))?;
        }
        self.at_hand().map(|(set, _)| set)
    }

    /// The last look has read the store, and not long ago.
    fn was_just_read(&self) -> bool {
        let Progress { answered, read, .. } = *self.shared().looks.progress.borrow();
        read == answered && self.at_hand().is_ok_and(|(_, age)| age <= WINDOW)
    }

    /// Until the ring has the key, or it is known that the store has not.
    async fn wait_for(&self, kid: &str) -> Result<(), KeyError> {
        let looks = &self.shared().looks;
        let mut progress = looks.progress.subscribe();
        // A look that had begun by now may have read what was there before the key.
        let before = progress.borrow().begun;
        loop {
            let Some(number) = looks.join() else {
                return if self.was_just_read() { Ok(()) } else { Err(unanswered()) };
            };
            let _ = progress.wait_for(|progress| progress.answered >= number).await;
            let read = progress.borrow().read;
            if self.at_hand()?.0.knows(kid) {
                looks.asked().looks.retain(|(look, _)| *look != number);
                return Ok(());
            }
            if read > before {
                looks.asked().remember(kid, Instant::now());
                return Ok(());
            }
            // Whoever made a look that ran before may have left it: that is no answer of the store.
            if read < number && number > before {
                return Err(unanswered());
            }
        }
    }
}

fn unanswered() -> KeyError {
    KeyError::new("the ring lacks the token's key, and its store does not answer")
}
