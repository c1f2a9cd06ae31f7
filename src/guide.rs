//! A guide, in chapters: what one has to know to use this crate well, beyond what each item says of itself.
//!
//! To begin with:
//!
//! - [`getting_started`]: from nothing to a protected service with axum, tonic, hyper, salvo or poem; the order of layers,
//!   CORS, unknown paths, optional authentication.
//! - [`keys`]: which source of keys, which algorithm, and what happens when keys change or cannot be had.
//! - [`issuers`]: one issuer or several, tenants, presets, audiences, kinds of tokens, and issuers that strangers use.
//! - [`sessions`]: tokens or sessions, what may go into a token, which algorithm, where a browser keeps it, how it is
//!   revoked, how keys rotate, and how all this scales.
//! - [`migrating`]: from jwt-authorizer, axum-jwt-auth, tower-oauth2-resource-server, oauth-resource-server, and from
//!   middleware of one's own, side by side.
//!
//! In service:
//!
//! - [`answers`]: every reason to refuse, with its status, its challenge, its gRPC status, and what helps.
//! - [`production`]: a checklist: clocks, time limits, sizes, caches, logs, alerts, outages, upgrades.
//! - [`observability`]: the metrics, spans and events, every name and label of them, and what to alert on.
//! - [`troubleshooting`]: by symptom: what it means, how to see it, what to do.
//! - [`security`]: what is refused and why, how that is shown, and what is left to others.

#[doc = include_str!("guide/answers.md")]
pub mod answers {}

#[doc = include_str!("guide/getting_started.md")]
pub mod getting_started {}

#[doc = include_str!("guide/issuers.md")]
pub mod issuers {}

#[doc = include_str!("guide/keys.md")]
pub mod keys {}

#[doc = include_str!("guide/migrating.md")]
pub mod migrating {}

#[doc = include_str!("guide/observability.md")]
pub mod observability {}

#[doc = include_str!("guide/production.md")]
pub mod production {}

#[doc = include_str!("../SECURITY.md")]
pub mod security {}

#[doc = include_str!("guide/sessions.md")]
pub mod sessions {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}
