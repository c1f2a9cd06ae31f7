//! Wall time for `exp`, `nbf` and `iat`.
//!
//! - Every pure check takes `now` as an argument; only a [`Verifier`](crate::Verifier) asks a [`Clock`].
//! - Times are whole milliseconds since the Unix epoch, and saturate: a huge claim cannot overflow.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A point in time: milliseconds since the Unix epoch, negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    pub(crate) const MIN: Self = Self(i64::MIN);

    /// From seconds since the Unix epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[cfg(feature = "issue")]
    pub(crate) const fn as_millis(self) -> i64 {
        self.0
    }

    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    #[cfg(any(feature = "issue", feature = "metrics", feature = "redis", feature = "remote"))]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    pub(crate) fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(millis(before.duration()).saturating_neg()),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Where a verifier takes the time from.
///
/// [`Clock::system`] is the default. [`Clock::manual`] stands still until it is moved: for tests.
///
/// ```
/// use tower_jwt_auth::clock::{Clock, UnixTime};
///
/// let clock = Clock::manual(UnixTime::from_secs(1_000));
/// clock.advance(std::time::Duration::from_secs(5));
/// assert_eq!(clock.now(), UnixTime::from_secs(1_005));
/// ```
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start`. Clones share the time.
    pub fn manual(start: impl Into<UnixTime>) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.into().0))))
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Source::System => SystemTime::now().into(),
            Source::Manual(time) => UnixTime(time.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward; the system's clock is not touched.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets a manual clock, backwards too; the system's clock is not touched.
    pub fn set(&self, to: impl Into<UnixTime>) {
        if let Source::Manual(time) = &self.0 {
            time.store(to.into().0, Ordering::Relaxed);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system"),
            Source::Manual(_) => write!(f, "Clock::manual({})", self.now().as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_and_huge_ones_saturate() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(3);
        assert_eq!(UnixTime::from(early), UnixTime::from_secs(-3));
        assert_eq!(UnixTime::from_secs(i64::MAX).plus(Duration::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime::from_secs(i64::MIN).minus(Duration::MAX), UnixTime(i64::MIN));
        assert_eq!(UnixTime::from_millis(-1).as_secs(), -1);
    }
}
