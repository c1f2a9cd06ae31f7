//! x
#![cfg_attr(docsrs, feature(doc_cfg))]
mod admission;
pub mod authorize;
#[cfg(feature = "axum")]
mod axum;
mod claims;
pub mod clock;
mod crypto;
mod error;
mod events;
pub mod extract;
mod jose;
pub mod keys;
pub mod layer;
mod policy;
pub mod rejection;
#[cfg(feature = "testing")]
pub mod testing;
pub mod verify;

pub use authorize::RequireScopes;
#[cfg(feature = "axum")]
pub use axum::MissingJwt;
pub use error::{AuthError, AuthErrorKind, ConfigError};
pub use extract::BearerHeader;
pub use jose::{Algorithm, AlgorithmSet};
pub use keys::{KeySet, KeySource};
pub use layer::JwtAuth;
pub use rejection::ProblemJson;
pub use verify::{AnyJwt, Issuer, Jwt, Verifier};
