//! Keys that change, without a token refused: [`KeyRing`] says how.

mod builder;
mod error;
mod file;
mod handle;
mod looks;
#[cfg(feature = "redis")]
mod redis;
mod source;
mod state;
mod store;

pub use builder::KeyRingBuilder;
pub use error::KeyRingError;
pub use file::FileKeyStore;
pub use handle::{KeyRing, KeyRingStatus, RingKey};
#[cfg(feature = "redis")]
pub use redis::RedisKeyStore;
pub use state::KeyPhase;
pub use store::{KeyRingDocument, KeyStore, KeyStoreFuture, MemoryKeyStore};
