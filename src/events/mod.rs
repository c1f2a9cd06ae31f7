//! Tracing events and spans, at one place. Without the feature `tracing` they are nothing.
//!
//! - What a client can cause is `debug`: no flood of tokens becomes a flood of logs.
//! - A fault of ours is `warn` or `error`. Where a request can make it show, it is said once a second, with the number
//!   of those that were left out.
//! - Names and fields are fixed, and stand in a table of the guide: `src/guide/observability.md`. `kind` is the label of
//!   an [`AuthErrorKind`](crate::AuthErrorKind); none holds a token, a claim, a `kid` or a key.

#![cfg_attr(not(feature = "tracing"), expect(unused_variables, clippy::unused_self, reason = "they are compiled out"))]

#[cfg(feature = "tracing")]
mod bound;
mod span;

#[cfg(feature = "remote")]
pub(crate) use span::Fetching;
pub(crate) use span::Verifying;

#[cfg(feature = "tracing")]
use bound::Bound;

use crate::error::AuthError;
#[cfg(feature = "tracing")]
use crate::error::AuthErrorKind;

/// A request was refused.
pub(crate) fn refused(error: &AuthError) {
    // A misplaced guard has said so already, with more to go by.
    #[cfg(feature = "tracing")]
    match error.kind() {
        AuthErrorKind::Misconfigured => {}
        kind if kind.is_our_fault() => not_judged(kind, error),
        kind => {
            let (kind, detail) = (kind.label(), error.detail());
            tracing::debug!(name: "request_refused", kind, detail, "request refused");
        }
    }
}

#[cfg(feature = "tracing")]
fn not_judged(kind: AuthErrorKind, error: &AuthError) {
    static BOUNDS: [Bound; AuthErrorKind::ALL.len()] = [const { Bound::new() }; AuthErrorKind::ALL.len()];
    if let Some(suppressed) = BOUNDS[kind as usize].pass() {
        let (kind, detail) = (kind.label(), error.detail());
        tracing::warn!(name: "request_not_judged", kind, detail, suppressed, "request not judged");
    }
}

/// A source has fresh keys.
pub(crate) fn keys_refreshed(location: &str, keys: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(name: "keys_refreshed", location, keys, "keys refreshed");
}

/// A source could not refresh its keys. At most as often as it may fetch; of a file, when that or the reason is new.
pub(crate) fn keys_not_refreshed(location: &str, reason: &str, has_keys: bool) {
    #[cfg(feature = "tracing")]
    tracing::warn!(name: "keys_not_refreshed", location, reason, has_keys, "keys not refreshed");
}

/// The keys of an issuer have changed, here or at another instance.
#[cfg(feature = "issue")]
pub(crate) fn key_ring_changed(version: u64, keys: usize) {
    #[cfg(feature = "tracing")]
    tracing::info!(name: "key_ring_changed", version, keys, "the key ring has changed");
}

/// What is shared between instances, or between restarts.
#[cfg(any(feature = "issue", feature = "redis"))]
#[derive(Clone, Copy)]
pub(crate) enum Store {
    #[cfg(feature = "redis")]
    RevokedTokens,
    #[cfg(feature = "redis")]
    UsedProofs,
    #[cfg(feature = "issue")]
    RefreshTokens,
    #[cfg(feature = "issue")]
    KeyRing,
}

#[cfg(any(feature = "issue", feature = "redis"))]
impl Store {
    #[cfg(feature = "tracing")]
    const COUNT: usize = if cfg!(all(feature = "issue", feature = "redis")) { 4 } else { 2 };

    #[cfg(feature = "tracing")]
    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "redis")]
            Self::RevokedTokens => "the record of revoked tokens",
            #[cfg(feature = "redis")]
            Self::UsedProofs => "the record of used proofs",
            #[cfg(feature = "issue")]
            Self::RefreshTokens => "the store of refresh tokens",
            #[cfg(feature = "issue")]
            Self::KeyRing => "the key ring",
        }
    }
}

/// State that instances share could not be asked.
#[cfg(any(feature = "issue", feature = "redis"))]
pub(crate) fn store_failed(store: Store, reason: &impl std::fmt::Display) {
    #[cfg(feature = "tracing")]
    {
        static BOUNDS: [Bound; Store::COUNT] = [const { Bound::new() }; Store::COUNT];
        if let Some(suppressed) = BOUNDS[store as usize].pass() {
            let what = store.name();
            tracing::warn!(name: "store_failed", what, %reason, suppressed, "a store does not answer");
        }
    }
}

/// A spent refresh token was used, and its family has ended. Once for each family.
#[cfg(feature = "issue")]
pub(crate) fn refresh_token_reused(family: &impl std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(name: "refresh_token_reused", %family, "a spent refresh token was used: its session has ended");
}

/// A server may lose what it holds. Once for each handle.
#[cfg(feature = "redis")]
pub(crate) fn store_may_forget(store: Store, reason: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(name: "store_may_forget", what = store.name(), reason, "a store may lose what it holds");
}

/// Shared state has been read in full.
#[cfg(feature = "redis")]
pub(crate) fn store_read(store: Store, entries: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(name: "store_read", what = store.name(), entries, "shared state read in full");
}

/// A token cannot be taken out of a request on its way to the next hop.
pub(crate) fn not_stripped() {
    #[cfg(feature = "tracing")]
    {
        static BOUND: Bound = Bound::new();
        if let Some(suppressed) = BOUND.pass() {
            tracing::error!(
                name: "token_not_stripped",
                suppressed,
                "ForwardClaims cannot strip a token from the query or a websocket protocol: take it from a header"
            );
        }
    }
}

/// A guard or an extractor found no verified token because of how the service is put together.
pub(crate) fn misplaced(what: &str, wanted: &str, found: Option<&str>) {
    #[cfg(feature = "tracing")]
    {
        use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

        // A service has few that are misplaced: two in one place would take turns.
        static BOUNDS: [Bound; 64] = [const { Bound::new() }; 64];
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((what, wanted, found));
        let Some(suppressed) = usize::try_from(hash % 64).ok().and_then(|at| BOUNDS[at].pass()) else { return };
        if let Some(found) = found {
            tracing::error!(
                name: "claims_of_another_type",
                what,
                wanted,
                found,
                suppressed,
                "{what}: the layer `JwtAuth` in front verifies other claims"
            );
        } else {
            tracing::error!(
                name: "layer_missing",
                what,
                wanted,
                suppressed,
                "{what}: there is no layer `JwtAuth` in front (axum: the last `.layer` is the first to run, so add \
                 `JwtAuth` after the guard; ServiceBuilder and tonic: the first is the \
                 first; a route that is added after `.layer(…)` is not behind it)"
            );
        }
    }
}
