//! One binary: a module for each capability, its tests named as sentences.

mod answers;
mod attack;
#[cfg(all(feature = "metrics", feature = "remote", feature = "tracing", unix))]
mod attack_outside;
#[cfg(feature = "redis")]
mod attack_session;
mod axum;
mod browser;
#[cfg(feature = "remote")]
mod config;
mod contributing;
mod dpop;
mod examples;
#[cfg(feature = "remote")]
mod fetching;
mod forward;
mod gateway;
mod guards;
mod guide;
#[cfg(feature = "issue")]
mod issuing;
mod layer;
mod metadata;
mod mtls;
mod observability;
mod properties;
mod properties_in_time;
mod provider;
mod providers;
mod redaction;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(feature = "issue")]
mod refresh;
#[cfg(feature = "issue")]
mod refresh_interleaved;
#[cfg(all(feature = "issue", feature = "redis"))]
mod refresh_redis;
#[cfg(feature = "issue")]
mod refreshing;
mod relay;
mod remembered;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "redis")]
mod replay;
mod revocation;
#[cfg(feature = "redis")]
mod revocation_redis;
#[cfg(feature = "issue")]
mod ring;
#[cfg(all(feature = "issue", feature = "remote"))]
mod rotation;
mod session;
mod sources;
mod stress;
mod support;
#[cfg(feature = "redis")]
mod tcp_proxy;
mod tenants;
mod testing;
mod vectors;
mod verification;
