//! The ring in a file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::KeyRingError;
use super::store::{KeyRingDocument, KeyStore, KeyStoreFuture, MAX_DOCUMENT};
use crate::quote;

/// A ring in a file, which survives a restart, and which processes of one machine may share.
///
/// - It is replaced as a whole: a crash leaves the old one or the new one. A lock on a file beside it, `….lock`, lets one
///   process write at a time; it does not work on every network file system.
/// - It holds the private keys: on Unix it is made for its owner alone (0600), and one that others than owner and group
///   may read or write is refused.
///
/// ```no_run
/// use tower_jwt_auth::Algorithm;
/// use tower_jwt_auth::issue::{FileKeyStore, KeyRing};
///
/// # async fn run() -> Result<(), tower_jwt_auth::ConfigError> {
/// let store = FileKeyStore::new("/var/lib/login/keys.json");
/// let ring = KeyRing::builder(Algorithm::ES256).store(store).open().await?;
/// # let _ = ring;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileKeyStore(Arc<Paths>);

struct Paths {
    file: PathBuf,
    lock: PathBuf,
    /// What is written before it takes the place of the file.
    draft: PathBuf,
}

impl FileKeyStore {
    /// The ring in this file, in a folder that is there and may be written to.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let file = path.as_ref().to_owned();
        let beside = |end: &str| {
            let mut name = file.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        Self(Arc::new(Paths { lock: beside(".lock"), draft: beside(".draft"), file }))
    }
}

impl Paths {
    fn load(&self) -> Result<Option<KeyRingDocument>, KeyRingError> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        self.check_mode(&file)?;
        // Room for all of it at once: what grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_DOCUMENT + 1));
        let read = file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.failed(&error))?;
        if read > MAX_DOCUMENT {
            return Err(self.refused(&format!("longer than {MAX_DOCUMENT} bytes")));
        }
        let Version { version } =
            serde_json::from_slice(&bytes).map_err(|_| self.refused("not the document of a ring"))?;
        Ok(Some(KeyRingDocument::new(version, bytes.to_vec())))
    }

    fn replace(&self, expected: u64, document: &KeyRingDocument) -> Result<bool, KeyRingError> {
        let failed = |error: io::Error| self.failed(&error);
        // It stays when the process ends; the lock does not.
        let lock = private().truncate(false).open(&self.lock).map_err(failed)?;
        // By name: newer compilers have a method of their own.
        fs4::FileExt::lock(&lock).map_err(failed)?;
        if self.load()?.map_or(0, |there| there.version()) != expected {
            return Ok(false);
        }
        // A draft that was left behind by a crash may have another mode.
        let _ = fs::remove_file(&self.draft);
        let mut draft = private().truncate(true).open(&self.draft).map_err(failed)?;
        draft.write_all(document.as_bytes()).map_err(failed)?;
        draft.sync_all().map_err(failed)?;
        fs::rename(&self.draft, &self.file).map_err(failed)?;
        // The new name is kept once the folder is.
        #[cfg(unix)]
        if let Some(folder) = self.file.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(true)
    }

    #[cfg(unix)]
    fn check_mode(&self, file: &File) -> Result<(), KeyRingError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(|error| self.failed(&error))?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(self.refused("everybody may read or write it, and it holds private keys: `chmod 600` it"));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _: &File) -> Result<(), KeyRingError> {
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> KeyRingError {
        self.refused(&error.to_string())
    }

    fn refused(&self, why: &str) -> KeyRingError {
        KeyRingError::new(format!("{}: {why}", quote::path(&self.file)))
    }
}

/// All of a document that a store needs to know.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// How files are made: for their owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl KeyStore for FileKeyStore {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        let paths = Arc::clone(&self.0);
        Box::pin(off_the_runtime(move || paths.load()))
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        let (paths, document) = (Arc::clone(&self.0), document.clone());
        Box::pin(off_the_runtime(move || paths.replace(expected, &document)))
    }
}

/// Disks and locks take their time.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyRingError> + Send + 'static,
) -> Result<T, KeyRingError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(KeyRingError::new("the runtime has ended")))
}

impl fmt::Debug for FileKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeyStore").field("path", &quote::path(&self.0.file)).finish_non_exhaustive()
    }
}
