//! Tracing events, at one place. Without the feature `tracing` they are nothing.
//!
//! - What a client can cause is `debug`: no flood of tokens becomes a flood of logs.
//! - Fields are fixed: `kind` is the label of an [`AuthErrorKind`](crate::AuthErrorKind); none holds a token or a key.

#![cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "the events are compiled out"))]

use crate::error::AuthError;
#[cfg(feature = "tracing")]
use crate::error::AuthErrorKind;

/// A request was refused.
pub(crate) fn refused(error: &AuthError) {
    // A misplaced guard has said so already, with more to go by.
    #[cfg(feature = "tracing")]
    match error.kind() {
        AuthErrorKind::Misconfigured => {}
        kind if kind.is_our_fault() => {
            tracing::warn!(kind = kind.label(), detail = error.detail(), "request not judged");
        }
        kind => tracing::debug!(kind = kind.label(), detail = error.detail(), "request refused"),
    }
}

/// A source has fresh keys.
#[cfg(feature = "remote")]
pub(crate) fn keys_refreshed(location: &str, keys: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(location, keys, "keys refreshed");
}

/// A source could not refresh its keys. At most as often as it may fetch.
#[cfg(feature = "remote")]
pub(crate) fn keys_not_refreshed(location: &str, reason: &str, has_keys: bool) {
    #[cfg(feature = "tracing")]
    tracing::warn!(location, reason, has_keys, "keys not refreshed");
}

/// The keys of an issuer have changed, here or at another instance.
#[cfg(feature = "issue")]
pub(crate) fn key_ring_changed(version: u64, keys: usize) {
    #[cfg(feature = "tracing")]
    tracing::info!(version, keys, "the key ring has changed");
}

/// State that instances share could not be asked.
#[cfg(any(feature = "issue", feature = "redis"))]
pub(crate) fn store_failed(what: &str, reason: &impl std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(what, %reason, "a store does not answer");
}

/// A spent refresh token was used, and its family has ended. Once for each family.
#[cfg(feature = "issue")]
pub(crate) fn refresh_token_reused(family: &impl std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%family, "a spent refresh token was used: its session has ended");
}

/// A server may lose what it holds. Once for each handle.
#[cfg(feature = "redis")]
pub(crate) fn store_may_forget(what: &str, reason: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(what, reason, "a store may lose what it holds");
}

/// Shared state has been read in full.
#[cfg(feature = "redis")]
pub(crate) fn store_read(what: &str, entries: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(what, entries, "shared state read in full");
}

/// A token cannot be taken out of a request on its way to the next hop.
pub(crate) fn not_stripped() {
    #[cfg(feature = "tracing")]
    tracing::error!("ForwardClaims cannot strip a token from the query or a websocket protocol: take it from a header");
}

/// A guard or an extractor found no verified token because of how the service is put together.
pub(crate) fn misplaced(what: &str, wanted: &str, found: Option<&str>) {
    #[cfg(feature = "tracing")]
    if let Some(found) = found {
        tracing::error!(wanted, found, "{what}: the layer `JwtAuth` in front verifies other claims");
    } else {
        tracing::error!(
            wanted,
            "{what}: there is no layer `JwtAuth` in front (axum: the last `.layer` is the first to run, so add `JwtAuth` after \
             the guard; ServiceBuilder and tonic: the first is the first)"
        );
    }
}
