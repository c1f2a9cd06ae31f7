//! One binary: a module for each capability, its tests named as sentences.

mod layer;
mod support;
mod verification;
