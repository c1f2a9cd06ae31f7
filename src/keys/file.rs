//! Keys in a file that may change: a mounted secret, a set that another process writes.
//!
//! - The file is read when the source is built, and then every 5 seconds on a thread of its own: no request reads it.
//! - Its content is compared, not its times: a swapped symlink and a coarse clock are no matter.
//! - A file that is gone, half written or without a usable key keeps the keys at hand; the reason is in
//!   [`last_error`](KeyFile::last_error), and in one event.

use std::fmt;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::KeySet;
use super::source::{KeyLookup, KeyQuery, KeySource};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::{events, meters, quote};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 512 * 1024;

type Parse = Box<dyn Fn(&[u8]) -> Result<KeySet, ConfigError> + Send + Sync>;

/// Keys from a file that is watched for change. A cheap clone; the watch ends with the last one.
///
/// ```no_run
/// use tower_jwt_auth::{Issuer, keys::KeyFile};
///
/// let keys = KeyFile::jwk_set("/etc/keys/jwks.json")?;
/// let issuer = Issuer::new("https://login.example.com", keys.clone()).audience("orders");
/// println!("{:?}", keys.last_error());
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct KeyFile {
    shared: Arc<Shared>,
    /// Dropped with the last clone, which ends the thread.
    _watch: Arc<mpsc::Sender<()>>,
}

struct Shared {
    path: PathBuf,
    parse: Parse,
    keys: RwLock<KeySet>,
    last_error: RwLock<Option<String>>,
}

impl KeyFile {
    /// A file that holds a JWK set, looked at every 5 seconds.
    ///
    /// # Errors
    /// When it cannot be read, and those of [`KeySet::jwk_set`].
    pub fn jwk_set(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::with(path, Duration::from_secs(5), |content| KeySet::jwk_set(content))
    }

    /// A file that holds whatever `parse` makes keys of, looked at at this interval.
    ///
    /// # Errors
    /// When it cannot be read or is longer than 512 KiB, those of `parse`, and where no thread can be started.
    pub fn with(
        path: impl AsRef<Path>,
        every: Duration,
        parse: impl Fn(&[u8]) -> Result<KeySet, ConfigError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let path = path.as_ref().to_owned();
        let read = |path: &Path| read(path).map_err(|reason| ConfigError::new(reason).at(quote::path(path)));
        let content = read(&path)?;
        let keys = parse(&content).map_err(|error| error.at(quote::path(&path)))?;
        let (watch, ended) = mpsc::channel();
        let shared =
            Arc::new(Shared { path, parse: Box::new(parse), keys: RwLock::new(keys), last_error: RwLock::default() });
        let watched = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("jwt-key-file".to_owned())
            .spawn(move || watched.watch(content, every, &ended))
            .map_err(|error| ConfigError::new(format!("no thread to watch the key file: {error}")))?;
        Ok(Self { shared, _watch: Arc::new(watch) })
    }

    /// Why the last look at the file brought no keys; `None` when it did.
    pub fn last_error(&self) -> Option<String> {
        self.shared.last_error.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn watch(&self, mut content: Zeroizing<Vec<u8>>, every: Duration, ended: &mpsc::Receiver<()>) {
        self.tell(None, true);
        while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let mut has_changed = false;
            let outcome = match read(&self.path) {
                Ok(same) if same == content => Ok(()),
                Ok(changed) => self.parse_safely(&changed).map(|keys| {
                    content = changed;
                    has_changed = true;
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                }),
                Err(reason) => Err(reason),
            };
            let error = outcome.err();
            let before = {
                let mut last = self.last_error.write().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *last, error.clone())
            };
            self.tell(error.as_deref(), has_changed || before != error);
        }
    }

    /// Who listens is not ours: a panic there must not end the watch either.
    fn tell(&self, error: Option<&str>, is_news: bool) {
        let source = quote::path(&self.path);
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).len();
        let _ = catch_unwind(AssertUnwindSafe(|| match error {
            None => {
                if is_news {
                    events::keys_refreshed(&source, keys);
                }
                meters::key_refresh(&source, "scheduled", "ok");
                meters::keys(&source, keys, Clock::system().now());
            }
            Some(reason) => {
                if is_news {
                    events::keys_not_refreshed(&source, reason, keys > 0);
                }
                meters::key_refresh(&source, "scheduled", "failed");
            }
        }));
    }

    /// A parser of one's own that panics must not end the watch unnoticed.
    fn parse_safely(&self, content: &[u8]) -> Result<KeySet, String> {
        catch_unwind(AssertUnwindSafe(|| (self.parse)(content)))
            .unwrap_or_else(|_| Err(ConfigError::new("the parser panicked")))
            .map_err(|error| error.to_string())
    }
}

/// The content may be a secret: it is wiped when it is dropped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    // A pipe would be waited for, and no later change seen.
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    // Room for all of it at once: what grows leaves copies behind.
    let size = file.metadata().map_or(MAX_FILE, |metadata| metadata.len()).min(MAX_FILE);
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1));
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("longer than {MAX_FILE} bytes"));
    }
    Ok(content)
}

impl KeySource for KeyFile {
    fn lookup(&self, _: &KeyQuery<'_>) -> KeyLookup<'_> {
        KeyLookup::ready(self.shared.keys.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &quote::path(&self.shared.path)).finish_non_exhaustive()
    }
}

#[cfg(test)]
const _: fn(&Path) = |path| crate::crypto::assert_wiped(&read(path).expect("a file"));
