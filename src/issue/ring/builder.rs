//! The options of a ring, and their bounds.

use std::fmt;
use std::time::Duration;

use super::handle::KeyRing;
use super::state::{MOST_KEYS, Rules};
use super::store::{KeyStore, MemoryKeyStore};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::jose::Algorithm;

/// Builds a [`KeyRing`].
#[must_use]
pub struct KeyRingBuilder {
    algorithm: Algorithm,
    store: Box<dyn KeyStore>,
    every: Option<Duration>,
    max_age: Duration,
    ahead: Option<Duration>,
    longest: Duration,
    leeway: Duration,
    stale_for: Duration,
    poll_every: Option<Duration>,
    clock: Clock,
}

impl KeyRingBuilder {
    /// Where the ring is kept: in memory unless set, and then a restart ends every token.
    pub fn store(mut self, store: impl KeyStore) -> Self {
        self.store = Box::new(store);
        self
    }

    /// How long each key signs: 30 days unless set. Long enough for operators to see a problem, and short enough for a
    /// rotation to be nothing special.
    pub fn rotate_every(mut self, time: Duration) -> Self {
        self.every = Some(time);
        self
    }

    /// No schedule: keys change by [`KeyRing::rotate`] alone.
    pub fn rotate_by_hand(mut self) -> Self {
        self.every = None;
        self
    }

    /// How long verifiers may keep the JWK set, in whole seconds: 5 minutes unless set, from a second to a day. A
    /// withdrawn key lives for that long.
    pub fn max_age(mut self, time: Duration) -> Self {
        self.max_age = time;
        self
    }

    /// How long a key is published before it signs: twice `max_age`, which is the least, unless set. With more, the JWK
    /// set survives longer outages of the store.
    pub fn publish_ahead(mut self, time: Duration) -> Self {
        self.ahead = Some(time);
        self
    }

    /// The longest lifetime that issuers with this ring give to tokens: an hour unless set. Keys stay published for that
    /// long after they have stopped to sign.
    pub fn longest_lifetime(mut self, time: Duration) -> Self {
        self.longest = time;
        self
    }

    /// How long after their end tokens may still be taken, for clocks that differ: 5 minutes unless set, which is the
    /// most that a verifier of this crate may be told. Keys stay published for that long on top.
    pub fn leeway(mut self, time: Duration) -> Self {
        self.leeway = time;
        self
    }

    /// How long an instance signs that cannot read the store: an hour unless set. Then it issues no tokens, for it cannot
    /// know whether its key is still published. Keys stay published for that long after they have stopped to sign.
    pub fn stale_for(mut self, time: Duration) -> Self {
        self.stale_for = time;
        self
    }

    /// How often the store is read: a fifth of `max_age` unless set (a minute), at most two fifths. A token whose key the
    /// ring lacks may have it read sooner.
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = Some(time);
        self
    }

    /// Another wall clock than the system's: for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Reads the ring, or begins it with a key that signs at once, and keeps it in a task of its own on this runtime.
    ///
    /// A ring whose newest key is for another algorithm begins a rotation to this one.
    ///
    /// # Errors
    /// When an option is out of its bounds, when the algorithm is an HMAC or one that the backend lacks, when the store
    /// does not answer (later on it may be away for a while, at the start it may not), or when there is no tokio runtime.
    ///
    /// # Panics
    /// When the runtime has no timer (`enable_time`).
    pub async fn open(self) -> Result<KeyRing, ConfigError> {
        let (rules, poll_every) = self.rules()?;
        KeyRing::open(self.store, rules, poll_every, self.clock).await
    }

    fn rules(&self) -> Result<(Rules, Duration), ConfigError> {
        let refused = |why: &str| Err(ConfigError::new(why));
        if self.algorithm.is_symmetric() {
            return refused("secrets are never published, so a ring has none: give the issuer a `SigningKey::secret`");
        }
        let max_age = self.max_age;
        if max_age.subsec_nanos() != 0 || !(1..=24 * 60 * 60).contains(&max_age.as_secs()) {
            return refused("`max_age` is a number of whole seconds, from one to a day");
        }
        let ahead = self.ahead.unwrap_or(2 * max_age);
        if ahead < 2 * max_age {
            return refused("a key is published for at least twice `max_age` before it signs");
        }
        let poll_every = self.poll_every.unwrap_or(max_age / 5);
        if poll_every.is_zero() || poll_every > max_age * 2 / 5 {
            return refused("the store is read at least every two fifths of `max_age`");
        }
        if self.longest < Duration::from_secs(1) {
            return refused("a token lives for at least a second");
        }
        let rules = Rules {
            algorithm: self.algorithm,
            max_age,
            ahead,
            stale_for: self.stale_for,
            longest: self.longest,
            leeway: self.leeway,
            every: self.every,
        };
        if let Some(every) = self.every {
            if every < ahead {
                return refused("`rotate_every` is at least as long as a key is published before it signs");
            }
            // Those that are retiring, the one that signs, and one that waits.
            let keys = rules.outlives().as_nanos() / every.as_nanos() + 3;
            if keys > MOST_KEYS as u128 {
                return Err(ConfigError::new(format!(
                    "with these times the ring would hold {keys} keys, and verifiers look at few: rotate less often"
                )));
            }
        }
        Ok((rules, poll_every))
    }
}

impl KeyRing {
    /// A ring of keys for this algorithm. Instances that share a store have the same options.
    pub fn builder(algorithm: Algorithm) -> KeyRingBuilder {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        KeyRingBuilder {
            algorithm,
            store: Box::new(MemoryKeyStore::new()),
            every: Some(minutes(30 * 24 * 60)),
            max_age: minutes(5),
            ahead: None,
            longest: minutes(60),
            leeway: minutes(5),
            stale_for: minutes(60),
            poll_every: None,
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for KeyRingBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingBuilder").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
