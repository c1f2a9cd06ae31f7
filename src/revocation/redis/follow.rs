//! The task: reads everything, then follows the changes.
//!
//! It ends when the last handle is dropped. A runtime that goes away takes it along; the next use starts another.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::script::{CHUNK, Place, Reply, entry};
use super::shared::Shared;
use crate::events::{self, Store};
use crate::redis::{Link, RedisFailure};
use crate::revocation::key::{EntryKey, Kind};
use crate::revocation::list::Entry;
use crate::revocation::table::Seconds;

/// How long the server waits for a change before it says that there is none. Then it is asked whether that is so, and told
/// what it may not have.
const POLL: Duration = Duration::from_secs(1);

/// The wait before the server is tried again, doubled from the first to the last.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// How long to wait before more is sent to a server that is full.
const FULL_FOR: Duration = Duration::from_secs(30);

/// How long to wait before it is sent again to a server that did not take it: longer than any wait between connections.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Until `closed` says that the last handle is gone.
pub(super) async fn run(shared: Arc<Shared>, mut closed: watch::Receiver<()>) {
    struct Followed(Arc<Shared>);
    impl Drop for Followed {
        fn drop(&mut self) {
            self.0.is_followed.store(false, Ordering::Release);
            self.0.wake();
        }
    }
    shared.is_followed.store(true, Ordering::Release);
    let followed = Followed(shared);
    tokio::select! {
        () = follow(&followed.0) => {}
        // Never a value: the sender is only ever dropped.
        _ = closed.changed() => {}
    }
}

async fn follow(shared: &Shared) {
    let (mut place, mut wait) = (None, BACKOFF[0]);
    loop {
        let start = Instant::now();
        let Err(failure) = session(shared, &mut place).await;
        events::store_failed(Store::RevokedTokens, &failure);
        shared.notes().last_error = Some(failure.to_string());
        // A connection that stood for a while was a good one.
        wait = if start.elapsed() > BACKOFF[1] { BACKOFF[0] } else { wait };
        sleep(wait.mul_f64(0.5 + 0.5 * random())).await;
        wait = (wait * 2).min(BACKOFF[1]);
    }
}

/// Evenly spread in 0 … 1, from the seed that the standard library draws for its maps.
#[expect(clippy::cast_precision_loss, reason = "jitter")]
fn random() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

/// One connection, until it is lost.
async fn session(shared: &Shared, place: &mut Option<Place>) -> Result<Infallible, RedisFailure> {
    let link = &mut shared.redis.link().await?;
    shared.doubt_unseen();
    look_at_durability(shared, link).await;
    loop {
        let next = match place.take() {
            Some(known) => {
                publish_pending(shared, link).await.inspect_err(|_| *place = Some(known.clone()))?;
                follow_on(shared, link, &known).await.inspect_err(|_| *place = Some(known))?
            }
            None => None,
        };
        *place = match next {
            Some(next) => Some(next),
            None => Some(read_all(shared, link).await?),
        };
        shared.confirm();
    }
}

/// Everything: what this instance holds to the server, in case that has lost it, then what the server holds.
async fn read_all(shared: &Shared, link: &mut Link) -> Result<Place, RedisFailure> {
    if let Err(failure) = publish_all(shared, link).await {
        put_off(shared, failure)?;
        shared.pending().all = true;
    }
    let Place { epoch, last } = match link.script::<Reply>(&shared.scripts.publish(&[], &shared.list)).await {
        Ok((epoch, last, _)) => Place { epoch, last },
        Err(failure) => {
            put_off(shared, failure)?;
            head(shared, link).await?.ok_or_else(|| RedisFailure::new("the server is empty, and takes nothing"))?
        }
    };
    let mut read = 0;
    for kind in Kind::ALL {
        let mut cursor = String::from("0");
        loop {
            // What is there all the time is in one of the parts; what comes meanwhile is in the stream.
            let mut part = cmd("ZSCAN");
            part.arg(shared.scripts.key(kind)).arg(&cursor).arg("COUNT").arg(2000);
            let (next, members): (String, Vec<(Vec<u8>, f64)>) = link.query(&part).await?;
            read += members.len();
            for (key, time) in members {
                let key = key.try_into().map_err(|_| foreign())?;
                // A score is a whole number of seconds; casting saturates.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                shared.take(Entry { kind, key: EntryKey(key), time: time as Seconds })?;
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    match head(shared, link).await? {
        Some(now) if now.epoch == epoch => {}
        _ => return Err(RedisFailure::new("the server was emptied while it was read")),
    }
    events::store_read(Store::RevokedTokens, read);
    shared.notes().full_reads += 1;
    Ok(Place { epoch, last })
}

/// Where the server's changes are; `None` where it has nothing.
async fn head(shared: &Shared, link: &mut Link) -> Result<Option<Place>, RedisFailure> {
    let mut ask = cmd("HMGET");
    ask.arg(&shared.scripts.meta).arg("epoch").arg("last");
    let (epoch, last): (Option<String>, Option<String>) = link.query(&ask).await?;
    Ok(epoch.map(|epoch| Place { epoch, last: last.unwrap_or_else(|| "0-0".to_owned()) }))
}

/// The fields of a record: `after`, then entries.
type Record = (String, Vec<(Vec<u8>, Vec<u8>)>);

/// Waits for changes, and takes them: the place behind them. `None` where there is a gap.
async fn follow_on(shared: &Shared, link: &mut Link, known: &Place) -> Result<Option<Place>, RedisFailure> {
    let unseen = shared.unseen();
    let mut records = changes(shared, link, known, Some(POLL)).await?;
    if records.is_empty() {
        if head(shared, link).await?.as_ref() == Some(known) {
            shared.seen(unseen);
            return Ok(Some(known.clone()));
        }
        // A change that came in between, or a server that has another past.
        records = changes(shared, link, known, None).await?;
        if records.is_empty() {
            return Ok(None);
        }
    }
    let is_all = records.len() < RECORDS_AT_ONCE;
    let mut place = known.clone();
    for (id, fields) in records {
        let mut fields = fields.into_iter();
        let after = fields.next().filter(|(name, _)| name == b"after");
        if after.is_none_or(|(_, after)| after != place.next_after().into_bytes()) {
            return Ok(None);
        }
        for (name, time) in fields {
            shared.take(entry(&name, &time).ok_or_else(foreign)?)?;
        }
        place.last = id;
    }
    if is_all {
        shared.seen(unseen);
    }
    Ok(Some(place))
}

/// How many records are read at once.
const RECORDS_AT_ONCE: usize = 50;

/// The records behind this place, 50 at most, each of up to 500 entries; after waiting for the first, if asked to.
async fn changes(
    shared: &Shared,
    link: &mut Link,
    known: &Place,
    wait: Option<Duration>,
) -> Result<Vec<Record>, RedisFailure> {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(RECORDS_AT_ONCE);
    if let Some(wait) = wait {
        read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    read.arg("STREAMS").arg(&shared.scripts.stream).arg(&known.last);
    let streams: Vec<(String, Vec<Record>)> = link.query_waiting(&read, wait.unwrap_or_default()).await?;
    Ok(streams.into_iter().flat_map(|(_, records)| records).collect())
}

fn foreign() -> RedisFailure {
    RedisFailure::new("there is something else under the names of the keys: choose a prefix of one's own")
}

/// What failed to be published. Where the server does not take it, as one whose memory is full, or which is a primary no
/// longer, the next connection follows for a while without, and may lead to another server.
async fn publish_pending(shared: &Shared, link: &mut Link) -> Result<(), RedisFailure> {
    let taken = {
        let mut pending = shared.pending();
        if pending.not_before.is_some_and(|time| Instant::now() < time) {
            return Ok(());
        }
        std::mem::take(&mut *pending)
    };
    let entries = taken.entries();
    let sent = if taken.all { publish_all(shared, link).await } else { publish(shared, link, &entries).await };
    let Err(failure) = sent else { return Ok(()) };
    let mut pending = shared.pending();
    pending.all |= taken.all;
    pending.add(entries);
    if failure.is_refusal() {
        pending.not_before = Some(Instant::now() + REFUSED_FOR);
    }
    Err(failure)
}

/// Sends later what a server that answers does not take, and reads what it has. Any other failure ends the connection.
fn put_off(shared: &Shared, failure: RedisFailure) -> Result<(), RedisFailure> {
    if !failure.is_refusal() {
        return Err(failure);
    }
    events::store_failed(Store::RevokedTokens, &failure);
    shared.pending().not_before = Some(Instant::now() + REFUSED_FOR);
    Ok(())
}

/// Everything that this instance holds.
async fn publish_all(shared: &Shared, link: &mut Link) -> Result<(), RedisFailure> {
    for part in shared.list.entries() {
        publish(shared, link, &part).await?;
    }
    Ok(())
}

async fn publish(shared: &Shared, link: &mut Link, entries: &[Entry]) -> Result<(), RedisFailure> {
    for chunk in entries.chunks(CHUNK) {
        let (_, _, refused): Reply = link.script(&shared.scripts.publish(chunk, &shared.list)).await?;
        if !refused.is_empty() {
            let mut pending = shared.pending();
            pending.add(refused.into_iter().filter_map(|at| chunk.get(at).copied()));
            pending.not_before = Some(Instant::now() + FULL_FOR);
        }
    }
    Ok(())
}

/// Whether the server keeps what it is given. It may not say, and then nothing is known.
async fn look_at_durability(shared: &Shared, link: &mut Link) {
    let mut info = String::new();
    for section in ["memory", "persistence"] {
        info.push_str(&link.query::<String>(cmd("INFO").arg(section)).await.unwrap_or_default());
    }
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let configured: Vec<(String, String)> =
        link.query(cmd("CONFIG").arg("GET").arg("appendfsync")).await.unwrap_or_default();
    let mut notes = shared.notes();
    notes.never_evicts = value("maxmemory_policy").map(|policy| policy == "noeviction");
    notes.append_only = value("aof_enabled").map(|enabled| enabled == "1");
    notes.append_fsync = configured.into_iter().next().map(|(_, value)| value);
    let missing = match (notes.never_evicts, notes.append_only) {
        (Some(false), _) => "it may evict: set `maxmemory-policy noeviction`",
        (_, Some(false)) => "it has no append-only file: set `appendonly yes`",
        _ => return,
    };
    let has_warned = std::mem::replace(&mut notes.has_warned, true);
    // Who listens may ask for the status.
    drop(notes);
    if !has_warned {
        events::store_may_forget(Store::RevokedTokens, missing);
    }
}
