//! When to fetch: pure rules over points in time, tested without a clock.
//!
//! - Scheduled fetches: ahead of the time to live; after a failure with a jittered backoff.
//! - Forced fetches, for an unknown `kid`: two in 30 seconds, failed or not; one that brought a new key is free, within
//!   a bound.
//! - A `kid` that a finished refetch lacked asks for none for 30 seconds. What was asked before a token came says nothing
//!   about its key: it may have been answered before the key was published.
//! - `Retry-After` is obeyed by every fetch.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// The numbers. Each is an option of the builder.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) time_to_live: Duration,
    pub(super) shortest_time_to_live: Duration,
    pub(super) longest_time_to_live: Duration,
    pub(super) stale_for: Duration,
    pub(super) forced_window: Duration,
    pub(super) forced_in_window: usize,
    pub(super) remembered_kids: usize,
    pub(super) shortest_backoff: Duration,
    pub(super) longest_backoff: Duration,
    pub(super) longest_backoff_without_keys: Duration,
    pub(super) longest_retry_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            time_to_live: minutes(10),
            shortest_time_to_live: minutes(1),
            longest_time_to_live: minutes(60),
            stale_for: minutes(60),
            forced_window: Duration::from_secs(30),
            forced_in_window: 2,
            remembered_kids: 256,
            shortest_backoff: Duration::from_secs(1),
            longest_backoff: minutes(1),
            longest_backoff_without_keys: Duration::from_secs(15),
            longest_retry_after: minutes(5),
        }
    }
}

/// How many forced fetches may be free in a window: a set that differs each time it is asked for is no rotation.
const MOST_FREE: usize = 8;

/// Why a fetch is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Keys grow old, or there are none yet.
    Scheduled,
    /// A token with an unknown `kid`.
    Forced,
    /// The operator asked.
    Asked,
}

impl Cause {
    /// For events and metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Forced => "unknown_kid",
            Self::Asked => "asked",
        }
    }
}

/// What the task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Fetch(Cause),
    WakeAt(Instant),
}

/// What a request with an unknown `kid` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Wait for the fetch that runs or is about to.
    Wait,
    /// A recent fetch lacked the key: the token is refused.
    Absent,
    /// Nobody can say: the provider has not answered lately. Ask again after this time.
    Unavailable(Duration),
}

#[derive(Debug)]
pub(super) struct Schedule {
    rules: Rules,
    due: Instant,
    blocked_until: Option<Instant>,
    failures: u32,
    last_success: Option<Instant>,
    /// The starts of the forced fetches that count.
    forced: VecDeque<Instant>,
    /// The ends of those that brought a new key, and do not.
    free: VecDeque<Instant>,
    forced_wanted: bool,
    asked: bool,
    missing: VecDeque<(Box<str>, Instant)>,
    /// The unknown `kid`s that the fetch that runs is to find.
    sought: HashSet<Box<str>>,
    /// Those that requests wait for, for the next one.
    awaited: HashSet<Box<str>>,
}

impl Schedule {
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            due: now,
            blocked_until: None,
            failures: 0,
            last_success: None,
            forced: VecDeque::new(),
            free: VecDeque::new(),
            forced_wanted: false,
            asked: false,
            missing: VecDeque::new(),
            sought: HashSet::new(),
            awaited: HashSet::new(),
        }
    }

    /// When the next scheduled fetch may start.
    pub(super) fn due(&self) -> Instant {
        self.blocked_until.map_or(self.due, |blocked| blocked.max(self.due))
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        if let Some(blocked) = self.blocked_until.filter(|blocked| now < *blocked) {
            return Next::WakeAt(blocked);
        }
        if self.asked {
            return Next::Fetch(Cause::Asked);
        }
        let slot = self.slot_opens(now);
        match slot {
            None if self.forced_wanted => Next::Fetch(Cause::Forced),
            _ if self.due <= now => Next::Fetch(Cause::Scheduled),
            Some(opens) if self.forced_wanted => Next::WakeAt(opens.min(self.due)),
            _ => Next::WakeAt(self.due),
        }
    }

    /// The operator wants a fetch.
    ///
    /// # Errors
    /// The time to wait, where the provider has asked for some.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(blocked) = self.blocked_until.filter(|blocked| now < *blocked) {
            return Err(blocked - now);
        }
        self.asked = true;
        Ok(())
    }

    pub(super) fn started(&mut self, cause: Cause, now: Instant) {
        match cause {
            Cause::Scheduled => return,
            Cause::Forced => self.forced.push_back(now),
            Cause::Asked => self.asked = false,
        }
        self.forced_wanted = false;
        self.sought = std::mem::take(&mut self.awaited);
    }

    /// A fetch has brought keys that are good for `time_to_live`; `is_new` when one of them was not there before.
    /// Gives back how old the keys may become before they are refreshed.
    pub(super) fn succeeded(&mut self, cause: Cause, now: Instant, time_to_live: Duration, is_new: bool) -> Duration {
        if cause == Cause::Forced && is_new {
            self.free.retain(|end| now - *end < self.rules.forced_window);
            if self.free.len() < MOST_FREE {
                self.free.push_back(now);
                self.forced.pop_back();
            }
        }
        self.failures = 0;
        self.blocked_until = None;
        self.last_success = Some(now);
        let ahead = time_to_live.mul_f64(0.8 + 0.1 * (2.0 * random() - 1.0));
        self.due = now + ahead;
        ahead
    }

    pub(super) fn failed(&mut self, cause: Cause, now: Instant, retry_after: Option<Duration>, has_keys: bool) {
        if cause != Cause::Scheduled {
            self.sought.clear();
        }
        if let Some(wait) = retry_after {
            self.blocked_until = Some(now + wait.min(self.rules.longest_retry_after));
        }
        if cause == Cause::Scheduled {
            self.failures = self.failures.saturating_add(1);
            let longest = if has_keys { self.rules.longest_backoff } else { self.rules.longest_backoff_without_keys };
            let doubled = self.rules.shortest_backoff.saturating_mul(1 << self.failures.min(16));
            let jittered = doubled.min(longest).mul_f64(0.5 + 0.5 * random());
            self.due = now + jittered.max(self.rules.shortest_backoff.min(longest));
        }
    }

    /// Keys have grown old without the task's noticing, as after a suspend.
    pub(super) fn overslept(&mut self, now: Instant) {
        if self.failures == 0 {
            self.due = self.due.min(now);
        }
    }

    /// What to do about a `kid` that the set lacks, while nothing is fetched, or while something is.
    pub(super) fn unknown(&mut self, kid: Option<&str>, now: Instant, is_fetching: bool) -> Unknown {
        if kid.is_some_and(|kid| self.is_missing(kid, now)) {
            return self.verdict(now);
        }
        if is_fetching {
            return Unknown::Wait;
        }
        self.forced_wanted = true;
        let is_blocked = self.blocked_until.is_some_and(|blocked| now < blocked);
        if !is_blocked && self.slot_opens(now).is_none() { Unknown::Wait } else { self.verdict(now) }
    }

    /// A request waits for this `kid`: where the next fetch lacks it, that is remembered, be the request still there or
    /// not.
    pub(super) fn await_kid(&mut self, kid: &str) {
        if self.awaited.len() < self.rules.remembered_kids && !self.sought.contains(kid) {
            self.awaited.insert(kid.into());
        }
    }

    /// A fetch that went past caches has finished well.
    pub(super) fn conclude_missing(&mut self, now: Instant, is_there: impl Fn(&str) -> bool) {
        for kid in std::mem::take(&mut self.sought) {
            if !is_there(&kid) {
                self.remember_missing(&kid, now);
            }
        }
    }

    /// How long until a fetch for an unknown `kid` can start, or until the next scheduled one.
    pub(super) fn next_chance(&mut self, now: Instant) -> Duration {
        let slot = self.slot_opens(now).unwrap_or(now);
        let earliest = slot.min(self.due).max(self.blocked_until.unwrap_or(now));
        earliest.saturating_duration_since(now)
    }

    /// Without waiting: absent from a recent fetch, or nobody can say.
    pub(super) fn verdict(&mut self, now: Instant) -> Unknown {
        match self.last_success {
            Some(at) if now - at <= self.rules.forced_window => Unknown::Absent,
            _ => Unknown::Unavailable(self.next_chance(now)),
        }
    }

    fn remember_missing(&mut self, kid: &str, now: Instant) {
        self.missing.retain(|(known, _)| **known != *kid);
        while self.missing.len() >= self.rules.remembered_kids.max(1) {
            self.missing.pop_front();
        }
        self.missing.push_back((kid.into(), now));
    }

    fn is_missing(&self, kid: &str, now: Instant) -> bool {
        let recent = |at: Instant| now - at < self.rules.forced_window;
        self.missing.iter().any(|(known, at)| **known == *kid && recent(*at))
    }

    /// When the next forced fetch may start; `None` for now.
    fn slot_opens(&mut self, now: Instant) -> Option<Instant> {
        let window = self.rules.forced_window;
        self.forced.retain(|start| now - *start < window);
        if self.forced.len() < self.rules.forced_in_window {
            return None;
        }
        let freed = self.forced.len() - self.rules.forced_in_window;
        self.forced.get(freed).map(|start| *start + window)
    }
}

/// Evenly spread in 0 … 1, from the seed that the standard library draws for its maps.
fn random() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = RandomState::new().hash_one(0) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let value = bits as f64 / (1u64 << 53) as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(Rules::default(), now), now)
    }

    /// As the task would: start what is due, and finish it at once.
    fn fetch(schedule: &mut Schedule, now: Instant, ok: bool) -> Option<Cause> {
        let Next::Fetch(cause) = schedule.next(now) else { return None };
        schedule.started(cause, now);
        if ok {
            schedule.succeeded(cause, now, Duration::from_secs(600), false);
        } else {
            schedule.failed(cause, now, None, true);
        }
        Some(cause)
    }

    #[test]
    fn a_refresh_is_due_at_four_fifths_of_the_time_to_live_give_or_take_a_tenth() {
        let (mut schedule, now) = schedule();
        assert_eq!(schedule.next(now), Next::Fetch(Cause::Scheduled));
        let all: Vec<_> = (0..200).map(|_| schedule.succeeded(Cause::Scheduled, now, 1000 * SECOND, false)).collect();
        assert!(all.iter().all(|ahead| (700 * SECOND..=900 * SECOND).contains(ahead)), "{all:?}");
        assert!(all.iter().max().expect("200").saturating_sub(*all.iter().min().expect("200")) > 100 * SECOND);
    }

    #[test]
    fn a_storm_of_unknown_kids_costs_two_forced_fetches_in_thirty_seconds() {
        for ok in [true, false] {
            let (mut schedule, start) = schedule();
            fetch(&mut schedule, start, true);
            let mut forced = Vec::new();
            for step in 0..1200 {
                let now = start + step * SECOND / 10;
                schedule.unknown(Some(&format!("forged-{step}")), now, false);
                if fetch(&mut schedule, now, ok) == Some(Cause::Forced) {
                    forced.push(now);
                }
            }
            for window in forced.windows(3) {
                assert!(window[2] - window[0] >= 30 * SECOND);
            }
            assert_eq!(forced.len(), 8, "two in each of the four windows of two minutes");
        }
    }

    #[test]
    fn a_forced_fetch_that_brought_a_new_key_does_not_count() {
        let (mut schedule, now) = schedule();
        fetch(&mut schedule, now, true);
        for _ in 0..5 {
            assert_eq!(schedule.unknown(Some("new"), now, false), Unknown::Wait);
            schedule.started(Cause::Forced, now);
            schedule.succeeded(Cause::Forced, now, 600 * SECOND, true);
        }
    }

    #[test]
    fn without_a_slot_the_verdict_hangs_on_a_recent_success_and_a_fetch_starts_by_itself() {
        let (mut schedule, now) = schedule();
        fetch(&mut schedule, now, true);
        for kid in ["a", "b"] {
            assert_eq!(schedule.unknown(Some(kid), now, false), Unknown::Wait);
            assert_eq!(fetch(&mut schedule, now, true), Some(Cause::Forced));
        }
        assert_eq!(schedule.unknown(Some("c"), now + SECOND, false), Unknown::Absent);
        assert_eq!(schedule.next(now + SECOND), Next::WakeAt(now + 30 * SECOND));
        assert_eq!(fetch(&mut schedule, now + 30 * SECOND, false), Some(Cause::Forced));
        assert_eq!(schedule.unknown(Some("d"), now + 30 * SECOND, false), Unknown::Wait);
        assert_eq!(fetch(&mut schedule, now + 30 * SECOND, false), Some(Cause::Forced));
        assert_eq!(schedule.unknown(Some("e"), now + 30 * SECOND, false), Unknown::Absent, "exactly 30 s ago");
        let later = schedule.unknown(Some("e"), now + 31 * SECOND, false);
        assert_eq!(later, Unknown::Unavailable(29 * SECOND), "no success within 30 s");
    }

    #[test]
    fn a_kid_that_was_missing_asks_again_after_thirty_seconds_and_256_are_remembered() {
        let (mut schedule, now) = schedule();
        fetch(&mut schedule, now, true);
        schedule.remember_missing("gone", now);
        assert_eq!(schedule.unknown(Some("gone"), now + 29 * SECOND, false), Unknown::Absent);
        assert_eq!(schedule.next(now + 29 * SECOND), Next::WakeAt(schedule.due()), "nothing was asked for");
        assert_eq!(schedule.unknown(Some("gone"), now + 30 * SECOND, false), Unknown::Wait);
        for n in 0..256 {
            schedule.remember_missing(&n.to_string(), now);
        }
        assert!(!schedule.is_missing("gone", now) && schedule.is_missing("0", now));
        assert_eq!(schedule.unknown(None, now, false), Unknown::Wait, "an absent kid is never remembered");
    }

    #[test]
    fn failures_back_off_and_retry_after_stops_every_fetch() {
        let (mut schedule, now) = schedule();
        let mut waits = Vec::new();
        for _ in 0..12 {
            schedule.failed(Cause::Scheduled, now, None, true);
            waits.push(schedule.due() - now);
        }
        assert!(waits[0] >= SECOND && waits[0] <= 2 * SECOND, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 60 * SECOND) && waits[11] >= 30 * SECOND, "{waits:?}");
        schedule.failed(Cause::Scheduled, now, None, false);
        assert!(schedule.due() - now <= 15 * SECOND, "without keys");

        schedule.failed(Cause::Scheduled, now, Some(3600 * SECOND), true);
        assert_eq!(schedule.next(now + 299 * SECOND), Next::WakeAt(now + 300 * SECOND), "at most five minutes");
        assert!(matches!(schedule.unknown(Some("x"), now, false), Unknown::Unavailable(_)));
        assert_eq!(schedule.ask(now + 299 * SECOND), Err(SECOND));
        assert_eq!(schedule.next(now + 300 * SECOND), Next::Fetch(Cause::Forced));
        assert_eq!(schedule.ask(now + 300 * SECOND), Ok(()));
        assert_eq!(schedule.next(now + 300 * SECOND), Next::Fetch(Cause::Asked));
    }
}
