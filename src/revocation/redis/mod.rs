//! Revocations that several instances share, through a Redis server.

mod follow;
mod script;
mod shared;
mod status;

pub use status::RevocationStatus;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::shared::Shared;
use super::check::{Revocation, RevocationVerdict, TokenFacts};
use super::error::{RevokeError, RevokeErrorKind};
use super::list::{Entry, RETRY_AFTER, RevocationList};
use crate::clock::UnixTime;
use crate::redis::Redis;

/// Revocations on a Redis server: any instance writes, every instance follows. A cheap clone; one goes to the verifier,
/// one to whoever revokes.
///
/// Requests are judged by a [`RevocationList`] in memory. A task on the tokio runtime of the first use (a check, a
/// revocation, [`ready`](Self::ready)) reads everything at the start, and then follows a stream; a revocation is in force
/// on every instance within milliseconds. The task ends with the last clone. All instances have the same bounds.
///
/// # What is promised
///
/// - **Nothing is missed.** Every record of the stream names the one before it, so an instance that was away sees whether
///   it has all; where it has not (a trimmed stream, a server that was emptied or restored), it reads everything anew.
/// - **Before the first full read** nobody can say, and every token is answered 503 (but one that is known to be revoked).
/// - **While the server is away** the last state serves, for 5 minutes unless [set](RedisRevocationsBuilder::stale_after)
///   otherwise. Past that, 503, or what
///   [`danger_serve_when_stale`](RedisRevocationsBuilder::danger_serve_when_stale) chooses. [`status`](Self::status)
///   says how old it is.
/// - **An instance never forgets on account of the server.** One that restarts empty, or loses its tail, is told again by
///   every instance that runs; an instance that starts before that knows only what the server then holds.
/// - **A full server** (the bound of the list) is an error to the one who revokes. An instance holds up to twice as many,
///   which leaves room for what the server has lost.
/// - **A server that answers and takes nothing**, as one whose memory is full, or which is a primary no longer, is followed
///   all the same. What was revoked here is sent again every 10 seconds, over a new connection, which a failover may have
///   led elsewhere. An instance that has nothing to send stays with an old primary until its connection ends: let a
///   failover end them, as Sentinel does.
///
/// # What an acknowledgement means
///
/// `Ok` from [`revoke`](Self::revoke) says that the revocation is in force here and that the server has it. An error of the
/// kind [`NotShared`](RevokeErrorKind::NotShared) says that it is in force here, and that this instance publishes it as soon
/// as it can: the others learn of it then, unless this process ends before. To revoke again does no harm.
///
/// What the server has it may lose, in which case running instances tell it again; lost for good is only what no running
/// instance holds:
///
/// | `appendonly yes`, `appendfsync` | The server process dies | The machine dies |
/// |---|---|---|
/// | `always` | nothing is lost | nothing is lost |
/// | `everysec` | nothing is lost | up to two seconds |
/// | `no` | nothing is lost | what the system has not written yet, some 30 seconds |
/// | no append-only file | everything since the last snapshot | the same |
///
/// In a failover the new primary lacks what had not reached it: replication does not wait for replicas, unless
/// `min-replicas-to-write` stops writes while they lag. A server that evicts loses what it likes: it needs
/// `maxmemory-policy noeviction`. Where that or the append-only file is missing, [`status`](Self::status) and one event say so.
///
/// Keys hold hashes of issuers, ids and subjects, of about 150 bytes each on the server.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_jwt_auth::revocation::{RedisRevocations, RevocationList};
/// use tower_jwt_auth::{Issuer, Redis, Verifier};
///
/// # async fn run(issuer: Issuer) -> Result<(), Box<dyn std::error::Error>> {
/// let list = RevocationList::builder().max_lifetime(Duration::from_secs(3600)).build();
/// let revocations = RedisRevocations::new(list, Redis::open("redis://127.0.0.1/")?);
/// let issuer = issuer.max_lifetime(Duration::from_secs(3600));
/// let verifier = Verifier::<serde_json::Value>::builder().trust(issuer).revocation(revocations.clone()).build()?;
/// revocations.ready().await?;
///
/// revocations.revoke("https://login.example.com", "9b2e", None).await?;
/// # let _ = verifier;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisRevocations(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Dropped with the last handle, which ends the task.
    closer: watch::Sender<()>,
}

/// Builds [`RedisRevocations`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisRevocationsBuilder {
    list: RevocationList,
    redis: Redis,
    stale_after: Duration,
    serves_when_stale: bool,
}

impl RedisRevocations {
    /// Revocations on this server, judged by this list: its bounds are those of the server as well. What it holds already
    /// is published. Nothing is connected yet.
    pub fn new(list: RevocationList, redis: Redis) -> Self {
        Self::builder(list, redis).build()
    }

    /// The same, with knobs.
    pub fn builder(list: RevocationList, redis: Redis) -> RedisRevocationsBuilder {
        RedisRevocationsBuilder { list, redis, stale_after: Duration::from_secs(5 * 60), serves_when_stale: false }
    }

    /// Revokes what has this id, as [`RevocationList::revoke`] does, on every instance.
    ///
    /// It ends within four times the server's [time limit](Redis::timeout). Dropped before that, it goes on: the revocation
    /// is in force here, and is published.
    ///
    /// # Errors
    /// When the list or the server is full, when the time is not known and there is no longest lifetime, or
    /// [`NotShared`](RevokeErrorKind::NotShared).
    pub async fn revoke(
        &self,
        issuer: &str,
        id: &str,
        expires_at: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let entry = self.0.shared.list.id_entry(issuer, id, expires_at.into())?;
        self.enter(entry).await
    }

    /// Revokes everything that the issuer has issued to this `sub` up to this time, as [`RevocationList::revoke_subject`]
    /// does, on every instance, and with the same effect on a login in the next moments.
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke).
    pub async fn revoke_subject(&self, issuer: &str, subject: &str, before: UnixTime) -> Result<(), RevokeError> {
        let entry = self.0.shared.list.subject_entry(issuer, subject, before)?;
        self.enter(entry).await
    }

    async fn enter(&self, entry: Entry) -> Result<(), RevokeError> {
        let shared = &self.0.shared;
        shared.list.enter(entry)?;
        let unpublished = shared.unpublished(entry);
        self.0.ensure_task()?;
        match shared.send(entry).await {
            Ok(true) => {
                unpublished.published();
                Ok(())
            }
            Ok(false) => Err(RevokeError::new(RevokeErrorKind::Full).with_detail("the server holds as many as it may")),
            Err(failure) => Err(RevokeError::new(RevokeErrorKind::NotShared).with_detail(failure)),
        }
    }

    /// Waits until everything has been read, however long the server takes: before a service takes traffic. Bound it with a
    /// timeout of your own, and then say what it waits for: [`status`](Self::status) has it in `last_error`.
    ///
    /// # Errors
    /// When there is no tokio runtime.
    pub async fn ready(&self) -> Result<(), RevokeError> {
        let mut changes = self.0.shared.changes();
        loop {
            self.0.ensure_task()?;
            if self.0.shared.is_usable() {
                return Ok(());
            }
            // A runtime that goes away with the task may do so silently.
            let _ = timeout(Duration::from_secs(1), changes.changed()).await;
        }
    }

    /// True while tokens can be judged: everything has been read, and is not stale. Starts following where there is a
    /// runtime.
    pub fn is_ready(&self) -> bool {
        let _ = self.0.ensure_task();
        self.0.shared.is_usable()
    }

    /// The state at this moment.
    pub fn status(&self) -> RevocationStatus {
        self.0.shared.status()
    }
}

impl Inner {
    /// Starts the task, or starts it again where its runtime has gone.
    fn ensure_task(&self) -> Result<(), RevokeError> {
        if self.shared.is_followed() {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|_| RevokeError::new(RevokeErrorKind::NoRuntime))?;
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(runtime.spawn(follow::run(Arc::clone(&self.shared), self.closer.subscribe())));
        }
        Ok(())
    }
}

impl Revocation for RedisRevocations {
    fn check(&self, token: &TokenFacts<'_>) -> RevocationVerdict {
        let shared = &self.0.shared;
        // Without a runtime nothing is followed, and the state is or becomes stale.
        let _ = self.0.ensure_task();
        // Asked first: what the first full read brings may come between the two.
        let is_usable = shared.is_usable();
        match shared.list.check(token) {
            RevocationVerdict::Valid if !is_usable => RevocationVerdict::Unknown { retry_after: RETRY_AFTER },
            verdict => verdict,
        }
    }

    fn max_lifetime(&self) -> Option<Duration> {
        self.0.shared.list.max_lifetime()
    }
}

impl RedisRevocationsBuilder {
    /// For how long the last state serves while the server is away: 5 minutes unless set. A token that was revoked
    /// elsewhere meanwhile passes here for so long.
    pub fn stale_after(mut self, age: Duration) -> Self {
        self.stale_after = age;
        self
    }

    /// Serves on with the last state however old it is, instead of answering 503. Gives up the bound on how long a token
    /// that was revoked elsewhere passes here: for services that would rather be open than down. Before the first full
    /// read it is 503 all the same.
    pub fn danger_serve_when_stale(mut self) -> Self {
        self.serves_when_stale = true;
        self
    }

    /// The handle.
    pub fn build(self) -> RedisRevocations {
        let shared = Shared::new(self.list, self.redis, (!self.serves_when_stale).then_some(self.stale_after));
        let (task, closer) = (Mutex::new(None), watch::Sender::new(()));
        RedisRevocations(Arc::new(Inner { shared: Arc::new(shared), task, closer }))
    }
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations").field("status", &self.status()).finish_non_exhaustive()
    }
}
