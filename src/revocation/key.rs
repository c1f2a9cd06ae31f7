//! What an entry is found by: 16 bytes of a SHA-256, the same on every instance.
//!
//! Of issuer and id alike only hashes are kept, in memory and on a server, so an entry has one size and says nothing of
//! whom it is about. With 128 bits, nobody finds an id of their own that stands for another's.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::crypto;

/// An issuer, hashed once for all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IssuerKey([u8; 16]);

impl IssuerKey {
    /// `None` without a backend for cryptography.
    pub(crate) fn new(issuer: &str) -> Option<Self> {
        crypto::sha256(issuer.as_bytes()).map(|hash| Self(front(hash)))
    }
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// One token, or one session.
    Id,
    /// What a subject got up to a time.
    Subject,
}

impl Kind {
    #[cfg(feature = "redis")]
    pub(super) const ALL: [Self; 2] = [Self::Id, Self::Subject];

    pub(super) const fn letter(self) -> u8 {
        match self {
            Self::Id => b'i',
            Self::Subject => b's',
        }
    }
}

/// The place of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryKey(pub(super) [u8; 16]);

impl EntryKey {
    /// `None` without a backend for cryptography.
    pub(super) fn new(issuer: IssuerKey, kind: Kind, text: &str) -> Option<Self> {
        // The first parts have a fixed length, so that no two triples make the same bytes. Those of an id in the usual
        // length are one block for the hash.
        let mut short = [0; 128];
        let long;
        let len = 17 + text.len();
        let bytes = match short.get_mut(..len) {
            Some(short) => {
                short[..16].copy_from_slice(&issuer.0);
                short[16] = kind.letter();
                short[17..].copy_from_slice(text.as_bytes());
                &*short
            }
            None => {
                long = [&issuer.0[..], &[kind.letter()], text.as_bytes()].concat();
                &*long
            }
        };
        crypto::sha256(bytes).map(|hash| Self(front(hash)))
    }

    pub(super) fn shard(self) -> u8 {
        self.0[0]
    }
}

impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // What comes after the byte that has chosen the shard.
        let [_, bytes @ .., _, _, _, _, _, _, _] = self.0;
        state.write_u64(u64::from_le_bytes(bytes));
    }
}

fn front(hash: [u8; 32]) -> [u8; 16] {
    let [front @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
    front
}

/// Keys are hashes already: one multiplication with a secret of the process is enough to spread them, and to keep
/// those who choose ids from crowding them.
#[derive(Clone, Copy)]
pub(super) struct Spread(u64);

impl Default for Spread {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8) | 1)
    }
}

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        Spreading { secret: self.0, hash: 0 }
    }
}

pub(super) struct Spreading {
    secret: u64,
    hash: u64,
}

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word) * u128::from(self.secret);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.hash = low ^ high;
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    #[test]
    fn issuer_kind_and_text_all_count_and_length_does_not_matter() {
        let key = |issuer: &str, kind, text: &str| {
            EntryKey::new(IssuerKey::new(issuer).expect("a backend"), kind, text).expect("a backend").0
        };
        let long = "x".repeat(111);
        let longer = "x".repeat(112);
        let mut keys = vec![
            key("i", Kind::Id, "a"),
            key("i", Kind::Subject, "a"),
            key("j", Kind::Id, "a"),
            key("i", Kind::Id, "b"),
            key("i", Kind::Id, ""),
            key("", Kind::Id, ""),
            key("i", Kind::Id, &long),
            key("i", Kind::Id, &longer),
        ];
        assert_eq!(key("i", Kind::Id, &longer), keys[7]);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    /// Instances of different builds must find each other's entries.
    #[test]
    fn a_key_is_the_front_of_a_sha_256_in_every_build() {
        let key = |text: &str| {
            let issuer = IssuerKey::new("https://issuer.test").expect("a backend");
            let issuer_hash = crypto::sha256(b"https://issuer.test").expect("a backend");
            let plain = crypto::sha256(&[&issuer_hash[..16], b"i", text.as_bytes()].concat()).expect("a backend");
            (EntryKey::new(issuer, Kind::Id, text).expect("a backend").0, front(plain))
        };
        for text in ["", "a", &"é".repeat(200)] {
            let (made, plain) = key(text);
            assert_eq!(made, plain, "{text}");
        }
    }
}
