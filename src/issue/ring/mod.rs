//! Keys that change, without a token refused.
//!
//! # How a key comes and goes
//!
//! A new key is [published](KeyPhase::Published) for twice the `max-age` of the JWK set before it [signs](KeyPhase::Signing);
//! then it is [retiring](KeyPhase::Retiring), in the set still, until 5 minutes after its last token has expired, for
//! verifiers that are lenient.
//!
//! # Why that is safe with several instances
//!
//! The instances share a [`KeyStore`], and each reads it every [`poll_every`](KeyRingBuilder::poll_every). Let a key be
//! added at the time 0, with `max-age` N, so that it signs from 2 N on.
//!
//! - An instance that has not read the store for 0.9 N answers requests for the JWK set with 503. So every set that lacks
//!   the key was answered before 0.9 N, and no cache may use it after 1.9 N: when the first token with the key is signed,
//!   everybody knows it. The last tenth is for clocks that differ: 30 seconds by default.
//! - An instance that cannot read the store may not know that it should sign with the next key. It goes on with the old
//!   one for [`stale_for`](KeyRingBuilder::stale_for), and then issues nothing more; the old key stays published for that
//!   long, for the [longest lifetime](KeyRingBuilder::longest_lifetime) of a token, and for the
//!   [leeway](KeyRingBuilder::leeway) of verifiers.
//! - Of two instances that change the ring at once one wins, and the other takes what the first has written.
//! - A store that has lost its last changes, or everything, gets them back from any instance that knows them.
//!
//! Verifiers that fetch less often than `max-age` says, as some do whose value is under a minute, learn of a new key from
//! its first token: `RemoteJwks` then waits for a fetch.

mod error;
mod file;
mod handle;
#[cfg(feature = "redis")]
mod redis;
mod source;
mod state;
mod store;

pub use error::KeyRingError;
pub use file::FileKeyStore;
pub use handle::{KeyRing, KeyRingBuilder, KeyRingStatus, RingKey};
#[cfg(feature = "redis")]
pub use redis::RedisKeyStore;
pub use state::KeyPhase;
pub use store::{KeyRingDocument, KeyStore, KeyStoreFuture, MemoryKeyStore};
