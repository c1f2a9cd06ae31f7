//! Issuers that come and go: tenants, customers with providers of their own.
//!
//! - A function of one's own decides, from the unverified `iss`, whether it is trusted and with which keys. It is an
//!   allow-list: nothing is fetched for an issuer that it does not return.
//! - Never build a URL from the `iss` that it is given: look it up.
//! - Issuers that it returned are kept for a while, the least recently used out; a "no" is remembered briefly.
//! - Once an issuer's time is over, one request asks about it again, and the others are served what was trusted; so are
//!   all while the function fails, an hour past the issuer's time and no longer.
//! - The function waits for what it asks: give it a time limit of its own. Requests that wait for it are bounded.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::issuer::{Issuer, Lists, Trusted};
use crate::clock::{Clock, UnixTime};
use crate::error::{AuthError, AuthErrorKind};
use crate::keys::KeyError;
use crate::meters::IssuerMeter;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// How long an issuer is trusted past its time while nobody can say: the function fails, or has not answered.
const STALE_FOR: Duration = Duration::from_secs(60 * 60);

/// How long the function is left alone after it has failed, where an issuer can be served meanwhile: a database that is
/// away is not asked for every request, and is seen within seconds once it is back.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How long an issuer is served while each request that asks about it goes away before the answer: clients that hang up
/// must not keep a "no" from being heard. After that every request asks. One that has waited for as long has shown that
/// the function does not answer, which is a failure.
const UNHEARD_FOR: Duration = Duration::from_secs(5);

type Answer = Pin<Box<dyn Future<Output = Result<Option<Issuer>, KeyError>> + Send>>;

/// Decides whether an issuer is trusted, for a service whose tenants come and go.
///
/// ```
/// use tower_jwt_auth::verify::IssuerResolver;
/// use tower_jwt_auth::{Algorithm, Issuer, KeySet, Verifier};
///
/// # async fn load_tenant(iss: &str) -> Result<Option<String>, tower_jwt_auth::keys::KeyError> { Ok(None) }
/// let resolver = IssuerResolver::new(|iss: String| async move {
///     // A look into a database: `None` is "not trusted", an error is "ask again later" (503).
///     let Some(jwks) = load_tenant(&iss).await? else { return Ok(None) };
///     let keys = KeySet::jwk_set(jwks).map_err(|error| tower_jwt_auth::keys::KeyError::new(error.to_string()))?;
///     Ok(Some(Issuer::new(iss, keys).audience("orders")))
/// });
/// let verifier = Verifier::<serde_json::Value>::builder().resolver(resolver).build()?;
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
pub struct IssuerResolver {
    resolve: Box<dyn Fn(String) -> Answer + Send + Sync>,
    capacity: usize,
    kept_for: Duration,
    refusals: usize,
    refused_for: Duration,
    most_waiting: usize,
    known: RwLock<HashMap<Box<str>, Known>>,
    refused: Mutex<HashMap<Box<str>, UnixTime>>,
    waiting: AtomicUsize,
    /// What the verifier's lists of revocations ask for.
    lists: Lists,
    /// Those among them that ask about a name that was trusted before: invented names must not take their places.
    renewing: AtomicUsize,
    /// Locked after `known`, and before `refused`.
    questions: Mutex<Questions>,
    /// Counts uses: the smallest mark is the least recently used.
    uses: AtomicUsize,
}

struct Known {
    issuer: Arc<Trusted>,
    until: UnixTime,
    /// Until then it is served without asking: until its time is over, and then while a question is open, and for a
    /// while after a failure. Never past its end.
    ask_at: UnixTime,
    /// When the first question was asked that nobody waited out, since the last answer.
    unheard_since: Option<UnixTime>,
    used: AtomicUsize,
}

impl Known {
    /// From then on it is not trusted, whatever happens.
    fn end(&self) -> UnixTime {
        self.until.plus(STALE_FOR)
    }

    /// True while it is served to those who do not ask.
    fn is_served(&self, now: UnixTime) -> bool {
        now < self.end() && self.unheard_since.is_none_or(|since| now < since.plus(UNHEARD_FOR))
    }

    /// Serves it for a while, for the function has failed.
    fn pause(&mut self, now: UnixTime) {
        self.ask_at = now.plus(ASK_AGAIN_AFTER).min(self.end());
        self.unheard_since = None;
    }

    /// The configured name and the aliases.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.issuer.issuer.names().iter().map(|name| &**name)
    }
}

/// The questions that the function is thinking about, no more than requests wait for it.
#[derive(Default)]
struct Questions {
    next: u64,
    /// Questions below this were asked before an issuer was forgotten.
    forgotten: u64,
    /// By name. What is forgotten leaves at once, so that an answer from before is not kept.
    open: HashMap<Box<str>, Open>,
}

struct Open {
    number: u64,
    /// How many requests have asked it.
    asked: usize,
}

impl IssuerResolver {
    /// A resolver around an async function from an unverified `iss` to an issuer, or to `None` where it is not
    /// trusted. An `Err` is answered 503 and not remembered; an issuer that was trusted before
    /// [stays so](Self::keep_for), and is not asked about again for 5 seconds.
    pub fn new<F, R>(resolve: F) -> Self
    where
        F: Fn(String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Issuer>, KeyError>> + Send + 'static,
    {
        Self {
            resolve: Box::new(move |iss| Box::pin(resolve(iss))),
            capacity: 1000,
            kept_for: Duration::from_secs(10 * 60),
            refusals: 1024,
            refused_for: Duration::from_secs(30),
            most_waiting: 64,
            known: RwLock::default(),
            refused: Mutex::default(),
            waiting: AtomicUsize::new(0),
            lists: Lists::default(),
            renewing: AtomicUsize::new(0),
            questions: Mutex::default(),
            uses: AtomicUsize::new(0),
        }
    }

    /// How many issuers are kept: 1,000, each with its keys. The least recently used goes first.
    #[must_use]
    pub fn capacity(mut self, issuers: usize) -> Self {
        self.capacity = issuers.max(1);
        self
    }

    /// How long an issuer is trusted before the function is asked again: 10 minutes. Then one request asks and waits, and
    /// the others pass meanwhile as before. While the function fails, or does not answer, the issuer is trusted for an hour
    /// longer, counted from the end of its time. A "no" ends it at once under the name that was asked for, and
    /// [`Verifier::forget_issuer`](super::Verifier::forget_issuer) under all. Requests that ask and go away before the answer
    /// do not hold it up for more than 5 seconds.
    ///
    /// The function's new answer replaces the old one, so let it return clones of the same
    /// `RemoteJwks` for the same tenant: their keys are then not fetched anew.
    #[must_use]
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.kept_for = time;
        self
    }

    /// How long a "no" is remembered, and how many: 30 seconds, 1,024. A flood of invented names asks the function
    /// again for each that is not remembered, [`most_waiting`](Self::most_waiting) at a time.
    #[must_use]
    pub fn refusals(mut self, remembered: usize, time: Duration) -> Self {
        self.refusals = remembered.max(1);
        self.refused_for = time;
        self
    }

    /// How many requests wait for the function at once: 64 for names that are new, and 64 for those that were trusted
    /// before. Those beyond get 503 at once, except for an issuer that is [still trusted](Self::keep_for).
    #[must_use]
    pub fn most_waiting(mut self, requests: usize) -> Self {
        self.most_waiting = requests;
        self
    }

    pub(super) fn for_lists(self, lists: Lists) -> Self {
        Self { lists, ..self }
    }

    /// What is known without asking: trusted, refused, or nothing.
    pub(super) fn recall(&self, iss: &str, now: UnixTime) -> Option<Result<Arc<Trusted>, AuthErrorKind>> {
        if let Some(issuer) = self.trusted(iss, |known| now < known.ask_at) {
            return Some(Ok(issuer));
        }
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let until = refused.get(iss)?;
        (now < *until).then_some(Err(AuthErrorKind::InvalidIssuer))
    }

    /// The issuer of this name, if it is good enough.
    fn trusted(&self, iss: &str, is_good: impl FnOnce(&Known) -> bool) -> Option<Arc<Trusted>> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(iss).filter(|known| is_good(known))?;
        known.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(Arc::clone(&known.issuer))
    }

    /// Nobody waits, and nothing is left of those who did.
    #[cfg(shuttle)]
    pub(super) fn is_idle(&self) -> bool {
        let waiting = [&self.waiting, &self.renewing].map(|count| count.load(Ordering::Relaxed));
        waiting == [0, 0]
            && self.questions.lock().is_ok_and(|questions| questions.open.is_empty())
            && self.known.read().is_ok_and(|known| known.values().all(|known| known.ask_at < known.end()))
    }

    /// Forgets an issuer by any of its names, and with it what was found by its other names.
    pub(super) fn forget(&self, iss: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = HashSet::from([Box::from(iss)]);
        for (name, known) in known.iter() {
            if **name == *iss || known.names().any(|name| name == iss) {
                names.extend([&**name].into_iter().chain(known.names()).map(Box::from));
            }
        }
        known.retain(|name, known| !names.contains(name) && !known.names().any(|name| names.contains(name)));
        questions.open.retain(|name, _| !names.contains(name));
        questions.forgotten = questions.next;
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| !names.contains(name));
    }

    /// Asks the function, unless another request does so and the issuer can be served meanwhile.
    pub(super) async fn resolve(&self, iss: &str, clock: &Clock) -> Result<Arc<Trusted>, AuthError> {
        let now = clock.now();
        if let Some(known) = self.recall(iss, now) {
            return Ok(known?);
        }
        let is_known = self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(iss);
        let places = if is_known { &self.renewing } else { &self.waiting };
        let Some(_waiting) = Waiting::new(places, self.most_waiting) else {
            let busy = || KeyError::new("too many requests wait for an issuer to be resolved").into();
            return self.trusted(iss, |known| known.is_served(now)).ok_or_else(busy);
        };
        let mut renewal = match Renewal::new(self, iss, clock) {
            Ok(renewal) => renewal,
            Err(served) => return Ok(served),
        };
        let question = Question::new(self, iss);
        match (self.resolve)(iss.to_owned()).await {
            Ok(Some(issuer)) => {
                let issuer = issuer.build(self.lists, IssuerMeter::resolved()).map_err(|error| {
                    drop(self.withdraw(&question));
                    AuthError::new(AuthErrorKind::Misconfigured).with_detail(error.to_string())
                })?;
                // A database may hold two names to be equal. Such tokens cannot pass, and take no tenant's place.
                if !issuer.issuer.may_be(iss) {
                    self.refuse(&question, now);
                    return Err(issuer.with_what_was_expected(AuthErrorKind::InvalidIssuer));
                }
                Ok(self.keep(&question, issuer, now))
            }
            Ok(None) => {
                self.refuse(&question, now);
                Err(AuthErrorKind::InvalidIssuer.into())
            }
            // An outage of ours is no logout.
            Err(error) => {
                let now = clock.now();
                if let Some(renewal) = &mut renewal {
                    renewal.is_answered = true;
                }
                self.pause(&question, now);
                self.trusted(iss, |known| now < known.end()).ok_or_else(|| error.into())
            }
        }
    }

    /// Keeps an issuer; of several that came at once, the first stays and serves all.
    fn keep(&self, question: &Question<'_>, issuer: Trusted, now: UnixTime) -> Arc<Trusted> {
        let iss = question.iss;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !question.may_keep(&issuer, &self.questions.lock().unwrap_or_else(PoisonError::into_inner)) {
            // The answer may be older than what was forgotten: good for the one who asked.
            return Arc::new(issuer);
        }
        if let Some(first) = known.get(iss).filter(|known| now < known.until) {
            return Arc::clone(&first.issuer);
        }
        while known.len() >= self.capacity && !known.contains_key(iss) {
            let least = known.iter().min_by_key(|(_, known)| known.used.load(Ordering::Relaxed));
            let Some(least) = least.map(|(name, _)| name.clone()) else { break };
            known.remove(&least);
        }
        let issuer = Arc::new(issuer);
        let used = AtomicUsize::new(self.uses.fetch_add(1, Ordering::Relaxed));
        let until = now.plus(self.kept_for);
        known
            .insert(iss.into(), Known { issuer: Arc::clone(&issuer), until, ask_at: until, unheard_since: None, used });
        issuer
    }

    /// The function has failed: it is left alone for a while, unless the issuer was forgotten since.
    fn pause(&self, question: &Question<'_>, now: UnixTime) {
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(question.iss)
            && question.is_open(&self.questions.lock().unwrap_or_else(PoisonError::into_inner))
        {
            known.pause(now);
        }
    }

    /// Ends what was trusted, unless it was forgotten since. Of the answers that others wait for, none is kept: they may
    /// be older.
    fn withdraw(&self, question: &Question<'_>) -> Option<MutexGuard<'_, Questions>> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if !question.is_open(&questions) {
            return None;
        }
        known.remove(question.iss);
        questions.open.remove(question.iss);
        Some(questions)
    }

    /// Remembers a "no".
    fn refuse(&self, question: &Question<'_>, now: UnixTime) {
        // Locked until it is remembered, or what is forgotten meanwhile would be refused again.
        let Some(_questions) = self.withdraw(question) else { return };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= self.refusals {
            refused.retain(|_, until| now < *until);
        }
        // Those that are left expire in the order in which they came: the first to expire goes.
        if refused.len() >= self.refusals
            && let Some(first) = refused.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone())
        {
            refused.remove(&first);
        }
        refused.insert(question.iss.into(), now.plus(self.refused_for));
    }
}

/// A place among the requests that wait.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize, most: usize) -> Option<Self> {
        let take = |waiting: usize| (waiting < most).then_some(waiting + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok().then(|| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to ask about an issuer that is served meanwhile: one request has it.
struct Renewal<'r> {
    resolver: &'r IssuerResolver,
    iss: &'r str,
    issuer: Arc<Trusted>,
    clock: &'r Clock,
    asked_at: UnixTime,
    is_answered: bool,
}

impl<'r> Renewal<'r> {
    /// Nothing where no issuer can be served, so that everybody asks; the issuer where another asks.
    fn new(resolver: &'r IssuerResolver, iss: &'r str, clock: &'r Clock) -> Result<Option<Self>, Arc<Trusted>> {
        let now = clock.now();
        let mut all = resolver.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(iss).filter(|known| known.is_served(now)) else { return Ok(None) };
        let issuer = Arc::clone(&known.issuer);
        if now < known.ask_at {
            return Err(issuer);
        }
        known.ask_at = known.end();
        Ok(Some(Self { resolver, iss, issuer, clock, asked_at: now, is_answered: false }))
    }
}

impl Drop for Renewal<'_> {
    /// Without an answer, another request may ask at once, or after a while if the function had time enough.
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut all = self.resolver.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(self.iss).filter(|known| Arc::ptr_eq(&known.issuer, &self.issuer)) {
            let now = self.clock.now();
            if now >= self.asked_at.plus(UNHEARD_FOR) {
                known.pause(now);
            } else {
                known.ask_at = UnixTime::MIN;
                known.unheard_since.get_or_insert(self.asked_at);
            }
        }
    }
}

/// A request's question about one name.
struct Question<'r> {
    resolver: &'r IssuerResolver,
    iss: &'r str,
    /// Its own number, and that of the first one about this name.
    number: u64,
    first: u64,
}

impl<'r> Question<'r> {
    fn new(resolver: &'r IssuerResolver, iss: &'r str) -> Self {
        let mut questions = resolver.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let number = questions.next;
        questions.next += 1;
        let open = questions.open.entry(iss.into()).or_insert(Open { number, asked: 0 });
        open.asked += 1;
        Self { resolver, iss, number, first: open.number }
    }

    /// Nothing was forgotten, and nothing refused, since it was asked.
    fn is_open(&self, questions: &Questions) -> bool {
        questions.open.get(self.iss).is_some_and(|open| open.number == self.first)
    }

    /// An issuer that has other names may be one that was forgotten by them since.
    fn may_keep(&self, issuer: &Trusted, questions: &Questions) -> bool {
        let has_no_other = matches!(issuer.issuer.names(), [name] if **name == *self.iss);
        self.is_open(questions) && (has_no_other || self.number >= questions.forgotten)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut questions = self.resolver.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = questions.open.get_mut(self.iss).filter(|open| open.number == self.first) {
            open.asked -= 1;
            if open.asked == 0 {
                questions.open.remove(self.iss);
            }
        }
    }
}

impl fmt::Debug for IssuerResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerResolver").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
