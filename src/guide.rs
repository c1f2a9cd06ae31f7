//! A guide, in chapters: what one has to know to use this crate well, beyond what each item says of itself.
//!
//! - [`sessions`]: tokens or sessions, what may go into a token, which algorithm, where a browser keeps it, how it is
//!   revoked, how keys rotate, and how all this scales.

#[doc = include_str!("guide/sessions.md")]
pub mod sessions {}
