//! The caller's token, sent on to an upstream service.

mod error;
mod future;
mod layer;
mod origin;
mod service;

pub use error::{RelayError, RelayErrorKind};
pub use future::RelayFuture;
pub use layer::RelayToken;
pub use service::RelayTokenService;

/// As in tower's own layers for clients.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
