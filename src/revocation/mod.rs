//! Tokens that were good and are no longer: a logout, a stolen token, a user who was locked out.
//!
//! - A token is revoked by its issuer and its `jti`, or another claim that names it (Entra's `uti`, OpenID Connect's
//!   `sid`: [`Issuer::revocation_claims`](crate::Issuer::revocation_claims)); or by its issuer and `sub`, with everything
//!   that the subject had got up to a time.
//! - The check is on every request, of a remembered verdict too, after signature and claims and before rules of one's
//!   own. It is local: no request waits for a network.
//! - A revoked token is answered 401 `invalid_token`; where nobody can say, 503.
//! - [`RevocationList`] is in memory, of one instance; `RedisRevocations` (feature `redis`) is for several.
//!   [`Revocation`] is one method, for a list of one's own.
//! - No entry leaves before the last token that it is about: a full list is an error to the one who revokes.
//!
//! A token that lacks the claims that name it cannot be revoked by them: see
//! [`Issuer::require_claims`](crate::Issuer::require_claims). One in which they, or `sub`, are there and no strings is
//! refused by a verifier with revocation.
//!
//! ```
//! use tower_jwt_auth::revocation::RevocationList;
//! use tower_jwt_auth::testing::Authority;
//! use tower_jwt_auth::{Algorithm, AuthErrorKind, Verifier};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new(Algorithm::ES256);
//! let list = RevocationList::new();
//! let verifier = Verifier::<serde_json::Value>::builder().trust(authority.trusted()).revocation(list.clone()).build()?;
//!
//! let token = authority.token().sign();
//! let jwt = verifier.verify(&token).await?;
//!
//! // Refused from here on: what a handler of `/logout` does with the `Jwt` of its request.
//! if let (Some(issuer), Some(id)) = (jwt.issuer(), jwt.jwt_id()) {
//!     list.revoke(issuer, id, jwt.expires_at())?;
//! }
//! assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), AuthErrorKind::Revoked);
//!
//! // Another token passes.
//! assert!(verifier.verify(&authority.token().sign()).await.is_ok());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```

mod check;
mod error;
mod key;
mod list;
#[cfg(shuttle)]
pub(crate) mod model;
#[cfg(feature = "redis")]
mod redis;
mod table;

pub(crate) use check::MAX_IDS;
pub use check::{Revocation, RevocationVerdict, TokenFacts};
pub use error::{RevokeError, RevokeErrorKind};
pub(crate) use key::IssuerKey;
pub use list::{RevocationList, RevocationListBuilder};
#[cfg(feature = "redis")]
pub use redis::{RedisRevocations, RedisRevocationsBuilder, RevocationStatus};
