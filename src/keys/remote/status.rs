//! What an operator sees of a source.

use std::time::Duration;

use crate::keys::SkippedKey;

/// The state of a [`RemoteJwks`](super::RemoteJwks) at one moment: for a status page, or a readiness probe that says
/// why. It holds no key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Where the keys come from: the JWKS URL without its query, or the issuer while it has not been discovered.
    pub location: String,
    /// True while keys are at hand and not past their stale bound.
    pub is_ready: bool,
    /// How long ago the provider last confirmed the keys; `None` before the first time.
    pub age: Option<Duration>,
    /// How many keys can verify.
    pub keys: usize,
    /// The members of the set that are not used, with the reasons.
    pub skipped: Vec<SkippedKey>,
    /// Why the last fetch failed; `None` when it did not.
    pub last_error: Option<String>,
    /// How long until the next scheduled fetch; zero while one runs.
    pub next_refresh: Duration,
    /// How many fetches have started, for whatever cause.
    pub fetches: u64,
    /// How many of them were made for an unknown `kid`.
    pub forced_fetches: u64,
    /// How many requests wait for a fetch.
    pub waiting: usize,
}
