//! The handle: what verifiers and operators hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::builder::RemoteJwksBuilder;
use super::core::{Core, Freshness, State};
use super::schedule::Unknown;
use super::status::KeyStatus;
use crate::crypto;
use crate::jose::AlgorithmSet;
use crate::keys::{KeyError, KeyLookup, KeyQuery, KeySet, KeySource, Keys};

/// Keys of an identity provider, fetched over HTTP and kept fresh: a [`KeySource`].
///
/// A cheap clone, and a handle for operators: [`status`](Self::status), [`ready`](Self::ready),
/// [`refresh`](Self::refresh). Nothing is fetched before the first use. The fetches run in a task on the tokio
/// runtime of that use; it ends with the last handle.
///
/// - A request whose key is known never waits for the network: keys are refreshed in the background before they grow
///   old, and served on through an outage for an hour past their time to live; then 503, never 401.
/// - An unknown `kid` makes the source look again, and the request waits for it: the first token of a rotation passes. A
///   flood of forged ones costs two fetches in 30 seconds, and a rotation in its midst is seen within them. A `kid` that
///   a fetch of the last 30 seconds lacked is refused with 401; while the provider fails or hangs, nobody can say, and
///   it is a 503: forged tokens can then cause answers of 5xx, to themselves.
/// - What comes back is bounded, and never followed elsewhere: no redirects, 512 KiB, 100 keys, https. Names are not
///   resolved to see whether they lead to this machine. A failure never drops a key, a success replaces the whole set.
///
/// A request whose key is known is answered from memory. Without keys it waits for the first fetch, 5 seconds at
/// most; a failure is a 503. Every bound is an option of [`RemoteJwksBuilder`], with its default and why.
#[derive(Clone)]
pub struct RemoteJwks(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    limits: Limits,
    /// Dropped with the last handle, which ends the task.
    closer: watch::Sender<()>,
}

/// Bounds on requests that wait.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) wait: Duration,
    pub(super) waiting_without_keys: usize,
    pub(super) waiting_with_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wait: Duration::from_secs(5), waiting_without_keys: 1024, waiting_with_keys: 64 }
    }
}

/// The least that a client is told to wait.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

impl RemoteJwks {
    /// Keys from the URL of a JWK set (RFC 7517 §5).
    pub fn from_url(url: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::keys(url.into())
    }

    /// Keys of an issuer, found through its metadata: OpenID Connect Discovery, else RFC 8414.
    pub fn discover(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::metadata(issuer.into(), None)
    }

    /// Keys of an issuer whose metadata is at another URL than its name says (Entra's version 1, AD FS). The `issuer`
    /// in the metadata must equal `issuer`.
    pub fn discover_at(url: impl Into<String>, issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::metadata(issuer.into(), Some(url.into()))
    }

    pub(super) fn start(core: Core, limits: Limits) -> Self {
        let closer = watch::Sender::new(());
        Self(Arc::new(Inner { core: Arc::new(core), limits, closer }))
    }

    /// Waits until keys are at hand, however long the provider takes: before a service takes traffic. Bound it with a
    /// timeout of your own; [`status`](Self::status) says what it waits for.
    ///
    /// # Errors
    /// When there is no tokio runtime to fetch on.
    pub async fn ready(&self) -> Result<(), KeyError> {
        while !self.is_ready() {
            self.0.ensure_task()?;
            if let Err(error) = self.0.wait_for_keys().await {
                sleep(error.wait().max(Duration::from_millis(100))).await;
            }
        }
        Ok(())
    }

    /// True while keys are at hand and not past their stale bound. Starts the first fetch where there is a runtime.
    pub fn is_ready(&self) -> bool {
        let _ = self.0.ensure_task();
        self.0.core.usable().is_some()
    }

    /// Fetches now, past every cache on the way, and waits for it.
    ///
    /// # Errors
    /// When the fetch fails, when the provider has asked to be left alone (`Retry-After`), or when there is no tokio
    /// runtime. The keys at hand stay.
    pub async fn refresh(&self) -> Result<(), KeyError> {
        let inner = &self.0;
        inner.ensure_task()?;
        let count = {
            let mut state = inner.core.state();
            state
                .schedule
                .ask(Instant::now())
                .map_err(|wait| KeyError::new("the provider has asked not to be asked again yet").retry_after(wait))?;
            // The fetch that runs may have begun before what the operator wants to see.
            state.started + 1
        };
        while inner.core.state().finished < count {
            let task = inner.ensure_task()?;
            inner.core.wake();
            inner.core.finished(count, task).await;
        }
        inner.failure_of(count).map_or(Ok(()), Err)
    }

    /// The state at this moment.
    pub fn status(&self) -> KeyStatus {
        let core = &self.0.core;
        let snapshot = core.snapshot.load();
        let state = core.state();
        let has_keys = !snapshot.set().is_empty();
        let until_due = state.schedule.due().saturating_duration_since(Instant::now());
        KeyStatus {
            location: state.location.clone(),
            is_ready: !matches!(core.freshness(&snapshot), Freshness::Unusable),
            age: has_keys.then(|| core.age(&snapshot)),
            keys: snapshot.set().len(),
            skipped: snapshot.set().skipped().to_vec(),
            last_error: state.last_failure.as_ref().map(|failure| failure.reason.clone()),
            next_refresh: if state.is_fetching() { Duration::ZERO } else { until_due },
            fetches: state.started,
            forced_fetches: state.forced,
            waiting: state.waiting,
        }
    }
}

/// The runtime of the caller. Timers need it as well: without this question first, they panic.
fn runtime() -> Result<Handle, KeyError> {
    Handle::try_current().map_err(|_| KeyError::new("keys are fetched on a tokio runtime, and there is none here"))
}

impl Inner {
    /// Starts the task, or starts it again where its runtime has gone: its number.
    fn ensure_task(&self) -> Result<u64, KeyError> {
        let (task, begun) = self.core.ensure_running(runtime)?;
        // The state is not locked: a runtime that is going away drops the task at once.
        if let Some((runtime, running)) = begun {
            runtime.spawn(running.run(self.closer.subscribe()));
        }
        Ok(task)
    }

    /// Keys are overdue: the first request that sees it says so.
    fn hurry(&self) {
        if !self.core.nudge() {
            return;
        }
        if self.ensure_task().is_err() {
            self.core.take_nudge_back();
            return;
        }
        self.core.state().schedule.overslept(Instant::now());
        self.core.wake();
    }

    /// Takes a place among those who wait for the first keys.
    fn park(&self) -> Option<Parked<'_>> {
        let parked = Parked::new(&self.core, &mut self.core.state(), self.limits.waiting_without_keys)?;
        self.core.tell_waiting();
        Some(parked)
    }

    /// The failure of the fetch of this number, if it failed.
    fn failure_of(&self, count: u64) -> Option<KeyError> {
        let mut state = self.core.state();
        let failure = state.last_failure.clone().filter(|_| state.finished >= count)?;
        let wait = state.schedule.next_chance(Instant::now());
        Some(KeyError::new(failure.reason).retry_after(wait.max(SHORTEST_WAIT)))
    }

    /// There are no keys, or none that may be used: the first fetch, or its failure.
    async fn wait_for_keys(&self) -> Result<KeySet, KeyError> {
        runtime()?;
        let Some(_parked) = self.park() else {
            return Err(KeyError::new("too many requests wait for the first keys"));
        };
        let waiting = async {
            loop {
                if let Some(keys) = self.core.usable() {
                    return Ok(keys);
                }
                let task = self.ensure_task()?;
                let count = {
                    let mut state = self.core.state();
                    let now = Instant::now();
                    // A refetch that failed before a suspend says nothing of the time after it.
                    state.schedule.overslept(now);
                    let due = state.schedule.due();
                    match &state.last_failure {
                        _ if state.is_fetching() => state.started,
                        Some(failure) if now < due => {
                            return Err(KeyError::new(failure.reason.clone()).retry_after(due - now));
                        }
                        _ => state.started + 1,
                    }
                };
                self.hurry();
                self.core.finished(count, task).await;
                if self.core.usable().is_none()
                    && let Some(error) = self.failure_of(count)
                {
                    return Err(error);
                }
            }
        };
        timeout(self.limits.wait, waiting)
            .await
            .unwrap_or_else(|_| Err(KeyError::new("the provider of keys does not answer")))
    }

    /// The set lacks the token's key: a refetch, within the rules.
    async fn look_again(&self, kid: Option<String>, waited: Duration) -> Result<KeySet, KeyError> {
        runtime()?;
        let kid = kid.as_deref();
        let waiting = self.wait_for_kid(kid);
        if let Ok(Some(answer)) = timeout(self.limits.wait.saturating_sub(waited), waiting).await {
            return answer;
        }
        // Nobody waits any longer: absent from a recent fetch, or nobody can say.
        let mut state = self.core.state();
        match state.schedule.verdict(Instant::now()) {
            Unknown::Unavailable(wait) => {
                let reason =
                    state.last_failure.as_ref().map_or("the provider does not answer", |failure| &failure.reason);
                Err(KeyError::new(format!("an unknown kid, and {reason}")).retry_after(wait.max(SHORTEST_WAIT)))
            }
            Unknown::Absent | Unknown::Wait => Ok(self.core.snapshot.load().set().clone()),
        }
    }

    /// The set after a refetch; `None` where there is none to wait for, or where it failed.
    async fn wait_for_kid(&self, kid: Option<&str>) -> Option<Result<KeySet, KeyError>> {
        let before = self.core.snapshot.load().set().clone();
        let first = self.core.state().started + 1;
        let mut parked = None;
        loop {
            let task = self.ensure_task().ok()?;
            let count = {
                let mut state = self.core.state();
                let is_fetching = state.is_fetching();
                if state.schedule.unknown(kid, Instant::now(), is_fetching) != Unknown::Wait {
                    break;
                }
                if parked.is_none() {
                    parked = Parked::new(&self.core, &mut state, self.limits.waiting_with_keys);
                    if parked.is_none() {
                        let error = KeyError::new("too many requests wait for an unknown kid");
                        return Some(Err(error.retry_after(SHORTEST_WAIT)));
                    }
                }
                if let Some(kid) = kid {
                    state.schedule.await_kid(kid);
                }
                state.started + u64::from(!is_fetching)
            };
            self.core.tell_waiting();
            self.core.wake();
            self.core.finished(count, task).await;
            // The last word is that of a fetch that went past caches, and that has begun since the token came. Asked
            // before the set, so that the set is no older.
            let is_last_word = self.core.state().last_past_caches >= first;
            let set = self.core.snapshot.load().set().clone();
            let is_there = kid.map_or(!before.is(&set), |kid| set.knows(kid));
            if is_there || is_last_word {
                return Some(Ok(set));
            }
            if self.failure_of(count).is_some() {
                return None;
            }
        }
        // A fetch may be wanted as soon as a slot opens.
        self.core.wake();
        None
    }
}

/// A request that waits.
struct Parked<'c>(&'c Core);

impl<'c> Parked<'c> {
    /// `None` where that many wait already. The metrics have yet to be told.
    fn new(core: &'c Core, state: &mut State, most: usize) -> Option<Self> {
        (state.waiting < most).then(|| {
            state.waiting += 1;
            Self(core)
        })
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
        // A recorder that has just panicked would do so again, and end the process.
        if !std::thread::panicking() {
            self.0.tell_waiting();
        }
    }
}

impl KeySource for RemoteJwks {
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        let inner = &*self.0;
        let snapshot = inner.core.snapshot.load();
        match inner.core.freshness(&snapshot) {
            Freshness::Fresh => {}
            Freshness::Overdue => inner.hurry(),
            Freshness::Unusable => return KeyLookup::pending(inner.wait_for_keys()),
        }
        if query.is_retry() {
            let kid = query.kid().map(str::to_owned);
            return KeyLookup::pending(inner.look_again(kid, query.waited()));
        }
        KeyLookup::ready(Keys::shared(snapshot))
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        Some(AlgorithmSet::ASYMMETRIC.iter().filter(|&algorithm| crypto::supports(algorithm)).collect())
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks").field("status", &self.status()).finish_non_exhaustive()
    }
}
