//! Temporary: the vectors on their own.

#[path = "suite/vectors.rs"]
mod vectors;
