//! A Redis or Valkey server, as the stores of this crate use it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, ProtocolVersion, RedisError,
    ScriptInvocation,
};

use crate::error::ConfigError;

/// A connection to a Redis or Valkey server, from version 6 on. Cheap to clone: clones share it, and so may stores.
///
/// - Nothing is connected before the first use, so that a service starts while the server is away. A lost connection is
///   made anew in the background, and so is one that has left a request without an answer in time, or to a server that is
///   a primary no longer: the other end may be gone without a word.
/// - Connecting and every answer have a [time limit](Self::timeout), 500 ms unless set. What may be done twice is asked
///   for once more.
/// - Keys start with a [prefix](Self::prefix), so that applications can share a server.
/// - Each store works with scripts that are atomic, on one primary: Redis Cluster is not supported.
/// - What stores hold must not be evicted, and should be there after a restart: the server needs `maxmemory-policy
///   noeviction` and `appendonly yes`. Each store says what is lost without.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::Redis;
///
/// let redis = Redis::open("redis://127.0.0.1/")?.prefix("shop:").timeout(Duration::from_millis(200));
/// assert!(Redis::open("http://127.0.0.1/").is_err());
/// # let _ = redis;
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    client: Client,
    prefix: Arc<str>,
    timeout: Duration,
    connection: Arc<Mutex<Connection>>,
}

/// The connection that all clones share, and which one it is.
#[derive(Default)]
struct Connection {
    number: u64,
    manager: Option<ConnectionManager>,
}

impl Redis {
    /// The server at this URL: `redis://[user:password@]host[:port][/database]`, `redis+unix:///path`, or, where the
    /// build has the `redis` crate with its feature `tokio-rustls-comp`, `rediss://…` for TLS. It is not connected yet.
    ///
    /// # Errors
    /// When it is no such URL, or asks for TLS that the build lacks.
    pub fn open(url: &str) -> Result<Self, ConfigError> {
        // The URL may hold a password, so that nothing of it is said.
        let refused = |_: RedisError| {
            ConfigError::new(if url.starts_with("rediss:") {
                "the URL of the Redis server asks for TLS, or is none: for TLS, add the crate `redis` with its feature \
                 `tokio-rustls-comp` to your own dependencies"
            } else {
                "this is no URL of a Redis server: write it like `redis://user:password@host:port/database`"
            })
        };
        let info = url.into_connection_info().map_err(refused)?;
        // The newer protocol tells of a lost connection before the next command runs into it.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(refused)?;
        let (prefix, timeout) = ("tower-jwt-auth:".into(), Duration::from_millis(500));
        Ok(Self { client, prefix, timeout, connection: Arc::default() })
    }

    /// What the names of all keys start with: `tower-jwt-auth:` unless set. Instances that share state have it alike.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long connecting may take, and how long an answer may: 500 ms each unless set. Beyond, what the server did is
    /// unknown. What may be done twice is asked for once more, so a request may take twice as long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        // A connection keeps the limit that it was made with.
        self.connection = Arc::default();
        self
    }

    /// The name of a key.
    pub(crate) fn key(&self, name: impl fmt::Display) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Runs a script.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        repeat: Repeat,
    ) -> Result<T, RedisFailure> {
        match self.run(script).await {
            Err(error) if repeat.allows(&error) => self.run(script).await.map_err(RedisFailure::from),
            answer => answer.map_err(RedisFailure::from),
        }
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let (number, mut manager) = self.connection()?;
        let answer = within(self.timeout * 2, script.invoke_async(&mut manager)).await;
        // The other end may be gone, or be a primary no longer.
        if answer.as_ref().is_err_and(|error| error.is_timeout() || error.code() == Some("READONLY")) {
            self.leave(number);
        }
        answer
    }

    /// A connection of one's own, for commands that wait. It is made now, and not made anew when it is lost.
    pub(crate) async fn link(&self) -> Result<Link, RedisFailure> {
        // Every command has a limit of its own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(self.timeout)).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Link { connection, timeout: self.timeout })
    }

    /// The connection, and its number.
    fn connection(&self) -> Result<(u64, ConnectionManager), RedisError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = &connection.manager {
            return Ok((connection.number, manager.clone()));
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(RedisError::from((ErrorKind::Client, "there is no tokio runtime")));
        }
        // A command that fails is answered at once; the next one finds the connection that is being made meanwhile.
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_number_of_retries(0);
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        connection.number += 1;
        connection.manager = Some(manager.clone());
        Ok((connection.number, manager))
    }

    /// The next request gets another connection. Those that wait on this one go on.
    fn leave(&self, number: u64) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.number == number {
            connection.manager = None;
        }
    }
}

/// One connection, until it is lost.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    timeout: Duration,
}

impl Link {
    /// What a command answers.
    pub(crate) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisFailure> {
        self.query_waiting(command, Duration::ZERO).await
    }

    /// What a command answers that waits for so long itself.
    pub(crate) async fn query_waiting<T: FromRedisValue>(
        &mut self,
        command: &Cmd,
        wait: Duration,
    ) -> Result<T, RedisFailure> {
        let limit = self.timeout + wait;
        within(limit, command.query_async(&mut self.connection)).await.map_err(RedisFailure::from)
    }

    /// Runs a script.
    pub(crate) async fn script<T: FromRedisValue>(&mut self, script: &ScriptInvocation<'_>) -> Result<T, RedisFailure> {
        let limit = self.timeout * 2;
        within(limit, script.invoke_async(&mut self.connection)).await.map_err(RedisFailure::from)
    }
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let too_slow = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    tokio::time::timeout(limit, answer).await.unwrap_or_else(too_slow)
}

/// Whether a command may be sent again when its outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Only where the first one cannot have arrived.
    Never,
}

impl Repeat {
    fn allows(self, error: &RedisError) -> bool {
        // What a lost connection leaves behind is seen by the next command alone.
        error.is_connection_refusal() || (self == Self::Safe && (error.is_connection_dropped() || error.is_timeout()))
    }
}

/// Why the server gave no answer: for the operator. Holds neither the URL nor anything that was sent.
#[derive(Clone, Debug)]
pub(crate) struct RedisFailure {
    what: String,
    is_refusal: bool,
}

impl RedisFailure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_refusal: false }
    }

    /// The server has answered, and does not do it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_refusal
    }
}

impl From<RedisError> for RedisFailure {
    fn from(error: RedisError) -> Self {
        // The text of a server's error may quote a command; its code does not.
        let is_refusal = error.code().is_some();
        let what = match error.code() {
            Some(code @ ("NOAUTH" | "WRONGPASS")) => format!("the server wants a user and a password ({code})"),
            Some(code) => format!("{}: {code}", error.category()),
            None if error.is_connection_refusal() => "nobody listens there".to_owned(),
            None if error.is_connection_dropped() => "the connection was lost".to_owned(),
            None if error.is_timeout() => "no answer in time".to_owned(),
            None => error.category().to_owned(),
        };
        Self { what, is_refusal }
    }
}

impl fmt::Display for RedisFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis: {}", self.what)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
