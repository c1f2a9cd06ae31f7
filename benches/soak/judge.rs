//! What is right, and what was seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::WINDOW;
use crate::provider::Keys;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Sent {
    Valid,
    Withdrawn,
    Expired,
    Tampered,
    Forged,
}

/// How long a new key may stay unseen, or an old one stand: until a refetch is allowed, and two seconds for the machine.
pub(crate) const UNSEEN_FOR: Duration = WINDOW.saturating_add(Duration::from_secs(2));

/// What is known before a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    sent: Sent,
    /// A token of these keys has passed.
    has_passed: bool,
    /// A token of these keys was refused after they were withdrawn.
    is_gone: bool,
}

impl Before {
    pub(crate) fn new(sent: Sent, keys: &Keys) -> Self {
        Self { sent, has_passed: keys.passed.get().is_some(), is_gone: keys.gone.get().is_some() }
    }

    /// Whether this may be the answer. `is_away`: the provider was away, or had not been asked since, at some moment.
    pub(crate) fn allows(self, status: StatusCode, keys: &Keys, is_away: bool) -> bool {
        let held = self.has_passed && !keys.is_leaving();
        let late = |since: &Instant| since.elapsed() >= UNSEEN_FOR;
        match (self.sent, status) {
            (Sent::Valid, StatusCode::OK)
            | (Sent::Withdrawn | Sent::Tampered | Sent::Forged, StatusCode::UNAUTHORIZED) => true,
            // A fetch of before has lacked the keys. In an outage too, and no longer: then it is 503.
            (Sent::Valid, StatusCode::UNAUTHORIZED) => !held && !late(&keys.published),
            // They are held until a fetch has shown that they are gone, and then never again.
            (Sent::Withdrawn, StatusCode::OK) => !self.is_gone && (is_away || !keys.withdrawn.get().is_some_and(late)),
            // It is judged by its times alone.
            (Sent::Expired, status) => status == StatusCode::UNAUTHORIZED,
            // The `kid` is unknown, and nobody can be asked.
            (Sent::Valid | Sent::Tampered, StatusCode::SERVICE_UNAVAILABLE) => !held && is_away,
            (Sent::Withdrawn, StatusCode::SERVICE_UNAVAILABLE) => {
                is_away && (!self.has_passed || keys.gone.get().is_some())
            }
            (Sent::Forged, StatusCode::SERVICE_UNAVAILABLE) => is_away,
            _ => false,
        }
    }
}

/// What one client has seen, or all.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) verdicts: BTreeMap<(Sent, u16), u64>,
    pub(crate) wrong: u64,
    /// The first of them.
    pub(crate) examples: Vec<String>,
    /// Of valid requests that passed.
    pub(crate) latencies: Latencies,
}

impl Seen {
    pub(crate) fn merge(&mut self, other: Self) {
        for (verdict, count) in other.verdicts {
            *self.verdicts.entry(verdict).or_default() += count;
        }
        self.wrong += other.wrong;
        self.examples.extend(other.examples);
        self.latencies.merge(&other.latencies);
    }
}

/// How often a request took how long, in steps of a thirty-second of its own: the memory does not grow.
pub(crate) struct Latencies(Vec<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(vec![0; 64 * 32])
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(32);
        let octave = nanos.ilog2();
        let step = (nanos >> (octave - 5)) & 31;
        self.0[octave as usize * 32 + usize::try_from(step).unwrap_or(0)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(one, other)| *one += other);
    }

    /// In microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn percentile(&self, part: u64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let mut left = all * part / 100;
        for (at, count) in self.0.iter().enumerate() {
            if left < *count {
                let (octave, step) = (at / 32, at % 32);
                return ((32 + step) as f64) * 2_f64.powi(i32::try_from(octave).unwrap_or(0) - 5) / 1000.0;
            }
            left -= count;
        }
        0.0
    }
}
