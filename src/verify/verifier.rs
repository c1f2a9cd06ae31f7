//! The verifier: tokens in, proofs out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::cache::{LONGEST, TokenCache, VerifierId};
use super::engine::{Buffers, Fixed, Issuers, Search, Selected, Several, Step, Unverified, Verified};
use super::explain::{Check, Explanation, Observe};
use super::issuer::{Issuer, Lists, Trusted};
use super::jwt::{Jwt, Proof};
use super::mismatch::without_values;
use super::resolver::IssuerResolver;
use crate::claims::{self, Member, Registered};
use crate::clock::{Clock, UnixTime};
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::events::Verifying;
use crate::keys::{KeyQuery, Lookup};
use crate::meters::{IssuerMeter, VerifierMeter};
use crate::policy::IssuerRule;
use crate::revocation::{Revocation, RevocationVerdict};

/// Verifies tokens of the issuers that it trusts, and makes [`Jwt`]s with claims of type `C`.
///
/// Cheap to clone. It knows no HTTP: use it for websockets, GraphQL or queues, and put it behind a layer with
/// [`JwtAuth::with`](crate::JwtAuth::with).
pub struct Verifier<C>(Arc<Shared<C>>);

struct Shared<C> {
    issuers: Issuers,
    revocations: Vec<Box<dyn Revocation>>,
    rules: Vec<Rule<C>>,
    clock: Clock,
    cache: Option<(TokenCache, VerifierId)>,
    meter: VerifierMeter,
}

type Predicate<C> = Box<dyn Fn(&Jwt<C>) -> bool + Send + Sync>;

struct Rule<C> {
    predicate: Predicate<C>,
    refusal: AuthErrorKind,
}

/// Builds a [`Verifier`].
#[must_use]
pub struct VerifierBuilder<C> {
    issuers: Vec<Issuer>,
    resolver: Option<IssuerResolver>,
    revocations: Vec<Box<dyn Revocation>>,
    rules: Vec<Rule<C>>,
    clock: Clock,
    cache: Option<TokenCache>,
}

impl<C: DeserializeOwned + Send + Sync + 'static> Verifier<C> {
    /// A verifier that trusts one issuer.
    ///
    /// # Errors
    /// When the issuer has no audience, or another setting that cannot work: the message names the fix.
    pub fn new(issuer: Issuer) -> Result<Self, ConfigError> {
        Self::builder().trust(issuer).build()
    }

    /// A verifier with several issuers, rules of one's own, or another clock.
    pub fn builder() -> VerifierBuilder<C> {
        let (issuers, revocations, rules) = (Vec::new(), Vec::new(), Vec::new());
        VerifierBuilder { issuers, resolver: None, revocations, rules, clock: Clock::system(), cache: None }
    }

    /// Verifies a token: the compact serialization alone, without `Bearer`. One that is bound to a key (`cnf`) is
    /// refused: whether the key was shown can be seen from a request alone.
    ///
    /// # Errors
    /// An [`AuthError`] whose kind names the rule that refused, or
    /// [`KeysUnavailable`](AuthErrorKind::KeysUnavailable) where the source has no keys to give. Its `Display` is for your
    /// log; what a client may read is [`kind().phrase()`](AuthErrorKind::phrase).
    pub async fn verify(&self, token: &str) -> Result<Jwt<C>, AuthError> {
        let verdict = match self.verify_now(token) {
            Some(verdict) => verdict,
            None => self.verify_later(token).await,
        };
        let verdict = verdict.and_then(|jwt| {
            if jwt.is_bound() { Err(jwt.blame(AuthErrorKind::BindingNotChecked.into())) } else { Ok(jwt) }
        });
        match &verdict {
            Ok(jwt) => self.count_accepted(jwt),
            Err(error) => self.count_refused(error),
        }
        verdict
    }

    /// The verdict, its binding not judged, where [`verify_now`](Self::verify_now) has none.
    pub(crate) async fn verify_later(&self, token: &str) -> Result<Jwt<C>, AuthError> {
        let span = Verifying::start();
        let verdict = span.around(self.verify_waiting(token, &mut ())).await.inspect(|jwt| self.remember(token, jwt));
        Self::tell(&span, &verdict);
        verdict
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Makes the [`IssuerResolver`] ask again about this issuer: when a tenant has been withdrawn or changed. Any name
    /// that the resolver's answer has will do, the configured one ([`Jwt::issuer`]) or an alias: it is forgotten under all.
    pub fn forget_issuer(&self, iss: &str) {
        if let Some(resolver) = &self.0.issuers.resolver {
            resolver.forget(iss);
        }
    }

    /// Says what each check saw, for the person who asks why a token is refused. It does what
    /// [`verify`](Self::verify) does, the questions to the key source included.
    pub async fn explain(&self, token: &str) -> Explanation {
        let mut checks = Vec::new();
        let mut verdict = self.verify_waiting(token, &mut checks).await;
        if verdict.as_ref().is_ok_and(Jwt::is_bound) {
            let what = "`cnf` binds the token to a key, which has to be shown with it in a request";
            checks.saw(Check::Claims, || what.to_owned());
            verdict = Err(AuthErrorKind::BindingNotChecked.into());
        }
        Explanation::new(checks, verdict.err())
    }

    /// The verdict, its binding not judged, if neither the key source nor the resolver needs time for it.
    pub(crate) fn verify_now(&self, token: &str) -> Option<Result<Jwt<C>, AuthError>> {
        let span = Verifying::start();
        let verdict = span.within(|| self.at_once(token, &span));
        match &verdict {
            Some(verdict) => Self::tell(&span, verdict),
            None => span.waits(),
        }
        verdict
    }

    fn at_once(&self, token: &str, span: &Verifying) -> Option<Result<Jwt<C>, AuthError>> {
        let now = self.0.clock.now();
        if let Some(jwt) = self.remembered(token, now, span) {
            return Some(Ok(jwt));
        }
        let mut room = Buffers::new();
        let opened = Unverified::open(token, &mut room, &mut ()).map_err(AuthError::from).and_then(|unverified| {
            let selected = self.0.issuers.select(&unverified, now, &mut ())?;
            Ok((unverified, selected))
        });
        let verdict = match opened {
            Err(error) => return Some(Err(error)),
            Ok((unverified, Selected::Fixed(issuer))) => self.judge_now(&unverified, issuer, now)?,
            Ok((unverified, Selected::Resolved(issuer))) => self.judge_now(&unverified, &issuer, now)?,
            Ok((_, Selected::Ask(_))) => return None,
        };
        Some(verdict.inspect(|jwt| self.remember(token, jwt)))
    }

    /// The verdict on a token of this issuer.
    fn judge_now(
        &self,
        unverified: &Unverified<'_>,
        issuer: &Arc<Trusted>,
        now: UnixTime,
    ) -> Option<Result<Jwt<C>, AuthError>> {
        let of_issuer = |error: AuthError| error.with_issuer(issuer.meter.number);
        let algorithm = match unverified.algorithm(issuer, &mut ()) {
            Ok(algorithm) => algorithm,
            Err(kind) => return Some(Err(of_issuer(kind.into()))),
        };
        let verdict = match Search::new(issuer, algorithm, now).ask(unverified, &mut ()) {
            Step::Done(Ok(verified)) => {
                unverified.remember_header();
                self.accept(unverified, issuer, verified, now, &mut ())
            }
            Step::Done(Err(error)) => Err(error),
            Step::Wait(_) => return None,
        };
        Some(verdict.map_err(of_issuer))
    }

    /// The verdict, however long the source and the resolver take.
    async fn verify_waiting(&self, token: &str, see: &mut (impl Observe + Send)) -> Result<Jwt<C>, AuthError> {
        let issuers = &self.0.issuers;
        let now = || self.0.clock.now();
        let mut room = Buffers::new();
        let unverified = Unverified::open(token, &mut room, see)?;
        let resolved;
        let issuer = match issuers.select(&unverified, now(), see)? {
            Selected::Fixed(issuer) => issuer,
            Selected::Resolved(issuer) => {
                resolved = issuer;
                &resolved
            }
            Selected::Ask(iss) => {
                let resolver = issuers.resolver.as_ref().ok_or(AuthErrorKind::InvalidIssuer)?;
                resolved = resolver.resolve(&iss, &self.0.clock).await?;
                &resolved
            }
        };
        let verdict = self.judge_waiting(&unverified, issuer, see).await;
        verdict.map_err(|error| error.with_issuer(issuer.meter.number))
    }

    async fn judge_waiting(
        &self,
        unverified: &Unverified<'_>,
        issuer: &Arc<Trusted>,
        see: &mut (impl Observe + Send),
    ) -> Result<Jwt<C>, AuthError> {
        let now = || self.0.clock.now();
        let algorithm = unverified.algorithm(issuer, see)?;
        let mut search = Search::new(issuer, algorithm, now());
        let mut step = search.ask(unverified, see);
        loop {
            match step {
                Step::Done(verdict) => return self.accept(unverified, issuer, verdict?, now(), see),
                Step::Wait(keys) => step = search.answered(unverified, keys.await, see),
            }
        }
    }

    /// For the one who watches what is verified.
    fn tell(span: &Verifying, verdict: &Result<Jwt<C>, AuthError>) {
        match verdict {
            Ok(jwt) => span.accepted(jwt.trusted().name(), jwt.algorithm()),
            Err(error) => span.refused(error),
        }
    }

    /// One verdict is counted for each token of [`verify`](Self::verify), and for each request of a layer.
    pub(crate) fn count_accepted(&self, jwt: &Jwt<C>) {
        self.0.meter.accepted(jwt.trusted().meter.number);
    }

    pub(crate) fn count_refused(&self, error: &AuthError) {
        self.0.meter.refused(error);
    }

    /// A remembered verdict, if everything that may have changed since still holds. Where something does not, the
    /// token is judged anew, so that the answer is the same as without a cache.
    fn remembered(&self, token: &str, now: UnixTime, span: &Verifying) -> Option<Jwt<C>> {
        let (cache, id) = self.0.cache.as_ref()?;
        let jwt = self.recall(cache, *id, token, now);
        self.0.meter.looked_up(jwt.is_some());
        if jwt.is_some() {
            span.remembered();
        }
        jwt
    }

    fn recall(&self, cache: &TokenCache, id: VerifierId, token: &str, now: UnixTime) -> Option<Jwt<C>> {
        let jwt = Jwt::from_remembered(cache.get(id, token)?);
        let issuer = jwt.trusted();
        let is_recent = jwt.verified_at() <= now && now < jwt.verified_at().plus(LONGEST);
        let query = KeyQuery::new(jwt.algorithm(), jwt.key_id(), false);
        let holds = is_recent
            && jwt.is_current(now)
            && self.0.issuers.still_trusts(issuer, jwt.iss(), now)
            && matches!(issuer.keys.lookup(&query).0, Lookup::Ready(keys) if jwt.stands_in(keys.set()))
            && self.revocation(&jwt, now) == RevocationVerdict::Valid
            && self.0.rules.iter().all(|rule| (rule.predicate)(&jwt));
        if !holds {
            cache.remove(id, token);
            return None;
        }
        Some(jwt)
    }

    fn remember(&self, token: &str, jwt: &Jwt<C>) {
        if let Some((cache, id)) = &self.0.cache {
            cache.insert(*id, token, jwt.clone().into_remembered());
        }
    }

    /// The payload, once the signature is good.
    fn accept(
        &self,
        token: &Unverified<'_>,
        issuer: &Arc<Trusted>,
        verified: Verified,
        now: UnixTime,
        see: &mut impl Observe,
    ) -> Result<Jwt<C>, AuthError> {
        see.saw(Check::Payload, || format!("{} bytes", token.payload.len()));
        let mut registered = Registered::default();
        let claims = claims::parse::<C>(token.payload, &issuer.claims, &mut registered)?;
        let times = issuer
            .check_identity_and_time(&registered, now, see)
            .map_err(|kind| issuer.with_what_was_expected(kind))?;
        issuer.check_tenant(token.payload, &registered, &verified.key, see)?;
        issuer.check_claims(&registered, see)?;
        let claims = claims.map_err(|error| {
            see.saw(Check::Claims, || error.to_string());
            AuthError::new(AuthErrorKind::ClaimsMismatch).with_detail(without_values(&error))
        })?;
        let jwt = Jwt::new(Proof { issuer, header: &token.header, verified, times, now }, &registered, claims);
        self.check_revocation(&jwt, &registered, now, see)?;
        match self.0.rules.iter().find(|rule| !(rule.predicate)(&jwt)) {
            Some(rule) => {
                see.saw(Check::Claims, || "a rule of one's own refused".to_owned());
                Err(rule.refusal.into())
            }
            None => Ok(jwt),
        }
    }
}

impl<C: Send + Sync + 'static> Verifier<C> {
    /// What the lists say, the worst of it.
    fn revocation(&self, jwt: &Jwt<C>, now: UnixTime) -> RevocationVerdict {
        let mut verdict = RevocationVerdict::Valid;
        if self.0.revocations.is_empty() {
            return verdict;
        }
        let token = jwt.revocable(now);
        for list in &self.0.revocations {
            match list.check(&token) {
                RevocationVerdict::Valid => {}
                RevocationVerdict::Revoked => return RevocationVerdict::Revoked,
                unknown @ RevocationVerdict::Unknown { .. } => verdict = unknown,
            }
        }
        verdict
    }

    fn check_revocation(
        &self,
        jwt: &Jwt<C>,
        registered: &Registered<'_>,
        now: UnixTime,
        see: &mut impl Observe,
    ) -> Result<(), AuthError> {
        if self.0.revocations.is_empty() {
            return Ok(());
        }
        see.saw(Check::Revocation, || {
            let token = jwt.revocable(now);
            let ids: Vec<_> = token.ids().collect();
            format!("issuer {:?}, named {ids:?}, sub {:?}", token.issuer(), token.subject().unwrap_or("(none)"))
        });
        // A name of another type would be one that nobody can revoke.
        let jti = jwt.trusted().claims.jti_is_id.then_some(&registered.jti);
        if [&registered.sub].into_iter().chain(jti).chain(&registered.ids).any(|name| *name == Member::Wrong) {
            let detail = "`sub`, or a claim that names the token for its revocation, is not a string";
            return Err(AuthError::new(AuthErrorKind::MissingClaim).with_detail(detail));
        }
        match self.revocation(jwt, now) {
            RevocationVerdict::Valid => Ok(()),
            RevocationVerdict::Revoked => Err(AuthErrorKind::Revoked.into()),
            RevocationVerdict::Unknown { retry_after } => {
                Err(AuthError::new(AuthErrorKind::RevocationUnavailable).with_retry_after(retry_after))
            }
        }
    }
}

impl<C> Verifier<C> {
    /// The configured names of the issuers that are URLs, without aliases and templates, in order.
    pub(crate) fn issuer_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = match &self.0.issuers.fixed {
            Fixed::One(issuer) => issuer.only_name().into_iter().collect(),
            Fixed::Several(issuers) => issuers.by_name.values().filter_map(|issuer| issuer.only_name()).collect(),
        };
        names.retain(|name| name.starts_with("https://") || name.starts_with("http://"));
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> VerifierBuilder<C> {
    /// Trusts an issuer. Call it again for more: each is bound to its own keys, audiences and algorithms.
    pub fn trust(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Asks this for issuers that are not in the list: for tenants that come and go.
    pub fn resolver(mut self, resolver: IssuerResolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Asks this whether a token has been [revoked](crate::revocation), for every request, remembered verdicts included.
    /// Call it again for more lists: a token that one of them names is refused.
    ///
    /// A token in which `sub`, or a claim that names it for its revocation, is there and no string is refused as well:
    /// nobody could revoke it.
    pub fn revocation(mut self, list: impl Revocation) -> Self {
        self.revocations.push(Box::new(list));
        self
    }

    /// A rule that every token must meet; one that does not is refused: 401.
    pub fn require(self, rule: impl Fn(&Jwt<C>) -> bool + Send + Sync + 'static) -> Self {
        self.rule(rule, AuthErrorKind::ClaimRefused)
    }

    /// A rule about what a genuine token may do; one that does not meet it is forbidden: 403.
    pub fn authorize(self, rule: impl Fn(&Jwt<C>) -> bool + Send + Sync + 'static) -> Self {
        self.rule(rule, AuthErrorKind::Forbidden)
    }

    fn rule(mut self, rule: impl Fn(&Jwt<C>) -> bool + Send + Sync + 'static, refusal: AuthErrorKind) -> Self {
        self.rules.push(Rule { predicate: Box::new(rule), refusal });
        self
    }

    /// Remembers accepted tokens, so that the same one costs no second signature check. Off unless asked for.
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// When no issuer is trusted, when two have the same name, when `danger_any_issuer` is not alone, or when an
    /// issuer has a setting that cannot work, or one that a list of revocations needs is missing: the message names the fix.
    pub fn build(self) -> Result<Verifier<C>, ConfigError> {
        let max_lifetime = self.revocations.iter().filter_map(|list| list.max_lifetime()).min();
        let lists = Lists { are_there: !self.revocations.is_empty(), max_lifetime };
        let mut issuers = Vec::new();
        for (at, issuer) in self.issuers.into_iter().enumerate() {
            issuers.push(Arc::new(issuer.build(lists, IssuerMeter::configured(at))?));
        }
        let meter = VerifierMeter::new(&issuers.iter().map(|issuer| issuer.name()).collect::<Vec<_>>());
        let fixed = match (issuers.len(), &self.resolver) {
            (0, None) => return Err(ConfigError::new("no issuer is trusted: add one with `.trust(…)`")),
            (1, None) => Fixed::One(issuers.remove(0)),
            _ => Fixed::Several(Several::new(by_name(&issuers)?)),
        };
        let resolver = self.resolver.map(|resolver| resolver.for_lists(lists));
        let issuers = Issuers { fixed, resolver };
        let cache = self.cache.map(|cache| (cache, VerifierId::next()));
        let (revocations, rules) = (self.revocations, self.rules);
        Ok(Verifier(Arc::new(Shared { issuers, revocations, rules, clock: self.clock, cache, meter })))
    }
}

fn by_name(issuers: &[Arc<Trusted>]) -> Result<HashMap<Box<str>, Arc<Trusted>>, ConfigError> {
    let mut by_name = HashMap::new();
    for issuer in issuers {
        if matches!(issuer.issuer, IssuerRule::Any) {
            return Err(ConfigError::new("`danger_any_issuer` cannot be combined with other issuers"));
        }
        for name in issuer.issuer.names() {
            if by_name.insert(name.clone(), Arc::clone(issuer)).is_some() {
                return Err(ConfigError::new(format!(
                    "the issuer {name:?} is trusted twice: give it one key set with all its keys"
                )));
            }
        }
    }
    Ok(by_name)
}

impl<C> Clone for Verifier<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Verifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = match &self.0.issuers.fixed {
            Fixed::One(_) => 1,
            Fixed::Several(issuers) => issuers.by_name.len(),
        };
        f.debug_struct("Verifier").field("issuers", &issuers).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for VerifierBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}
