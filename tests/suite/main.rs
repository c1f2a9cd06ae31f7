//! One binary: a module for each capability, its tests named as sentences.

mod answers;
mod axum;
mod dpop;
mod examples;
#[cfg(feature = "remote")]
mod fetching;
mod forward;
mod guards;
#[cfg(feature = "issue")]
mod issuing;
mod layer;
mod metadata;
mod mtls;
mod provider;
mod providers;
mod redaction;
#[cfg(feature = "redis")]
mod redis_server;
mod remembered;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "redis")]
mod replay;
#[cfg(feature = "issue")]
mod ring;
#[cfg(all(feature = "issue", feature = "remote"))]
mod rotation;
mod sources;
mod support;
mod tenants;
mod vectors;
mod verification;
