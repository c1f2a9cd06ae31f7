//! What is on the server, and the one script that changes it.
//!
//! - `revoked:ids`, a sorted set by the second in which an entry leaves; `revoked:subjects`, by the last `iat` that is
//!   refused. Members are the 16 bytes of an [`EntryKey`].
//! - `revoked:stream`, the changes, 10,000 records of them. Each names in `after` the record before it.
//! - `revoked:meta`: `epoch`, drawn at random when the rest began; `last`, the id of the last record; `lives`, the longest
//!   lifetime that any instance was built with.
//!
//! Every write is one run of the script, which also drops a thousand expired entries. What is known already changes
//! nothing, so that to send something twice is as good as once.

use redis::{Script, ScriptInvocation};

use crate::jose::compact::encode;
use crate::redis::Redis;
use crate::revocation::key::{EntryKey, Kind};
use crate::revocation::list::{Entry, RevocationList};
use crate::revocation::table::{MARGIN, Seconds};

/// How many entries are sent at once: the server does nothing else for about a millisecond.
pub(super) const CHUNK: usize = 500;

/// How many records the stream keeps, about: who was away for longer reads everything.
const RECORDS: usize = 10_000;

const SCRIPT: &str = r"
local meta, ids, subjects, stream = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = tonumber(redis.call('TIME')[1])
local known = redis.call('HMGET', meta, 'epoch', 'last', 'lives')
local epoch, last, lives = known[1], known[2] or '0-0', tonumber(known[3] or 0)
if not epoch then
  epoch, last = ARGV[1], '0-0'
  redis.call('HSET', meta, 'epoch', epoch)
  redis.call('HDEL', meta, 'last')
  redis.call('DEL', stream)
end
if tonumber(ARGV[2]) > lives then
  lives = tonumber(ARGV[2])
  redis.call('HSET', meta, 'lives', ARGV[2])
end
local gone = { [ids] = now, [subjects] = now - lives - tonumber(ARGV[3]) }
for key, time in pairs(gone) do
  local expired = redis.call('ZRANGEBYSCORE', key, '-inf', time, 'LIMIT', 0, 1000)
  if #expired > 0 then redis.call('ZREM', key, unpack(expired)) end
end
local room = tonumber(ARGV[4]) - redis.call('ZCARD', ids) - redis.call('ZCARD', subjects)
local record, refused = {}, {}
for at = 6, #ARGV, 3 do
  local kind, member, time = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local key = kind == 's' and subjects or ids
  local old = redis.call('ZSCORE', key, member)
  if tonumber(time) > gone[key] and (not old or tonumber(old) < tonumber(time)) then
    if not old and room <= 0 then
      refused[#refused + 1] = (at - 6) / 3
    else
      if not old then room = room - 1 end
      redis.call('ZADD', key, time, member)
      record[#record + 1] = kind .. member
      record[#record + 1] = time
    end
  end
end
if #record > 0 then
  last = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], '*', 'after', epoch .. ' ' .. last, unpack(record))
  redis.call('HSET', meta, 'last', last)
end
return {epoch, last, refused}
";

/// The names of the keys, and the script.
pub(super) struct Scripts {
    script: Script,
    pub(super) meta: String,
    ids: String,
    subjects: String,
    pub(super) stream: String,
}

/// Up to where the changes are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: String,
    /// The id of a record.
    pub(super) last: String,
}

impl Place {
    /// What the next record has in `after`.
    pub(super) fn next_after(&self) -> String {
        format!("{} {}", self.epoch, self.last)
    }
}

/// What the script answers: the place, and which of the entries there was no room for.
pub(super) type Reply = (String, String, Vec<usize>);

impl Scripts {
    pub(super) fn new(redis: &Redis) -> Self {
        let [meta, ids, subjects, stream] =
            ["meta", "ids", "subjects", "stream"].map(|name| redis.key(format_args!("revoked:{name}")));
        Self { script: Script::new(SCRIPT), meta, ids, subjects, stream }
    }

    pub(super) fn key(&self, kind: Kind) -> &str {
        match kind {
            Kind::Id => &self.ids,
            Kind::Subject => &self.subjects,
        }
    }

    /// Publishes entries; with none it says where the changes are.
    pub(super) fn publish(&self, entries: &[Entry], list: &RevocationList) -> ScriptInvocation<'_> {
        let epoch = crate::crypto::random_secret().map(|secret| encode(&secret[..16])).unwrap_or_default();
        let mut call = self.script.prepare_invoke();
        call.key(&self.meta).key(&self.ids).key(&self.subjects).key(&self.stream);
        call.arg(epoch).arg(list.seconds_to_live()).arg(MARGIN).arg(list.most()).arg(RECORDS);
        for Entry { kind, key, time } in entries {
            call.arg(&[kind.letter()]).arg(key.0.as_slice()).arg(*time);
        }
        call
    }
}

/// An entry from the name and the value of a record's field.
pub(super) fn entry(name: &[u8], time: &[u8]) -> Option<Entry> {
    let (letter, key) = name.split_first()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.letter() == *letter)?;
    let time: Seconds = std::str::from_utf8(time).ok()?.parse().ok()?;
    Some(Entry { kind, key: EntryKey(key.try_into().ok()?), time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_record_is_an_entry_or_nothing() {
        let read = entry(b"s0123456789abcdef", b"1700000000").expect("an entry");
        assert!(read.kind == Kind::Subject && read.key.0 == *b"0123456789abcdef" && read.time == 1_700_000_000);
        assert!(entry(b"i0123456789abcdef", b"4294967295").is_some());
        for (name, time) in [
            (&b""[..], &b"1"[..]),
            (b"i", b"1"),
            (b"x0123456789abcdef", b"1"),
            (b"i0123456789abcdef0", b"1"),
            (b"i0123456789abcdef", b""),
            (b"i0123456789abcdef", b"-1"),
            (b"i0123456789abcdef", b"4294967296"),
            (b"i0123456789abcdef", b"\xff"),
        ] {
            assert!(entry(name, time).is_none());
        }
    }
}
