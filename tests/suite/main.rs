//! One binary: a module for each capability, its tests named as sentences.

mod answers;
mod axum;
mod examples;
mod layer;
mod redaction;
mod support;
mod vectors;
mod verification;
