//! Verification: from a token to a [`Jwt`], without HTTP.
//!
//! - An [`Issuer`] binds a name to its keys, audiences and rules; a [`Verifier`] trusts one or several.
//! - With several, the unverified `iss` picks one from the list; keys, audiences and algorithms are that issuer's
//!   alone, and an unknown `iss` ends before any I/O.
//! - The signature comes first, then who and for whom, then the times, then the rest: an expired token is told so
//!   even where its claims have changed their form since.
//!
//! ```
//! use serde::Deserialize;
//! use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, Verifier, keys::KeySet};
//!
//! #[derive(Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = KeySet::secret(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
//! let verifier = Verifier::<Claims>::new(Issuer::new("https://login.example.com", keys).audience("orders"))?;
//!
//! // Accepted: signed with the secret, for `orders`, not expired before the year 2100.
//! let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIiwiYXVkIjoib3JkZXJzIiwic3ViIjoidTEiLC\
//!              JleHAiOjQxMDI0NDQ4MDB9.O9ZTPcHcca9I7RygRZ1XvZlugYRTQH5ScNyPAF2ABEo";
//! assert_eq!(verifier.verify(token).await?.claims().sub, "u1");
//!
//! // Refused: the signature of another token.
//! let error = verifier.verify(&format!("{}A", &token[..token.len() - 1])).await.unwrap_err();
//! assert_eq!(error.kind(), AuthErrorKind::InvalidSignature);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod cache;
mod engine;
mod explain;
mod issuer;
mod jwt;
mod mismatch;
#[cfg(shuttle)]
pub(crate) mod model;
mod resolver;
mod verifier;
mod words;

pub use cache::TokenCache;
pub use explain::{Check, CheckReport, Explanation};
pub use issuer::Issuer;
pub use jwt::{AnyJwt, Jwt};
pub use resolver::IssuerResolver;
pub use verifier::{Verifier, VerifierBuilder};
