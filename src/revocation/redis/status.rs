//! What an operator sees of shared revocations.

use std::time::Duration;

/// The state of [`RedisRevocations`](super::RedisRevocations) at one moment: for a status page, or a readiness probe that
/// says why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RevocationStatus {
    /// True while tokens can be judged.
    pub is_ready: bool,
    /// How long ago the server last confirmed that nothing is missing; `None` before the first full read.
    pub age: Option<Duration>,
    /// How many entries are held in memory. Some of them may have passed their time.
    pub entries: usize,
    /// How many revocations of this instance the server does not have yet, as far as is known.
    pub unpublished: usize,
    /// How often everything was read.
    pub full_reads: u64,
    /// Why the server was last lost; `None` while it is there.
    pub last_error: Option<String>,
    /// Whether `maxmemory-policy` is `noeviction`, as it should be; `None` while the server has not said.
    pub never_evicts: Option<bool>,
    /// Whether there is an append-only file, as there should be; `None` while the server has not said.
    pub append_only: Option<bool>,
    /// `appendfsync`; `None` while the server has not said: managed ones may keep it to themselves.
    pub append_fsync: Option<String>,
}
