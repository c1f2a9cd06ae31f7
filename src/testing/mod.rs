//! For tests of one's own: a token authority that mints anything valid, and anything wrong; its keys, as a source that
//! can be put through rotations and outages; clients with DPoP keys.
//!
//! - Keys are made in the process and never leave it; every algorithm of the backend is there.
//! - A token is valid unless the builder is told otherwise, so that a test names exactly what is wrong.
//! - Nothing sleeps and nothing opens a socket: what waits, waits until the test lets it go, or in the virtual time of a
//!   paused tokio runtime.
//! - What a test asks for and cannot be done panics.
//!
//! # A service
//!
//! Its layer is made of the authority instead of the real issuer; the rest is what runs in production.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use serde::Deserialize;
//! use tower::ServiceExt; // `oneshot`
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, Jwt, JwtAuth};
//!
//! #[derive(Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! fn app(auth: JwtAuth<Claims>) -> Router {
//!     let profile = |jwt: Jwt<Claims>| async move { jwt.claims().sub.clone() };
//!     Router::new().route("/profile", get(profile)).layer(auth)
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new(Algorithm::ES256);
//! let app = app(JwtAuth::new(authority.trusted())?);
//! let get = |bearer| Request::get("/profile").header("authorization", bearer).body(Body::empty());
//!
//! let response = app.clone().oneshot(get(authority.token().claim("sub", "alice").bearer())?).await?;
//! assert_eq!(response.status(), 200);
//!
//! let response = app.oneshot(get(authority.token().expires_in(-60).bearer())?).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```
//!
//! # A wrong token, in one call
//!
//! ```
//! use serde_json::{Value, json};
//! use tower_jwt_auth::testing::{Authority, DpopClient};
//! use tower_jwt_auth::{Algorithm, Verifier};
//!
//! # async fn run() {
//! let (authority, other) = (Authority::new(Algorithm::ES256), Authority::new(Algorithm::ES256));
//! let client = DpopClient::new(Algorithm::ES256);
//! let token = || authority.token();
//! let wrong = [
//!     (token().expires_in(-60), "expired"),
//!     (token().valid_in(60), "not_yet_valid"),
//!     (token().without("exp"), "missing_time"),
//!     (token().claim("exp", "soon"), "malformed_time"),
//!     (token().claim("aud", "another-service"), "invalid_audience"),
//!     (token().claim("iss", "https://other.test"), "invalid_issuer"),
//!     (token().without("sub"), "missing_claim"),
//!     (token().bound_to(&client), "binding_not_checked"),
//!     (token().claim("events", json!({})), "security_event"),
//!     (token().header("kid", "unknown"), "unknown_key"),
//!     (token().signed_by(&other), "invalid_signature"),
//!     (token().tampered(), "invalid_signature"),
//!     (token().unsigned(), "invalid_signature"),
//!     (token().header("alg", "none").unsigned(), "algorithm_not_allowed"),
//!     (token().header("typ", "logout+jwt"), "wrong_type"),
//!     (token().header("crit", ["exp"]), "critical_header"),
//!     (token().raw_header("{"), "malformed_header"),
//!     (token().raw_payload("{"), "malformed_payload"),
//!     (token().claim("fill", "x".repeat(16 * 1024)), "token_too_long"),
//! ];
//! let verifier = Verifier::<Value>::new(authority.trusted().require_claims(["sub"])).unwrap();
//! for (token, kind) in wrong {
//!     let error = verifier.verify(&token.sign()).await.unwrap_err();
//!     assert_eq!(error.kind().label(), kind);
//! }
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run());
//! ```
//!
//! # A rotation, and an outage
//!
//! [`Authority::trusted`] has the keys of that moment. Those of [`Authority::keys`] follow the authority, and fail when
//! they are told to.
//!
//! ```
//! use serde_json::Value;
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, AuthErrorKind, Verifier};
//!
//! # async fn run() {
//! let authority = Authority::new(Algorithm::ES256);
//! let keys = authority.keys();
//! let verifier = Verifier::<Value>::new(authority.trusted_with(keys.clone())).unwrap();
//! let kind = async |token: &str| verifier.verify(token).await.err().map(|error| error.kind());
//!
//! // A new key signs, and the old one goes a little later.
//! let old = authority.token().sign();
//! authority.rotate();
//! let new = authority.token().sign();
//! assert_eq!((kind(&old).await, kind(&new).await), (None, None));
//! authority.withdraw_old();
//! assert_eq!((kind(&old).await, kind(&new).await), (Some(AuthErrorKind::UnknownKey), None));
//!
//! // An outage: what is known goes on, what is not cannot be judged.
//! keys.fail();
//! authority.rotate();
//! let newest = authority.token().sign();
//! assert_eq!((kind(&new).await, kind(&newest).await), (None, Some(AuthErrorKind::KeysUnavailable)));
//! // One that lasts, or that a service starts in: nothing is known.
//! keys.forget();
//! assert_eq!(kind(&new).await, Some(AuthErrorKind::KeysUnavailable));
//! // The end of it.
//! keys.heal();
//! assert_eq!((kind(&new).await, kind(&newest).await), (None, None));
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run());
//! ```
//!
//! # Time
//!
//! One clock for the authority and for the verifier, which stands still until it is moved.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_jwt_auth::clock::Clock;
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, Verifier};
//!
//! # async fn run() {
//! let clock = Clock::manual(SystemTime::now());
//! let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
//! let verifier = Verifier::<serde_json::Value>::builder().trust(authority.trusted()).clock(clock.clone());
//! let verifier = verifier.build().unwrap(); // For a layer: `JwtAuth::with(verifier)`.
//!
//! let token = authority.token().sign(); // Good for five minutes, and the leeway of 30 seconds.
//! clock.advance(Duration::from_secs(329));
//! assert!(verifier.verify(&token).await.is_ok());
//! clock.advance(Duration::from_secs(1));
//! assert!(verifier.verify(&token).await.is_err());
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run());
//! ```

mod authority;
mod dpop;
mod keys;
#[cfg(feature = "remote")]
mod provider;
mod token;

pub use authority::Authority;
pub use dpop::{DpopClient, ProofBuilder};
pub use keys::TestKeys;
#[cfg(feature = "remote")]
pub use provider::TestProvider;
pub use token::TokenBuilder;

use serde::Serialize;
use serde_json::Value;

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| panic!("no JSON: {error}"))
}
