//! The checks in their order, once for the request path and for explanations.
//!
//! Envelope, header, (with several issuers: which one), algorithm, key, signature, payload, issuer, audience, time,
//! claims. The steps up to the signature are pure; between them stands the key source, which may wait.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::explain::{Check, Observe};
use super::issuer::Trusted;
use super::resolver::IssuerResolver;
use super::words;
use crate::claims::{self, Audience, Confirmation, Registered, Time};
use crate::clock::UnixTime;
use crate::error::{AuthError, AuthErrorKind};
use crate::jose::Algorithm;
use crate::jose::compact::{self, Decoded};
use crate::jose::header::Header;
use crate::jose::recent;
use crate::keys::{Found, Key, KeyError, KeyQuery, KeySet, Keys};
use crate::keys::{Lookup, PendingKeys, Waited};
use crate::policy::{IssuerRule, MAX_ISSUER, Times, trust_domain};

/// Room for the decoded segments of common tokens, on the stack.
pub(super) struct Buffers {
    header: Decoded<256>,
    payload: Decoded<1024>,
    signature: Decoded<512>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { header: Decoded::new(), payload: Decoded::new(), signature: Decoded::new() }
    }
}

/// A token that has been taken apart and not verified.
pub(super) struct Unverified<'t> {
    signed: &'t [u8],
    signature: &'t [u8],
    pub(super) payload: &'t [u8],
    pub(super) header: Header<'t>,
    /// The segment of the header and its JSON, where they are not known yet.
    new_header: Option<(&'t [u8], &'t [u8])>,
}

impl<'t> Unverified<'t> {
    /// Envelope and header: what can be judged without knowing the issuer.
    pub(super) fn open(token: &'t str, room: &'t mut Buffers, see: &mut impl Observe) -> Result<Self, AuthErrorKind> {
        see.saw(Check::Envelope, || {
            let segments = token.split('.').count();
            format!("{} bytes, {segments} segment{}", token.len(), if segments == 1 { "" } else { "s" })
        });
        let compact = compact::split(token.as_bytes())?;
        let recalled = recent::recall(compact.header, &mut room.header);
        if recalled.is_none() {
            room.header.decode(compact.header)?;
        }
        room.payload.decode(compact.payload)?;
        room.signature.decode(compact.signature)?;
        let room: &'t Buffers = room;
        see.saw(Check::Header, || String::from_utf8_lossy(room.header.bytes()).into_owned());
        let json = room.header.bytes();
        let header = match &recalled {
            Some(places) => places.header(json),
            None => Header::parse(json)?,
        };
        let new_header = recalled.is_none().then_some((compact.header, json));
        let (signature, payload) = (room.signature.bytes(), room.payload.bytes());
        Ok(Self { signed: compact.signed, signature, payload, header, new_header })
    }

    /// The token has verified: its header may come again.
    pub(super) fn remember_header(&self) {
        if let Some((segment, json)) = self.new_header {
            recent::remember(segment, json, &self.header);
        }
    }

    /// `typ`, then `alg`, by the rules of the issuer.
    pub(super) fn algorithm(&self, issuer: &Trusted, see: &mut impl Observe) -> Result<Algorithm, AuthErrorKind> {
        issuer.types.check(self.header.typ.as_deref())?;
        see.saw(Check::Algorithm, || {
            format!("{:?}, allowed: {:?}", self.header.alg.as_deref().unwrap_or("(none)"), issuer.algorithms)
        });
        let algorithm = self.header.algorithm()?;
        if issuer.algorithms.contains(algorithm) { Ok(algorithm) } else { Err(AuthErrorKind::AlgorithmNotAllowed) }
    }

    pub(super) fn registered(&self, issuer: &Trusted, see: &mut impl Observe) -> Result<Registered<'t>, AuthErrorKind> {
        see.saw(Check::Payload, || format!("{} bytes", self.payload.len()));
        Registered::parse(self.payload, &issuer.claims)
    }
}

/// The way to the key: ask the source, try what it has, and where nothing fits ask once more.
pub(super) struct Search<'s> {
    issuer: &'s Trusted,
    algorithm: Algorithm,
    now: UnixTime,
    /// The set that had no key, so that the same answer is not tried again.
    tried: Option<KeySet>,
    is_retry: bool,
    waited: Waited,
    /// A key was tried and did not verify.
    mismatch: bool,
}

/// The key that verifies a token, and the set that it was found in.
pub(super) struct Verified {
    pub(super) key: Arc<Key>,
    pub(super) set: u64,
}

pub(super) enum Step<'s> {
    /// The key that verifies, or the token is refused.
    Done(Result<Verified, AuthError>),
    /// The source needs time.
    Wait(PendingKeys<'s>),
}

impl<'s> Search<'s> {
    pub(super) fn new(issuer: &'s Trusted, algorithm: Algorithm, now: UnixTime) -> Self {
        Self { issuer, algorithm, now, tried: None, is_retry: false, waited: Waited::default(), mismatch: false }
    }

    /// Asks the source, until there is a verdict or a future.
    pub(super) fn ask(&mut self, token: &Unverified<'_>, see: &mut impl Observe) -> Step<'s> {
        loop {
            if !self.is_retry {
                see.saw(Check::Key, || format!("kid {:?}", token.header.kid.as_deref().unwrap_or("(none)")));
            }
            let query = KeyQuery::new(self.algorithm, token.header.kid.as_deref(), self.is_retry).after(self.waited);
            let answer = match self.issuer.keys.lookup(&query).0 {
                Lookup::Ready(keys) => Ok(keys),
                // On the first question nothing is usable, whatever the token; on the second, its own rules come first.
                Lookup::Failed(error) if !self.is_retry => return Step::Done(Err(Self::failed(token, error, see))),
                Lookup::Failed(error) => match self.precheck(token, see) {
                    Ok(()) => Err(error),
                    Err(refused) => return Step::Done(Err(refused)),
                },
                Lookup::Pending(future) => match self.precheck(token, see) {
                    Ok(()) => {
                        self.waited.begin();
                        return Step::Wait(future);
                    }
                    Err(refused) => return Step::Done(Err(refused)),
                },
            };
            if let Some(verdict) = self.judge(token, answer, see) {
                return Step::Done(verdict);
            }
        }
    }

    /// The source has no answer: that is where the checks end.
    fn failed(token: &Unverified<'_>, error: KeyError, see: &mut impl Observe) -> AuthError {
        see.rewind(Check::Key);
        see.saw(Check::Key, || format!("kid {:?}; {error}", token.header.kid.as_deref().unwrap_or("(none)")));
        error.into()
    }

    /// Takes what a future brought, and goes on.
    pub(super) fn answered(
        &mut self,
        token: &Unverified<'_>,
        answer: Result<KeySet, KeyError>,
        see: &mut impl Observe,
    ) -> Step<'s> {
        match self.judge(token, answer.map(Keys::from), see) {
            Some(verdict) => Step::Done(verdict),
            None => self.ask(token, see),
        }
    }

    /// Who, for whom, and when, from the payload as it stands: a token that fails here is not saved by any key. Only a
    /// failure is shown; where the token passes, the key is still what matters.
    fn precheck(&self, token: &Unverified<'_>, see: &mut impl Observe) -> Result<(), AuthError> {
        fn check(search: &Search<'_>, token: &Unverified<'_>, see: &mut impl Observe) -> Result<(), AuthErrorKind> {
            let registered = token.registered(search.issuer, see)?;
            search.issuer.check_identity_and_time(&registered, search.now, see).map(drop)
        }
        if check(self, token, &mut ()).is_ok() {
            return Ok(());
        }
        see.rewind(Check::Key);
        check(self, token, see).map_err(|kind| self.issuer.with_what_was_expected(kind))
    }

    /// A verdict, or `None` to ask once more.
    fn judge(
        &mut self,
        token: &Unverified<'_>,
        answer: Result<Keys<'s>, KeyError>,
        see: &mut impl Observe,
    ) -> Option<Result<Verified, AuthError>> {
        let keys = match answer {
            Ok(keys) => keys,
            Err(error) => return Some(Err(Self::failed(token, error, see))),
        };
        let set = keys.set();
        let kid = token.header.kid.as_deref();
        if self.tried.as_ref().is_none_or(|tried| !tried.is(set)) {
            match set.find(self.algorithm, kid) {
                Found::Candidates(keys) => {
                    let keys = keys.into_iter().flatten();
                    see.rewind(Check::Key);
                    see.saw(Check::Key, || {
                        format!("kid {:?}, {} to try", kid.unwrap_or("(none)"), keys.clone().count())
                    });
                    see.saw(Check::Signature, || format!("{} bytes", token.signature.len()));
                    for key in keys {
                        let check = || key.verify(token.signed, token.signature);
                        if self.issuer.meter.timed(self.algorithm, check) {
                            return Some(Ok(Verified { key: Arc::clone(key), set: set.id() }));
                        }
                    }
                    self.mismatch = true;
                }
                Found::OtherAlgorithm => {
                    see.saw(Check::Key, || format!("kid {:?} is a key of another algorithm", kid.unwrap_or("(none)")));
                    return Some(Err(AuthErrorKind::UnknownKey.into()));
                }
                Found::Nothing => {}
            }
        }
        // A bad signature under a known kid is final: forged tokens must not buy fetches.
        let known = kid.is_some_and(|kid| set.knows(kid));
        if known || self.is_retry {
            if self.mismatch {
                return Some(Err(AuthErrorKind::InvalidSignature.into()));
            }
            see.saw(Check::Key, || format!("kid {:?}, {}", kid.unwrap_or("(none)"), say_keys(set)));
            return Some(Err(AuthErrorKind::UnknownKey.into()));
        }
        self.tried = Some(set.clone());
        self.is_retry = true;
        None
    }
}

impl Trusted {
    pub(super) fn check_identity_and_time(
        &self,
        registered: &Registered<'_>,
        now: UnixTime,
        see: &mut impl Observe,
    ) -> Result<Times, AuthErrorKind> {
        see.saw(Check::Issuer, || {
            format!("{}, trusted: {:?}", say(registered.iss.text()), self.name().unwrap_or("(any)"))
        });
        self.issuer.check(&registered.iss, &registered.sub)?;
        see.saw(Check::Audience, || format!("{}, expected: {}", say_audience(&registered.audience), self.audience));
        self.audience.check(&registered.audience)?;
        see.saw(Check::Time, || {
            let say = |time| match time {
                Time::Absent => "missing".to_owned(),
                Time::At(at) => at.as_secs().to_string(),
                Time::Wrong => "not a number".to_owned(),
            };
            let [exp, nbf, iat] = [registered.exp, registered.nbf, registered.iat].map(say);
            let leeway = self.time.leeway;
            let words = words::times(registered, now, leeway);
            format!("{words}exp {exp}, nbf {nbf}, iat {iat}; now {}, leeway {} s", now.as_secs(), leeway.as_secs())
        });
        let times = Times::try_from(registered)?;
        self.time.check(times, now)?;
        Ok(times)
    }

    /// Where every tenant has a name of its own: whether the token and its key agree on the tenant.
    pub(super) fn check_tenant(
        &self,
        payload: &[u8],
        registered: &Registered<'_>,
        key: &Key,
        see: &mut impl Observe,
    ) -> Result<(), AuthErrorKind> {
        let IssuerRule::PerTenant(template) = &self.issuer else { return Ok(()) };
        let tid = claims::claim(payload, "tid")?;
        see.saw(Check::Issuer, || format!("`tid` is {}; the key is for {:?}", say(tid.as_deref()), key.issuer()));
        template.check_tenant(registered.iss.text().unwrap_or_default(), tid.as_deref(), key.issuer())
    }

    /// For the log: what a token should have had. It is configuration, and nothing of the token.
    pub(super) fn with_what_was_expected(&self, kind: AuthErrorKind) -> AuthError {
        let error = AuthError::new(kind);
        let name = self.name().unwrap_or("(any)");
        match kind {
            AuthErrorKind::InvalidIssuer => error.with_detail(format!("expected {name:?}")),
            AuthErrorKind::InvalidAudience => error.with_detail(format!("expected {} from {name:?}", self.audience)),
            _ => error,
        }
    }

    /// The rules for claims that need no type.
    pub(super) fn check_claims(&self, registered: &Registered<'_>, see: &mut impl Observe) -> Result<(), AuthError> {
        let missing = || {
            let absent = |at: &usize| registered.required & (1 << at) == 0;
            (0..self.claims.required.len()).find(absent).map(|at| &*self.claims.required[at])
        };
        see.saw(Check::Claims, || match missing() {
            Some(name) => format!("{name:?} is missing"),
            None => "all required claims are there".to_owned(),
        });
        if registered.is_event {
            return Err(AuthErrorKind::SecurityEvent.into());
        }
        if registered.cnf == Confirmation::Unknown && !self.binding_checked_upstream {
            see.saw(Check::Claims, || "`cnf` binds the token to something that cannot be checked here".to_owned());
            return Err(AuthErrorKind::BindingNotChecked.into());
        }
        let wrong = (0..self.claims.valued.len()).find(|at| registered.valued & (1 << at) == 0);
        if let Some((name, _)) = wrong.map(|at| &self.claims.valued[at]) {
            see.saw(Check::Claims, || format!("{name:?} is not what it must be"));
            return Err(AuthError::new(AuthErrorKind::ClaimRefused).with_detail(format!("`{name}`")));
        }
        let texts = [&registered.sub, &registered.client_id, &registered.jti];
        if self.is_profiled && missing().is_none() && texts.iter().any(|claim| claim.text().is_none()) {
            see.saw(Check::Claims, || "`sub`, `client_id` and `jti` are strings (RFC 9068 section 2.2)".to_owned());
            return Err(AuthErrorKind::MissingClaim.into());
        }
        match missing() {
            Some(name) => Err(AuthError::new(AuthErrorKind::MissingClaim).with_detail(format!("`{name}`"))),
            None => Ok(()),
        }
    }
}

fn say(text: Option<&str>) -> String {
    text.map_or("missing or not a string".to_owned(), |text| format!("{text:?}"))
}

/// The keys of a source, for whoever looks for one that is not there.
fn say_keys(set: &KeySet) -> String {
    const MOST: usize = 10;
    let say = |key: &Key| format!("{:?} ({})", key.kid().unwrap_or("(none)"), key.algorithm());
    let mut keys: Vec<_> = set.iter().take(MOST).map(say).collect();
    if set.len() > MOST {
        keys.push(format!("and {} more", set.len() - MOST));
    }
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    format!("the keys at hand: {keys}")
}

/// The names of issuers, for whoever looks for one that is not there.
fn say_names(mut names: Vec<&str>) -> Box<str> {
    const MOST: usize = 10;
    if names.is_empty() {
        return "those that the resolver knows".into();
    }
    names.sort_unstable();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{names:?}{more}").into()
}

fn say_audience(audience: &Audience<'_>) -> String {
    match audience {
        Audience::Absent => "missing".to_owned(),
        Audience::One(name) => format!("{name:?}"),
        Audience::Many(names) => format!("{names:?}"),
        Audience::Wrong => "neither a string nor an array of strings".to_owned(),
    }
}

/// The issuers of a verifier.
pub(super) struct Issuers {
    pub(super) fixed: Fixed,
    pub(super) resolver: Option<IssuerResolver>,
}

pub(super) enum Fixed {
    One(Arc<Trusted>),
    Several(Several),
}

/// Issuers that are told apart by what a token says of itself.
pub(super) struct Several {
    pub(super) by_name: HashMap<Box<str>, Arc<Trusted>>,
    /// Those whose tenants have names of their own; they stand in `by_name` too, under their templates.
    templates: Vec<Arc<Trusted>>,
    /// One of them is known by `sub`.
    has_trust_domains: bool,
    /// For the log: who is trusted.
    names: Box<str>,
}

impl Several {
    pub(super) fn new(by_name: HashMap<Box<str>, Arc<Trusted>>) -> Self {
        let is_template = |issuer: &&Arc<Trusted>| matches!(issuer.issuer, IssuerRule::PerTenant(_));
        let templates = by_name.values().filter(is_template).cloned().collect();
        let has_trust_domains = by_name.values().any(|issuer| matches!(issuer.issuer, IssuerRule::TrustDomain(_)));
        let names = say_names(by_name.keys().map(|name| &**name).collect());
        Self { by_name, templates, has_trust_domains, names }
    }

    fn of(&self, iss: &str) -> Option<&Arc<Trusted>> {
        let fits = |issuer: &&Arc<Trusted>| match &issuer.issuer {
            IssuerRule::PerTenant(template) => template.tenant(iss).is_some(),
            _ => false,
        };
        self.by_name.get(iss).or_else(|| self.templates.iter().find(fits))
    }
}

/// The issuer of a token.
pub(super) enum Selected<'t> {
    Fixed(&'t Arc<Trusted>),
    Resolved(Arc<Trusted>),
    /// Only the resolver can say.
    Ask(Cow<'t, str>),
}

impl Issuers {
    /// The issuer of a token: the only one, or the one that its unverified `iss` names.
    pub(super) fn select<'t>(
        &'t self,
        token: &Unverified<'t>,
        now: UnixTime,
        see: &mut impl Observe,
    ) -> Result<Selected<'t>, AuthError> {
        let issuers = match &self.fixed {
            Fixed::One(issuer) => return Ok(Selected::Fixed(issuer)),
            Fixed::Several(issuers) => issuers,
        };
        see.saw(Check::Payload, || format!("{} bytes", token.payload.len()));
        let iss = claims::claim(token.payload, "iss")?;
        see.saw(Check::Issuer, || format!("{}, trusted: {}", say(iss.as_deref()), issuers.names));
        let iss = iss.filter(|iss| iss.len() <= MAX_ISSUER);
        if let Some(issuer) = iss.as_deref().and_then(|iss| issuers.of(iss)) {
            return Ok(Selected::Fixed(issuer));
        }
        if issuers.has_trust_domains {
            let sub = claims::claim(token.payload, "sub")?;
            let domain = sub.as_deref().and_then(trust_domain);
            see.saw(Check::Issuer, || format!("`sub` is of the trust domain {}", say(domain)));
            if let Some(issuer) = domain.and_then(|domain| issuers.by_name.get(domain)) {
                return Ok(Selected::Fixed(issuer));
            }
        }
        let (Some(iss), Some(resolver)) = (iss, &self.resolver) else {
            let detail = format!("expected one of {}", issuers.names);
            return Err(AuthError::new(AuthErrorKind::InvalidIssuer).with_detail(detail));
        };
        // An algorithm that does not exist is refused without asking anybody.
        token.header.algorithm()?;
        match resolver.recall(&iss, now) {
            Some(known) => Ok(Selected::Resolved(known?)),
            None => Ok(Selected::Ask(iss)),
        }
    }

    /// True while tokens of this issuer, with this `iss`, would be judged by this very configuration.
    pub(super) fn still_trusts(&self, issuer: &Arc<Trusted>, iss: Option<&str>, now: UnixTime) -> bool {
        let Some(resolver) = &self.resolver else { return true };
        let is_fixed = match (&self.fixed, issuer.name()) {
            (Fixed::Several(issuers), Some(name)) => {
                issuers.by_name.get(name).is_some_and(|fixed| Arc::ptr_eq(fixed, issuer))
            }
            _ => false,
        };
        let is_resolved = |iss| matches!(resolver.recall(iss, now), Some(Ok(known)) if Arc::ptr_eq(&known, issuer));
        is_fixed || iss.is_some_and(is_resolved)
    }
}
