//! A fixed set of keys, and the choice among them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::source::{KeyLookup, KeyQuery, KeySource};
use super::{Key, Keys};
use crate::error::ConfigError;
use crate::jose::jwk::{self, Conventions, NotUsed, OwnJson};
use crate::jose::{Algorithm, AlgorithmSet};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How many keys are tried for one token.
const MAX_TRIED: usize = 4;

/// Keys that do not change: a [`KeySource`] that never waits.
///
/// A token's `kid` picks its key; a key without `kid` is a candidate for every token of its algorithm; a token
/// without `kid` is tried against the keys of its algorithm, four at most.
#[derive(Clone)]
pub struct KeySet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// No two sets of a process have the same; 0 for the empty one.
    id: u64,
    /// In the order given, which is the order of trial.
    keys: Vec<Arc<Key>>,
    by_kid: HashMap<Box<str>, Vec<Arc<Key>>>,
    without_kid: Vec<Arc<Key>>,
    algorithms: AlgorithmSet,
    skipped: Vec<SkippedKey>,
}

/// A member of a JWK set that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    index: usize,
    reason: String,
}

impl SkippedKey {
    #[cfg(feature = "remote")]
    pub(super) fn new(index: usize, reason: impl Into<String>) -> Self {
        Self { index, reason: reason.into() }
    }

    /// Its place in the `keys` array, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Why it is not used. Holds no key material.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What a set holds for a token.
pub(crate) enum Found<'s> {
    /// The keys to try, in this order.
    Candidates([Option<&'s Arc<Key>>; MAX_TRIED]),
    /// The `kid` is there, for another algorithm.
    OtherAlgorithm,
    /// Nothing fits.
    Nothing,
}

impl KeySet {
    /// Keys of one's own. Several secrets without `kid` are how secrets rotate: the first that verifies wins.
    ///
    /// # Errors
    /// When there are none, when secrets and public keys are mixed, or when two keys are alike in a `kid` and the
    /// algorithm.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, ConfigError> {
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        if keys.is_empty() {
            return Err(ConfigError::new("a key set needs at least one key"));
        }
        let secrets = keys.iter().filter(|key| key.algorithm().is_symmetric()).count();
        if secrets != 0 && secrets != keys.len() {
            return Err(ConfigError::new(
                "a key set must not mix secrets with public keys: give each its own issuer (RFC 8725 section 3.1)",
            ));
        }
        let set = Self::index(keys, Vec::new());
        for alike in set.0.by_kid.values() {
            for (at, key) in alike.iter().enumerate() {
                if alike[..at].iter().any(|other| other.algorithm() == key.algorithm()) {
                    return Err(ConfigError::new(format!(
                        "two {} keys have the same kid: give each a kid of its own, or none",
                        key.algorithm()
                    )));
                }
            }
        }
        Ok(set)
    }

    /// One HMAC secret: [`Key::secret`].
    ///
    /// # Errors
    /// Those of [`Key::secret`].
    pub fn secret(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new([Key::secret(algorithm, secret)?])
    }

    /// One HMAC secret that is written in base64: [`Key::base64_secret`].
    ///
    /// # Errors
    /// Those of [`Key::base64_secret`].
    pub fn base64_secret(algorithm: Algorithm, text: &str) -> Result<Self, ConfigError> {
        Self::new([Key::base64_secret(algorithm, text)?])
    }

    /// One public key in PEM: [`Key::pem`].
    ///
    /// # Errors
    /// Those of [`Key::pem`].
    pub fn pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new([Key::pem(algorithm, pem)?])
    }

    /// One public key in DER: [`Key::der`].
    ///
    /// # Errors
    /// Those of [`Key::der`].
    pub fn der(algorithm: Algorithm, der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new([Key::der(algorithm, der)?])
    }

    /// One JWK, as JSON text: [`Key::jwk`].
    ///
    /// # Errors
    /// Those of [`Key::jwk`].
    pub fn jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::new([Key::jwk(json)?])
    }

    /// A JWK set, as JSON text (RFC 7517 §5); that of a SPIFFE trust domain is read by
    /// [`spiffe_bundle`](Self::spiffe_bundle). Keys for another use, of an unknown type or with an unknown `alg` are
    /// passed over, see [`skipped`](Self::skipped); a broken or weak one is an error.
    ///
    /// # Errors
    /// When it is no JWK set, when a key is broken or weak, when no key is left, and for the reasons of
    /// [`new`](Self::new).
    pub fn jwk_set(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::read(json.as_ref(), Conventions::default())
    }

    /// A JWK set whose RSA keys without `alg` are for `rsa`, not for RS256.
    ///
    /// # Errors
    /// Those of [`jwk_set`](Self::jwk_set).
    pub fn jwk_set_with(json: impl AsRef<[u8]>, rsa: Algorithm) -> Result<Self, ConfigError> {
        Self::read(json.as_ref(), Conventions::rsa(rsa))
    }

    /// The bundle of a SPIFFE trust domain: a JWK set whose keys for tokens have `use` `jwt-svid`. For
    /// [`providers::spiffe`](crate::providers::spiffe).
    ///
    /// # Errors
    /// Those of [`jwk_set`](Self::jwk_set), and when a key for tokens has no `kid`.
    pub fn spiffe_bundle(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::read(json.as_ref(), Conventions { is_spiffe: true, ..Conventions::default() })
    }

    fn read(json: &[u8], conventions: Conventions) -> Result<Self, ConfigError> {
        let set = OwnJson::parse(json)
            .map_err(|error| ConfigError::new(format!("a JWK set is a JSON object: line {}", error.line())))?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, value) in jwk::members(set.value()).map_err(ConfigError::new)?.iter().enumerate() {
            match Key::from_jwk_value(value, conventions) {
                Ok(key) => keys.push(key),
                Err(NotUsed::NotForUs(reason)) => skipped.push(SkippedKey { index, reason }),
                Err(NotUsed::Invalid(reason)) => return Err(ConfigError::new(reason).at(format_args!("keys[{index}]"))),
            }
        }
        if keys.is_empty() {
            let reasons: Vec<_> = skipped.iter().map(|key| format!("keys[{}]: {}", key.index, key.reason)).collect();
            let why = if reasons.is_empty() { "it is empty".to_owned() } else { reasons.join("; ") };
            return Err(ConfigError::new(format!("the JWK set has no usable key ({why})")));
        }
        let mut set = Self::new(keys)?;
        if let Some(inner) = Arc::get_mut(&mut set.0) {
            inner.skipped = skipped;
        }
        Ok(set)
    }

    /// A set with nothing in it, which verifies nothing.
    pub(crate) fn empty() -> Self {
        Self(Arc::default())
    }

    pub(super) fn index(keys: Vec<Arc<Key>>, skipped: Vec<SkippedKey>) -> Self {
        let mut by_kid: HashMap<Box<str>, Vec<Arc<Key>>> = HashMap::new();
        let mut without_kid = Vec::new();
        for key in &keys {
            match key.kid() {
                Some(kid) => by_kid.entry(kid.into()).or_default().push(Arc::clone(key)),
                None => without_kid.push(Arc::clone(key)),
            }
        }
        let algorithms = keys.iter().map(|key| key.algorithm()).collect();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Inner { id, keys, by_kid, without_kid, algorithms, skipped }))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.keys.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.keys.is_empty()
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.keys.iter().map(|key| &**key)
    }

    /// The members of the JWK set that are not used, with the reasons.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.0.skipped
    }

    /// Tells this very set from others that are just alike.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// True when both are the very same set, not just alike.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id() == other.id()
    }

    pub(crate) fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Found<'_> {
        let none: &[Arc<Key>] = &[];
        let (exact, rest) = match kid {
            Some(kid) => (self.0.by_kid.get(kid).map_or(none, Vec::as_slice), &self.0.without_kid[..]),
            None => (none, &self.0.keys[..]),
        };
        let mut fitting = exact.iter().chain(rest).filter(|key| key.algorithm() == algorithm);
        let candidates: [_; MAX_TRIED] = std::array::from_fn(|_| fitting.next());
        match (candidates[0], exact.is_empty()) {
            (Some(_), _) => Found::Candidates(candidates),
            (None, false) => Found::OtherAlgorithm,
            (None, true) => Found::Nothing,
        }
    }

    /// True when this very key is in the set, not just one like it.
    pub(crate) fn holds(&self, key: &Arc<Key>) -> bool {
        let alike = match key.kid() {
            Some(kid) => self.0.by_kid.get(kid).map_or(&[][..], Vec::as_slice),
            None => &self.0.without_kid[..],
        };
        alike.iter().any(|other| Arc::ptr_eq(other, key))
    }

    /// True when a key of this set has this `kid`, whatever its algorithm.
    pub(crate) fn knows(&self, kid: &str) -> bool {
        self.0.by_kid.contains_key(kid)
    }
}

impl KeySource for KeySet {
    fn lookup(&self, _: &KeyQuery<'_>) -> KeyLookup<'_> {
        KeyLookup::ready(Keys::from(self))
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        Some(self.0.algorithms)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.keys).finish()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Key {
        Key::secret(Algorithm::HS256, [byte; 64]).expect("long enough")
    }

    fn kids(set: &KeySet, algorithm: Algorithm, kid: Option<&str>) -> Vec<Option<String>> {
        match set.find(algorithm, kid) {
            Found::Candidates(keys) => keys.iter().flatten().map(|key| key.kid().map(str::to_owned)).collect(),
            Found::OtherAlgorithm | Found::Nothing => Vec::new(),
        }
    }

    #[test]
    fn an_exact_kid_comes_first_and_keys_without_one_follow() {
        let set = KeySet::new([secret(1), secret(2).with_kid("b"), secret(3).with_kid("c")]).expect("valid");
        assert_eq!(kids(&set, Algorithm::HS256, Some("c")), [Some("c".to_owned()), None]);
        assert_eq!(kids(&set, Algorithm::HS256, Some("x")), [None]);
        assert_eq!(kids(&set, Algorithm::HS256, None).len(), 3);
        assert!(matches!(set.find(Algorithm::HS384, Some("c")), Found::OtherAlgorithm));
        assert!(matches!(set.find(Algorithm::HS384, Some("x")), Found::Nothing));
    }

    #[test]
    fn at_most_four_keys_are_tried() {
        let set = KeySet::new((1..=9).map(secret)).expect("valid");
        assert_eq!(kids(&set, Algorithm::HS256, None).len(), 4);
        assert_eq!(kids(&set, Algorithm::HS256, Some("x")).len(), 4);
    }

    #[test]
    fn sets_that_confuse_are_refused() {
        let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let public = || Key::jwk(ed25519).expect("RFC 8037 A.2");
        assert!(KeySet::new([]).is_err());
        assert!(KeySet::new([secret(1), public()]).is_err(), "mixed");
        assert!(KeySet::new([secret(1).with_kid("a"), secret(2).with_kid("a")]).is_err(), "alike");
        let other = Key::secret(Algorithm::HS512, [3; 64]).expect("valid").with_kid("a");
        assert!(KeySet::new([secret(1).with_kid("a"), other]).is_ok(), "another algorithm");
        assert!(KeySet::new([secret(1), secret(2)]).is_ok(), "no kid");
    }

    #[test]
    fn a_set_of_keys_for_others_says_why_it_is_empty() {
        let text = r#"{"keys":[{"kty":"OKP","crv":"X25519","x":"AAAA"},{"kty":"RSA","use":"enc"}]}"#;
        let error = KeySet::jwk_set(text).expect_err("nothing to verify with").to_string();
        assert!(error.contains("keys[0]") && error.contains("keys[1]"), "{error}");
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[7]}"#] {
            assert!(KeySet::jwk_set(text).is_err(), "{text}");
        }
    }
}
