//! What a ring holds and when it changes: pure functions of the state and the time.
//!
//! - A key says from when it signs, and signs until the next one does: no transition needs a write.
//! - It leaves when the last token that it may have signed has been expired for the leeway of verifiers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::KeyRingError;
use super::store::KeyRingDocument;
use crate::clock::UnixTime;
use crate::crypto;
use crate::issue::SigningKey;
use crate::jose::Algorithm;
use crate::jose::compact::{decode_secret, encode};

/// How many keys a ring may hold: verifiers look at a hundred.
pub(super) const MOST_KEYS: usize = 64;

/// The numbers. Each is an option of the builder.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) algorithm: Algorithm,
    pub(super) max_age: Duration,
    pub(super) ahead: Duration,
    pub(super) stale_for: Duration,
    pub(super) longest: Duration,
    pub(super) leeway: Duration,
    pub(super) every: Option<Duration>,
}

impl Rules {
    /// How long a key is published after the next one has begun to sign: an instance that has not heard of it may sign
    /// that long, and the tokens have to expire.
    pub(super) fn outlives(&self) -> Duration {
        self.stale_for.saturating_add(self.longest).saturating_add(self.leeway)
    }

    /// How old a state may be that is published. What an answer lacks was added after the state was read, and signs
    /// `ahead` after that; the answer is forgotten `max_age` after it was given. A tenth of it is left to clocks.
    pub(super) fn publishable_for(&self) -> Duration {
        self.ahead.saturating_sub(self.max_age).saturating_sub(self.max_age / 10)
    }
}

/// What a key of a ring is there for at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyPhase {
    /// In the JWK set, and not signing yet, so that verifiers get to know it.
    Published,
    /// Signs, and is in the JWK set.
    Signing,
    /// No longer signs, and is in the JWK set until its last token has expired.
    Retiring,
}

/// What happens to a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What is due by itself.
    Scheduled,
    /// A new key, whatever the schedule.
    Rotate,
    /// A key is gone at once.
    Withdraw(String),
}

/// A key, and its times.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: SigningKey,
    private: Zeroizing<Vec<u8>>,
    published: UnixTime,
    pub(super) signs_from: UnixTime,
    outlives: Duration,
}

/// A key that has no times yet.
pub(super) struct Fresh {
    key: SigningKey,
    private: Zeroizing<Vec<u8>>,
}

/// The keys of a ring, in the order in which they sign.
#[derive(Clone, Default)]
pub(super) struct State {
    /// Grows with every change; 0 for a ring that nobody has begun.
    pub(super) version: u64,
    keys: Vec<Entry>,
}

impl Fresh {
    /// Takes its time for RSA.
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, KeyRingError> {
        let private = crypto::SigningKey::generate_private(algorithm)?;
        let key = crypto::SigningKey::new(algorithm, &private)?;
        Ok(Self { key: SigningKey::new(key, None)?, private })
    }

    fn entry(self, published: UnixTime, signs_from: UnixTime, rules: &Rules) -> Entry {
        Entry { key: self.key, private: self.private, published, signs_from, outlives: rules.outlives() }
    }
}

impl State {
    /// The keys that are published, and what for.
    pub(super) fn published(&self, now: UnixTime) -> impl Iterator<Item = (&Entry, KeyPhase)> {
        (0..self.keys.len()).filter_map(move |at| Some((&self.keys[at], self.phase(at, now)?)))
    }

    /// The key that signs.
    pub(super) fn signing(&self, now: UnixTime) -> Option<&Entry> {
        self.keys.get(self.signing_at(now))
    }

    /// The last that may. Where the clock of another instance is ahead of this one's, the first key may not have begun.
    fn signing_at(&self, now: UnixTime) -> usize {
        self.keys.iter().rposition(|key| key.signs_from <= now).unwrap_or(0)
    }

    /// `None` once a key has left.
    fn phase(&self, at: usize, now: UnixTime) -> Option<KeyPhase> {
        let signing = self.signing_at(now);
        if at > signing {
            return Some(KeyPhase::Published);
        }
        if at == signing {
            return Some(KeyPhase::Signing);
        }
        let leaves = self.keys.get(at + 1)?.signs_from.plus(self.keys[at].outlives);
        (now < leaves).then_some(KeyPhase::Retiring)
    }

    /// When the key that comes next signs.
    pub(super) fn next_signs_from(&self, now: UnixTime) -> Option<UnixTime> {
        self.keys.get(self.signing_at(now) + 1).map(|key| key.signs_from)
    }

    /// Whether a key is here that this change takes out.
    pub(super) fn undoes(&self, change: &Change) -> bool {
        matches!(change, Change::Withdraw(kid) if self.keys.iter().any(|key| key.key.kid() == Some(kid)))
    }

    pub(super) fn newest_algorithm(&self) -> Option<Algorithm> {
        self.keys.last().map(|key| key.key.algorithm())
    }

    /// Whether a change needs a new key.
    pub(super) fn wants_key(&self, change: &Change, now: UnixTime, rules: &Rules) -> bool {
        let is_waiting = self.next_signs_from(now).is_some();
        match change {
            _ if self.keys.is_empty() => true,
            Change::Scheduled => self
                .keys
                .last()
                .zip(rules.every)
                .is_some_and(|(newest, every)| newest.signs_from.plus(every).minus(rules.ahead) <= now),
            Change::Rotate => !is_waiting,
            Change::Withdraw(kid) => {
                let signing = self.signing(now).and_then(|signing| signing.key.kid());
                signing == Some(kid) && !is_waiting
            }
        }
    }

    /// The state after a change; `None` where there is nothing to change. `fresh` is there where it is wanted.
    pub(super) fn after(
        &self,
        change: &Change,
        now: UnixTime,
        rules: &Rules,
        fresh: Option<Fresh>,
    ) -> Result<Option<Self>, KeyRingError> {
        let mut keys: Vec<Entry> = self.published(now).map(|(key, _)| key.clone()).collect();
        let mut changed = keys.len() != self.keys.len();
        for key in &mut keys {
            // Tokens may live longer than they did when the key was made.
            changed |= key.outlives < rules.outlives();
            key.outlives = key.outlives.max(rules.outlives());
        }
        if let Change::Withdraw(kid) = change {
            let before = keys.len();
            keys.retain(|key| key.key.kid() != Some(kid));
            if keys.len() == before {
                return Err(KeyRingError::new("there is no such key in the ring"));
            }
            changed = true;
        }
        if let Some(fresh) = fresh {
            if keys.len() >= MOST_KEYS {
                return Err(KeyRingError::new(format!(
                    "a ring holds at most {MOST_KEYS} keys: wait until some have left"
                )));
            }
            // Without another that can sign there is nothing to wait for.
            let signs_from = if keys.is_empty() { now } else { now.plus(rules.ahead) };
            keys.push(fresh.entry(now, signs_from, rules));
            changed = true;
        }
        // The key that signed is withdrawn: the one before it signs again, for verifiers know it, or else the next.
        if let Some(first) = keys.first_mut()
            && matches!(change, Change::Withdraw(_))
            && first.signs_from > now
        {
            first.signs_from = now;
        }
        Ok(changed.then(|| Self { version: self.version + 1, keys }))
    }

    pub(super) fn to_document(&self) -> Result<KeyRingDocument, KeyRingError> {
        let texts: Vec<_> = self.keys.iter().map(|key| Zeroizing::new(encode(&key.private))).collect();
        let keys = self.keys.iter().zip(&texts);
        let document = Document {
            format: FORMAT,
            version: self.version,
            keys: keys.map(|(key, private)| key.written(private)).collect(),
        };
        // Room for all of it at once: what grows leaves copies behind.
        let room = 256 + texts.iter().map(|text| text.len() + 256).sum::<usize>();
        let mut bytes = Vec::with_capacity(room);
        serde_json::to_writer(&mut bytes, &document)
            .map_err(|_| KeyRingError::new("the document of the ring cannot be written"))?;
        Ok(KeyRingDocument::new(self.version, bytes))
    }

    pub(super) fn from_document(document: &KeyRingDocument) -> Result<Self, KeyRingError> {
        let broken = || KeyRingError::new("the document of the ring is not one that this version wrote");
        let read: Document<'_> = serde_json::from_slice(document.as_bytes()).map_err(|_| broken())?;
        if read.format != FORMAT || read.version != document.version() || read.keys.is_empty() {
            return Err(broken());
        }
        let keys: Option<Vec<Entry>> = read.keys.iter().map(Written::read).collect();
        let keys = keys.filter(|keys| keys.is_sorted_by_key(|key| key.signs_from)).ok_or_else(broken)?;
        Ok(Self { version: read.version, keys })
    }
}

const FORMAT: u32 = 1;

/// A state as it is kept. Times are in milliseconds.
#[derive(Serialize, Deserialize)]
struct Document<'d> {
    format: u32,
    version: u64,
    #[serde(borrow)]
    keys: Vec<Written<'d>>,
}

#[derive(Serialize, Deserialize)]
struct Written<'d> {
    alg: &'d str,
    /// PKCS #8, in base64url.
    private: &'d str,
    published: i64,
    signs_from: i64,
    outlives: u64,
}

impl Entry {
    fn written<'d>(&self, private: &'d str) -> Written<'d> {
        Written {
            alg: self.key.algorithm().name(),
            private,
            published: self.published.as_millis(),
            signs_from: self.signs_from.as_millis(),
            outlives: u64::try_from(self.outlives.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Written<'_> {
    fn read(&self) -> Option<Entry> {
        let algorithm = Algorithm::from_name(self.alg).filter(|algorithm| !algorithm.is_symmetric())?;
        let private = decode_secret(self.private)?;
        let key = crypto::SigningKey::checked(algorithm, &private, None).ok()?;
        Some(Entry {
            key: SigningKey::new(key, None).ok()?,
            private,
            published: UnixTime::from_millis(self.published),
            signs_from: UnixTime::from_millis(self.signs_from),
            outlives: Duration::from_millis(self.outlives),
        })
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests;
