//! Keys that follow their authority through rotations and outages.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::authority::{Ring, lock};
use crate::crypto;
use crate::jose::{Algorithm, AlgorithmSet};
use crate::keys::{KeyError, KeyLookup, KeyQuery, KeySet, KeySource};

/// The published keys of an [`Authority`](super::Authority) as a [`KeySource`]: what a service sees of an identity
/// provider, under the control of a test. Clones are the same source.
///
/// - While all is well, a lookup sees what is published at that moment.
/// - In an outage, the keys that were published when it began go on serving, as those of `RemoteJwks` do; whoever needs
///   another key gets a failure after [`fail`](Self::fail), and waits after [`hang`](Self::hang). After
///   [`forget`](Self::forget) nobody is served.
/// - There is no timer: what waits, waits until [`heal`](Self::heal) or [`fail`](Self::fail). So a slow provider is
///   `hang`, what should happen meanwhile, and `heal`.
///
/// ```
/// use tower_jwt_auth::testing::Authority;
/// use tower_jwt_auth::{Algorithm, Verifier};
///
/// # async fn run() {
/// let authority = Authority::new(Algorithm::ES256);
/// let keys = authority.keys();
/// let verifier = Verifier::<serde_json::Value>::new(authority.trusted_with(keys.clone())).unwrap();
///
/// keys.hang();
/// authority.rotate();
/// let token = authority.token().sign();
/// let waiting = tokio::spawn(async move { verifier.verify(&token).await.is_ok() });
/// while keys.waiting() == 0 {
///     tokio::task::yield_now().await;
/// }
/// keys.heal();
/// assert!(waiting.await.unwrap());
/// assert_eq!(keys.retries(), 1);
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run());
/// ```
#[derive(Clone)]
pub struct TestKeys {
    ring: Arc<Mutex<Ring>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    provider: Provider,
    /// Published instead of the authority's.
    own: Option<KeySet>,
    /// What was read last, with the version of the ring.
    known: Option<(u64, KeySet)>,
    lookups: usize,
    retries: usize,
    waiting: usize,
    wakers: Vec<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Provider {
    #[default]
    Answers,
    Fails,
    Hangs,
}

impl TestKeys {
    pub(super) fn new(ring: Arc<Mutex<Ring>>) -> Self {
        let keys = Self { ring, state: Arc::default() };
        keys.state().read(&keys.ring);
        keys
    }

    /// An outage: who needs a key that is not known gets a failure, and the request a 503. Who waits gets it too.
    pub fn fail(&self) {
        self.set(Provider::Fails);
    }

    /// An outage in which the provider does not answer: who needs a key that is not known waits.
    pub fn hang(&self) {
        self.set(Provider::Hangs);
    }

    /// Ends the outage: who waits gets what is published now.
    pub fn heal(&self) {
        self.set(Provider::Answers);
    }

    /// Forgets what is known, as a service that starts, or whose keys have grown too old. They are read anew, as other
    /// objects, by the next lookup that can.
    pub fn forget(&self) {
        self.state().known = None;
    }

    /// Publishes this set from now on, and no longer what the authority does.
    pub fn publish(&self, keys: KeySet) {
        self.state().own = Some(keys);
    }

    /// How often keys were asked for, first questions and second ones: for each token at least once, for a remembered
    /// one too. A question that is dropped before its first poll does not count.
    pub fn lookups(&self) -> usize {
        self.state().lookups
    }

    /// How often keys were asked for once more, because none fitted: see [`KeyQuery::is_retry`]. Counted as
    /// [`lookups`](Self::lookups) are.
    pub fn retries(&self) -> usize {
        self.state().retries
    }

    /// How many lookups wait for the provider at this moment.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    fn set(&self, provider: Provider) {
        let mut state = self.state();
        if state.provider == Provider::Answers && state.known.is_some() {
            state.read(&self.ring);
        }
        state.provider = provider;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn wait(self, is_retry: bool) -> Result<KeySet, KeyError> {
        self.state().count(is_retry);
        let _waiting = Waiting::new(&self.state);
        poll_fn(|cx| {
            let mut state = self.state();
            if let Some(answer) = state.ask(&self.ring) {
                return Poll::Ready(answer);
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, is_retry: bool) {
        self.lookups += 1;
        self.retries += usize::from(is_retry);
    }

    /// What is published now. The same set as before where nothing has changed.
    fn read(&mut self, ring: &Mutex<Ring>) -> KeySet {
        let ring = lock(ring);
        let set = match (&self.own, &self.known) {
            (Some(own), _) => own.clone(),
            (None, Some((version, set))) if *version == ring.version => set.clone(),
            (None, _) => ring.key_set(),
        };
        self.known = Some((ring.version, set.clone()));
        set
    }

    /// The provider's answer, if it gives one.
    fn ask(&mut self, ring: &Mutex<Ring>) -> Option<Result<KeySet, KeyError>> {
        match self.provider {
            Provider::Answers => Some(Ok(self.read(ring))),
            Provider::Fails => Some(Err(KeyError::new("the provider of the test is down"))),
            Provider::Hangs => None,
        }
    }
}

impl KeySource for TestKeys {
    fn lookup(&self, query: &KeyQuery<'_>) -> KeyLookup<'_> {
        let mut state = self.state();
        let is_retry = query.is_retry();
        let answer = match (state.provider, &state.known) {
            (Provider::Fails | Provider::Hangs, Some((_, known))) if !is_retry => Some(Ok(known.clone())),
            _ => state.ask(&self.ring),
        };
        let Some(answer) = answer else { return KeyLookup::pending(self.clone().wait(is_retry)) };
        state.count(is_retry);
        match answer {
            Ok(keys) => KeyLookup::ready(keys),
            Err(error) => KeyLookup::failed(error),
        }
    }

    fn algorithms(&self) -> Option<AlgorithmSet> {
        let is_symmetric = lock(&self.ring).is_symmetric();
        let fits = |algorithm: &Algorithm| algorithm.is_symmetric() == is_symmetric && crypto::supports(*algorithm);
        Some(Algorithm::ALL.iter().copied().filter(fits).collect())
    }
}

impl fmt::Debug for TestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lookups, waiting) = (self.lookups(), self.waiting());
        f.debug_struct("TestKeys").field("lookups", &lookups).field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// A lookup that waits, counted for as long as it does.
struct Waiting<'s>(&'s Mutex<State>);

impl<'s> Waiting<'s> {
    fn new(state: &'s Mutex<State>) -> Self {
        state.lock().unwrap_or_else(PoisonError::into_inner).waiting += 1;
        Self(state)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }
}
