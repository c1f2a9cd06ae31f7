//! The rules of an issuer, as pure functions of what a token says and the time.
//!
//! - What must be there and is missing, or has the wrong type, never passes.
//! - `now` is an argument: nothing here asks a clock.

mod header;
mod identity;
mod time;

pub(crate) use header::TypeRule;
pub(crate) use identity::{AudienceRule, IssuerRule, MAX_ISSUER, Template, is_guid, is_trust_domain, trust_domain};
pub(crate) use time::{MAX_LEEWAY, TimeRule, Times};
