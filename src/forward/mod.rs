//! Towards the next hop: what a gateway tells the service behind it of the verified token.
//!
//! - [`ForwardClaims`] sets headers from the token. Copies that came in are removed first, whatever their case, and with
//!   `_` for `-`, which some servers take for the same: no client can say who it is. They are removed for anonymous
//!   requests too, and where the token lacks the claim.
//! - A value that cannot stand in a header (other than visible ASCII and inner spaces, or over 4 KiB) is not sent, and the
//!   request is refused with 403: the next hop would otherwise take it for a token without the claim.
//! - [`strip_token`](ForwardClaims::strip_token) removes the token, for a next hop that has no business with it.
//! - Without the layer [`JwtAuth`](crate::JwtAuth) in front it answers 500 and says so in the log.
//!
//! ```
//! # use std::convert::Infallible;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_jwt_auth::forward::ForwardClaims;
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, JwtAuth};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new(Algorithm::ES256);
//! let forward = ForwardClaims::new().subject("x-user-id")?.scopes("x-scopes")?.strip_token();
//! let service = ServiceBuilder::new()
//!     .layer(JwtAuth::<serde_json::Value>::new(authority.trusted())?)
//!     .layer(forward)
//!     .service(service_fn(async |request: Request<String>| {
//!         assert!(!request.headers().contains_key("authorization"));
//!         Ok::<_, Infallible>(Response::new(request.headers()["x-user-id"].to_str().unwrap_or_default().to_owned()))
//!     }));
//!
//! // What the client says of itself does not get through.
//! let token = authority.token().claim("sub", "alice").sign();
//! let request = Request::builder().header("authorization", format!("Bearer {token}")).header("X-User-Id", "admin");
//! assert_eq!(service.oneshot(request.body(String::new())?).await?.body(), "alice");
//!
//! // Refused: the next hop needs this one for itself.
//! assert!(ForwardClaims::new().subject("host").is_err());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod headers;
mod service;

pub use headers::ForwardClaims;
pub use service::ForwardClaimsService;

pub use crate::early::EarlyFuture;
