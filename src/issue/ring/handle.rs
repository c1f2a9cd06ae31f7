//! The ring as issuers use it: what it holds, and the task that keeps it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::KeyRingError;
use super::looks::Looks;
use super::source::Prepared;
use super::state::{Change, Fresh, KeyPhase, MOST_KEYS, Rules, State};
use super::store::{KeyRingDocument, KeyStore};
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
///
/// # How a key comes and goes
///
/// A new key is [published](super::KeyPhase::Published) for twice the `max-age` of the JWK set before it [signs](super::KeyPhase::Signing);
/// then it is [retiring](super::KeyPhase::Retiring), in the set still, until 5 minutes after its last token has expired, for
/// verifiers that are lenient.
///
/// # Why that is safe with several instances
///
/// The instances share a [`KeyStore`](super::KeyStore), and each reads it every [`poll_every`](super::KeyRingBuilder::poll_every). Let a key be
/// added at the time 0, with `max-age` N, so that it signs from 2 N on.
///
/// - An instance that has not read the store for 0.9 N answers requests for the JWK set with 503. So every set that lacks
///   the key was answered before 0.9 N, and no cache may use it after 1.9 N: when the first token with the key is signed,
///   everybody knows it. The last tenth is for clocks that differ: 30 seconds by default.
/// - An instance that cannot read the store may not know that it should sign with the next key. It goes on with the old
///   one for [`stale_for`](super::KeyRingBuilder::stale_for), and then issues nothing more; the old key stays published for that
///   long, for the [longest lifetime](super::KeyRingBuilder::longest_lifetime) of a token, and for the
///   [leeway](super::KeyRingBuilder::leeway) of verifiers.
/// - Of two instances that change the ring at once one wins, and the other takes what the first has written.
/// - A store that has lost its last changes, or everything, gets them back from any instance that knows them.
///
/// Verifiers that fetch less often than `max-age` says, as some do whose value is under a minute, learn of a new key from
/// its first token: `RemoteJwks` then waits for a fetch.
#[derive(Clone)]
pub struct KeyRing {
    shared: Arc<Shared>,
    /// Ends the task when the last handle is dropped.
    _closer: Arc<watch::Sender<()>>,
}

pub(super) struct Shared {
    store: Box<dyn KeyStore>,
    pub(super) rules: Rules,
    poll_every: Duration,
    pub(super) clock: Clock,
    pub(super) held: RwLock<Held>,
    pub(super) prepared: RwLock<Prepared>,
    last_error: RwLock<Option<KeyRingError>>,
    /// The last keys that were withdrawn here: again where a failover, or a backup, brings them back, and where the store
    /// gave no answer.
    withdrawn: Mutex<Vec<Change>>,
    /// One look at the store at a time.
    turn: tokio::sync::Mutex<()>,
    pub(super) looks: Looks,
    /// A task keeps the ring.
    is_kept: AtomicBool,
    closed: watch::Receiver<()>,
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

/// Dropped with the task: by a panic of the store, or with its runtime. The next use starts another.
struct Kept(Arc<Shared>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.is_kept.store(false, Ordering::Release);
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
    pub(super) async fn open(
        store: Box<dyn KeyStore>,
        rules: Rules,
        poll_every: Duration,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        if Handle::try_current().is_err() {
            return Err(ConfigError::new("a key ring needs a tokio runtime: open it within one"));
        }
        let read = Moment::now(&clock);
        let (closer, closed) = watch::channel(());
        let shared = Arc::new(Shared {
            store,
            rules,
            poll_every,
            clock,
            prepared: RwLock::default(),
            held: RwLock::new(Held { state: Arc::default(), document: None, read }),
            last_error: RwLock::default(),
            withdrawn: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            looks: Looks::new(),
            is_kept: AtomicBool::new(false),
            closed,
        });
        let state = shared.change(&Change::Scheduled).await?;
        if state.newest_algorithm() != Some(shared.rules.algorithm) {
            shared.change(&Change::Rotate).await?;
        }
        shared.ensure_kept();
        Ok(KeyRing { shared, _closer: Arc::new(closer) })
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
    /// [`poll_every`](super::KeyRingBuilder::poll_every), or as soon as the first token with a key that they lack comes to
    /// them: see [`KeyRing` as a source of keys](#impl-KeySource-for-KeyRing).
    ///
    /// Where it was the key that signs, the one before it takes over while it is still published, else the next one, else
    /// a fresh one. A fresh one is not known to verifiers yet: theirs fetch again, and others refuse new tokens until
    /// they do. Where several keys may be known, as after a break into the store, withdraw the oldest first.
    ///
    /// # Errors
    /// When there is no such key, or the store does not answer: try again. Until that has worked, this instance goes on
    /// with the key. A store that gave no answer to the change itself may have made it: until its process ends, this
    /// instance remembers the key, takes it out at its next look at the store if it is still there, and to withdraw it
    /// again is no error.
    pub async fn withdraw(&self, kid: &str) -> Result<(), KeyRingError> {
        self.shared.change(&Change::Withdraw(kid.to_owned())).await.map(drop)
    }

    /// Reads the store now, and makes what is due: what the ring does by itself every
    /// [`poll_every`](super::KeyRingBuilder::poll_every).
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
        self.shared.ensure_kept();
        let held = self.shared.held();
        if self.shared.is_past(&held, self.shared.rules.publishable_for()) {
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

    pub(super) fn shared(&self) -> &Arc<Shared> {
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
        self.shared.ensure_kept();
        let held = self.shared.held.read().unwrap_or_else(PoisonError::into_inner);
        if self.shared.is_past(&held, self.shared.rules.stale_for) {
            return None;
        }
        held.state.signing(self.shared.clock.now()).map(|entry| entry.key.clone())
    }
}

impl Shared {
    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is held is older than this. Then a look is asked for: on a machine that was suspended the timers stood still,
    /// and the store may well answer.
    pub(super) fn is_past(&self, held: &Held, limit: Duration) -> bool {
        let is_past = held.read.age(&self.clock) > limit;
        if is_past {
            self.looks.ask();
        }
        is_past
    }

    /// Starts the task where there is none. Without a runtime to start it on, the state grows old, and the status says so.
    pub(super) fn ensure_kept(self: &Arc<Self>) {
        if self.is_kept.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.is_kept.swap(true, Ordering::AcqRel) {
            // Made here: a runtime may go away before the task's first step.
            let (kept, mut closed) = (Kept(Arc::clone(self)), self.closed.clone());
            runtime.spawn(async move {
                tokio::select! {
                    () = kept.0.keep() => {}
                    // Never a value: the sender is only ever dropped.
                    _ = closed.changed() => {}
                }
            });
        }
    }

    async fn keep(&self) {
        loop {
            // Or sooner, for a token.
            let _ = tokio::time::timeout(self.poll_every, self.looks.wanted()).await;
            // What went wrong is in the status, and the next look comes soon.
            let _ = self.change(&Change::Scheduled).await;
        }
    }

    /// Reads the store, makes a change, and takes what comes of it.
    async fn change(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        let _turn = self.turn.lock().await;
        let outcome = {
            let _look = self.looks.begin();
            self.try_change_for_good(change).await
        };
        if let Err(error) = &outcome {
            events::store_failed(events::Store::KeyRing, error);
            if !matches!(change, Change::Scheduled) {
                // It may be done all the same.
                self.looks.ask();
            }
        }
        *self.last_error.write().unwrap_or_else(PoisonError::into_inner) = outcome.as_ref().err().cloned();
        outcome
    }

    async fn try_change_for_good(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        // A withdrawal that had no answer may be done already: what is left of it is done below.
        let is_again = self.withdrawn().contains(change);
        let mut state = self.try_change(if is_again { &Change::Scheduled } else { change }).await?;
        let withdrawn = self.withdrawn().clone();
        while let Some(again) = withdrawn.iter().find(|&change| state.undoes(change)) {
            state = self.try_change(again).await?;
        }
        Ok(state)
    }

    /// Whole after each step of whoever has the turn.
    fn withdrawn(&self) -> MutexGuard<'_, Vec<Change>> {
        self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on each look takes this key out, if it is there.
    fn remember_withdrawal(&self, change: &Change) {
        let mut withdrawn = self.withdrawn();
        if matches!(change, Change::Withdraw(_)) && !withdrawn.contains(change) {
            withdrawn.insert(0, change.clone());
            withdrawn.truncate(MOST_KEYS);
        }
    }

    async fn try_change(&self, change: &Change) -> Result<Arc<State>, KeyRingError> {
        for _ in 0..ATTEMPTS {
            // What is read is as old as the question.
            let asked = Moment::now(&self.clock);
            let stored = in_time(self.store.load()).await?;
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
            // Whether or not the answer comes.
            self.remember_withdrawal(change);
            if in_time(self.store.replace(version, &document)).await? {
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
        self.looks.succeeded();
        Ok(state)
    }
}

/// How long a store may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store that never answers must not hold up the rest.
async fn in_time<T>(answer: impl Future<Output = Result<T, KeyRingError>>) -> Result<T, KeyRingError> {
    let seconds = PATIENCE.as_secs();
    let late = || Err(KeyRingError::new(format!("the store has not answered within {seconds} seconds")));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| late())
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("status", &self.status()).finish_non_exhaustive()
    }
}
