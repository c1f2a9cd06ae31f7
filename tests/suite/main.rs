//! One binary: a module for each capability, its tests named as sentences.

mod answers;
mod attack;
mod axum;
mod dpop;
mod examples;
#[cfg(feature = "remote")]
mod fetching;
mod forward;
mod gateway;
mod guards;
mod layer;
mod metadata;
mod mtls;
mod provider;
mod providers;
mod redaction;
#[cfg(feature = "redis")]
mod redis_server;
mod relay;
mod remembered;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "redis")]
mod replay;
mod sources;
mod support;
mod tenants;
mod vectors;
mod verification;
