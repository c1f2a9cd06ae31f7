//! Metrics, at one place. Without the feature `metrics` they are nothing.
//!
//! - Names and labels are fixed, and stand in a table of the guide: `src/guide/observability.md`.
//! - A label holds a configured name or one of a fixed list, and nothing of a token: what clients send makes no series.
//! - On the path of a request a handle is looked up once, at its first use. One that finds no recorder is looked up
//!   again, so that the recorder may come later.

#![cfg_attr(not(feature = "metrics"), expect(unused_variables, clippy::unused_self, reason = "they are compiled out"))]

#[cfg(feature = "metrics")]
mod catalog;
#[cfg(feature = "metrics")]
mod slot;

#[cfg(feature = "metrics")]
use metrics::{Counter, Histogram, Label};

#[cfg(feature = "metrics")]
use self::slot::Slot;
use crate::clock::UnixTime;
#[cfg(feature = "metrics")]
use crate::error::AuthErrorKind;
use crate::error::{AuthError, IssuerNumber};
use crate::jose::Algorithm;

/// The verdicts of a verifier, on its own or behind a layer.
pub(crate) struct VerifierMeter {
    /// Of no issuer, of those that a resolver has named, and then of the configured ones, in order.
    #[cfg(feature = "metrics")]
    verdicts: Box<[Verdicts]>,
    #[cfg(feature = "metrics")]
    hits: Slot<Counter>,
    #[cfg(feature = "metrics")]
    misses: Slot<Counter>,
}

#[cfg(feature = "metrics")]
struct Verdicts {
    issuer: String,
    accepted: Slot<Counter>,
    refused: PerKind,
}

#[cfg(feature = "metrics")]
type PerKind = [Slot<Counter>; AuthErrorKind::ALL.len()];

#[cfg(feature = "metrics")]
fn per_kind() -> PerKind {
    [const { Slot::new() }; AuthErrorKind::ALL.len()]
}

#[cfg(feature = "metrics")]
const RESOLVED: usize = 1;

impl VerifierMeter {
    /// With the configured names of the issuers; nothing where any is taken.
    pub(crate) fn new(issuers: &[Option<&str>]) -> Self {
        #[cfg(feature = "metrics")]
        {
            let names = ["unknown", "resolved"].into_iter().chain(issuers.iter().map(|name| name.unwrap_or("any")));
            let verdicts =
                |name: &str| Verdicts { issuer: name.to_owned(), accepted: Slot::new(), refused: per_kind() };
            Self { verdicts: names.map(verdicts).collect(), hits: Slot::new(), misses: Slot::new() }
        }
        #[cfg(not(feature = "metrics"))]
        Self {}
    }

    pub(crate) fn accepted(&self, issuer: IssuerNumber) {
        #[cfg(feature = "metrics")]
        if let Some(verdicts) = self.verdicts_of(issuer) {
            let labels = || verdicts.labels("accepted");
            verdicts.accepted.with(&catalog::VERDICTS, labels, |counter| counter.increment(1));
        }
    }

    pub(crate) fn refused(&self, error: &AuthError) {
        let (issuer, kind) = (error.issuer(), error.kind());
        #[cfg(feature = "metrics")]
        if let Some(verdicts) = self.verdicts_of(issuer) {
            let labels = || verdicts.labels(kind.label());
            verdicts.refused[kind as usize].with(&catalog::VERDICTS, labels, |counter| counter.increment(1));
        }
    }

    /// A verdict was remembered and still holds, or not.
    pub(crate) fn looked_up(&self, is_hit: bool) {
        #[cfg(feature = "metrics")]
        {
            let (slot, result) = if is_hit { (&self.hits, "hit") } else { (&self.misses, "miss") };
            let labels = || vec![Label::from_static_parts("result", result)];
            slot.with(&catalog::CACHE_LOOKUPS, labels, |counter| counter.increment(1));
        }
    }
}

#[cfg(feature = "metrics")]
impl VerifierMeter {
    /// `None` for the issuer of another verifier.
    fn verdicts_of(&self, issuer: IssuerNumber) -> Option<&Verdicts> {
        self.verdicts.get(issuer.number())
    }
}

#[cfg(feature = "metrics")]
impl Verdicts {
    fn labels(&self, reason: &'static str) -> Vec<Label> {
        vec![Label::new("issuer", self.issuer.clone()), Label::from_static_parts("reason", reason)]
    }
}

/// What an issuer has for its tokens.
pub(crate) struct IssuerMeter {
    pub(crate) number: IssuerNumber,
    #[cfg(feature = "metrics")]
    checks: [Slot<Histogram>; Algorithm::ALL.len()],
}

impl IssuerMeter {
    /// The issuer that is configured at this place.
    pub(crate) fn configured(at: usize) -> Self {
        #[cfg(feature = "metrics")]
        return Self::new(IssuerNumber::new(RESOLVED + 1 + at));
        #[cfg(not(feature = "metrics"))]
        Self::new(IssuerNumber::default())
    }

    /// One that a resolver has named: there may be many, and they share a label.
    pub(crate) fn resolved() -> Self {
        #[cfg(feature = "metrics")]
        return Self::new(IssuerNumber::new(RESOLVED));
        #[cfg(not(feature = "metrics"))]
        Self::new(IssuerNumber::default())
    }

    fn new(number: IssuerNumber) -> Self {
        Self {
            number,
            #[cfg(feature = "metrics")]
            checks: [const { Slot::new() }; Algorithm::ALL.len()],
        }
    }

    /// Checks a signature, good or not, and takes the time where somebody wants to know it.
    pub(crate) fn timed(&self, algorithm: Algorithm, check: impl FnOnce() -> bool) -> bool {
        #[cfg(feature = "metrics")]
        {
            let slot = &self.checks[algorithm as usize];
            if slot.is_recorded() {
                let start = std::time::Instant::now();
                let is_good = check();
                let took = start.elapsed().as_secs_f64();
                let labels = || vec![Label::from_static_parts("algorithm", algorithm.name())];
                slot.with(&catalog::SIGNATURE_CHECKS, labels, |histogram| histogram.record(took));
                return is_good;
            }
        }
        check()
    }
}

/// What the guards behind a layer refuse.
pub(crate) struct GuardMeter {
    #[cfg(feature = "metrics")]
    refused: PerKind,
}

impl GuardMeter {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            refused: per_kind(),
        }
    }

    pub(crate) fn refused(&self, error: &AuthError) {
        #[cfg(feature = "metrics")]
        {
            let kind = error.kind();
            let labels = || vec![Label::from_static_parts("reason", kind.label())];
            self.refused[kind as usize].with(&catalog::GUARD_REFUSALS, labels, |counter| counter.increment(1));
        }
    }
}

impl std::fmt::Debug for GuardMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardMeter").finish_non_exhaustive()
    }
}

/// A fetch has ended, or a look at a file. The source is the configured URL, issuer or path.
pub(crate) fn key_refresh(source: &str, cause: &'static str, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    {
        let fixed = [("cause", cause), ("outcome", outcome)].map(|(name, value)| Label::from_static_parts(name, value));
        let labels = [Label::new("source", source.to_owned())].into_iter().chain(fixed);
        catalog::KEY_REFRESHES.count(labels.collect());
    }
}

/// What a source has, as its provider or its file has just confirmed.
pub(crate) fn keys(source: &str, keys: usize, now: UnixTime) {
    #[cfg(feature = "metrics")]
    {
        let labels = || vec![Label::new("source", source.to_owned())];
        catalog::KEYS.set(labels(), number(keys));
        catalog::KEYS_CONFIRMED.set(labels(), seconds(now));
    }
}

#[cfg(feature = "remote")]
pub(crate) fn waiting_requests(source: &str, requests: usize) {
    #[cfg(feature = "metrics")]
    catalog::WAITING_REQUESTS.set(vec![Label::new("source", source.to_owned())], number(requests));
}

/// How many entries a list in memory holds.
pub(crate) fn revocations_in_memory(entries: usize) {
    #[cfg(feature = "metrics")]
    catalog::REVOCATIONS.set(vec![Label::from_static_parts("store", "memory")], number(entries));
}

/// How many entries are held of a list that instances share, as the server has just confirmed.
#[cfg(feature = "redis")]
pub(crate) fn revocations_shared(entries: usize, now: UnixTime) {
    #[cfg(feature = "metrics")]
    {
        catalog::REVOCATIONS.set(vec![Label::from_static_parts("store", "redis")], number(entries));
        catalog::REVOCATIONS_CONFIRMED.set(Vec::new(), seconds(now));
    }
}

#[cfg(feature = "issue")]
pub(crate) fn refresh_token_reused() {
    #[cfg(feature = "metrics")]
    catalog::REFRESH_TOKENS_REUSED.count(Vec::new());
}

/// Since the Unix epoch.
#[cfg(feature = "metrics")]
fn seconds(time: UnixTime) -> f64 {
    time.since(UnixTime::from_secs(0)).as_secs_f64()
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "less than 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}
