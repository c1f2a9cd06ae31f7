//! The layer: from a request to typed claims.
//!
//! - The token is verified where the request stands: with the key at hand there is no box and no clone of the inner
//!   service, and it is called at once.
//! - While a key is fetched, no readiness of the inner service is held; a clone is made ready before it is called.
//! - A refusal is a response: the inner service's error type is untouched, and it is never called.
//!
//! ```
//! # use std::convert::Infallible;
//! use http::{Request, Response, StatusCode};
//! use serde::Deserialize;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth, keys::KeySet};
//!
//! #[derive(Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = KeySet::secret(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
//! let issuer = Issuer::new("https://login.example.com", keys).audience("orders");
//! let service = ServiceBuilder::new().layer(JwtAuth::<Claims>::new(issuer)?).service(service_fn(
//!     async |request: Request<String>| {
//!         let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer put it there");
//!         Ok::<_, Infallible>(Response::new(jwt.claims().sub.clone()))
//!     },
//! ));
//!
//! // Accepted: signed with the secret, for `orders`, not expired before the year 2100.
//! let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIiwiYXVkIjoib3JkZXJzIiwic3ViIjoidTEiLC\
//!              JleHAiOjQxMDI0NDQ4MDB9.O9ZTPcHcca9I7RygRZ1XvZlugYRTQH5ScNyPAF2ABEo";
//! let request = Request::builder().header("authorization", format!("Bearer {token}")).body(String::new())?;
//! assert_eq!(service.clone().oneshot(request).await?.body(), "u1");
//!
//! // Refused: no token.
//! let response = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod future;
#[expect(clippy::module_inception)]
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::JwtAuth;
pub use service::JwtAuthService;
