//! What the targets share: a world whose time stands still, plain readers of JSON and of challenges, and a judge of
//! answers. Nothing here is clever: these are the oracles.

pub mod answer;
pub mod json;
pub mod parts;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tower_jwt_auth::Algorithm;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::testing::Authority;

/// The time at which everything happens, in seconds since the Unix epoch.
pub const NOW: i64 = 1_700_000_000;

/// A clock that stands at [`NOW`].
pub fn clock() -> Clock {
    Clock::manual(UnixTime::from_secs(NOW))
}

/// An issuer with one key, whose tokens are made at [`NOW`].
pub fn authority(algorithm: Algorithm) -> Authority {
    Authority::new(algorithm).with_clock(clock())
}

/// The outcome of a future that has nothing to wait for.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}
