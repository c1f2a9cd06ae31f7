//! Guards: what a verified token may do.
//!
//! - [`RequireScopes`]: the token grants these scopes, or the answer is 403 `insufficient_scope` (RFC 6750 §3.1).
//! - [`Require`]: a predicate on the claims holds, or the answer is 403.
//! - [`StepUp`]: the user authenticated in this way and this recently, or the answer is 401
//!   `insufficient_user_authentication` (RFC 9470).
//! - They are layers for a route, a router or a whole service, and can be stacked. Each asks the token that the nearest
//!   [`JwtAuth`](crate::JwtAuth) in front has verified.
//! - A guard without the layer in front answers 500 and says so in the log: never open.
//!
//! ```
//! # use std::convert::Infallible;
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, JwtAuth, RequireScopes};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new(Algorithm::HS256);
//! let service = ServiceBuilder::new()
//!     .layer(JwtAuth::<serde_json::Value>::new(authority.trusted())?)
//!     .layer(RequireScopes::all(["orders:read"]))
//!     .service(service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new()))));
//!
//! let ask = |scope| {
//!     let token = authority.token().claim("scope", scope).sign();
//!     let request = Request::builder().header("authorization", format!("Bearer {token}"));
//!     service.clone().oneshot(request.body(String::new()).expect("a request"))
//! };
//! assert_eq!(ask("orders:read orders:write").await?.status(), StatusCode::OK);
//! assert_eq!(ask("orders:write").await?.status(), StatusCode::FORBIDDEN);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod guard;
mod require;
mod scopes;
mod step_up;

pub use guard::{Guard, GuardService};
pub use require::{PredicateRule, Require};
pub use scopes::{RequireScopes, ScopeRule};
pub use step_up::{StepUp, StepUpRule};

pub use crate::early::EarlyFuture;
