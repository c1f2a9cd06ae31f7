//! Where rings are kept.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::error::KeyRingError;

/// The longest document that is read, in bytes: 64 keys take less.
pub(super) const MAX_DOCUMENT: usize = 512 * 1024;

/// Where a [`KeyRing`](super::KeyRing) is kept: one document, replaced as a whole, and only by who has seen what was
/// there.
///
/// A call that takes longer than 10 seconds counts as failed. The document holds private keys in the clear. Whoever reads it can issue tokens; whoever writes it, too. A store of
/// one's own may seal it on the way, with the key of a vault.
///
/// ```
/// use tower_jwt_auth::issue::{KeyRingDocument, KeyRingError, KeyStore, KeyStoreFuture, MemoryKeyStore};
///
/// /// Counts how often the ring is read.
/// struct Counted(MemoryKeyStore, std::sync::atomic::AtomicUsize);
///
/// impl KeyStore for Counted {
///     fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
///         self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.0.load()
///     }
///
///     fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
///         self.0.replace(expected, document)
///     }
/// }
/// ```
pub trait KeyStore: Send + Sync + 'static {
    /// What is kept; `None` before the first document.
    ///
    /// # Errors
    /// When the store does not answer. The ring goes on with what it has, as long as that is safe.
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>>;

    /// Puts `document` in place of the one of the version `expected`, in one step; 0 stands for none. False where
    /// another one was there, which is then left alone.
    ///
    /// # Errors
    /// When the store does not answer; whether the document is in place is then not known.
    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool>;
}

/// What a store answers, later.
pub type KeyStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyRingError>> + Send + 'a>>;

/// The state of a ring as bytes, private keys included, and its version.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRingDocument {
    version: u64,
    bytes: Zeroizing<Vec<u8>>,
}

impl KeyRingDocument {
    /// A document as it was kept. The bytes are wiped when they are dropped.
    pub fn new(version: u64, bytes: Vec<u8>) -> Self {
        Self { version, bytes: Zeroizing::new(bytes) }
    }

    /// Grows with every change; never 0.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for KeyRingDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRingDocument").field("version", &self.version).finish_non_exhaustive()
    }
}

/// A ring that lives as long as the process: tokens end with it. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryKeyStore(Arc<Mutex<Option<KeyRingDocument>>>);

impl MemoryKeyStore {
    /// A store with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }
}

impl KeyStore for MemoryKeyStore {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(Ok(kept)))
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_expected = kept.as_ref().map_or(0, KeyRingDocument::version) == expected;
        if is_expected {
            *kept = Some(document.clone());
        }
        Box::pin(std::future::ready(Ok(is_expected)))
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeyStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
const _: fn(&KeyRingDocument) = |document| crate::crypto::assert_wiped(&document.bytes);
