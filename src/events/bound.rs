//! How often an event is said that a client's request can cause.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// In milliseconds.
const PAUSE: u64 = 1000;

/// Lets one through, and then none for a second. Of those it says how many there were when the next one passes.
#[derive(Debug)]
pub(super) struct Bound {
    /// When the last one passed, in milliseconds, and one; 0 for never.
    passed: AtomicU64,
    suppressed: AtomicU64,
}

impl Bound {
    pub(super) const fn new() -> Self {
        Self { passed: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// How many were left out since the last one that passed; `None` where this one is left out as well.
    pub(super) fn pass(&self) -> Option<u64> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.pass_at(u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX - PAUSE - 1))
    }

    fn pass_at(&self, millis: u64) -> Option<u64> {
        let passed = self.passed.load(Ordering::Relaxed);
        let is_time = passed == 0 || millis + 1 >= passed + PAUSE;
        // Of several at once, one wins.
        let wins = || self.passed.compare_exchange(passed, millis + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_time && wins() {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_passes_and_the_next_one_knows_how_many_did_not() {
        let bound = Bound::new();
        assert_eq!(bound.pass_at(0), Some(0));
        let passed = [0, 500, 999].map(|millis| bound.pass_at(millis));
        assert_eq!(passed, [None; 3]);
        assert_eq!(bound.pass_at(1000), Some(3));
        assert_eq!((bound.pass_at(1999), bound.pass_at(2000)), (None, Some(1)));
        assert_eq!(bound.pass_at(900_000), Some(0));
    }

    #[test]
    fn of_many_threads_one_passes_and_all_others_are_counted() {
        let bound = Bound::new();
        let storm = |millis| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| (0..1000).filter_map(|_| bound.pass_at(millis)).collect::<Vec<_>>()))
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
            })
        };
        assert_eq!(storm(0), [0]);
        let second = storm(5000);
        assert_eq!(second.len(), 1);
        let third = bound.pass_at(10_000).expect("it is time");
        assert_eq!(second[0] + third, 2 * 3999);
    }
}
