//! The record of used proofs on a Redis server that several instances share.

use std::fmt;
use std::sync::Arc;

use redis::Script;

use super::replay::{ReplayCheck, ReplayStore, UsedProof};
use crate::events;
use crate::jose::compact::encode;
use crate::redis::{Redis, Repeat};

/// A record on a Redis server: a proof that was used at one instance is refused at all of them.
///
/// - 1,000,000 proofs, 1,000 of one key, as in memory; while it is full, and while the server is away or slow, requests
///   with proofs are answered 503. A proof takes about 150 bytes, for 330 seconds by the server's clock.
/// - One request to the server for each request with a proof, after everything else has passed.
/// - A server that evicts, or that lost its data, lets a proof be used again within its 330 seconds: set
///   `maxmemory-policy noeviction`, and have clients use [nonces](super::DpopNonces), which bound that as well.
///
/// ```
/// use tower_jwt_auth::Redis;
/// use tower_jwt_auth::binding::{Dpop, RedisReplayStore};
///
/// let store = RedisReplayStore::new(Redis::open("redis://127.0.0.1/")?);
/// let dpop = Dpop::new("https://api.example.com")?.replay_store(store);
/// # let _ = dpop;
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
pub struct RedisReplayStore(Arc<Shared>);

struct Shared {
    redis: Redis,
    script: Script,
    most: usize,
    most_of_one_key: u32,
}

/// The proofs of one key are a sorted set, by the time at which they leave. How many there are in all is counted in
/// buckets of 30 seconds, each of which leaves when its last proof has: never fewer than there are. Time is in
/// whole seconds, rounded down: one more makes sure that no proof leaves early.
const SCRIPT: &str = r"
local now = tonumber(redis.call('TIME')[1])
local lives = tonumber(ARGV[2]) + 1
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local bucket = math.floor(now / 30)
local oldest = math.floor((now - lives) / 30)
local all = 0
local counts = redis.call('HGETALL', KEYS[2])
for at = 1, #counts, 2 do
  if tonumber(counts[at]) < oldest then
    redis.call('HDEL', KEYS[2], counts[at])
  else
    all = all + tonumber(counts[at + 1])
  end
end
if all >= tonumber(ARGV[3]) or redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('ZADD', KEYS[1], now + lives, ARGV[1])
redis.call('EXPIRE', KEYS[1], lives + 1)
redis.call('HINCRBY', KEYS[2], bucket, 1)
redis.call('EXPIRE', KEYS[2], lives + 60)
return 1
";

impl RedisReplayStore {
    /// A record on this server.
    pub fn new(redis: Redis) -> Self {
        Self::with_bounds(redis, 1_000_000, 1_000)
    }

    /// With other bounds: in all, and for one key. Instances that share a record have them alike.
    pub fn with_bounds(redis: Redis, most: usize, most_of_one_key: u32) -> Self {
        Self(Arc::new(Shared { redis, script: Script::new(SCRIPT), most, most_of_one_key }))
    }
}

impl Shared {
    async fn check(&self, proof: UsedProof) -> Option<bool> {
        let mut script = self.script.prepare_invoke();
        script
            .key(self.redis.key(format_args!("dpop:{}", encode(proof.key()))))
            .key(self.redis.key("dpop:counts"))
            .arg(proof.id().as_slice())
            .arg(proof.keep_for().as_secs())
            .arg(self.most)
            .arg(self.most_of_one_key);
        // Sent twice, the first may be taken for the use that the second finds: a wrong refusal.
        match self.redis.script(&script, Repeat::Never).await {
            Ok(1) => Some(true),
            Ok(0) => Some(false),
            Ok(_) => None,
            Err(failure) => {
                events::store_failed(events::Store::UsedProofs, &failure);
                None
            }
        }
    }
}

impl ReplayStore for RedisReplayStore {
    fn check(&self, proof: UsedProof) -> ReplayCheck {
        let shared = Arc::clone(&self.0);
        ReplayCheck::pending(async move { shared.check(proof).await })
    }
}

impl fmt::Debug for RedisReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore").finish_non_exhaustive()
    }
}
