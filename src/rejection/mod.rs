//! The answer to a refused request: status, challenge, headers, and a body of one's choice.
//!
//! - The words are those of the RFCs: `WWW-Authenticate` as in RFC 6750 §3, and none where no token would help.
//! - Our own outage is a 503 with `Retry-After`, never a 401: clients keep their tokens.
//! - gRPC gets HTTP 200 and `grpc-status`, header-only, with the challenge as metadata.
//! - The [`AuthError`](crate::AuthError) is in the response's extensions, for logs and metrics.
//!
//! The body is the maker's ([`MakeRejection`]); status, challenge and headers are the crate's, unless the maker is
//! wrapped in [`danger_verbatim`]. Without a maker there is no body: the challenge has a fixed phrase, and the
//! detail is in the log alone (feature `tracing`, and a subscriber). A layer and each guard have a maker of their own, `.on_reject(…)`; what extractors and
//! [`ForwardClaims`](crate::forward::ForwardClaims) refuse has no body.
//!
//! ```
//! use http::Response;
//! use tower_jwt_auth::rejection::{self, Rejection};
//!
//! let maker = rejection::from_fn(|refused: &Rejection<'_>| {
//!     Response::new(format!("{} {}", refused.head().uri.path(), refused.error().kind()))
//! });
//! # let _: &dyn rejection::MakeRejection<String> = &maker;
//! ```

mod answer;
mod challenge;
mod grpc;
mod make;

pub use make::{EmptyBody, FromFn, MakeRejection, ProblemJson, Rejection, Verbatim, danger_verbatim, from_fn};

pub(crate) use challenge::{Challenges, Words, param};
pub(crate) use make::respond;
