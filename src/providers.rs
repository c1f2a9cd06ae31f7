//! Providers: what is particular about the tokens of each, as data.
//!
//! A [`Provider`] is a name, the place of its keys, and rules. It becomes an [`Issuer`] with `discover()` (feature
//! `remote`), or with keys of one's own by [`with_keys`](Provider::with_keys), and takes every setting of an [`Issuer`]
//! from there.
//!
//! | Provider | What is checked beyond signature, issuer, audience and times | What its tokens lack |
//! |---|---|---|
//! | [`auth0`] | nothing: the name ends with a slash | `typ` is `JWT` unless the RFC 9068 profile is chosen for the API; scopes may be in `permissions` |
//! | [`okta`], [`okta_org`] | nothing | `client_id` (it is `cid`), `typ`; tokens of the org server are for Okta itself, and their form may change |
//! | [`cognito_access`], [`cognito_id`] | `token_use`; access tokens are told apart by `client_id` | access tokens: `aud`, `typ` |
//! | [`entra`], [`entra_v1`] | `tid` is the tenant; with version 2, the key is one for that tenant | keys without `alg`; no `jti` (it is `uti`); application tokens: `scp` |
//! | [`entra_multi_tenant`] | `iss` is that of the tenant in `tid`, and the key one for that tenant; a rule on `tid` is required | the same |
//! | [`keycloak`] | nothing; roles with [`KeycloakRoles`] | `typ: at+jwt`; often an `aud` of one's own: add an audience mapper |
//! | [`google`] | a rule on a claim is required (`hd`, `sub`) | id tokens only: access tokens are opaque |
//! | [`github_actions`] | a rule on a claim that says whose it is is required (`repository`, `repository_owner_id`); `environment` or `ref` alone do not: everybody can name one so | `client_id`, scopes |
//! | [`gitlab`] | a rule on a claim that says whose it is is required (`project_path`, `namespace_id`) | `client_id`, scopes |
//! | [`kubernetes`] | nothing: give the service account with a rule on `sub` | `client_id`, scopes, `typ` |
//! | [`spiffe`] | the trust domain of `sub` stands for `iss`; keys have `use` `jwt-svid` | `iss`, `jti`, `client_id`, scopes |
//! | [`cloudflare_access`] | nothing: the audience is the AUD tag of the application | keys and name are the team's, so every application shares them; `typ`, scopes |
//!
//! Cloudflare Access sends its token in the header `Cf-Access-Jwt-Assertion`: take it with
//! [`extract::Header`](crate::extract::Header). [`cloudflare_access`] has an example, with its cookie as well.
//!
//! Not supported: `x-amzn-oidc-data` of AWS load balancers. Its segments are padded, which RFC 7515 §2 forbids, its keys are
//! PEMs at a URL made from the token's own header, and it has neither `iss` in the payload nor an `aud`.
//!
//! ```
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, Verifier, providers};
//!
//! # let keys = Authority::new(Algorithm::RS256).key_set();
//! # let again = keys.clone();
//! let github = providers::github_actions().with_keys(keys).audience("https://deploy.example.com");
//! let owner = github.require_claim_value("repository", ["octo-org/octo-repo"]);
//! assert!(Verifier::<serde_json::Value>::new(owner).is_ok());
//!
//! // Refused: everybody on GitHub can get a token for any audience.
//! let everybody = providers::github_actions().with_keys(again).audience("https://deploy.example.com");
//! assert!(Verifier::<serde_json::Value>::new(everybody).is_err());
//! ```

mod keycloak;

pub use keycloak::KeycloakRoles;

use std::fmt;

use crate::crypto;
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::keys::KeySource;
use crate::policy::{IssuerRule, Template, is_guid, is_trust_domain};
use crate::quote;
use crate::verify::Issuer;

/// A provider whose keys are still to be found.
#[derive(Clone)]
#[must_use]
pub struct Provider {
    name: String,
    known_by: KnownBy,
    aliases: &'static [&'static str],
    #[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "nothing is fetched then"))]
    place: Place,
    /// Of a shared issuer: the claims that say whose a token is.
    shared_by: Option<&'static [&'static str]>,
    audience_claim: Option<&'static str>,
    values: Vec<(&'static str, String)>,
    /// What names a token where it is not `jti`.
    revocation_claim: Option<&'static str>,
}

/// How a token shows that it is of this provider.
#[derive(Clone)]
enum KnownBy {
    /// `iss` is the name.
    Name,
    /// `iss` is the name, filled with the tenant where it is a template.
    Tenant(Template),
    /// `sub` is of the trust domain that is the name.
    TrustDomain,
}

/// Where the keys are.
#[derive(Clone)]
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "nothing is fetched then"))]
enum Place {
    /// In the metadata, where the name says.
    Named,
    /// In the metadata at this URL.
    Metadata(String),
    /// At this URL.
    Keys(String),
    /// At this URL, as a SPIFFE bundle.
    Bundle(String),
}

impl Provider {
    fn new(name: String) -> Self {
        let (aliases, place) = (&[][..], Place::Named);
        let (known_by, values) = (KnownBy::Name, Vec::new());
        Self { name, known_by, aliases, place, shared_by: None, audience_claim: None, values, revocation_claim: None }
    }

    /// What its tokens have in `iss`: a template for [`entra_multi_tenant`]; for [`spiffe`] what their `sub` starts with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer with its keys where the provider publishes them. For knobs and a handle for operators, give a
    /// [`RemoteJwks`](crate::keys::RemoteJwks) to [`with_keys`](Self::with_keys).
    ///
    /// # Errors
    /// When a URL that was made from the arguments is none.
    #[cfg(feature = "remote")]
    pub fn discover(self) -> Result<Issuer, ConfigError> {
        let keys = self.remote().build()?;
        Ok(self.with_keys(keys))
    }

    /// The keys where the provider publishes them.
    #[cfg(feature = "remote")]
    pub(crate) fn remote(&self) -> crate::keys::RemoteJwksBuilder {
        use crate::keys::RemoteJwks;

        match &self.place {
            Place::Named => RemoteJwks::discover(&*self.name),
            Place::Metadata(url) => RemoteJwks::discover_at(url, &*self.name),
            Place::Keys(url) => RemoteJwks::from_url(url),
            Place::Bundle(url) => RemoteJwks::from_url(url).spiffe_bundle(),
        }
    }

    /// True where the keys are in the bundle of a trust domain.
    #[cfg(feature = "config")]
    pub(crate) fn has_bundle(&self) -> bool {
        matches!(self.place, Place::Bundle(_))
    }

    /// The issuer with keys of one's own: from a file, or fetched by one's own client. For [`spiffe`] they come from
    /// [`KeySet::spiffe_bundle`](crate::keys::KeySet::spiffe_bundle), which leaves keys for other uses out.
    pub fn with_keys(self, keys: impl KeySource) -> Issuer {
        let mut issuer = match self.known_by {
            KnownBy::Name => Issuer::new(self.name, keys),
            KnownBy::Tenant(template) => Issuer::ruled(IssuerRule::PerTenant(template), keys),
            KnownBy::TrustDomain => {
                let allowed = SVID_ALGORITHMS.into_iter().filter(|algorithm| crypto::supports(*algorithm));
                Issuer::ruled(IssuerRule::TrustDomain(self.name.into()), keys).algorithms(allowed)
            }
        };
        for alias in self.aliases {
            issuer = issuer.alias(*alias);
        }
        if let Some(claim) = self.audience_claim {
            issuer = issuer.audience_claim(claim);
        }
        for (name, value) in self.values {
            issuer = issuer.require_claim_value(name, [value]);
        }
        if let Some(claim) = self.revocation_claim {
            issuer = issuer.revocation_claims([claim]);
        }
        match self.shared_by {
            Some(claims) => issuer.shared_by(claims),
            None => issuer,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a URL that somebody gave with a password.
        f.debug_struct("Provider").field("name", &format_args!("{}", quote::url(&self.name))).finish_non_exhaustive()
    }
}

/// [Auth0](https://auth0.com/docs/secure/tokens/access-tokens): `domain` as in `tenant.eu.auth0.com`, or a custom one. The
/// audience is the identifier of the API.
///
/// # Errors
/// When the domain is no host.
pub fn auth0(domain: &str) -> Result<Provider, ConfigError> {
    Ok(Provider::new(format!("https://{}/", host(domain)?)))
}

/// [Okta](https://developer.okta.com/docs/concepts/auth-servers/), a custom authorization server: `server` is its id, or
/// `default`. The audience is the one of the server, `api://default` for the default one.
///
/// # Errors
/// When the domain is no host, or the id no part of a path.
pub fn okta(domain: &str, server: &str) -> Result<Provider, ConfigError> {
    Ok(Provider::new(format!("https://{}/oauth2/{}", host(domain)?, segment(server)?)))
}

/// Okta, the org authorization server: for id tokens. Its access tokens are for Okta's own API, and Okta asks others not to
/// verify them.
///
/// # Errors
/// When the domain is no host.
pub fn okta_org(domain: &str) -> Result<Provider, ConfigError> {
    Ok(Provider::new(format!("https://{}", host(domain)?)))
}

/// [Amazon Cognito](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html),
/// access tokens of a user pool. They have no `aud`: the audience is the id of the app client.
///
/// # Errors
/// When region or pool are no parts of a URL.
pub fn cognito_access(region: &str, pool: &str) -> Result<Provider, ConfigError> {
    Ok(Provider { audience_claim: Some("client_id"), ..cognito(region, pool, "access")? })
}

/// Amazon Cognito, id tokens of a user pool. The audience is the id of the app client.
///
/// # Errors
/// When region or pool are no parts of a URL.
pub fn cognito_id(region: &str, pool: &str) -> Result<Provider, ConfigError> {
    cognito(region, pool, "id")
}

fn cognito(region: &str, pool: &str, token_use: &str) -> Result<Provider, ConfigError> {
    let name = format!("https://cognito-idp.{}.amazonaws.com/{}", host(region)?, segment(pool)?);
    Ok(Provider { values: vec![("token_use", token_use.to_owned())], ..Provider::new(name) })
}

/// [Microsoft Entra](https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens), tokens of version 2 from one
/// tenant. The audience is the id of the application. For several tenants see [`entra_multi_tenant`].
///
/// # Errors
/// When the tenant is not its id, a GUID: names such as `common` stand for tenants of strangers.
pub fn entra(tenant: &str) -> Result<Provider, ConfigError> {
    let tenant = guid(tenant)?;
    let template = Template::parse(ENTRA).map(|template| template.of(&tenant));
    let known_by = template.map_or(KnownBy::Name, KnownBy::Tenant);
    let name = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let values = vec![("tid", tenant)];
    Ok(Provider { known_by, values, revocation_claim: Some("uti"), ..Provider::new(name) })
}

/// The names of Entra's tenants, in tokens of version 2 and in keys.
const ENTRA: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

/// Microsoft Entra, tokens of version 2 from any tenant, for an application that is registered for
/// [several](https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#multitenant-applications). The audience
/// is the id of the application.
///
/// Each tenant has a name of its own, made from the id in `tid`: [`Jwt::issuer`](crate::Jwt::issuer) gives it, and a key that
/// says whose tokens it signs verifies no others. Everybody can have a tenant: say which may come with a rule on `tid`.
///
/// ```
/// # use tower_jwt_auth::{Algorithm, Verifier, providers, testing::Authority};
/// # let keys = Authority::new(Algorithm::RS256).key_set();
/// let issuer = providers::entra_multi_tenant().with_keys(keys).audience("6e74172b-be56-4843-9ff4-e66a39bb12e3");
/// let issuer = issuer.require_claim_value("tid", ["9122040d-6c67-4c5b-b112-36a304b66dad"]);
/// assert!(Verifier::<serde_json::Value>::new(issuer).is_ok());
/// ```
pub fn entra_multi_tenant() -> Provider {
    let metadata = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
    let known_by = Template::parse(ENTRA).map_or(KnownBy::Name, KnownBy::Tenant);
    let place = Place::Metadata(metadata.to_owned());
    let shared_by = Some(&["tid", "sub"][..]);
    Provider { known_by, place, shared_by, revocation_claim: Some("uti"), ..Provider::new(ENTRA.to_owned()) }
}

/// Microsoft Entra, tokens of version 1: those of an application whose manifest does not ask for version 2. The audience is
/// its identifier URI or id.
///
/// # Errors
/// When the tenant is not its id, a GUID.
pub fn entra_v1(tenant: &str) -> Result<Provider, ConfigError> {
    let tenant = guid(tenant)?;
    let metadata = format!("https://login.microsoftonline.com/{tenant}/.well-known/openid-configuration");
    let name = format!("https://sts.windows.net/{tenant}/");
    let values = vec![("tid", tenant)];
    Ok(Provider { place: Place::Metadata(metadata), values, revocation_claim: Some("uti"), ..Provider::new(name) })
}

/// [Keycloak](https://www.keycloak.org/docs/latest/server_admin/): the URL of the server, with `/auth` where it has that,
/// and a realm. Its tokens have the audience `account` unless an audience mapper adds one's own.
///
/// # Errors
/// When the realm is no part of a path.
pub fn keycloak(server: &str, realm: &str) -> Result<Provider, ConfigError> {
    Ok(Provider::new(format!("{}/realms/{}", server.trim_end_matches('/'), segment(realm)?)))
}

/// [Google](https://developers.google.com/identity/openid-connect/openid-connect), id tokens. The audience is the id of the
/// client. Everybody with an account can get one: say who may come with a rule on `hd` or `sub`.
///
/// A rule on `email` alone does not do: an address that nobody has verified (`email_verified` is false) is anybody's, and a
/// verified one may belong to somebody else tomorrow. Google asks to tell people apart by `sub`, which never changes.
pub fn google() -> Provider {
    let name = "https://accounts.google.com".to_owned();
    Provider { aliases: &["accounts.google.com"], shared_by: Some(&["hd", "sub"]), ..Provider::new(name) }
}

/// [GitHub Actions](https://docs.github.com/en/actions/concepts/security/openid-connect). Every workflow can ask for a token
/// for any audience: say whose may come with a rule on `repository`, `repository_owner_id` or `sub`.
pub fn github_actions() -> Provider {
    let whose = &["sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise_id"];
    Provider { shared_by: Some(whose), ..Provider::new("https://token.actions.githubusercontent.com".to_owned()) }
}

/// [GitLab CI](https://docs.gitlab.com/ci/secrets/id_token_authentication/) of GitLab.com, or of a server of one's own. Every
/// job can ask for a token for any audience: say whose may come with a rule on `project_path`, `namespace_id` or `sub`.
///
/// # Errors
/// When the host is none.
pub fn gitlab(domain: &str) -> Result<Provider, ConfigError> {
    let whose = &["sub", "project_path", "project_id", "namespace_path", "namespace_id"];
    Ok(Provider { shared_by: Some(whose), ..Provider::new(format!("https://{}", host(domain)?)) })
}

/// [Kubernetes](https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection)
/// service accounts: the issuer of the cluster, as in `--service-account-issuer`. The audience is that of the projected
/// volume; say which account may come with a rule on `sub`, as in `system:serviceaccount:NAMESPACE:NAME`.
///
/// A cluster's keys often need its own CA and a token: give `RemoteJwks` a client that has them.
pub fn kubernetes(issuer: &str) -> Provider {
    Provider::new(issuer.to_owned())
}

/// [SPIFFE](https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md): JWT-SVIDs of a trust domain, as in
/// `example.org`, whose bundle is at this URL. The audience is the SPIFFE ID of this service, or what its callers ask for.
///
/// `iss` is not looked at: a token is of this issuer when `sub` is the SPIFFE ID of a workload in the trust domain. Where
/// several issuers are trusted, an `iss` that is one of theirs goes first. Say which workloads may come with a rule on `sub`,
/// or on each route with [`Require`](crate::authorize::Require). Each trust domain is an issuer of its own.
///
/// # Errors
/// When it is no trust domain (SPIFFE-ID §2.1).
pub fn spiffe(trust_domain: &str, bundle: &str) -> Result<Provider, ConfigError> {
    if !is_trust_domain(trust_domain) {
        return Err(ConfigError::new(format!(
            "{} is no trust domain: write it like `example.org`",
            quote::name(trust_domain)
        )));
    }
    let (known_by, place) = (KnownBy::TrustDomain, Place::Bundle(bundle.to_owned()));
    Ok(Provider { known_by, place, ..Provider::new(format!("spiffe://{trust_domain}")) })
}

/// JWT-SVID §2.1.
const SVID_ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// [Cloudflare Access](https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/):
/// the team's domain, as in `team.cloudflareaccess.com`. The audience is the AUD tag of the application.
///
/// Its requests have the token twice, in the header `Cf-Access-Jwt-Assertion` and in the cookie `CF_Authorization`. Two
/// credentials are refused, so say which one counts:
///
/// ```
/// use http::Request;
/// use tower_jwt_auth::extract::{Cookie, ExtractToken, Header};
///
/// let header = || Header::new("cf-access-jwt-assertion");
/// let cookie = || Cookie::new("CF_Authorization");
/// let request = Request::get("/").header("cf-access-jwt-assertion", "a.b.c").header("cookie", "CF_Authorization=a.b.c");
/// let (head, ()) = request.body(())?.into_parts();
///
/// // The header alone, which Cloudflare advises: nothing else is looked at.
/// assert!(header()?.extract(&head)?.is_some());
/// // Or the cookie where there is no header.
/// assert!(header()?.or(cookie()).prefer_header().extract(&head)?.is_some());
/// // Refused, 400.
/// assert!(header()?.or(cookie()).extract(&head).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the domain is no host.
pub fn cloudflare_access(domain: &str) -> Result<Provider, ConfigError> {
    let name = format!("https://{}", host(domain)?);
    Ok(Provider { place: Place::Keys(format!("{name}/cdn-cgi/access/certs")), ..Provider::new(name) })
}

/// A host, with a port or not.
fn host(text: &str) -> Result<&str, ConfigError> {
    let is_host = text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'));
    if is_host {
        Ok(text)
    } else {
        Err(ConfigError::new(format!("{} is no host: leave `https://` and paths out", quote::url(text))))
    }
}

/// One part of a path, in unreserved characters.
fn segment(text: &str) -> Result<&str, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_segment = !text.is_empty() && text.bytes().all(allowed) && text.bytes().any(|byte| byte != b'.');
    if is_segment { Ok(text) } else { Err(ConfigError::new(format!("{} is no part of a path", quote::name(text)))) }
}

/// A GUID, in the small letters that tokens have.
fn guid(text: &str) -> Result<String, ConfigError> {
    let tenant = text.to_ascii_lowercase();
    if is_guid(&tenant) {
        Ok(tenant)
    } else {
        Err(ConfigError::new(format!("{} is no tenant: give its id, a GUID", quote::name(text))))
    }
}
