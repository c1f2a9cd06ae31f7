//! Towards the next hop: what a gateway tells the service behind it of the verified token, or the token itself.
//!
//! # What the token says, in headers
//!
//! - [`ForwardClaims`] sets headers from the token. Copies that came in are removed first, whatever their case, and with
//!   `_`, `.` or another mark for `-`, which some servers take for the same: no client can say who it is. They are removed for anonymous
//!   requests too, and where the token lacks the claim.
//! - A value that cannot stand in a header (other than visible ASCII and inner spaces, or over 4 KiB) is not sent, and the
//!   request is refused with 403: the next hop would otherwise take it for a token without the claim.
//! - [`strip_token`](ForwardClaims::strip_token) removes the token, for a next hop that has no business with it.
//! - `Connection` may name headers that the next hop is to remove (RFC 9110 §7.6.1): those that are set here are taken
//!   out of it.
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
//!
//! # The token itself
//!
//! [`JwtAuth::keep_token`](crate::JwtAuth::keep_token) keeps the text of a verified token as a [`CallerToken`] in the
//! request's extensions. Put a clone into those of the request to the upstream, or send the request on with the
//! extensions that it has; [`RelayToken`], a layer around the client, makes `Authorization: Bearer …` of it, marked
//! sensitive. A request without one passes as it is, or is refused under [`required`](RelayToken::required). One with
//! a token is not sent at all, and the client's error is a [`RelayError`], where
//!
//! - the scheme, host and port of its URL are not those of an upstream that was named, or its `Host` is another's: a
//!   changed URL or a redirect leads the token nowhere else. Over plain http only loopback can be named, without a
//!   `danger_`;
//! - it has an `Authorization` already, which is never overwritten. A gateway that sends headers on removes the
//!   caller's with [`strip_token`](ForwardClaims::strip_token);
//! - the token is bound to a key (RFC 9449, RFC 8705). Only the caller can prove that it has the key, so the upstream
//!   would refuse; a service exchanges such a token for one of its own (RFC 8693);
//! - the token has expired, by the rules on time of the verifier that accepted it, its leeway included. A request that
//!   was let in is sent on, and work that was queued for long is not.
//!
//! The upstream has to accept the token as it is: its audience must name both services. Where it does not, exchange it.
//! Layers that retry or follow redirects go outside of this one, so that each request is judged; a client that follows
//! redirects by itself has to leave `Authorization` out for another host, as reqwest does. With a tonic client, name the
//! upstream with `with_origin`: the URL has no host otherwise, and the request is refused.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_jwt_auth::forward::{CallerToken, RelayError, RelayErrorKind, RelayToken};
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, JwtAuth};
//!
//! # type BoxError = Box<dyn std::error::Error + Send + Sync>;
//! # async fn run() -> Result<(), BoxError> {
//! // This stands for a client of hyper-util, or a channel of tonic. It answers whether a token came.
//! let client = ServiceBuilder::new().layer(RelayToken::new().to("https://orders.internal")?).service(service_fn(
//!     async |sent: Request<()>| Ok::<_, BoxError>(Response::new(sent.headers().contains_key("authorization"))),
//! ));
//!
//! // A handler that asks the upstream at a URL in its caller's name.
//! let authority = Authority::new(Algorithm::ES256);
//! let auth = JwtAuth::<serde_json::Value>::new(authority.trusted())?.keep_token();
//! let handler = ServiceBuilder::new().layer(auth).service(service_fn(|request: Request<&'static str>| {
//!     let caller = request.extensions().get::<CallerToken>().expect("the layer put it there").clone();
//!     client.clone().oneshot(Request::builder().uri(*request.body()).extension(caller).body(()).expect("a URL"))
//! }));
//! let token = authority.token().sign();
//! let ask = |url| Request::builder().header("authorization", format!("Bearer {token}")).body(url);
//!
//! assert!(handler.clone().oneshot(ask("https://orders.internal/1")?).await?.body());
//!
//! // Refused: another host does not get the token.
//! let error = handler.oneshot(ask("https://orders.internal.evil.example/1")?).await.expect_err("refused");
//! let error = error.downcast_ref::<RelayError>().expect("not the client's");
//! assert_eq!(error.kind(), RelayErrorKind::ForeignOrigin);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod headers;
mod relay;
mod service;

pub use headers::ForwardClaims;
pub use relay::{RelayError, RelayErrorKind, RelayFuture, RelayToken, RelayTokenService};
pub use service::ForwardClaimsService;

pub use crate::caller::CallerToken;
pub use crate::early::EarlyFuture;
