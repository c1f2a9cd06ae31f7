//! Tokens that were good and are no longer.
