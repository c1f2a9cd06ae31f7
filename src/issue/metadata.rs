//! What verifiers read of an issuer: its metadata, and the keys that it names.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use tower_layer::Layer;
use tower_service::Service;

use super::token::{IssuingKeys, Source};
use crate::document::{Document, Identifier, is_read, refuse_method};
use crate::early::EarlyFuture;
use crate::error::ConfigError;
use crate::quote;

/// A layer that publishes an issuer: its JWK set (RFC 7517 §5), and the metadata that says where that is (RFC 8414,
/// OpenID Connect Discovery 1.0). Everything else is passed on.
///
/// - The JWK set is at `/.well-known/jwks.json` behind the issuer's own path, unless
///   [`jwks_path`](Self::jwks_path) says otherwise; the metadata is at both well-known paths.
/// - GET and HEAD, with `ETag`, and a `Cache-Control` that is the ring's `max-age`. Any site may read them.
/// - While the ring cannot say which keys there are, the JWK set is answered 503: verifiers keep what they have.
///
/// ```
/// # use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::issue::{IssuerMetadata, KeyRing, SigningKey};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let ring = KeyRing::builder(Algorithm::ES256).open().await?;
/// let published = IssuerMetadata::new("https://login.example.com", ring)?
///     .member("token_endpoint", "https://login.example.com/token");
/// let service = published
///     .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
///
/// let response = service.oneshot(Request::get("/.well-known/jwks.json").body(())?).await?;
/// assert_eq!(response.headers()["cache-control"], "public, max-age=300");
///
/// // Refused: a secret is not for everybody.
/// let secret = SigningKey::secret(Algorithm::HS256, [7; 32])?;
/// assert!(IssuerMetadata::new("https://login.example.com", secret).is_err());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct IssuerMetadata {
    keys: IssuingKeys,
    origin: String,
    /// Of the issuer, without a slash at the end.
    path: String,
    jwks_path: String,
    members: Map<String, Value>,
}

/// For how long the JWK set of a single key may be kept.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// For how long metadata may be kept.
const METADATA_MAX_AGE: Duration = Duration::from_secs(60 * 60);

impl IssuerMetadata {
    /// Of the issuer of this name, as its tokens have it in `iss`.
    ///
    /// # Errors
    /// When the name is no `https` URL (`http` on loopback), or has a query, a fragment or a user (RFC 8414 §2), and for
    /// a secret.
    pub fn new(name: &str, keys: impl Into<IssuingKeys>) -> Result<Self, ConfigError> {
        let keys = keys.into();
        if matches!(&keys.0, Source::One(key) if key.algorithm().is_symmetric()) {
            return Err(ConfigError::new("a secret is never published: use a key with a public part"));
        }
        let Identifier { origin, path } = Identifier::parse(name, "an issuer")?;
        let path = path.trim_end_matches('/').to_owned();
        let jwks_path = format!("{path}/.well-known/jwks.json");
        Ok(Self { keys, origin, path, jwks_path, members: Map::new() }.member("issuer", name))
    }

    /// Where the JWK set is, from the root of the origin.
    ///
    /// # Errors
    /// When it is no path.
    pub fn jwks_path(mut self, path: impl Into<String>) -> Result<Self, ConfigError> {
        let path = path.into();
        let is_path = path.parse::<http::uri::PathAndQuery>().is_ok_and(|parsed| parsed.path() == path);
        if !path.starts_with('/') || !is_path {
            return Err(ConfigError::new(format!("{} is no path: write it like `/keys/jwks.json`", quote::url(&path))));
        }
        self.jwks_path = path;
        Ok(self)
    }

    /// Any other member of the metadata (RFC 8414 §2): `token_endpoint`, `scopes_supported`. `issuer` and `jwks_uri` are
    /// set already; clients of a whole authorization server need more, such as `response_types_supported`.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        // What has no JSON form is left out.
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.into(), value);
        }
        self
    }

    /// The URL of the JWK set: for verifiers that are told it.
    pub fn jwks_uri(&self) -> String {
        format!("{}{}", self.origin, self.jwks_path)
    }

    /// The metadata, as JSON.
    pub fn document(&self) -> Bytes {
        let mut members = self.members.clone();
        members.entry("jwks_uri").or_insert_with(|| self.jwks_uri().into());
        Value::Object(members).to_string().into()
    }
}

impl<S> Layer<S> for IssuerMetadata {
    type Service = IssuerMetadataService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let path = &self.path;
        let published = Published {
            keys: self.keys.clone(),
            jwks_path: self.jwks_path.clone(),
            metadata_paths: [
                format!("{path}/.well-known/openid-configuration"),
                format!("/.well-known/openid-configuration{path}"),
                format!("/.well-known/oauth-authorization-server{path}"),
            ],
            metadata: Document::new(self.document(), "application/json", METADATA_MAX_AGE),
        };
        IssuerMetadataService { inner, published: Arc::new(published) }
    }
}

/// What [`IssuerMetadata`] makes of a service.
#[derive(Clone)]
pub struct IssuerMetadataService<S> {
    inner: S,
    published: Arc<Published>,
}

struct Published {
    keys: IssuingKeys,
    jwks_path: String,
    metadata_paths: [String; 3],
    metadata: Document,
}

impl Published {
    /// `None` for a request that is not for here.
    fn answer<Q, B: Default + From<Bytes>>(&self, request: &Request<Q>) -> Option<Response<B>> {
        let path = request.uri().path();
        if path == self.jwks_path {
            Some(self.answer_keys(request))
        } else if self.metadata_paths.iter().any(|known| known == path) {
            Some(self.metadata.answer(request.method(), request.headers()))
        } else {
            None
        }
    }

    fn answer_keys<Q, B: Default + From<Bytes>>(&self, request: &Request<Q>) -> Response<B> {
        let (jwks, max_age) = match &self.keys.0 {
            Source::One(key) => (key.jwks(), MAX_AGE),
            Source::Ring(ring) => (ring.jwks().ok(), ring.max_age()),
        };
        match jwks {
            Some(jwks) => {
                Document::new(jwks, "application/jwk-set+json", max_age).answer(request.method(), request.headers())
            }
            None if is_read(request.method()) => self.unavailable(),
            None => refuse_method(Response::new(B::default())),
        }
    }

    fn unavailable<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let wait = match &self.keys.0 {
            Source::One(_) => MAX_AGE,
            Source::Ring(ring) => ring.poll_every(),
        };
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl<S, Q, B> Service<Request<Q>> for IssuerMetadataService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = EarlyFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match self.published.answer(&request) {
            Some(response) => EarlyFuture::early(response),
            None => EarlyFuture::inner(self.inner.call(request)),
        }
    }
}

impl fmt::Debug for IssuerMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerMetadata").field("jwks_uri", &self.jwks_uri()).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for IssuerMetadataService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerMetadataService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
