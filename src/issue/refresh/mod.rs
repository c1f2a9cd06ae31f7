//! Refresh tokens: opaque, good for one use, replaced on every use (RFC 6749 §6, RFC 9700 §4.14).
//!
//! - A login [starts](RefreshTokens::start) a *family*: one session of one subject. At any time one token of it is live.
//! - [`RefreshTokens::rotate`] spends the live token and makes the next one, in one atomic step of the store. Of several
//!   uses of one token, at one instance or many, exactly one rotates.
//! - A spent token that is used again ends the family: either the client or whoever uses it has a stolen one, and nobody
//!   can say which. It is reported, once: to [`on_reuse`](RefreshTokensBuilder::on_reuse), as an event at `warn`, and in
//!   the error. The token that was live is then refused as well.
//! - A family ends when it is revoked, after 30 days, and when no token of it was used for 14 days; both are options.
//! - While the store is away, nothing is refreshed and nothing ends: [`RefreshErrorKind::Unavailable`], a 503.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RefreshErrorKind, RefreshTokens};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Login {
//!     client_id: String,
//!     scope: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = RefreshTokens::<Login, _>::new(MemoryRefreshStore::new())?;
//!
//! // At login: the client gets the text of the token.
//! let login = Login { client_id: "shop".into(), scope: "orders:read".into() };
//! let first = tokens.start("user-1", &login).await?;
//!
//! // At the token endpoint: a new token, and what an access token needs.
//! let rotated = tokens.rotate(first.as_str()).await?;
//! assert_eq!((rotated.subject(), &*rotated.data().scope), ("user-1", "orders:read"));
//! let second = rotated.token();
//!
//! // The first one again is refused, and from then on the second one too.
//! let refused = tokens.rotate(first.as_str()).await.expect_err("it is spent");
//! assert_eq!(refused.kind(), RefreshErrorKind::Reused);
//! let refused = tokens.rotate(second.as_str()).await.expect_err("its family has ended");
//! assert_eq!(refused.kind(), RefreshErrorKind::Invalid);
//! # Ok(())
//! # }
//! ```
//!
//! # What is in a token, and what is in the store
//!
//! A token is 64 characters: 128 random bits that all tokens of a family share, its *mark*, and 256 bits of its own, its
//! *secret*. The store has neither. It knows a family by the SHA-256 of the mark, cut to 128 bits, which is its
//! [`FamilyId`]; and its live token by the SHA-256 of the secret. It follows that
//!
//! - a copy of the store yields no token;
//! - a spent token is known for what it is by its mark, however old it is, and nothing is kept of it. The other ways are a
//!   list of spent hashes, which grows with every use and has to be cut somewhere, and a MAC, which needs one more secret
//!   in every instance;
//! - a family id is no secret: it can stand in an access token as `sid`, in logs, and on a page with a user's sessions.
//!   Nobody can make a token from it that would end the family. Who has the mark has had a token of the family, and
//!   can end it, as RFC 7009 wants.
//!
//! # When the answer is lost
//!
//! A client whose connection breaks between the rotation and the answer has only the spent token left. Unless something
//! is done, it will use it again, which looks like theft, and its user has to log in again. The same goes for a client
//! that refreshes twice at once, and for a 503 with an unknown outcome.
//!
//! [`grace`](RefreshTokensBuilder::grace) is that something: for so many seconds the token that was spent last is
//! answered with the *same* successor, as long as that was not used itself. Nobody keeps the successor: it is a MAC, keyed
//! with the secret of the token that is presented, over a random salt which the store holds for this. So there is still
//! one live token in the family, whatever happens: with the window on, no crash, cut or lost answer costs a session,
//! provided that the client tries again within the window. The price: within it, a thief with the spent token gets the
//! live one, as if he had stolen it one use later, and is found out when both have used theirs; and the salt, together
//! with the token spent last, yields the live token to who reads the store. It is off unless asked for, and 60 seconds
//! at most.
//!
//! Without the window, of N uses at once one gets a new token, another ends the family and is reported, the rest are
//! refused. With it, all get the same new token.
//!
//! # Stores
//!
//! [`MemoryRefreshStore`] for one process; `RedisRefreshStore`, with the feature `redis`, for several; [`RefreshStore`]
//! for a database of your own.

mod error;
mod memory;
#[cfg(shuttle)]
pub(crate) mod model;
#[cfg(feature = "redis")]
mod redis;
mod store;
mod token;
mod tokens;

pub use error::{RefreshError, RefreshErrorKind, Reuse};
pub use memory::MemoryRefreshStore;
#[cfg(feature = "redis")]
pub use redis::RedisRefreshStore;
pub use store::{Family, NewFamily, Outcome, RefreshStore, RefreshStoreError, Rotation};
pub use token::{FamilyId, RefreshToken};
pub use tokens::{RefreshTokens, RefreshTokensBuilder, Rotated, Session};
