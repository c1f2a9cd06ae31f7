//! One trusted issuer: its name, its keys, and what its tokens must look like.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::claims::ClaimNames;
use crate::crypto;
use crate::error::ConfigError;
use crate::jose::{Algorithm, AlgorithmSet};
use crate::keys::KeySource;
use crate::meters::IssuerMeter;
use crate::policy::{AudienceRule, IssuerRule, MAX_ISSUER, MAX_LEEWAY, TimeRule, TypeRule};
use crate::revocation::{IssuerKey, MAX_IDS};

/// A trusted issuer, bound to its keys, audiences and algorithms.
///
/// An audience is required: without one, a token that the issuer made for another service would pass here. What
/// cannot work is said by [`Verifier`](crate::Verifier) and [`JwtAuth`](crate::JwtAuth) when they are built.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::{Algorithm, Issuer, Verifier, keys::KeySet};
///
/// let keys = KeySet::secret(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
/// let issuer = Issuer::new("https://login.example.com", keys)
///     .audience("orders")
///     .leeway(Duration::from_secs(5));
/// assert!(Verifier::<serde_json::Value>::new(issuer).is_ok());
///
/// // Refused: for whom are the tokens?
/// let keys = KeySet::secret(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
/// assert!(Verifier::<serde_json::Value>::new(Issuer::new("https://login.example.com", keys)).is_err());
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Issuer {
    rule: IssuerRule,
    keys: Arc<dyn KeySource>,
    algorithms: Option<AlgorithmSet>,
    audiences: Vec<Box<str>>,
    any_audience: bool,
    types: TypeRule,
    time: TimeRule,
    claims: ClaimNames,
    binding_checked_upstream: bool,
    is_profiled: bool,
    subjects: Subjects,
    revocation_claims: Option<Vec<Cow<'static, str>>>,
}

/// What a verifier's lists of revocations ask of its issuers.
#[derive(Clone, Copy, Default)]
pub(super) struct Lists {
    pub(super) are_there: bool,
    /// The shortest of their bounds.
    pub(super) max_lifetime: Option<Duration>,
}

/// Who can get tokens for any audience from an issuer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subjects {
    Known,
    /// Strangers too; a rule on one of these claims says who, or on any claim where there are none.
    Shared(&'static [&'static str]),
    /// Strangers too, and they may come.
    Anybody,
}

impl Issuer {
    /// An issuer by its name: exactly what its tokens have in `iss`, byte for byte (RFC 8725 §3.8).
    pub fn new(name: impl Into<String>, keys: impl KeySource) -> Self {
        Self {
            rule: IssuerRule::Named(vec![name.into().into_boxed_str()]),
            keys: Arc::new(keys),
            algorithms: None,
            audiences: Vec::new(),
            any_audience: false,
            types: TypeRule::default(),
            time: TimeRule::default(),
            claims: ClaimNames::default(),
            binding_checked_upstream: false,
            is_profiled: false,
            subjects: Subjects::Known,
            revocation_claims: None,
        }
    }

    /// An issuer whose keys are found through its metadata (OpenID Connect Discovery, RFC 8414), fetched over HTTP and
    /// kept fresh. For knobs and a handle for operators, give a [`RemoteJwks`](crate::keys::RemoteJwks) to
    /// [`new`](Self::new).
    ///
    /// # Errors
    /// When the name is no https URL (http on loopback), or the address of the metadata.
    #[cfg(feature = "remote")]
    pub fn discover(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        Ok(Self::new(name.clone(), crate::keys::RemoteJwks::discover(name).build()?))
    }

    /// The same, with the metadata at another URL than the name says (Entra's version 1, AD FS).
    ///
    /// # Errors
    /// When the URL is not https (http on loopback), or the name the address of metadata.
    #[cfg(feature = "remote")]
    pub fn discover_at(url: impl Into<String>, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        Ok(Self::new(name.clone(), crate::keys::RemoteJwks::discover_at(url, name).build()?))
    }

    /// Trusts whatever these keys signed, whatever `iss` says or if it is missing. Gives up the protection against
    /// tokens that the same keys signed for another purpose. It cannot be combined with other issuers.
    pub fn danger_any_issuer(keys: impl KeySource) -> Self {
        Self::ruled(IssuerRule::Any, keys)
    }

    /// An issuer that is known by something else than one name.
    pub(crate) fn ruled(rule: IssuerRule, keys: impl KeySource) -> Self {
        let types = match rule {
            IssuerRule::TrustDomain(_) => TypeRule::svid(),
            _ => TypeRule::default(),
        };
        Self { rule, types, ..Self::new("", keys) }
    }

    /// Another name that this issuer uses in `iss` (Google has two).
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        if let IssuerRule::Named(names) = &mut self.rule {
            names.push(name.into().into_boxed_str());
        }
        self
    }

    /// An audience that this service answers to, byte for byte (RFC 7519 §4.1.3). Call it again for more; one of
    /// them in the token is enough.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into().into_boxed_str());
        self
    }

    /// Takes tokens for any audience, or for none. Gives up the protection against tokens that another service of
    /// the same issuer received and passes on.
    pub fn danger_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// The claim that holds the audience, where it is not `aud`: `client_id` or `azp`, for providers whose access
    /// tokens have no `aud`.
    pub fn audience_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.claims.audience = name.into();
        self
    }

    /// The algorithms that tokens may have: they filter, and never choose a key's. Without a list, those that the
    /// keys name.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// The values of `typ` that pass, one of which must then be there: case-insensitive, `application/` left out or
    /// not. Without a list, `JWT`, `JOSE`, `at+jwt` and no `typ` at all pass (RFC 8725 §3.11).
    pub fn types<T: Into<Cow<'static, str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = TypeRule::only(types.into_iter().map(Into::into));
        self
    }

    /// The profile for access tokens (RFC 9068 §2): `typ` must be `at+jwt`, and `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti` must be there, `sub`, `client_id` and `jti` as strings. Id tokens do not pass.
    pub fn access_token_profile(self) -> Self {
        let mut profiled =
            self.types(["at+jwt"]).require_claims(["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]);
        profiled.is_profiled = true;
        profiled
    }

    /// How far clocks may differ: 30 seconds unless set, 5 minutes at most. A token passes until `exp` + leeway, and
    /// from `nbf` − leeway on.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.time.leeway = leeway;
        self
    }

    /// How old a token may be, counted from `iat`, which must then be there and not lie ahead by more than the
    /// leeway. No bound unless set.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.time.max_age = Some(max_age);
        self
    }

    /// How far `exp` may be from `iat`, which must then be there. No bound unless set.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.time.max_lifetime = Some(max_lifetime);
        self
    }

    /// Takes tokens without `exp`, which never end. An `exp` that is there is still judged.
    pub fn danger_allow_no_expiry(mut self) -> Self {
        self.time.may_lack_expiry = true;
        self
    }

    /// Claims that must be there, whatever they hold. 64 at most.
    pub fn require_claims<T: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.claims.required.extend(names.into_iter().map(Into::into));
        self.claims.required.sort_unstable();
        self.claims.required.dedup();
        self
    }

    /// A claim that must be there as a string, and equal one of these, byte for byte: a subject, an owner, a tenant, a kind
    /// of token. Call it again for other claims, 64 at most. Remember that it is a rule about every token of this issuer:
    /// the rule about one route is [`Require`](crate::authorize::Require).
    pub fn require_claim_value<V: Into<String>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(|value| value.into().into_boxed_str()).collect();
        self.claims.valued.push((name.into(), values));
        self
    }

    /// Marks an issuer from which strangers can get a token for any audience: it is then not built without a
    /// [rule on a claim](Self::require_claim_value). Those of [`providers`](crate::providers) are marked.
    pub fn shared(self) -> Self {
        self.shared_by(&[])
    }

    /// The same, with the claims of which one has to say who may come.
    pub(crate) fn shared_by(mut self, claims: &'static [&'static str]) -> Self {
        if self.subjects == Subjects::Known {
            self.subjects = Subjects::Shared(claims);
        }
        self
    }

    /// Takes the tokens of everybody who can get one from a [shared](Self::shared) issuer. Gives up knowing who may come:
    /// only where rules of one's own decide that.
    pub fn danger_any_subject(mut self) -> Self {
        self.subjects = Subjects::Anybody;
        self
    }

    /// The claims that hold scopes, as a space-separated string or an array: `scope` and `scp` unless set.
    pub fn scope_claims<T: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.claims.scopes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Takes tokens that `cnf` binds to a key (RFC 7800) as if they were not bound: for a service behind a gateway
    /// that has checked the binding. Without such a gateway, a stolen token passes.
    pub fn danger_binding_checked_upstream(mut self) -> Self {
        self.binding_checked_upstream = true;
        self
    }

    /// The claims that name a token for its [revocation](crate::revocation): a list refuses it by the value of any of
    /// them. `jti` unless set; `["uti"]` for Entra, whose preset has set it; `["jti", "sid"]` where sessions are revoked
    /// as well. 4 at most, each a string. A token that lacks them cannot be revoked by them.
    pub fn revocation_claims<T: Into<Cow<'static, str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.revocation_claims = Some(names.into_iter().map(Into::into).collect());
        self
    }

    pub(super) fn build(self, lists: Lists, meter: IssuerMeter) -> Result<Trusted, ConfigError> {
        let place = self.rule.names().first().map_or("any issuer".into(), |name| format!("issuer {name:?}"));
        self.check(lists, meter).map_err(|error| error.at(place))
    }

    fn check(mut self, lists: Lists, meter: IssuerMeter) -> Result<Trusted, ConfigError> {
        if self.rule.names().iter().any(|name| name.is_empty() || name.len() > MAX_ISSUER) {
            return Err(ConfigError::new(format!("the name of an issuer has 1 to {MAX_ISSUER} bytes")));
        }
        if self.audiences.iter().any(|audience| audience.is_empty()) {
            return Err(ConfigError::new("an audience is empty: name this service"));
        }
        self.check_values()?;
        self.settle_revocation(lists)?;
        if self.types.is_empty() {
            return Err(ConfigError::new("the list of types is empty: name one, or leave the list out"));
        }
        let audience = match (self.any_audience, self.audiences.is_empty()) {
            (true, true) => AudienceRule::Any,
            (false, false) => AudienceRule::OneOf(self.audiences),
            (false, true) => {
                return Err(ConfigError::new(
                    "no audience: name this service with `.audience(…)`, or accept tokens for any with `.danger_any_audience()`",
                ));
            }
            (true, false) => {
                return Err(ConfigError::new("`.audience(…)` and `.danger_any_audience()` exclude each other"));
            }
        };
        if self.time.leeway > MAX_LEEWAY {
            return Err(ConfigError::new("the leeway is at most 5 minutes"));
        }
        if self.claims.required.len() > 64 {
            return Err(ConfigError::new("at most 64 claims can be required"));
        }
        let algorithms = allowed(self.algorithms, self.keys.algorithms())?;
        let revocation_key = self.rule.only_name().filter(|_| lists.are_there).and_then(IssuerKey::new);
        Ok(Trusted {
            meter,
            revocation_key,
            issuer: self.rule,
            keys: self.keys,
            algorithms,
            audience,
            types: self.types,
            time: self.time,
            claims: self.claims,
            binding_checked_upstream: self.binding_checked_upstream,
            is_profiled: self.is_profiled,
        })
    }
}

impl Issuer {
    /// What lists of revocations ask for. Without one, nothing is kept for them.
    fn settle_revocation(&mut self, lists: Lists) -> Result<(), ConfigError> {
        if let Some(mut names) = self.revocation_claims.take() {
            if names.is_empty() || names.len() > MAX_IDS {
                return Err(ConfigError::new(format!("1 to {MAX_IDS} claims can name a token for its revocation")));
            }
            let is_judged = |name: &&Cow<'static, str>| {
                ["iss", "sub", "exp", "nbf", "iat", "acr", "auth_time", "cnf", "client_id", "events", ""]
                    .contains(&&***name)
                    || **name == self.claims.audience
                    || self.claims.scopes.contains(*name)
            };
            if let Some(name) = names.iter().find(is_judged) {
                return Err(ConfigError::new(format!("{name:?} does not name a token: name a claim like `jti`")));
            }
            names.sort_unstable();
            names.dedup();
            self.claims.jti_is_id = names.contains(&Cow::Borrowed("jti"));
            names.retain(|name| name != "jti");
            self.claims.ids = names;
        }
        if !lists.are_there {
            self.claims.ids.clear();
        }
        match (lists.max_lifetime, self.time.max_lifetime) {
            (None, _) => Ok(()),
            (Some(list), Some(own)) if own <= list => Ok(()),
            (Some(list), Some(_)) => Err(ConfigError::new(format!(
                "its tokens may live longer than the {} s of the list of revocations: shorten `.max_lifetime(…)`, or \
                 build the list with a longer one",
                list.as_secs()
            ))),
            (Some(list), None) => Err(ConfigError::new(format!(
                "the list of revocations has to know how long tokens live: say so with `.max_lifetime(…)`, of at most {} s",
                list.as_secs()
            ))),
        }
    }

    /// The rules on the values of claims.
    fn check_values(&self) -> Result<(), ConfigError> {
        let valued = &self.claims.valued;
        if let Subjects::Shared(claims) = self.subjects
            && !valued.iter().any(|(name, _)| claims.is_empty() || claims.contains(&&**name))
        {
            let on = if claims.is_empty() { String::new() } else { format!(" on `{}`", claims.join("`, `")) };
            return Err(ConfigError::new(format!(
                "strangers can get tokens for any audience from this issuer: say who may come with \
                 `.require_claim_value(…)`{on}, or take everybody with `.danger_any_subject()`"
            )));
        }
        if valued.len() > 64 {
            return Err(ConfigError::new("at most 64 claims can have required values"));
        }
        for (at, (name, values)) in valued.iter().enumerate() {
            if values.is_empty() {
                return Err(ConfigError::new(format!("the claim {name:?} has no value that it may have: name one")));
            }
            if valued[..at].iter().any(|(other, _)| other == name) {
                return Err(ConfigError::new(format!("the claim {name:?} is given values twice: give them at once")));
            }
            let is_judged = matches!(&**name, "iss" | "exp" | "nbf" | "iat" | "jti" | "acr" | "auth_time" | "cnf")
                || *name == self.claims.audience
                || (*name == "client_id" || self.claims.scopes.contains(name));
            if is_judged {
                return Err(ConfigError::new(format!(
                    "the values of {name:?} are judged elsewhere: see `.audience(…)`, `RequireScopes` and `Require`"
                )));
            }
        }
        Ok(())
    }
}

/// The allow-list: one's own, which must be one that the source can serve, or else the source's.
fn allowed(own: Option<AlgorithmSet>, source: Option<AlgorithmSet>) -> Result<AlgorithmSet, ConfigError> {
    let Some(own) = own else {
        return Ok(source.unwrap_or_else(|| Algorithm::ALL.iter().copied().collect()));
    };
    if own.is_empty() {
        return Err(ConfigError::new("the list of algorithms is empty: name one, or leave the list out"));
    }
    if let Some(lacking) = own.iter().find(|&algorithm| !crypto::supports(algorithm)) {
        return Err(crypto::unsupported(lacking));
    }
    if let Some(source) = source {
        let has_secrets = source.iter().any(Algorithm::is_symmetric);
        if let Some(hmac) = own.iter().find(|algorithm| algorithm.is_symmetric() && !has_secrets) {
            return Err(ConfigError::new(format!("{hmac} is in the list, and the source has public keys only")));
        }
        if !own.iter().any(|algorithm| source.contains(algorithm)) {
            return Err(ConfigError::new(format!("the source has keys for {source:?}, the list names {own:?}")));
        }
    }
    Ok(own)
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("names", &self.rule.names())
            .field("audiences", &self.audiences)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// An issuer whose configuration has been judged.
pub(super) struct Trusted {
    pub(super) issuer: IssuerRule,
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) algorithms: AlgorithmSet,
    pub(super) audience: AudienceRule,
    pub(super) types: TypeRule,
    pub(super) time: TimeRule,
    pub(super) claims: ClaimNames,
    pub(super) binding_checked_upstream: bool,
    /// RFC 9068 §2.2 applies.
    pub(super) is_profiled: bool,
    /// The configured name, hashed for lists of revocations, where there are any.
    pub(super) revocation_key: Option<IssuerKey>,
    pub(super) meter: IssuerMeter,
}

impl Trusted {
    /// What it is called in the configuration; nothing where any issuer is taken.
    pub(super) fn name(&self) -> Option<&str> {
        self.issuer.names().first().map(|name| &**name)
    }

    /// The name of the one issuer of all tokens; nothing where only a token can say.
    pub(super) fn only_name(&self) -> Option<&str> {
        self.issuer.only_name()
    }
}
