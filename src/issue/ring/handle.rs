//! The ring as issuers use it: what it holds, the task that keeps it, and its options.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::error::KeyRingError;
use super::source::Prepared;
use super::state::{Change, Fresh, KeyPhase, MOST_KEYS, Rules, State};
use super::store::{KeyRingDocument, KeyStore, MemoryKeyStore};
use crate::clock::{Clock, UnixTime};
use crate::error::ConfigError;
use crate::events;
use crate::issue::SigningKey;
use crate::jose::Algorithm;

/// How often a change is tried anew when other instances are faster.
const ATTEMPTS: usize = 16;

/// The keys of an issuer, which change by a schedule or by hand. A cheap clone; the task that keeps it ends with the
/// last one.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::issue::{KeyPhase, KeyRing, TokenIssuer};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let day = Duration::from_secs(24 * 60 * 60);
/// let ring = KeyRing::builder(Algorithm::ES256).rotate_every(30 * day).open().await?;
/// let issuer = TokenIssuer::builder("https://login.example.com", ring.clone()).audience("orders").build()?;
/// assert!(issuer.token().subject("user-1").sign().is_ok());
///
/// // By hand: the new key is in the JWK set now, and signs in 10 minutes.
/// ring.rotate().await?;
/// let phases: Vec<_> = ring.status().keys.iter().map(|key| key.phase).collect();
/// assert_eq!(phases, [KeyPhase::Signing, KeyPhase::Published]);
///
/// // Refused: secrets are not published, so there is nothing to rotate.
/// assert!(KeyRing::builder(Algorithm::HS256).open().await.is_err());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct KeyRing {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

pub(super) struct Shared {
    store: Box<dyn KeyStore>,
    pub(super) rules: Rules,
    poll_every: Duration,
    pub(super) clock: Clock,
    pub(super) held: RwLock<Held>,
    pub(super) prepared: RwLock<Prepared>,
    last_error: RwLock<Option<KeyRingError>>,
    /// The last keys that were withdrawn here: again where a failover, or a backup, brings them back.
    withdrawn: Mutex<Vec<Change>>,
    /// One look at the store at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What this instance knows, and since when.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) state: Arc<State>,
    document: Option<KeyRingDocument>,
    pub(super) read: Moment,
}

/// A point in time on both clocks: a suspended machine stops the monotonic one, and the wall clock may be set back.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    monotonic: Instant,
    wall: UnixTime,
}

impl Moment {
    fn now(clock: &Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    pub(super) fn age(self, clock: &Clock) -> Duration {
        self.monotonic.elapsed().max(clock.now().since(self.wall))
    }
}

/// Ends with the last handle.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a ring holds, for operators.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyRingStatus {
    /// Grows with every change, at whatever instance.
    pub version: u64,
    /// The keys that are published, in the order in which they sign.
    pub keys: Vec<RingKey>,
    /// How long ago the store was last read.
    pub age: Duration,
    /// Why the store could not be read or written the last time; `None` when it could.
    pub last_error: Option<KeyRingError>,
}

/// A key of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingKey {
    /// Its RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs.
    pub algorithm: Algorithm,
    /// What it is there for now.
    pub phase: KeyPhase,
    /// When it begins to sign, or has begun.
    pub signs_from: UnixTime,
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

    /// Begins a rotation, and says when the new key will sign: it is in the JWK set from now on. Where a new key waits
    /// already, that one's time.
    ///
    /// # Errors
    /// When the store does not answer, or when the ring holds 64 keys.
    pub async fn rotate(&self) -> Result<UnixTime, KeyRingError> {
        let now = self.shared.clock.now();
        let state = self.shared.change(&Change::Rotate).await?;
        Ok(state.next_signs_from(now).unwrap_or(now))
    }

    /// For a key that somebody else may have: takes it out of the ring at once. **Every token that it signed is refused**
    /// as soon as verifiers have fetched the JWK set, at most its `max-age` later, and other instances follow within
    /// [`poll_every`](KeyRingBuilder::poll_every).
    ///
    /// Where it was the key that signs, the one before it takes over while it is still published, else the next one, else
    /// a fresh one. A fresh one is not known to verifiers yet: theirs fetch again, and others refuse new tokens until
    /// they do. Where several keys may be known, as after a break into the store, withdraw the oldest first.
    ///
    /// # Errors
    /// When there is no such key, or the store does not answer.
    pub async fn withdraw(&self, kid: &str) -> Result<(), KeyRingError> {
        self.shared.change(&Change::Withdraw(kid.to_owned())).await.map(drop)
    }

    /// Reads the store now, and makes what is due: what the ring does by itself every
    /// [`poll_every`](KeyRingBuilder::poll_every).
    ///
    /// # Errors
    /// When the store does not answer, or holds what is no ring.
    pub async fn refresh(&self) -> Result<(), KeyRingError> {
        self.shared.change(&Change::Scheduled).await.map(drop)
    }

    /// What the ring holds.
    pub fn status(&self) -> KeyRingStatus {
        let held = self.shared.held();
        let keys = held.state.published(self.shared.clock.now());
        KeyRingStatus {
            version: held.state.version,
            keys: keys
                .map(|(entry, phase)| RingKey {
                    kid: entry.key.kid().unwrap_or_default().to_owned(),
                    algorithm: entry.key.algorithm(),
                    phase,
                    signs_from: entry.signs_from,
                })
                .collect(),
            age: held.read.age(&self.shared.clock),
            last_error: self.shared.last_error.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The JWK set as it is published now (RFC 7517 §5), for a route of one's own:
    /// [`IssuerMetadata`](crate::issue::IssuerMetadata) serves it with everything around it.
    ///
    /// # Errors
    /// When the state is too old to be published: answer 503.
    pub fn jwks(&self) -> Result<String, KeyRingError> {
        let held = self.shared.held();
        if held.read.age(&self.shared.clock) > self.shared.rules.publishable_for() {
            return Err(KeyRingError::new("the store has not answered for too long: a key may be missing here"));
        }
        let keys = held.state.published(self.shared.clock.now());
        let keys: Vec<_> = keys.filter_map(|(entry, _)| entry.key.jwk()).collect();
        Ok(json!({ "keys": keys }).to_string())
    }

    /// How long the JWK set may be kept: `max-age`.
    pub fn max_age(&self) -> Duration {
        self.shared.rules.max_age
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(in crate::issue) fn poll_every(&self) -> Duration {
        self.shared.poll_every
    }

    pub(in crate::issue) fn longest_lifetime(&self) -> Duration {
        self.shared.rules.longest
    }

    /// The key to sign with; `None` where the state is too old.
    pub(in crate::issue) fn signing(&self) -> Option<SigningKey> {
        let held = self.shared.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.read.age(&self.shared.clock) > self.shared.rules.stale_for {
            return None;
        }
        held.state.signing(self.shared.clock.now()).map(|entry| entry.key.clone())
    }
}

impl Shared {
    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the store, makes a change, and takes what comes of it.
    async fn change(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        let _turn = self.turn.lock().await;
        let outcome = self.try_change_for_good(change).await;
        if let Err(error) = &outcome {
            events::store_failed("the key ring", error);
        }
        *self.last_error.write().unwrap_or_else(PoisonError::into_inner) = outcome.as_ref().err().cloned();
        outcome
    }

    async fn try_change_for_good(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        let mut state = self.try_change(change).await?;
        let withdrawn = {
            let mut withdrawn = self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner);
            withdrawn.splice(..0, matches!(change, Change::Withdraw(_)).then(|| change.clone()));
            withdrawn.truncate(MOST_KEYS);
            withdrawn.clone()
        };
        while let Some(again) = withdrawn.iter().find(|&change| state.undoes(change)) {
            state = self.try_change(again).await?;
        }
        Ok(state)
    }

    async fn try_change(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        for _ in 0..ATTEMPTS {
            // What is read is as old as the question.
            let asked = Moment::now(&self.clock);
            let stored = self.store.load().await?;
            let version = stored.as_ref().map_or(0, KeyRingDocument::version);
            let held = self.held();
            let is_behind = version < held.state.version;
            let current = match stored {
                Some(stored) if !is_behind => self.take(stored, asked)?,
                // The store has lost what this instance knows, and gets it back.
                _ => held.state,
            };
            let is_wanted = current.wants_key(change, self.clock.now(), &self.rules);
            let fresh = if is_wanted { Some(self.fresh().await?) } else { None };
            // A key takes time to make, and its own begins when it is there.
            let next = match current.after(change, self.clock.now(), &self.rules, fresh)? {
                Some(next) => next,
                None if is_behind => State::clone(&current),
                None => return Ok(current),
            };
            let document = next.to_document()?;
            if self.store.replace(version, &document).await? {
                return self.take(document, asked);
            }
        }
        Err(KeyRingError::new("other instances keep changing the ring"))
    }

    async fn fresh(&self) -> Result<Fresh, KeyRingError> {
        let algorithm = self.rules.algorithm;
        tokio::task::spawn_blocking(move || Fresh::generate(algorithm))
            .await
            .unwrap_or_else(|_| Err(KeyRingError::new("a key could not be generated")))
    }

    /// Goes by this document from now on.
    fn take(&self, document: KeyRingDocument, read: Moment) -> Result<Arc<State>, KeyRingError> {
        let held = self.held();
        let is_known = held.document.as_ref() == Some(&document);
        let state = if is_known { held.state } else { Arc::new(State::from_document(&document)?) };
        if !is_known {
            events::key_ring_changed(state.version, state.published(self.clock.now()).count());
        }
        let document = Some(document);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held { state: Arc::clone(&state), document, read };
        Ok(state)
    }
}

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

    /// How often the store is read: a fifth of `max_age` unless set (a minute), at most two fifths.
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
    /// does not answer, or when there is no tokio runtime with a timer.
    pub async fn open(self) -> Result<KeyRing, ConfigError> {
        let (rules, poll_every) = self.rules()?;
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| ConfigError::new("a key ring needs a tokio runtime: open it within one"))?;
        let read = Moment::now(&self.clock);
        let shared = Arc::new(Shared {
            store: self.store,
            rules,
            poll_every,
            clock: self.clock,
            prepared: RwLock::default(),
            held: RwLock::new(Held { state: Arc::default(), document: None, read }),
            last_error: RwLock::default(),
            withdrawn: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        let state = shared.change(&Change::Scheduled).await?;
        if state.newest_algorithm() != Some(shared.rules.algorithm) {
            shared.change(&Change::Rotate).await?;
        }
        let kept = Arc::downgrade(&shared);
        let task = runtime.spawn(async move {
            loop {
                tokio::time::sleep(poll_every).await;
                let Some(shared) = kept.upgrade() else { return };
                // What went wrong is in the status, and the next look comes soon.
                let _ = shared.change(&Change::Scheduled).await;
            }
        });
        Ok(KeyRing { shared, _task: Arc::new(Task(task)) })
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

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyRingBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingBuilder").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
