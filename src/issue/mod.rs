//! The issuing side: signed tokens, the keys that sign them, and refresh tokens.
//!
//! - [`refresh`]: refresh tokens that are good for one use.

pub mod refresh;
