//! Temporary.
#[path = "suite/provider.rs"]
mod provider;
