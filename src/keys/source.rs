//! The trait between a verifier and its keys.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::KeySet;
use crate::error::{AuthError, AuthErrorKind};
use crate::jose::{Algorithm, AlgorithmSet};

/// Where an issuer's keys come from.
///
/// [`lookup`](Self::lookup) is the only method to write. It is asked for every token whose algorithm is allowed, so
/// it should answer from memory with [`KeyLookup::ready`]; what takes time goes into [`KeyLookup::pending`].
///
/// When no key of the answer fits, the source is asked once more with [`KeyQuery::is_retry`]: time to look again for
/// a key that was added, or to give the same answer and have the token refused. It is not asked again where a key
/// with the token's `kid` was there and the signature was bad.
///
/// The example `custom_keys` has a source of one's own in under 20 lines. A closure from [`KeyQuery`] to [`KeyLookup`] is a source as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of keys",
    note = "use `KeySet::secret`, `KeySet::pem`, `KeySet::jwk_set` …, or implement `KeySource` (one method); a builder \
            wants `.build()?`, a single `Key` wants `KeySet::new([key])?`, a `Result` wants `?`, and a closure its \
            argument's type: `|query: &KeyQuery<'_>| …`"
)]
pub trait KeySource: Send + Sync + 'static {
    /// The keys among which the token's may be.
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_>;

    /// The algorithms that the source's keys can have, if that is known without asking. They are the allow-list of an
    /// issuer that has none of its own. The default, `None`, lets each key decide.
    fn algorithms(&self) -> Option<AlgorithmSet> {
        None
    }
}

impl<T: KeySource + ?Sized> KeySource for Arc<T> {
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        (**self).lookup(query)
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        (**self).algorithms()
    }
}

impl<F> KeySource for F
where
    F: Fn(&KeyQuery<'_>) -> KeyLookup<'static> + Send + Sync + 'static,
{
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        self(query)
    }
}

/// What a token says of its key. Nothing in it has been verified.
#[derive(Clone, Copy)]
pub struct KeyQuery<'q> {
    algorithm: Algorithm,
    kid: Option<&'q str>,
    is_retry: bool,
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "no source asks"))]
    waited: Waited,
}

/// Since when a request waits for keys: what a source may take is one time, for both of its answers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Waited {
    #[cfg(feature = "remote")]
    since: Option<tokio::time::Instant>,
}

impl Waited {
    /// From now on, unless it waits already.
    #[cfg_attr(not(feature = "remote"), expect(clippy::unused_self, reason = "nobody asks"))]
    pub(crate) fn begin(&mut self) {
        #[cfg(feature = "remote")]
        self.since.get_or_insert_with(tokio::time::Instant::now);
    }
}

impl<'q> KeyQuery<'q> {
    pub(crate) fn new(algorithm: Algorithm, kid: Option<&'q str>, is_retry: bool) -> Self {
        Self { algorithm, kid, is_retry, waited: Waited::default() }
    }

    pub(crate) fn after(self, waited: Waited) -> Self {
        Self { waited, ..self }
    }

    /// For how long the request has waited for the first answer.
    #[cfg(feature = "remote")]
    pub(crate) fn waited(&self) -> std::time::Duration {
        self.waited.since.map_or(std::time::Duration::ZERO, |since| since.elapsed())
    }

    /// The token's `alg`. It is allowed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The token's `kid`, of at most 256 bytes: an opaque key for a map, and nothing to build a path or a URL from.
    pub fn kid(&self) -> Option<&'q str> {
        self.kid
    }

    /// True when the source's first answer had no key that fits.
    pub fn is_retry(&self) -> bool {
        self.is_retry
    }
}

impl fmt::Debug for KeyQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuery")
            .field("algorithm", &self.algorithm)
            .field("is_retry", &self.is_retry)
            .finish_non_exhaustive()
    }
}

/// A source's answer: keys, a failure, or a future of either.
pub struct KeyLookup<'a>(pub(crate) Lookup<'a>);

pub(crate) type PendingKeys<'a> = Pin<Box<dyn Future<Output = Result<KeySet, KeyError>> + Send + 'a>>;

pub(crate) enum Lookup<'a> {
    Ready(Keys<'a>),
    Failed(KeyError),
    Pending(PendingKeys<'a>),
}

impl<'a> KeyLookup<'a> {
    /// The keys are at hand: the request is verified where it stands.
    pub fn ready(keys: impl Into<Keys<'a>>) -> Self {
        Self(Lookup::Ready(keys.into()))
    }

    /// The source works, and has no such key: the token is refused, 401. (The source is asked once more before.)
    pub fn none() -> Self {
        Self::ready(KeySet::empty())
    }

    /// The source cannot answer: the request gets a 503.
    pub fn failed(error: KeyError) -> Self {
        Self(Lookup::Failed(error))
    }

    /// The keys have to be fetched. The future must do nothing before its first poll: it is dropped unpolled where
    /// the token's audience and times show that no key could save it.
    pub fn pending(keys: impl Future<Output = Result<KeySet, KeyError>> + Send + 'a) -> Self {
        Self(Lookup::Pending(Box::pin(keys)))
    }
}

impl fmt::Debug for KeyLookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Lookup::Ready(keys) => f.debug_tuple("KeyLookup::ready").field(keys).finish(),
            Lookup::Failed(error) => f.debug_tuple("KeyLookup::failed").field(error).finish(),
            Lookup::Pending(_) => f.write_str("KeyLookup::pending"),
        }
    }
}

/// A key set, borrowed from its source or owned.
pub struct Keys<'a>(Held<'a>);

enum Held<'a> {
    Borrowed(&'a KeySet),
    Owned(KeySet),
    #[cfg(feature = "remote")]
    Shared(arc_swap::Guard<Arc<super::remote::Snapshot>>),
}

impl Keys<'_> {
    pub(crate) fn set(&self) -> &KeySet {
        match &self.0 {
            Held::Borrowed(set) => set,
            Held::Owned(set) => set,
            #[cfg(feature = "remote")]
            Held::Shared(snapshot) => snapshot.set(),
        }
    }
}

impl<'a> From<&'a KeySet> for Keys<'a> {
    fn from(set: &'a KeySet) -> Self {
        Self(Held::Borrowed(set))
    }
}

impl From<KeySet> for Keys<'_> {
    fn from(set: KeySet) -> Self {
        Self(Held::Owned(set))
    }
}

#[cfg(feature = "remote")]
impl Keys<'_> {
    pub(super) fn shared(snapshot: arc_swap::Guard<Arc<super::remote::Snapshot>>) -> Self {
        Self(Held::Shared(snapshot))
    }
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.set().fmt(f)
    }
}

/// Why a source has no keys to give. The request is answered 503, never 401: the token may be good.
#[derive(Clone)]
pub struct KeyError {
    reason: String,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl KeyError {
    /// A failure with this reason: for the operator, never sent to a client.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, source: None }
    }

    /// When the client should try again: `Retry-After`, rounded up to whole seconds. The default is 5 seconds.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    #[cfg(feature = "remote")]
    pub(crate) fn wait(&self) -> Duration {
        self.retry_after.unwrap_or_default()
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl fmt::Debug for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The cause is of any type, and so is what its `Debug` shows.
        f.debug_struct("KeyError")
            .field("reason", &self.reason)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl Error for KeyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}

impl From<KeyError> for AuthError {
    fn from(error: KeyError) -> Self {
        let retry_after = error.retry_after.unwrap_or(Duration::from_secs(5));
        AuthError::new(AuthErrorKind::KeysUnavailable)
            .with_detail(error.reason.clone())
            .with_retry_after(retry_after)
            .with_source(error)
    }
}
