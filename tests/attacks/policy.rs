//! Settings from data: what is not the default is all that is said of them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::{BearerHeader, Cookie, ExtractToken, Query, WebSocketProtocol};
use tower_jwt_auth::keys::{Key, KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, JwtAuth, KeySet, Verifier, providers};

/// The time of every request, in seconds.
pub(crate) fn now() -> i64 {
    1_700_000_000
}

/// What a service asks of its tokens. Every field that is left out is the crate's own default.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of an issuer or the layer")]
pub(crate) struct Policy {
    keys: Keys,
    /// The key decides what its algorithm is, and the issuer has no list.
    undecided: bool,
    /// Two issuers are trusted: `https://issuer.test` for `test-audience`, and `https://other.test` for `other`.
    with_other: bool,
    preset: Option<String>,
    algorithms: Option<Vec<Alg>>,
    types: Option<Vec<String>>,
    audiences: Option<Vec<String>>,
    audience_claim: Option<String>,
    alias: Option<String>,
    access_token_profile: bool,
    leeway: Option<u64>,
    max_age: Option<u64>,
    max_lifetime: Option<u64>,
    require_claims: Vec<String>,
    require_tenant: bool,
    authorize_tenant: bool,
    danger_any_issuer: bool,
    danger_any_audience: bool,
    danger_allow_no_expiry: bool,
    danger_binding_checked_upstream: bool,
    danger_any_subject: bool,
    optional: bool,
    mtls: bool,
    source: Source,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Keys {
    /// Of an authority of this algorithm.
    Of(Alg),
    Secret(String),
    WeakSecret(String),
    Pem(Alg, String),
    Jwk(Value),
    JwkSet(Value),
    /// A source that cannot be asked.
    Failing,
    /// A provider elsewhere, whose keys have not been fetched.
    Remote,
}

impl Default for Keys {
    fn default() -> Self {
        Self::Of(Alg(Algorithm::ES256))
    }
}

/// An algorithm by its name.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Alg(Algorithm);

impl TryFrom<String> for Alg {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse().map(Self).map_err(|_| format!("{name} is no algorithm"))
    }
}

/// Where the token is looked for.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    #[default]
    BearerHeader,
    Cookie,
    CookieFromAnywhere,
    Query,
    WebsocketProtocol,
    HeaderOrCookie,
    HeaderBeforeCookie,
}

impl Source {
    fn extractor(self) -> Option<Arc<dyn ExtractToken>> {
        let cookie = || Cookie::new("__Host-access");
        Some(match self {
            Self::BearerHeader => return None,
            Self::Cookie => Arc::new(cookie()),
            Self::CookieFromAnywhere => Arc::new(cookie().danger_allow_cross_site()),
            Self::Query => Arc::new(Query::access_token()),
            Self::WebsocketProtocol => Arc::new(WebSocketProtocol::new()),
            Self::HeaderOrCookie => Arc::new(BearerHeader::new().or(cookie())),
            Self::HeaderBeforeCookie => Arc::new(BearerHeader::new().or(cookie()).prefer_header()),
        })
    }
}

impl Policy {
    /// Who signs the tokens.
    pub(crate) fn authority(&self) -> Authority {
        Authority::new(self.algorithm()).with_clock(clock())
    }

    /// One that has the same names, and other keys.
    pub(crate) fn stranger(&self) -> Authority {
        self.authority()
    }

    fn algorithm(&self) -> Algorithm {
        if let Keys::Of(Alg(algorithm)) = self.keys { algorithm } else { Algorithm::ES256 }
    }

    pub(crate) fn other() -> Authority {
        Authority::new(Algorithm::EdDSA).named("https://other.test").for_audience("other").with_clock(clock())
    }

    /// True where the token alone decides, and a verifier can be asked as well.
    pub(crate) fn takes_the_bearer_header_alone(&self) -> bool {
        matches!(self.source, Source::BearerHeader) && !self.mtls
    }

    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.keys, Keys::Remote)
    }

    /// Browsers send cookies, and do not speak gRPC.
    pub(crate) fn takes_cookies(&self) -> bool {
        !matches!(self.source, Source::BearerHeader | Source::Query | Source::WebsocketProtocol)
    }

    pub(crate) fn verifier(&self) -> Result<Verifier<Value>, ConfigError> {
        self.verifier_for(&self.authority(), &Self::other())
    }

    pub(crate) fn verifier_for(
        &self,
        authority: &Authority,
        other: &Authority,
    ) -> Result<Verifier<Value>, ConfigError> {
        let mut builder = Verifier::<Value>::builder().clock(clock()).trust(self.issuer(authority)?);
        if self.with_other {
            builder = builder.trust(other.trusted());
        }
        if self.require_tenant {
            builder = builder.require(|jwt| jwt.claims()["tenant"].is_string());
        }
        if self.authorize_tenant {
            builder = builder.authorize(|jwt| jwt.claims()["tenant"] == "a");
        }
        builder.build()
    }

    pub(crate) fn layer(&self, verifier: Verifier<Value>) -> JwtAuth<Value> {
        let mut auth = JwtAuth::with(verifier).realm("shop");
        if self.optional {
            auth = auth.optional();
        }
        if self.mtls {
            auth = auth.mtls();
        }
        match self.source.extractor() {
            Some(extractor) => auth.extractor(extractor),
            None => auth,
        }
    }

    fn issuer(&self, authority: &Authority) -> Result<Issuer, ConfigError> {
        let mut issuer = match &self.keys {
            Keys::Of(_) if self.undecided => {
                let keys = authority.key_set();
                let source = move |_: &KeyQuery<'_>| KeyLookup::ready(keys.clone());
                Issuer::new(authority.name(), source)
            }
            Keys::Failing => {
                let down = |_: &KeyQuery<'_>| {
                    KeyLookup::failed(KeyError::new("down").retry_after(Duration::from_millis(1500)))
                };
                Issuer::new(authority.name(), down)
            }
            Keys::Remote => remote_issuer(authority)?,
            fixed => {
                let keys = fixed.fixed(authority)?;
                match self.preset.as_deref() {
                    Some(preset) => of_preset(preset).with_keys(keys),
                    None if self.danger_any_issuer => Issuer::danger_any_issuer(keys),
                    None => Issuer::new(authority.name(), keys),
                }
            }
        };
        if self.danger_any_audience {
            issuer = issuer.danger_any_audience();
        }
        match &self.audiences {
            Some(audiences) => issuer = audiences.iter().fold(issuer, Issuer::audience),
            None if self.danger_any_audience => {}
            None => issuer = issuer.audience(authority.audience()),
        }
        if let Some(algorithms) = &self.algorithms {
            issuer = issuer.algorithms(algorithms.iter().map(|algorithm| algorithm.0));
        }
        if let Some(types) = &self.types {
            issuer = issuer.types(types.iter().cloned());
        }
        if let Some(claim) = &self.audience_claim {
            issuer = issuer.audience_claim(claim.clone());
        }
        if let Some(alias) = &self.alias {
            issuer = issuer.alias(alias);
        }
        if self.access_token_profile {
            issuer = issuer.access_token_profile();
        }
        let seconds = Duration::from_secs;
        if let Some(leeway) = self.leeway {
            issuer = issuer.leeway(seconds(leeway));
        }
        if let Some(max_age) = self.max_age {
            issuer = issuer.max_age(seconds(max_age));
        }
        if let Some(max_lifetime) = self.max_lifetime {
            issuer = issuer.max_lifetime(seconds(max_lifetime));
        }
        issuer = issuer.require_claims(self.require_claims.iter().cloned());
        if self.danger_allow_no_expiry {
            issuer = issuer.danger_allow_no_expiry();
        }
        if self.danger_binding_checked_upstream {
            issuer = issuer.danger_binding_checked_upstream();
        }
        if self.danger_any_subject {
            issuer = issuer.danger_any_subject();
        }
        Ok(issuer)
    }
}

impl Keys {
    fn fixed(&self, authority: &Authority) -> Result<KeySet, ConfigError> {
        match self {
            Self::Secret(text) => KeySet::secret(Algorithm::HS256, text),
            Self::WeakSecret(text) => KeySet::new([Key::danger_weak_secret(Algorithm::HS256, text)?]),
            Self::Pem(algorithm, text) => KeySet::pem(algorithm.0, text),
            Self::Jwk(key) => KeySet::jwk(key.to_string()),
            Self::JwkSet(set) => KeySet::jwk_set(set.to_string()),
            Self::Of(_) | Self::Failing | Self::Remote => Ok(authority.key_set()),
        }
    }
}

#[cfg(feature = "remote")]
fn remote_issuer(authority: &Authority) -> Result<Issuer, ConfigError> {
    Issuer::discover(authority.name())
}

#[cfg(not(feature = "remote"))]
fn remote_issuer(_: &Authority) -> Result<Issuer, ConfigError> {
    Err(ConfigError::new("the feature `remote` is off"))
}

fn of_preset(name: &str) -> providers::Provider {
    match name {
        "google" => providers::google(),
        "github_actions" => providers::github_actions(),
        "gitlab" => providers::gitlab("gitlab.com").expect("a host"),
        "entra_multi_tenant" => providers::entra_multi_tenant(),
        other => panic!("{other} is no preset"),
    }
}

/// The keys of a provider of which the first is not used.
#[cfg(feature = "remote")]
pub(crate) fn check_skipped(keys: &Value, reason: &str) -> Result<(), String> {
    let source = tower_jwt_auth::keys::RemoteJwks::from_url("https://issuer.test/jwks");
    let source = source.initial(keys.to_string()).build().map_err(|error| error.to_string())?;
    match &source.status().skipped[..] {
        [skipped] if skipped.index() == 0 && skipped.reason().contains(reason) => Ok(()),
        other => Err(format!("skipped: {other:?}")),
    }
}

#[cfg(not(feature = "remote"))]
pub(crate) fn check_skipped(_: &Value, _: &str) -> Result<(), String> {
    Err("the feature `remote` is off".to_owned())
}

fn clock() -> Clock {
    Clock::manual(UnixTime::from_secs(now()))
}
