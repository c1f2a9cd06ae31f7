//! Temporary.
#[path = "suite/examples.rs"]
mod examples;
