//! A source of keys of one's own: a folder with one JWK per key, that may change while the service runs.
//!
//! ```text
//! cargo run --example custom_keys
//! ```
//!
//! It answers from memory, so no request waits and no token, forged or not, makes it read the disk: whoever changes
//! the folder (a timer, a signal, an admin's route) calls `reload`. A source that has to ask somebody else answers
//! `KeyLookup::pending(future)` instead, which ends with a `KeySet` or a `KeyError`.

use std::error::Error;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use tower_jwt_auth::keys::{Key, KeyLookup, KeyQuery};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, KeySet, KeySource, Verifier};

/// The source: one JWK file per key.
struct KeyFolder(RwLock<KeySet>);

impl KeySource for KeyFolder {
    fn lookup(&self, _: &KeyQuery<'_>) -> KeyLookup<'_> {
        KeyLookup::ready(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl KeyFolder {
    /// Replaces all keys at once: a key whose file is gone is dead on the next request.
    fn reload(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = read(folder)?;
        Ok(())
    }
}

/// One file that cannot be used is an error, and the keys in force stay.
fn read(folder: &Path) -> Result<KeySet, Box<dyn Error>> {
    let key = |entry: io::Result<DirEntry>| Ok(Key::jwk(fs::read(entry?.path())?)?);
    let keys: Result<Vec<Key>, Box<dyn Error>> = fs::read_dir(folder)?.map(key).collect();
    Ok(KeySet::new(keys?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // This stands for the one who signs, with two keys of which the first is in the folder.
    let mut authority = Authority::new(Algorithm::ES256);
    authority.add_key(Algorithm::EdDSA);
    let published: Value = serde_json::from_str(&authority.jwks())?;
    let folder = std::env::temp_dir().join(format!("custom-keys-{}", std::process::id()));
    fs::create_dir(&folder)?;
    fs::write(folder.join("key-1.json"), published["keys"][0].to_string())?;

    let source = Arc::new(KeyFolder(RwLock::new(read(&folder)?)));
    let issuer = Issuer::new(authority.name(), Arc::clone(&source)).audience(authority.audience());
    let verifier = Verifier::<Value>::new(issuer)?;
    let first = authority.token().with_key(0).sign();
    let second = authority.token().with_key(1).sign();

    assert!(verifier.verify(&first).await.is_ok());
    let error = verifier.verify(&second).await.expect_err("its key is not in the folder");
    assert_eq!(error.kind(), AuthErrorKind::UnknownKey);
    println!("key-1 is there: its token is accepted; the token of key-2 is refused, {error}");

    fs::write(folder.join("key-2.json"), published["keys"][1].to_string())?;
    fs::remove_file(folder.join("key-1.json"))?;
    source.reload(&folder)?;
    assert!(verifier.verify(&second).await.is_ok());
    let error = verifier.verify(&first).await.expect_err("its key was removed");
    assert_eq!(error.kind(), AuthErrorKind::UnknownKey);
    println!("key-2 took its place: its token is accepted; the token of key-1 is refused, {error}");

    fs::remove_dir_all(&folder)?;
    Ok(())
}
