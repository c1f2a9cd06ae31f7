//! The issuing side: signed tokens, the keys that sign them, and refresh tokens.
//!
//! - [`TokenIssuer`] takes typed claims and gives a signed access token (RFC 9068): short-lived, for a stated audience,
//!   with a random `jti`. What a verifier of this crate would refuse is not issued: weak keys, long lives, names twice,
//!   16 KiB and more.
//! - The claims that the issuer sets (`iss`, `aud`, `iat`, `exp`, `jti`) cannot be set by accident.
//! - [`KeyRing`] holds keys that change: by a schedule or by hand, kept in a file or on Redis, at several instances, and
//!   without a refused token.
//! - [`IssuerMetadata`] is a layer that publishes the keys as a JWK set, and the metadata that leads verifiers to it.
//! - The payload of a token is readable by anyone who holds it: no secrets in claims.
//! - [`refresh`]: refresh tokens that are good for one use.
//!
//! ```
//! use serde::Serialize;
//! use tower_jwt_auth::issue::{IssueErrorKind, SigningKey, TokenIssuer};
//! use tower_jwt_auth::{Algorithm, Issuer, Verifier};
//!
//! #[derive(Serialize)]
//! struct Claims<'a> {
//!     sub: &'a str,
//!     client_id: &'a str,
//!     scope: &'a str,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(Algorithm::ES256)?;
//! let keys = key.key_set()?;
//! let issuer = TokenIssuer::builder("https://login.example.com", key).audience("orders").build()?;
//!
//! // Issued, and accepted by a verifier that trusts the key.
//! let token = issuer.issue(&Claims { sub: "user-1", client_id: "shop", scope: "orders:read" })?;
//! let trusted = Issuer::new("https://login.example.com", keys).audience("orders").access_token_profile();
//! let jwt = Verifier::<serde_json::Value>::new(trusted)?.verify(token.as_str()).await?;
//! assert_eq!(jwt.claims()["jti"], token.jti());
//!
//! // Refused: who issued a token is not for its claims to say.
//! let error = issuer.issue(&serde_json::json!({"iss": "https://elsewhere.example"})).unwrap_err();
//! assert_eq!(error.kind(), IssueErrorKind::ReservedClaim);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod error;
mod key;
mod metadata;
pub mod refresh;
mod ring;
mod token;

pub use error::{IssueError, IssueErrorKind};
pub use key::SigningKey;
pub use metadata::{IssuerMetadata, IssuerMetadataService};
#[cfg(feature = "redis")]
pub use ring::RedisKeyStore;
pub use ring::{
    FileKeyStore, KeyPhase, KeyRing, KeyRingBuilder, KeyRingDocument, KeyRingError, KeyRingStatus, KeyStore,
    KeyStoreFuture, MemoryKeyStore, RingKey,
};
pub use token::{IssuedToken, IssuingKeys, TokenIssuer, TokenIssuerBuilder, TokenRequest};
