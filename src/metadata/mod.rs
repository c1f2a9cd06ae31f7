//! Protected-resource metadata (RFC 9728): a document that tells clients which authorization servers a service trusts.
//!
//! - [`JwtAuth::metadata`](crate::JwtAuth::metadata) makes it from the layer's own settings, so that the two agree.
//! - [`ProtectedResource`] is a layer: it answers GET and HEAD at the well-known path, and passes everything else on. It
//!   belongs outside of `JwtAuth`, for a client that asks has no token yet. In axum, add it with `.layer(…)` to the
//!   outermost router, after every `merge`, `nest` and `fallback`: `.route_layer`, and a layer on a router that is merged
//!   into another, see only what matches their own routes.
//! - With [`JwtAuth::resource_metadata`](crate::JwtAuth::resource_metadata) every challenge, a guard's too, names the
//!   document (§5.1): that is how clients of the Model Context Protocol find the way to a token.
//! - The document is public: any site may read it (`Access-Control-Allow-Origin: *`), and caches keep it for an hour.
//!
//! ```
//! # use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, JwtAuth};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = JwtAuth::<serde_json::Value>::new(Authority::new(Algorithm::ES256).trusted())?;
//! let resource = auth.metadata("https://api.example.com/mcp")?.scopes(["orders:read"]);
//! let auth = auth.resource_metadata(&resource);
//! let service = ServiceBuilder::new()
//!     .layer(resource)
//!     .layer(auth)
//!     .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
//!
//! // Answered without a token.
//! let request = Request::get("/.well-known/oauth-protected-resource/mcp").body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! // Refused, with the way to one.
//! let response = service.oneshot(Request::get("/mcp").body(())?).await?;
//! let challenge = response.headers()["www-authenticate"].to_str()?;
//! let document = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
//! assert_eq!(challenge, format!("Bearer resource_metadata=\"{document}\""));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod resource;
mod service;

pub use resource::ProtectedResource;
pub use service::ProtectedResourceService;

pub use crate::early::EarlyFuture;
