//! The ring on a Redis server that several instances share.

use std::fmt;

use redis::Script;
use zeroize::Zeroizing;

use super::error::KeyRingError;
use super::store::{KeyRingDocument, KeyStore, KeyStoreFuture, MAX_DOCUMENT};
use crate::redis::{Redis, Repeat};

/// A ring on a Redis server: every instance of an issuer signs with the same keys.
///
/// - The server holds the private keys: it needs a password, TLS or a network of its own, and an append-only file, for
///   without its data every token is refused. Instances that run give back what it has lost.
/// - While it is away, instances go on as [`KeyRingBuilder::stale_for`](super::KeyRingBuilder::stale_for) says.
/// - Rings of one application have [names](Self::named) of their own; applications have prefixes
///   ([`Redis::prefix`]).
///
/// ```no_run
/// use tower_jwt_auth::issue::{KeyRing, RedisKeyStore};
/// use tower_jwt_auth::{Algorithm, Redis};
///
/// # async fn run() -> Result<(), tower_jwt_auth::ConfigError> {
/// let store = RedisKeyStore::new(Redis::open("redis://127.0.0.1/")?);
/// let ring = KeyRing::builder(Algorithm::ES256).store(store).open().await?;
/// # let _ = ring;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisKeyStore {
    redis: Redis,
    name: String,
}

const LOAD: &str = "return redis.call('HMGET', KEYS[1], 'version', 'document')";

/// One step, so that of two instances that saw the same version one wins.
const REPLACE: &str = r"
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'document', ARGV[3])
return 1
";

impl RedisKeyStore {
    /// A ring on this server.
    pub fn new(redis: Redis) -> Self {
        Self { redis, name: "keys".to_owned() }
    }

    /// The ring of this name: `keys` unless set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    fn key(&self) -> String {
        self.redis.key(format_args!("ring:{}", self.name))
    }

    async fn ask(&self) -> Result<Option<KeyRingDocument>, KeyRingError> {
        let script = Script::new(LOAD);
        let mut script = script.prepare_invoke();
        script.key(self.key());
        let (version, bytes): (Option<u64>, Option<Vec<u8>>) =
            self.redis.script(&script, Repeat::Safe).await.map_err(|failure| KeyRingError::new(failure.to_string()))?;
        let (Some(version), Some(bytes)) = (version, bytes.map(Zeroizing::new)) else { return Ok(None) };
        if bytes.len() > MAX_DOCUMENT {
            return Err(KeyRingError::new(format!("the document of the ring is longer than {MAX_DOCUMENT} bytes")));
        }
        Ok(Some(KeyRingDocument::new(version, bytes.to_vec())))
    }

    async fn put(&self, expected: u64, document: &KeyRingDocument) -> Result<bool, KeyRingError> {
        let script = Script::new(REPLACE);
        let mut script = script.prepare_invoke();
        script.key(self.key()).arg(expected).arg(document.version()).arg(document.as_bytes());
        // Sent twice, the first may be taken for another instance's: the next look tells.
        let replaced: Result<bool, _> = self.redis.script(&script, Repeat::Never).await;
        replaced.map_err(|failure| KeyRingError::new(failure.to_string()))
    }
}

impl KeyStore for RedisKeyStore {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        Box::pin(self.ask())
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        Box::pin(self.put(expected, document))
    }
}

impl fmt::Debug for RedisKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisKeyStore").field("name", &self.name).finish_non_exhaustive()
    }
}
