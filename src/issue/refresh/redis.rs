//! Families on a Redis server that several instances share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Script, ScriptInvocation};

use super::store::{Family, NewFamily, Outcome, RefreshStore, RefreshStoreError, Rotation};
use super::token::FamilyId;
use crate::clock::UnixTime;
use crate::crypto;
use crate::jose::compact::encode;
use crate::redis::{Redis, RedisFailure, Repeat};

/// Families on a Redis or Valkey server: a token that was spent at one instance is spent at all of them.
///
/// - One request to the server for each rotation: a script, which the server runs as one step and writes to its
///   append-only file as one. Time is the server's. Cheap to clone.
/// - 1,000 families of one subject; in all, what the server's `maxmemory` allows. A family takes about 1.5 KB besides
///   its data, and leaves by itself. While the memory is full, sessions are neither started nor
///   refreshed ([`Unavailable`](super::RefreshErrorKind::Unavailable)); they can be revoked.
/// - A rotation that did not hear from the server, because the connection broke or nothing came in
///   [time](Redis::timeout), is asked for once more, and knows its own work: a broken connection alone costs no session,
///   and lets no reuse go unreported. The second time without an answer is
///   [`Unavailable`](super::RefreshErrorKind::Unavailable).
/// - What the server forgets: set `maxmemory-policy noeviction`, and `appendonly yes`. With `appendfsync always` what was
///   answered survives the machine's power; with `everysec` it survives the end of the process, and of the last two
///   seconds before a loss of power, rotations may be undone, and revocations too. The token after an undone rotation
///   passes for a spent one, and ends its family: the user logs in again. The same goes for what a replica had not yet
///   received when it took over. A server that comes back empty refuses all tokens.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::Redis;
/// use tower_jwt_auth::issue::refresh::{RedisRefreshStore, RefreshTokens};
///
/// let store = RedisRefreshStore::new(Redis::open("redis://127.0.0.1/")?);
/// let tokens = RefreshTokens::<String, _>::builder(store).grace(Duration::from_secs(10)).build()?;
/// # let _ = tokens;
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisRefreshStore(Arc<Shared>);

struct Shared {
    redis: Redis,
    most_of_one_subject: usize,
    start: Script,
    rotate: Script,
    end: Script,
    end_all: Script,
    index: Script,
    list: Script,
}

/// What every script starts with: the time, in milliseconds.
const NOW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// A family is a hash that expires. The index of a subject is a sorted set of its families by the time at which they end
/// at the latest. It is never short of one; what expired earlier or has ended stays until somebody looks. The first
/// change is one that a full memory forbids: after any other, the server would let the rest pass.
const START: &str = r"
if redis.call('ZCOUNT', KEYS[2], now, '+inf') >= tonumber(ARGV[7]) then return 0 end
local ends = now + ARGV[5]
redis.call('HSET', KEYS[1], 'subject', ARGV[2], 'data', ARGV[3], 'live', ARGV[4], 'created', now, 'used', now, 'ends', ends)
redis.call('PEXPIREAT', KEYS[1], math.min(ends, now + ARGV[6]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], ends, ARGV[1])
redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
return 1
";

/// The steps of [`RefreshStore`], for requests that are sent again. What ended a family is kept for a minute: the second one
/// is told as well. The first one may arrive when the second has been answered, and that answer used.
const ROTATE: &str = r"
local family = redis.call('HMGET', KEYS[1], 'live', 'spent', 'retry', 'salt', 'subject', 'ends')
local live, spent, retry, salt, subject, ends = unpack(family)
if not live then
  local ended = redis.call('HMGET', KEYS[2], 'by', 'subject')
  if ended[1] == ARGV[2] then return {1, ended[2], '', 0, 0, 0, ''} end
  return {0, '', '', 0, 0, 0, ''}
end
if live == ARGV[1] then
  redis.call('HSET', KEYS[1], 'live', ARGV[2], 'used', now, 'spent', live)
  redis.call('PEXPIREAT', KEYS[1], math.min(ends, now + ARGV[3]))
  if ARGV[4] then
    redis.call('HSET', KEYS[1], 'salt', ARGV[4], 'retry', now + ARGV[5])
  elseif retry then
    redis.call('HDEL', KEYS[1], 'salt', 'retry')
  end
  salt = ''
elseif live == ARGV[2] then
  salt = ''
elseif spent == ARGV[2] then
  return {0, '', '', 0, 0, 0, ''}
elseif not (spent == ARGV[1] and retry and now < tonumber(retry)) then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'by', ARGV[2], 'subject', subject)
  redis.call('PEXPIRE', KEYS[2], 60000)
  return {1, subject, '', 0, 0, 0, ''}
end
local rest = redis.call('HMGET', KEYS[1], 'data', 'created', 'used')
return {2, subject, rest[1], tonumber(rest[2]), tonumber(rest[3]), now + redis.call('PTTL', KEYS[1]), salt}
";

const END: &str = r"
if not ARGV[1] or redis.call('HGET', KEYS[1], 'subject') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
";

const INDEX: &str = "return redis.call('ZRANGE', KEYS[1], 0, -1)";

/// The keys after the first are the families that the arguments name.
const END_ALL: &str = r"
for at = 1, #ARGV do
  redis.call('DEL', KEYS[at + 1])
  redis.call('ZREM', KEYS[1], ARGV[at])
end
return 1
";

/// The same keys and arguments. What is no longer there leaves the index.
const LIST: &str = r"
local found = {}
for at = 1, #ARGV do
  local family = redis.call('HMGET', KEYS[at + 1], 'subject', 'data', 'created', 'used')
  if family[1] then
    local expires = now + redis.call('PTTL', KEYS[at + 1])
    found[#found + 1] = {ARGV[at], {family[1], family[2], tonumber(family[3]), tonumber(family[4]), expires}}
  else
    redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
return found
";

impl RedisRefreshStore {
    /// Families on this server.
    pub fn new(redis: Redis) -> Self {
        Self::with_bounds(redis, 1_000)
    }

    /// With another bound for the families of one subject, at most 5,000. Instances that share a server have it alike.
    pub fn with_bounds(redis: Redis, most_of_one_subject: usize) -> Self {
        let timed = |script: &str| Script::new(&format!("{NOW}{script}"));
        Self(Arc::new(Shared {
            redis,
            most_of_one_subject: most_of_one_subject.min(5_000),
            start: timed(START),
            rotate: timed(ROTATE),
            end: Script::new(END),
            end_all: Script::new(END_ALL),
            index: Script::new(INDEX),
            list: timed(LIST),
        }))
    }
}

impl Shared {
    fn family(&self, id: impl fmt::Display) -> String {
        self.redis.key(format_args!("refresh:family:{id}"))
    }

    fn ended(&self, id: impl fmt::Display) -> String {
        self.redis.key(format_args!("refresh:ended:{id}"))
    }

    /// The index of a subject: its name is a hash, for subjects are of any form.
    fn subject(&self, subject: &str) -> Result<String, RefreshStoreError> {
        let hash = crypto::sha256(subject.as_bytes()).ok_or_else(|| RefreshStoreError::unavailable("no SHA-256"))?;
        Ok(self.redis.key(format_args!("refresh:subject:{}", encode(&hash))))
    }

    async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        repeat: Repeat,
    ) -> Result<T, RefreshStoreError> {
        let failed = |failure: RedisFailure| RefreshStoreError::unavailable(failure.to_string());
        self.redis.script(call, repeat).await.map_err(failed)
    }

    /// Runs a script on the index of a subject and all families in it; `None` where there are none.
    async fn on_all<T: FromRedisValue>(&self, script: &Script, subject: &str) -> Result<Option<T>, RefreshStoreError> {
        let index = self.subject(subject)?;
        let ids: Vec<String> = self.run(self.index.prepare_invoke().key(&index), Repeat::Safe).await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let mut call = script.prepare_invoke();
        call.key(&index);
        for id in &ids {
            call.key(self.family(id)).arg(id);
        }
        self.run(&call, Repeat::Safe).await.map(Some)
    }

    async fn start(&self, new: &NewFamily) -> Result<bool, RefreshStoreError> {
        let mut call = self.start.prepare_invoke();
        call.key(self.family(new.id()))
            .key(self.subject(new.subject())?)
            .arg(new.id().to_string())
            .arg(new.subject())
            .arg(new.data())
            .arg(new.live().as_slice())
            .arg(millis(new.lifetime()))
            .arg(millis(new.idle()))
            .arg(self.most_of_one_subject);
        // A second one could bring back what was revoked since the first.
        self.run(&call, Repeat::Never).await
    }
}

impl RefreshStore for RedisRefreshStore {
    async fn start(&self, family: &NewFamily) -> Result<(), RefreshStoreError> {
        if self.0.start(family).await? {
            return Ok(());
        }
        // To list them throws out of the index what has ended.
        self.list(family.subject()).await?;
        if self.0.start(family).await? { Ok(()) } else { Err(RefreshStoreError::full()) }
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Outcome, RefreshStoreError> {
        let mut call = self.0.rotate.prepare_invoke();
        call.key(self.0.family(rotation.family()))
            .key(self.0.ended(rotation.family()))
            .arg(rotation.presented().as_slice())
            .arg(rotation.successor().as_slice())
            .arg(millis(rotation.idle()));
        if let Some((salt, window)) = rotation.retry() {
            call.arg(salt.as_slice()).arg(millis(window));
        }
        // A second one finds the successor that the first brought, which nobody else can know.
        let answer = self.0.run(&call, Repeat::Safe).await?;
        let (what, subject, data, created, last_used, expires, salt): (u8, _, _, _, _, _, Vec<u8>) = answer;
        match what {
            0 => return Ok(Outcome::Unknown),
            1 => return Ok(Outcome::Reused { subject }),
            _ => {}
        }
        let family = read(rotation.family(), (subject, data, created, last_used, expires));
        Ok(match salt.try_into() {
            Ok(salt) => Outcome::Repeated(family, salt),
            Err(_) => Outcome::Rotated(family),
        })
    }

    async fn end(&self, family: FamilyId, of: Option<&str>) -> Result<(), RefreshStoreError> {
        let mut call = self.0.end.prepare_invoke();
        call.key(self.0.family(family));
        if let Some(subject) = of {
            call.arg(subject);
        }
        self.0.run(&call, Repeat::Safe).await
    }

    async fn end_all(&self, subject: &str) -> Result<(), RefreshStoreError> {
        self.0.on_all::<()>(&self.0.end_all, subject).await.map(|_| ())
    }

    async fn list(&self, subject: &str) -> Result<Vec<Family>, RefreshStoreError> {
        let found: Option<Vec<(String, Stored)>> = self.0.on_all(&self.0.list, subject).await?;
        let named = |(id, stored): (String, Stored)| Some(read(FamilyId::parse(&id)?, stored));
        Ok(found.into_iter().flatten().filter_map(named).collect())
    }
}

/// Subject, data, and the times at which it was started, was last used, and expires.
type Stored = (String, String, i64, i64, i64);

fn read(id: FamilyId, (subject, data, created, last_used, expires): Stored) -> Family {
    let [created, last_used, expires] = [created, last_used, expires].map(UnixTime::from_millis);
    Family { id, subject, data, created, last_used, expires }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RedisRefreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRefreshStore").finish_non_exhaustive()
    }
}
