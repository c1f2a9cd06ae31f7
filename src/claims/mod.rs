//! The claims that the rules look at, read once from the decoded payload (RFC 7519 §4.1).
//!
//! - A payload is a UTF-8 JSON object with unique names, judged after unescaping.
//! - Nothing is verified here: these are what a token *says*.

mod confirmation;
mod registered;
mod scopes;
mod tee;

pub(crate) use confirmation::Confirmation;
pub(crate) use registered::{Audience, ClaimNames, Member, Registered, Time, claim};
pub(crate) use scopes::{Scopes, is_scope};
pub(crate) use tee::parse;
