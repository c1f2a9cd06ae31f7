//! Where keys come from: [`KeySet`] for keys that are fixed, [`KeyFile`] for a file that changes, `RemoteJwks` for an
//! identity provider (feature `remote`), and [`KeySource`] for anything else.
//!
//! - A source answers at once from what it holds, or hands back a future; with the key at hand no request waits.
//! - One method is all that a source of one's own needs: see the example `custom_keys`.
//! - A source that cannot answer fails with a [`KeyError`], which becomes a 503: the token is not to blame.
//!
//! ```
//! use tower_jwt_auth::{Algorithm, keys::KeySet};
//!
//! // Accepted: 32 bytes for HS256.
//! let keys = KeySet::secret(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
//! assert_eq!(keys.len(), 1);
//!
//! // Refused: too short to resist a search.
//! assert!(KeySet::secret(Algorithm::HS256, "secret").is_err());
//! # Ok::<(), tower_jwt_auth::ConfigError>(())
//! ```

mod file;
mod key;
mod key_set;
#[cfg(feature = "remote")]
mod remote;
mod source;

pub use file::KeyFile;
pub use key::Key;
pub use key_set::{KeySet, SkippedKey};
#[cfg(feature = "remote")]
pub use remote::{BoxError, KeyStatus, RemoteJwks, RemoteJwksBuilder, ResponseBody, Transport};
pub use source::{KeyError, KeyLookup, KeyQuery, KeySource, Keys};

#[cfg(feature = "config")]
pub(crate) use file::read as read_file;
#[cfg(feature = "config")]
pub(crate) use key::decode_base64;
pub(crate) use key_set::Found;
pub(crate) use source::{Lookup, PendingKeys, Waited};
