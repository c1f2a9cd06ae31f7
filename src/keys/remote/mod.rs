//! Keys of an identity provider, fetched over HTTP and kept fresh.
//!
//! - A request whose key is known never waits for the network. Keys are refreshed in the background before they grow
//!   old, and served on through an outage for an hour past their time to live.
//! - An unknown `kid` makes the source look again, and the request waits for it: the first token of a rotation
//!   passes. A flood of forged ones costs two fetches in 30 seconds.
//! - One fetch at a time, in a task of its own: a client that disconnects cancels nobody's.
//! - What comes back is bounded: no redirects, 512 KiB, 100 keys; odd keys are skipped with a reason. A failure never
//!   drops a key, a success replaces the whole set.
//! - The task runs on the tokio runtime in which the source is first used, and ends with the last handle.
//!
//! ```
//! use tower_jwt_auth::keys::RemoteJwks;
//!
//! // Accepted: https, or http on loopback.
//! assert!(RemoteJwks::from_url("https://login.example.com/jwks").build().is_ok());
//! assert!(RemoteJwks::discover("http://127.0.0.1:9000").build().is_ok());
//!
//! // Refused: anybody on the way could put in keys of their own.
//! assert!(RemoteJwks::from_url("http://login.example.com/jwks").build().is_err());
//! ```

mod builder;
mod core;
mod discovery;
mod fetch;
mod handle;
mod location;
mod schedule;
mod status;
mod transport;

pub use builder::RemoteJwksBuilder;
pub use handle::RemoteJwks;
pub use status::KeyStatus;
pub use transport::{BoxError, ResponseBody, Transport};

pub(super) use core::Snapshot;
