//! The issuer: its keys, and which of them are published.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::keys::TestKeys;
#[cfg(feature = "remote")]
use super::provider::TestProvider;
use super::token::TokenBuilder;
use crate::clock::Clock;
use crate::crypto::SigningKey;
use crate::jose::Algorithm;
use crate::keys::{KeySet, KeySource};
use crate::verify::Issuer;

/// An issuer of tokens for tests, with keys of its own.
///
/// Clones share the keys, and what happens to them: one may rotate in a test while the other is in a server. Name,
/// audience and clock are each clone's own, so that `authority.clone().named(…)` is another issuer with the same keys.
#[derive(Clone)]
pub struct Authority {
    name: String,
    audience: String,
    clock: Clock,
    ring: Arc<Mutex<Ring>>,
}

/// The keys of an authority.
#[derive(Default)]
pub(super) struct Ring {
    /// The last one signs.
    keys: Vec<Held>,
    /// Counts the changes.
    pub(super) version: u64,
}

struct Held {
    kid: String,
    key: Arc<SigningKey>,
    is_published: bool,
}

impl Ring {
    /// What is published, as a JWK set.
    pub(super) fn jwks(&self) -> String {
        let published = self.keys.iter().filter(|held| held.is_published);
        let keys: Vec<_> = published.map(|held| held.key.to_jwk(&held.kid)).collect();
        json!({ "keys": keys }).to_string()
    }

    pub(super) fn key_set(&self) -> KeySet {
        if !self.keys.iter().any(|held| held.is_published) {
            return KeySet::empty();
        }
        KeySet::jwk_set(self.jwks()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// True where the keys are secrets.
    pub(super) fn is_symmetric(&self) -> bool {
        self.keys.iter().any(|held| held.key.algorithm().is_symmetric())
    }

    fn add(&mut self, algorithm: Algorithm) {
        let key = SigningKey::generate(algorithm).unwrap_or_else(|error| panic!("{error}"));
        let kid = format!("key-{}", self.keys.len() + 1);
        self.keys.push(Held { kid, key: Arc::new(key), is_published: true });
        self.version += 1;
    }

    /// An authority is made with a key, and keys never leave.
    fn newest(&self) -> &Held {
        self.keys.last().expect("an authority is made with a key")
    }

    fn set_published(&mut self, kid: &str, is_published: bool) {
        let held = self.keys.iter_mut().find(|held| held.kid == kid);
        held.unwrap_or_else(|| panic!("there is no key {kid:?}")).is_published = is_published;
        self.version += 1;
    }
}

pub(super) fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Authority {
    /// An authority with one key, whose tokens are from `https://issuer.test` for `test-audience`.
    ///
    /// # Panics
    /// When the backend lacks the algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        let mut ring = Ring::default();
        ring.add(algorithm);
        Self {
            name: "https://issuer.test".to_owned(),
            audience: "test-audience".to_owned(),
            clock: Clock::system(),
            ring: Arc::new(Mutex::new(ring)),
        }
    }

    /// The same with another name, for `iss`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with another audience, for `aud`.
    #[must_use]
    pub fn for_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// The same with another clock, for the times of its tokens.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a key, with which tokens are signed from now on; the older ones stay
    /// published. Keys are called `key-1`, `key-2` and so on.
    ///
    /// # Panics
    /// When the backend lacks the algorithm.
    pub fn add_key(&mut self, algorithm: Algorithm) {
        self.lock().add(algorithm);
    }

    /// A rotation: a new key of the same algorithm signs from now on, and the older ones stay published until they are
    /// withdrawn.
    ///
    /// ```
    /// use tower_jwt_auth::{Algorithm, testing::Authority};
    ///
    /// let authority = Authority::new(Algorithm::ES256);
    /// authority.rotate();
    /// assert_eq!(authority.kid(), "key-2");
    ///
    /// // A provider that signs with a key before it publishes it:
    /// authority.rotate();
    /// authority.withdraw("key-3");
    /// ```
    pub fn rotate(&self) {
        let mut ring = self.lock();
        let algorithm = ring.newest().key.algorithm();
        ring.add(algorithm);
    }

    /// Publishes this key no more. It can still sign.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn withdraw(&self, kid: &str) {
        self.lock().set_published(kid, false);
    }

    /// Publishes the key that signs, and no other.
    pub fn withdraw_old(&self) {
        let mut ring = self.lock();
        let newest = ring.keys.len() - 1;
        for (at, held) in ring.keys.iter_mut().enumerate() {
            held.is_published = at == newest;
        }
        ring.version += 1;
    }

    /// Publishes this key again.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn publish(&self, kid: &str) {
        self.lock().set_published(kid, true);
    }

    /// What its tokens have in `iss`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its tokens have in `aud`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The `kid` of the key that signs.
    pub fn kid(&self) -> String {
        self.lock().newest().kid.clone()
    }

    /// The published keys as a JWK set; for HMAC these are the secrets.
    pub fn jwks(&self) -> String {
        self.lock().jwks()
    }

    /// The published keys, to verify with: those of this moment, whatever happens to the authority later.
    ///
    /// # Panics
    /// When secrets and public keys have been mixed.
    pub fn key_set(&self) -> KeySet {
        self.lock().key_set()
    }

    /// The published keys as a source that follows rotations, fails and hangs on demand, and counts.
    ///
    /// # Panics
    /// When secrets and public keys have been mixed.
    pub fn keys(&self) -> TestKeys {
        TestKeys::new(Arc::clone(&self.ring))
    }

    /// A provider that publishes the keys, without a network: a client for
    /// [`RemoteJwksBuilder::client`](crate::keys::RemoteJwksBuilder::client).
    #[cfg(feature = "remote")]
    pub fn provider(&self) -> TestProvider {
        TestProvider::new(&self.name, Arc::clone(&self.ring))
    }

    /// This authority as a trusted issuer with its audience, for [`JwtAuth::new`](crate::JwtAuth::new). It has the
    /// [keys of this moment](Self::key_set).
    ///
    /// # Panics
    /// When secrets and public keys have been mixed.
    pub fn trusted(&self) -> Issuer {
        self.trusted_with(self.key_set())
    }

    /// The same with keys from this source: [`keys`](Self::keys), a `RemoteJwks` with the `provider` behind it, or
    /// one's own.
    pub fn trusted_with(&self, keys: impl KeySource) -> Issuer {
        Issuer::new(&self.name, keys).audience(&self.audience)
    }

    /// A valid token, good for five minutes, to be made wrong as wanted: `iss`, `aud`, `sub` (`user-1`), `iat`, `exp`, a
    /// `jti` that no other token of this process has, and no scope.
    pub fn token(&self) -> TokenBuilder<'_> {
        TokenBuilder::new(self, self.clock.now().as_secs())
    }

    /// The key that signs, and its `kid`.
    pub(super) fn signer(&self) -> (String, Arc<SigningKey>) {
        let ring = self.lock();
        let held = ring.newest();
        (held.kid.clone(), Arc::clone(&held.key))
    }

    /// The key of this number, and its `kid`.
    pub(super) fn key(&self, index: usize) -> (String, Arc<SigningKey>) {
        let held = &self.lock().keys[index];
        (held.kid.clone(), Arc::clone(&held.key))
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.lock().keys.len();
        f.debug_struct("Authority").field("name", &self.name).field("keys", &keys).finish_non_exhaustive()
    }
}
