//! The issuing side: signing keys, rings and their stores, tokens, and refresh tokens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tower::Layer;
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::refresh::{
    Family, FamilyId, MemoryRefreshStore, NewFamily, Outcome, RefreshStore, RefreshStoreError, RefreshTokens, Rotation,
};
use tower_jwt_auth::issue::{
    FileKeyStore, IssuerMetadata, IssuingKeys, KeyRing, KeyRingDocument, KeyRingError, KeyStore as _, MemoryKeyStore,
    SigningKey, TokenIssuer,
};

use super::{CANARY, Seen};

pub(super) async fn show(seen: &Seen) {
    signing(seen);
    rings(seen).await;
    refreshing(seen).await;
    broken(seen).await;
}

fn signing(seen: &Seen) {
    let secret = SigningKey::secret(Algorithm::HS256, CANARY).expect("valid");
    seen.show(&secret);
    seen.show(&secret.clone().with_kid(CANARY).expect("a kid"));
    seen.show(&IssuingKeys::from(secret.clone()));
    let builder = TokenIssuer::builder("https://login.example.com", secret).audience("orders");
    seen.show(&builder);
    let issuer = builder.build().expect("valid");
    seen.show(&issuer);
    let request = || issuer.token().subject(CANARY).client(CANARY).scopes([CANARY]).audience(CANARY);
    seen.show(&request());
    let issued = request().issue(&json!({"email": CANARY})).expect("valid");
    seen.hide_token(issued.as_str());
    seen.hide(issued.jti());
    seen.show(&issued);
    for claims in [
        json!({"iss": CANARY}),
        json!({"sub": CANARY}),
        json!(CANARY),
        json!([CANARY]),
        json!({"nbf": CANARY}),
        json!({"events": {CANARY: CANARY}}),
        json!({"email": CANARY.repeat(1000)}),
    ] {
        seen.fail(&request().issue(&claims).expect_err("refused"));
    }
    seen.fail(&issuer.issue(&std::collections::BTreeMap::from([((1, CANARY), 1)])).expect_err("no JSON"));
}

async fn rings(seen: &Seen) {
    let store = MemoryKeyStore::new();
    let builder = KeyRing::builder(Algorithm::EdDSA).store(store.clone());
    seen.show(&builder);
    let ring = builder.open().await.expect("opened");
    ring.rotate().await.expect("rotated");
    let document = store.load().await.expect("in memory").expect("written");
    // The private keys, as they stand in the document and as they are.
    let read: serde_json::Value = serde_json::from_slice(document.as_bytes()).expect("JSON");
    for key in read["keys"].as_array().expect("keys") {
        let text = key["private"].as_str().expect("base64");
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64");
        seen.hide(text);
        // Behind what every PKCS #8 starts with.
        seen.hide(&bytes[16..28].iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    seen.show(&document);
    seen.show(&store);
    seen.show(&ring);
    let status = ring.status();
    seen.show(&status);
    status.keys.iter().for_each(|key| seen.show(key));
    seen.fail(&ring.withdraw(CANARY).await.expect_err("no such key"));
    let metadata = IssuerMetadata::new("https://login.example.com", ring).expect("a URL").member("a", 1);
    seen.show(&metadata);
    seen.show(&Layer::<()>::layer(&metadata, ()));

    // What is no ring, in memory and in a file, and the content of the file in place of its path.
    let text = format!(r#"{{"format":1,"version":1,"keys":[{{"alg":"EdDSA","private":"{CANARY}"}}]}}"#);
    let broken = MemoryKeyStore::new();
    let written = KeyRingDocument::new(1, text.clone().into_bytes());
    assert!(broken.replace(0, &written).await.expect("in memory"));
    seen.show(&written);
    seen.fail(&KeyRing::builder(Algorithm::EdDSA).store(broken).open().await.expect_err("no ring"));
    let file = std::env::temp_dir().join(format!("tower-jwt-auth-leaks-ring-{}", std::process::id()));
    std::fs::write(&file, format!("{CANARY}{text}")).expect("written");
    let _ = std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600));
    let in_file = FileKeyStore::new(&file);
    seen.show(&in_file);
    let error = in_file.load().await;
    std::fs::remove_file(&file).expect("it was there");
    seen.fail(&error.expect_err("no ring"));
    for content in [&text, CANARY] {
        let store = FileKeyStore::new(format!("{content}\0"));
        seen.show(&store);
        seen.fail(&store.load().await.expect_err("no path"));
    }
}

/// A store that prints what it is given, and fails when told.
struct Printing(Seen, MemoryRefreshStore, AtomicUsize);

impl Printing {
    fn ready(&self) -> Result<(), RefreshStoreError> {
        match self.2.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(RefreshStoreError::unavailable("away")),
            _ => Err(RefreshStoreError::full()),
        }
        .inspect_err(|error| self.0.fail(error))
    }
}

impl RefreshStore for Printing {
    async fn start(&self, family: &NewFamily) -> Result<(), RefreshStoreError> {
        self.0.show(family);
        self.ready()?;
        self.1.start(family).await
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Outcome, RefreshStoreError> {
        self.0.show(rotation);
        self.ready()?;
        let outcome = self.1.rotate(rotation).await?;
        self.0.show(&outcome);
        Ok(outcome)
    }

    async fn end(&self, family: FamilyId, of: Option<&str>) -> Result<(), RefreshStoreError> {
        self.0.show(&family);
        self.1.end(family, of).await
    }

    async fn end_all(&self, subject: &str) -> Result<(), RefreshStoreError> {
        self.1.end_all(subject).await
    }

    async fn list(&self, subject: &str) -> Result<Vec<Family>, RefreshStoreError> {
        let families = self.1.list(subject).await?;
        for family in &families {
            self.0.show(family);
        }
        Ok(families)
    }
}

async fn refreshing(seen: &Seen) {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let memory = MemoryRefreshStore::new().clock(clock.clone());
    seen.show(&memory);
    let store = std::sync::Arc::new(Printing(seen.clone(), memory, AtomicUsize::new(0)));
    let printer = seen.clone();
    let builder = RefreshTokens::<String, _>::builder(std::sync::Arc::clone(&store));
    let builder = builder.grace(Duration::from_secs(10)).on_reuse(move |reuse| printer.show(reuse));
    seen.show(&builder);
    let tokens = builder.build().expect("valid");
    seen.show(&tokens);
    let first = tokens.start(CANARY, &CANARY.to_owned()).await.expect("started");
    seen.hide(first.as_str());
    // The secret half of it: the first half names the family.
    seen.hide(&first.as_str()[24..]);
    seen.show(&first);
    let rotated = tokens.rotate(first.as_str()).await.expect("live");
    tokens.rotate(first.as_str()).await.expect("within the window");
    seen.hide(&rotated.token().as_str()[24..]);
    seen.show(&rotated);
    seen.show(rotated.session());
    tokens.sessions(CANARY).await.expect("in memory").iter().for_each(|session| seen.show(session));
    let mismatch = RefreshTokens::<u64, _>::new(std::sync::Arc::clone(&store)).expect("valid");
    seen.fail(&mismatch.sessions(CANARY).await.expect_err("no number"));
    tokens.revoke_own(CANARY, first.family()).await.expect("in memory");

    let second = tokens.start(CANARY, &CANARY.to_owned()).await.expect("started");
    seen.hide(&second.as_str()[24..]);
    tokens.rotate(second.as_str()).await.expect("live");
    clock.advance(Duration::from_secs(11));
    let reused = tokens.rotate(second.as_str()).await.expect_err("spent");
    seen.show(reused.reuse().expect("it says whose"));
    seen.fail(&reused);
    for wrong in [CANARY, &CANARY.repeat(2)[..64]] {
        seen.fail(&tokens.rotate(wrong).await.expect_err("no token"));
    }
    seen.fail(&tokens.start(&CANARY.repeat(20), &String::new()).await.expect_err("too long"));
    seen.fail(&tokens.start("a", &CANARY.repeat(200)).await.expect_err("too long"));
    for failure in [1, 2] {
        store.2.store(failure, Ordering::Relaxed);
        seen.fail(&tokens.start(CANARY, &CANARY.to_owned()).await.expect_err("told so"));
        seen.fail(&tokens.rotate(rotated.token().as_str()).await.expect_err("told so"));
    }
}

/// A store of a ring that is away.
async fn broken(seen: &Seen) {
    let store = FileKeyStore::new("/nowhere/keys.json");
    let ring = KeyRing::builder(Algorithm::EdDSA).store(store);
    seen.fail(&ring.open().await.expect_err("no such folder"));
    seen.fail(&KeyRingError::new("away"));
}
