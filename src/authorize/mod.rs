//! Guards: what a verified token may do.
//!
//! - [`RequireScopes`]: the token grants these scopes, or the answer is 403 `insufficient_scope` (RFC 6750 §3.1).
//! - A guard without the layer [`JwtAuth`](crate::JwtAuth) in front answers 500 and says so in the log: never open.

mod future;
mod scopes;

pub use future::GuardFuture;
pub use scopes::{RequireScopes, RequireScopesService};
