//! The envelope of a token: algorithms, compact serialization, header and keys, as bytes and JSON.
//!
//! - No I/O, no cryptography, no HTTP: everything here is a pure function of its input.
//! - What is parsed borrows from the token; what is refused says which rule refused it.

pub(crate) mod algorithm;
pub(crate) mod compact;
pub(crate) mod der;
pub(crate) mod header;
pub(crate) mod json;
pub(crate) mod jwk;
#[cfg(feature = "issue")]
pub(crate) mod private;
pub(crate) mod recent;

pub use algorithm::{Algorithm, AlgorithmSet};
