//! Why a ring could not be read or changed.

use std::error::Error;
use std::fmt;

use crate::error::ConfigError;

/// Why a key ring, or the store under it, did not do what was asked. Holds no key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRingError(String);

impl KeyRingError {
    /// An error with this message: lower case, no full stop. Keep keys and passwords out of it.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for KeyRingError {}

impl From<ConfigError> for KeyRingError {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

impl From<KeyRingError> for ConfigError {
    fn from(error: KeyRingError) -> Self {
        Self::new(error.0).at("the key ring")
    }
}
