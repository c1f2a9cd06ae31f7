//! x
pub mod clock;
mod crypto;
mod error;
mod jose;
pub use error::*;
pub use jose::{Algorithm, AlgorithmSet};
