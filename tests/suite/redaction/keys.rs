//! Keys, what a source is asked and answers, and what is said of text that is no key.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::keys::{Key, KeyError, KeyFile, KeyLookup, KeyQuery, Keys};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, KeySet, Verifier};

use super::{CANARY, Seen};

/// A cause whose `Debug` says more than it should.
struct Careless;

impl fmt::Debug for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CANARY)
    }
}

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("careless")
    }
}

impl Error for Careless {}

pub(super) async fn show(seen: &Seen) {
    let keys = KeySet::secret(Algorithm::HS256, CANARY).expect("valid");
    seen.show(&keys);
    seen.show(&Key::secret(Algorithm::HS256, CANARY).expect("valid").with_kid(CANARY));
    seen.show(&Keys::from(&keys));
    seen.show(&KeyLookup::ready(&keys));
    seen.show(&KeyLookup::failed(KeyError::new("away").with_source(Careless)));
    seen.show(&KeyLookup::pending(async { Err(KeyError::new(CANARY)) }));
    seen.fail(&KeyError::new("away").with_source(Careless));
    refused(seen);
    passed_over(seen);
    asked(seen).await;
    files(seen);
}

/// What is no key, or a weak one.
fn refused(seen: &Seen) {
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{CANARY}\n-----END {label}-----");
    let jwk = |more: serde_json::Value| {
        let mut jwk = json!({"kty": "oct", "alg": "HS512", "k": CANARY, "d": CANARY, "kid": CANARY});
        jwk.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        jwk.to_string()
    };
    let texts = [
        CANARY.to_owned(),
        format!("{{{CANARY}"),
        pem("PUBLIC KEY"),
        pem("PRIVATE KEY"),
        pem(CANARY),
        jwk(json!({})),
        jwk(json!({"k": format!("{CANARY}=")})),
        jwk(json!({"k": [CANARY]})),
        jwk(json!({"kid": [CANARY]})),
        jwk(json!({"alg": CANARY})),
        jwk(json!({"kty": CANARY})),
        jwk(json!({"use": CANARY})),
        jwk(json!({"kty": "RSA", "n": CANARY, "e": CANARY})),
        jwk(json!({"kty": "EC", "crv": CANARY, "x": CANARY, "y": CANARY})),
        jwk(json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": CANARY})),
    ];
    for text in &texts {
        let sets = [
            KeySet::secret(Algorithm::HS512, text),
            KeySet::secret(Algorithm::ES256, text),
            KeySet::base64_secret(Algorithm::HS512, &format!("{text}!")),
            KeySet::pem(Algorithm::RS256, text),
            KeySet::der(Algorithm::RS256, text),
            KeySet::jwk(text),
            KeySet::jwk_set(text),
            KeySet::jwk_set(format!(r#"{{"keys":[{text}]}}"#)),
            KeySet::jwk_set(format!(r#"{{"{CANARY}":{text}}}"#)),
            KeySet::spiffe_bundle(format!(r#"{{"keys":[{text}]}}"#)),
        ];
        assert!(sets.iter().filter(|set| set.is_err()).count() >= 8, "{text}");
        for set in sets {
            match set {
                Ok(keys) => seen.show(&keys),
                Err(error) => seen.fail::<ConfigError>(&error),
            }
        }
    }
    let two = [(); 2].map(|()| Key::secret(Algorithm::HS256, CANARY).expect("valid").with_kid(CANARY));
    seen.fail(&KeySet::new(two).expect_err("alike"));
}

/// Members of a set that are not used.
fn passed_over(seen: &Seen) {
    let own: serde_json::Value = serde_json::from_str(&Authority::new(Algorithm::ES256).jwks()).expect("JSON");
    let members = [
        own["keys"][0].clone(),
        json!({"kty": CANARY, "kid": CANARY}),
        json!({"kty": "oct", "alg": CANARY, "k": CANARY}),
        json!({"kty": "oct", "k": CANARY}),
        json!({"kty": "EC", "crv": CANARY, "x": CANARY, "y": CANARY}),
        json!({"kty": "OKP", "crv": CANARY, "x": CANARY, "d": CANARY}),
        json!({"kty": "RSA", "use": CANARY, "n": CANARY, "e": CANARY, "d": CANARY}),
    ];
    let keys = KeySet::jwk_set(json!({"keys": members}).to_string()).expect("one is of use");
    assert_eq!((keys.len(), keys.skipped().len()), (1, 6));
    for skipped in keys.skipped() {
        seen.show(skipped);
        seen.say(skipped.reason());
    }
}

/// A source of one's own prints what it is asked.
async fn asked(seen: &Seen) {
    let authority = Authority::new(Algorithm::ES256);
    let printer = seen.clone();
    let source = move |query: &KeyQuery<'_>| {
        printer.show(query);
        KeyLookup::none()
    };
    let issuer = Issuer::new(authority.name(), source).audience(authority.audience());
    let verifier = Verifier::<serde_json::Value>::new(issuer).expect("valid");
    let token = authority.token().header("kid", CANARY).sign();
    seen.fail(&verifier.verify(&token).await.expect_err("no key"));
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn files(seen: &Seen) {
    let folder = Folder(std::env::temp_dir().join(format!("tower-jwt-auth-leaks-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a folder for temporary files");
    let file = folder.0.join("secret");
    let every = Duration::from_millis(1);
    let secret = |content: &[u8]| KeySet::secret(Algorithm::HS256, content);
    std::fs::write(&file, CANARY).expect("written");
    let watched = KeyFile::with(&file, every, secret).expect("a secret");
    seen.show(&watched);
    // A panic of one's own parser, and what follows when the file is no longer one.
    std::fs::write(&file, &CANARY[..12]).expect("written");
    let error = std::iter::repeat_with(|| {
        std::thread::yield_now();
        watched.last_error()
    })
    .find_map(|error| error)
    .expect("endless");
    seen.say(error);
    seen.fail(&KeyFile::jwk_set(&file).expect_err("no JWK set"));
    // The content in place of the path.
    let jwks = format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","k":"{CANARY}"}}]}}"#);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----");
    for content in [CANARY, &*jwks, &*pem] {
        seen.fail(&KeyFile::jwk_set(content).expect_err("no file"));
    }
}
