//! A [tower](https://docs.rs/tower) layer that verifies bearer tokens (JWT) and hands typed claims to the handlers of
//! any [`http`]-based service: axum, tonic, hyper. Requests without a good token never reach them.
//!
//! ```
//! use axum::{Router, routing::get};
//! use serde::Deserialize;
//! use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth, KeySet, ProblemJson, RequireScopes};
//!
//! #[derive(Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! async fn profile(jwt: Jwt<Claims>) -> String {
//!     jwt.claims().sub.clone()
//! }
//!
//! # fn main() -> Result<(), tower_jwt_auth::ConfigError> {
//! # let secret = "0123456789abcdef0123456789abcdef";
//! let keys = KeySet::secret(Algorithm::HS256, secret)?; // refuses fewer than 32 bytes
//! let issuer = Issuer::new("https://login.example.com", keys).audience("orders");
//!
//! let app: Router = Router::new()
//!     .route("/profile", get(profile))
//!     .route_layer(RequireScopes::all(["orders:read"]).on_reject(ProblemJson)) // 403 insufficient_scope
//!     .layer(JwtAuth::<Claims>::new(issuer)?.realm("shop")); // 401, 400, 503
//! # Ok(())
//! # }
//! ```
//!
//! # By task
//!
//! | You want | Look at |
//! |---|---|
//! | put a layer in front of a service | [`JwtAuth`], [`layer`] |
//! | say whose tokens, for whom, and how old | [`Issuer`] |
//! | load a secret, PEM, DER, JWK, or a JWK set | [`KeySet`], [`keys::Key`] |
//! | take keys from an identity provider | `Issuer::discover`, or `keys::RemoteJwks` with its knobs and handle |
//! | trust Auth0, Okta, Cognito, Entra, Keycloak, Google, GitHub … | [`providers`] |
//! | take settings from a file or the environment | `config::Settings` (feature `config`) |
//! | watch a file with keys | [`keys::KeyFile`] |
//! | bring keys from a place of your own | [`KeySource`] |
//! | trust several issuers, or add rules of your own | [`Verifier::builder`] |
//! | trust tenants that come and go | [`verify::IssuerResolver`] |
//! | spare a second signature check for the same token | [`TokenCache`] |
//! | end a token before its time, or everything that a user has got | [`revocation`] |
//! | verify without HTTP: websockets, GraphQL, queues | [`Verifier::verify`] |
//! | require scopes, a role, a recent login | [`RequireScopes`], [`authorize`] |
//! | change the answer to a refused request | [`rejection`] |
//! | take the token from a cookie, the query, a websocket | [`extract`] |
//! | take tokens that are bound to a key: DPoP, mutual TLS | [`binding`] |
//! | tell clients where to get a token | [`metadata`] |
//! | tell the next hop about the token, strip it, or relay it | [`forward`] |
//! | ask why a token is refused | [`Verifier::explain`] |
//! | issue tokens | `issue::TokenIssuer` (feature `issue`) |
//! | let clients stay logged in, with tokens that are good for one use | `issue::refresh` (feature `issue`) |
//! | rotate the keys of an issuer, and publish them | `issue::KeyRing`, `issue::IssuerMetadata` |
//! | start, with axum, tonic, hyper, salvo or poem | [`guide::getting_started`](guide/getting_started/index.html) |
//! | choose where keys come from | [`guide::keys`](guide/keys/index.html) |
//! | trust one issuer, several, or tenants | [`guide::issuers`](guide/issuers/index.html) |
//! | know what a refused request is answered | [`guide::answers`](guide/answers/index.html) |
//! | run it: a checklist, logs, alerts | [`guide::production`](guide/production/index.html) |
//! | see what a service does: metrics, traces, logs | [`guide::observability`](guide/observability/index.html) |
//! | find out why every token is refused | [`guide::troubleshooting`](guide/troubleshooting/index.html) |
//! | come from another crate, or from code by hand | [`guide::migrating`](guide/migrating/index.html) |
//! | know what is refused, and how that is shown | [`guide::security`](guide/security/index.html) |
//! | decide between sessions and tokens, and run either | [`guide::sessions`](guide/sessions/index.html) |
//! | mint tokens in your own tests, and rotate or lose the keys | `testing` (feature `testing`) |
//!
//! # What passes
//!
//! A token passes when its envelope is strict, its algorithm is allowed, a key of its issuer verifies its signature,
//! and its issuer, audience, times and claims meet the rules of the [`Issuer`]. What must be there and is missing, or
//! has the wrong type, never passes. Whatever weakens this is named `danger_…` and says what it gives up.
//!
//! # Features
//!
//! They only add; none changes what passes.
//!
//! | Feature | Default | What it adds, and why |
//! |---|---|---|
//! | `aws-lc-rs` | yes | Cryptography by [aws-lc-rs](https://docs.rs/aws-lc-rs), with keys prepared once. It wins where both backends are on. |
//! | `rust-crypto` | | Cryptography in Rust alone, through [jsonwebtoken](https://docs.rs/jsonwebtoken): no C compiler where default features and `remote` are off; no ES512, no ML-DSA, RSA up to 4096 bits. |
//! | `remote` | yes | Keys from a provider, over HTTP: `RemoteJwks`, `Issuer::discover`. Brings [reqwest](https://docs.rs/reqwest) with rustls, and [tokio](https://docs.rs/tokio). |
//! | `axum` | | [`Jwt<C>`](Jwt) and `Scoped` as extractors. Brings `tracing`, to say in the log when the layer is missing. |
//! | `config` | | Settings from TOML, YAML, JSON and the environment: [`config`]. |
//! | `tracing` | | Events and spans: refusals at `debug`, our own faults at `warn` and `error`. |
//! | `metrics` | | Counters, histograms and gauges through the [metrics](https://docs.rs/metrics) facade: see [`guide::observability`](guide/observability/index.html). |
//! | `issue` | | The issuing side: [`issue`]. |
//! | `redis` | | State that instances share, on a Redis or Valkey server: [`binding::RedisReplayStore`], [`revocation::RedisRevocations`], refresh tokens and key rings. Brings [redis](https://docs.rs/redis) and tokio. |
//! | `testing` | | For your own tests: a token authority, its keys through rotations and outages, a provider without a network. |
//! | `full` | | All of the above but `rust-crypto`. |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
pub mod authorize;
#[cfg(feature = "axum")]
mod axum;
pub mod binding;
mod caller;
mod claims;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
mod crypto;
mod document;
mod early;
mod error;
mod events;
pub mod extract;
pub mod forward;
#[cfg(doc)]
pub mod guide;
#[cfg(feature = "issue")]
pub mod issue;
mod jose;
pub mod keys;
pub mod layer;
pub mod metadata;
mod meters;
mod policy;
pub mod providers;
mod quote;
#[cfg(feature = "redis")]
mod redis;
pub mod rejection;
pub mod revocation;
mod scheme;
#[cfg(feature = "testing")]
pub mod testing;
pub mod verify;

// Models try the orders in which threads can meet at these locks and atomics.
#[cfg(shuttle)]
use shuttle::sync;
#[cfg(not(shuttle))]
use std::sync;

/// What `tests/models` runs, in its build alone.
#[cfg(shuttle)]
pub mod models {
    pub use crate::binding::model::*;
    pub use crate::issue::refresh::model::*;
    pub use crate::revocation::model::*;
    pub use crate::verify::model::*;
}

#[cfg(feature = "redis")]
pub use crate::redis::Redis;
pub use authorize::RequireScopes;
#[cfg(feature = "axum")]
pub use axum::{MissingJwt, Scoped, Scopes};
pub use error::{AuthError, AuthErrorKind, ConfigError};
pub use extract::BearerHeader;
pub use jose::{Algorithm, AlgorithmSet};
pub use keys::{KeySet, KeySource};
pub use layer::JwtAuth;
pub use rejection::ProblemJson;
pub use verify::{AnyJwt, Issuer, Jwt, TokenCache, Verifier};

/// The README's example compiles.
#[cfg(all(doctest, feature = "axum", feature = "aws-lc-rs"))]
#[doc = include_str!("../README.md")]
struct Readme;
