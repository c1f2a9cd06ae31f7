//! The state of a source, and the task that fetches.
//!
//! One task, one fetch at a time. It ends when the last handle is dropped, in the middle of a fetch too. A runtime
//! that goes away takes the task along; the next request starts another in its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::time::{Instant, timeout};
use url::Url;

use super::discovery::Location;
use super::fetch::{Answer, Bounds, Document, Failure, etag, get, time_to_live};
use super::schedule::{Cause, Next, Rules, Schedule};
use super::transport::Transport;
use crate::clock::{Clock, UnixTime};
use crate::events::{self, Fetching};
use crate::jose::jwk::Conventions;
use crate::keys::KeySet;
use crate::meters;

/// The keys, and how old they are.
pub(crate) struct Snapshot {
    document: Document,
    /// With the URL where it was given: another place may use the same tag for other keys.
    etag: Option<(Url, HeaderValue)>,
    stamp: Stamp,
    /// Past this age a refresh should have started.
    refresh_after: Duration,
    /// Past this age the keys are not used.
    usable_for: Duration,
}

/// A moment on two clocks.
#[derive(Clone, Copy)]
struct Stamp {
    monotonic: Instant,
    wall: UnixTime,
}

impl Stamp {
    fn now(clock: &Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    /// The larger of both: a suspend stops the monotonic clock, a correction may turn the wall clock back.
    fn until(self, later: Self) -> Duration {
        let monotonic = later.monotonic.saturating_duration_since(self.monotonic);
        monotonic.max(later.wall.since(self.wall))
    }
}

impl Snapshot {
    fn none(clock: &Clock) -> Self {
        Self {
            document: Document::empty(),
            etag: None,
            stamp: Stamp::now(clock),
            refresh_after: Duration::ZERO,
            usable_for: Duration::ZERO,
        }
    }

    pub(crate) fn set(&self) -> &KeySet {
        &self.document.set
    }
}

/// What a source is made of.
pub(super) struct Parts {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) location: Location,
    pub(super) rules: Rules,
    pub(super) bounds: Bounds,
    pub(super) clock: Clock,
    pub(super) conventions: Conventions,
    pub(super) fetch_timeout: Duration,
    pub(super) initial: Option<Document>,
}

pub(super) struct Core {
    /// The configured URL or issuer, for metrics.
    source: String,
    transport: Arc<dyn Transport>,
    /// Held by the one fetch that runs.
    location: AsyncMutex<Location>,
    rules: Rules,
    bounds: Bounds,
    clock: Clock,
    conventions: Conventions,
    fetch_timeout: Duration,
    pub(super) snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    wake: Notify,
    progress: watch::Sender<Progress>,
    /// A request has seen keys that should have been refreshed, and has said so.
    nudged: AtomicBool,
}

/// What those who wait are told.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// How many fetches have finished.
    fetches: u64,
    /// How many tasks have ended.
    tasks: u64,
}

pub(super) struct State {
    /// How many tasks were started, each after the one before has ended.
    tasks: u64,
    is_running: bool,
    pub(super) schedule: Schedule,
    pub(super) location: String,
    pub(super) started: u64,
    pub(super) forced: u64,
    /// The number of the last fetch that went past caches and has brought keys.
    pub(super) last_past_caches: u64,
    pub(super) finished: u64,
    pub(super) waiting: usize,
    pub(super) last_failure: Option<Failure>,
}

impl State {
    pub(super) fn is_fetching(&self) -> bool {
        self.started > self.finished
    }
}

/// What a look at the keys has shown.
pub(super) enum Freshness {
    Fresh,
    /// Usable, and a refresh should have started.
    Overdue,
    /// None, or too old to be used.
    Unusable,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let snapshot = match parts.initial {
            None => Snapshot::none(&parts.clock),
            Some(document) => Snapshot { document, usable_for: parts.rules.stale_for, ..Snapshot::none(&parts.clock) },
        };
        let state = State {
            tasks: 0,
            is_running: false,
            schedule: Schedule::new(parts.rules.clone(), Instant::now()),
            location: parts.location.name(),
            started: 0,
            forced: 0,
            last_past_caches: 0,
            finished: 0,
            waiting: 0,
            last_failure: None,
        };
        Self {
            source: state.location.clone(),
            transport: parts.transport,
            location: AsyncMutex::new(parts.location),
            rules: parts.rules,
            bounds: parts.bounds,
            clock: parts.clock,
            conventions: parts.conventions,
            fetch_timeout: parts.fetch_timeout,
            snapshot: ArcSwap::from_pointee(snapshot),
            state: Mutex::new(state),
            wake: Notify::new(),
            progress: watch::Sender::default(),
            nudged: AtomicBool::new(false),
        }
    }

    /// The state is a handful of numbers, whole at every moment: a panic elsewhere does not spoil it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the metrics how many requests wait. Who listens may ask for the state, so it is not locked; and who was
    /// overtaken by another tells again.
    pub(super) fn tell_waiting(&self) {
        let mut told = None;
        loop {
            let waiting = self.state().waiting;
            if told == Some(waiting) {
                return;
            }
            meters::waiting_requests(&self.source, waiting);
            told = Some(waiting);
        }
    }

    pub(super) fn age(&self, snapshot: &Snapshot) -> Duration {
        snapshot.stamp.until(Stamp::now(&self.clock))
    }

    pub(super) fn freshness(&self, snapshot: &Snapshot) -> Freshness {
        let age = self.age(snapshot);
        if age >= snapshot.usable_for {
            Freshness::Unusable
        } else if age >= snapshot.refresh_after {
            Freshness::Overdue
        } else {
            Freshness::Fresh
        }
    }

    /// The keys, if they may be used.
    pub(super) fn usable(&self) -> Option<KeySet> {
        let snapshot = self.snapshot.load();
        match self.freshness(&snapshot) {
            Freshness::Fresh | Freshness::Overdue => Some(snapshot.set().clone()),
            Freshness::Unusable => None,
        }
    }

    /// True for the first request that sees overdue keys since the last fetch: it wakes the task.
    pub(super) fn nudge(&self) -> bool {
        !self.nudged.load(Ordering::Relaxed) && !self.nudged.swap(true, Ordering::Relaxed)
    }

    /// Nobody was there to be woken.
    pub(super) fn take_nudge_back(&self) {
        self.nudged.store(false, Ordering::Relaxed);
    }

    /// Lets the task look at the schedule.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until this many fetches have finished, or this task has ended: then look again.
    pub(super) async fn finished(&self, count: u64, task: u64) {
        let is_over = |progress: &Progress| progress.fetches >= count || progress.tasks >= task;
        // The sender is `self`'s own, so the channel is open.
        let _ = self.progress.subscribe().wait_for(is_over).await;
    }

    /// The number of the task that runs, and where `runtime` is asked for one, what to run there.
    ///
    /// # Errors
    /// Those of `runtime`.
    pub(super) fn ensure_running<R, E>(
        self: &Arc<Self>,
        runtime: impl FnOnce() -> Result<R, E>,
    ) -> Result<(u64, Option<(R, Running)>), E> {
        let mut state = self.state();
        if state.is_running {
            return Ok((state.tasks, None));
        }
        let runtime = runtime()?;
        state.is_running = true;
        state.tasks += 1;
        Ok((state.tasks, Some((runtime, Running(Arc::clone(self))))))
    }

    async fn fetch_forever(&self) {
        loop {
            let now = Instant::now();
            let next = {
                let mut state = self.state();
                let next = state.schedule.next(now);
                if let Next::Fetch(cause) = next {
                    state.schedule.started(cause, now);
                    state.started += 1;
                    state.forced += u64::from(cause == Cause::Forced);
                }
                next
            };
            match next {
                Next::Fetch(cause) => {
                    let span = Fetching::start(cause.label());
                    let fetched = span.around(timeout(self.fetch_timeout, self.fetch(cause))).await;
                    let fetched = fetched.unwrap_or_else(|_| {
                        let wait = self.fetch_timeout.as_secs_f32();
                        Err(Failure::new(format!("{}: no answer within {wait} s", self.state().location)))
                    });
                    span.within(|| self.conclude(cause, fetched, &span));
                }
                Next::WakeAt(at) => {
                    let _ = tokio::time::timeout_at(at, self.wake.notified()).await;
                }
            }
        }
    }

    /// One fetch: where the keys are, then the keys.
    async fn fetch(&self, cause: Cause) -> Result<Fetched, Failure> {
        let mut location = self.location.lock().await;
        let mut tries = if cause == Cause::Scheduled { 2 } else { 1 };
        loop {
            tries -= 1;
            match self.try_fetch(&mut location, cause).await {
                Err(failure) if failure.is_passing && failure.retry_after.is_none() && tries > 0 => {}
                fetched => return fetched,
            }
        }
    }

    async fn try_fetch(&self, location: &mut Location, cause: Cause) -> Result<Fetched, Failure> {
        let now = self.clock.now();
        let url = location.resolve(&*self.transport, &self.bounds, now).await?;
        self.state().location = location.name();
        let current = self.snapshot.load_full();
        let etag_known = current.etag.as_ref().filter(|(place, _)| cause == Cause::Scheduled && *place == url);
        let etag_known = etag_known.map(|(_, etag)| etag);
        let answer = get(&*self.transport, &url, &self.bounds, etag_known, cause != Cause::Scheduled, now).await;
        let fetched = answer.and_then(|answer| match answer {
            Answer::Unchanged(headers) => Ok(Fetched {
                document: None,
                etag: etag(&headers).map(|etag| (url.clone(), etag)),
                lives: time_to_live(&headers, &self.rules),
            }),
            Answer::Document(headers, body) => {
                let document = Document::parse(&body, self.conventions, &self.bounds, &current.document)?;
                Ok(Fetched {
                    document: Some(document),
                    etag: etag(&headers).map(|etag| (url.clone(), etag)),
                    lives: time_to_live(&headers, &self.rules),
                })
            }
        });
        fetched.map_err(|failure| failure.at(&url))
    }

    fn conclude(&self, cause: Cause, fetched: Result<Fetched, Failure>, span: &Fetching) {
        let stamp = Stamp::now(&self.clock);
        let outcome = self.take(cause, fetched, stamp);
        // Who listens is not ours: it may panic, or ask for the state, which is neither locked nor half changed.
        let location = self.state().location.clone();
        match outcome {
            Ok(keys) => {
                events::keys_refreshed(&location, keys);
                span.ended(&location, OK);
                meters::key_refresh(&self.source, cause.label(), OK);
                meters::keys(&self.source, keys, stamp.wall);
            }
            Err((reason, has_keys)) => {
                events::keys_not_refreshed(&location, &reason, has_keys);
                span.ended(&location, FAILED);
                meters::key_refresh(&self.source, cause.label(), FAILED);
            }
        }
        self.finish(&mut self.state());
    }

    /// What was fetched counts from here on: how many keys there are, or why there are no new ones, and whether the old
    /// ones can be used.
    fn take(&self, cause: Cause, fetched: Result<Fetched, Failure>, stamp: Stamp) -> Result<usize, (String, bool)> {
        let mut state = self.state();
        match fetched {
            Ok(fetched) => {
                let current = self.snapshot.load_full();
                let (document, is_new, etag) = match fetched.document {
                    Some((document, is_new)) => (document, is_new, fetched.etag),
                    None => (current.document.clone(), false, fetched.etag.or_else(|| current.etag.clone())),
                };
                if cause != Cause::Scheduled {
                    state.schedule.conclude_missing(stamp.monotonic, |kid| document.set.knows(kid));
                }
                let refresh_after = state.schedule.succeeded(cause, stamp.monotonic, fetched.lives, is_new);
                let usable_for = fetched.lives.saturating_add(self.rules.stale_for);
                let keys = document.set.len();
                self.snapshot.store(Arc::new(Snapshot { document, etag, stamp, refresh_after, usable_for }));
                if cause != Cause::Scheduled {
                    state.last_past_caches = state.started;
                }
                state.last_failure = None;
                Ok(keys)
            }
            Err(failure) => {
                let has_keys = !matches!(self.freshness(&self.snapshot.load()), Freshness::Unusable);
                state.schedule.failed(cause, stamp.monotonic, failure.retry_after, has_keys);
                // The fetch is over, so the lock is free.
                if let Ok(mut location) = self.location.try_lock() {
                    location.doubt();
                }
                let reason = failure.reason.clone();
                state.last_failure = Some(failure);
                Err((reason, has_keys))
            }
        }
    }

    fn finish(&self, state: &mut State) {
        state.finished = state.started;
        self.nudged.store(false, Ordering::Relaxed);
        let tasks = state.tasks - u64::from(state.is_running);
        self.progress.send_replace(Progress { fetches: state.finished, tasks });
    }
}

/// How a fetch ended, for events and metrics.
const OK: &str = "ok";
const FAILED: &str = "failed";

/// What a fetch brought.
struct Fetched {
    /// The set, and whether one of its keys is new; `None` when it has not changed.
    document: Option<(Document, bool)>,
    etag: Option<(Url, HeaderValue)>,
    lives: Duration,
}

/// The one task. Where it is dropped, with its runtime, those who wait start another; in the middle of a fetch, in its
/// first step, or before.
pub(super) struct Running(Arc<Core>);

impl Running {
    /// Until `closed` says that the last handle is gone.
    pub(super) async fn run(self, mut closed: watch::Receiver<()>) {
        tokio::select! {
            () = self.0.fetch_forever() => {}
            // Never a value: the sender is only ever dropped.
            _ = closed.changed() => {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_running = false;
        if state.is_fetching() {
            state.last_failure = Some(Failure::new("the runtime of the fetch went away"));
        }
        self.0.finish(&mut state);
    }
}
