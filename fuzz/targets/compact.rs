//! Any text as a token. The bytes 1 to 3 stand for the segments of a good token, and 4 for its signature but the last
//! letter; 5 to 8 are the same of another issuer.
//!
//! - What passes is, byte for byte, a token that an issuer has signed: nothing can be left out, added or written
//!   otherwise.
//! - `verify`, `explain` and a verifier with a cache say the same.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use tower_jwt_auth::verify::CheckReport;
use tower_jwt_auth::{Algorithm, AuthError, TokenCache, Verifier};
use tower_jwt_auth_fuzz::parts::{fill, segments};
use tower_jwt_auth_fuzz::{authority, clock, now};

struct World {
    tokens: [String; 2],
    parts: Vec<String>,
    plain: Verifier<serde_json::Value>,
    caching: Verifier<serde_json::Value>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let issuers = [authority(Algorithm::HS256), authority(Algorithm::ES256).named("https://other.test")];
    let tokens = issuers.each_ref().map(|issuer| issuer.token().sign());
    let verifier = || {
        let builder = Verifier::builder().clock(clock());
        issuers.iter().fold(builder, |builder, issuer| builder.trust(issuer.trusted()))
    };
    World {
        parts: tokens.iter().flat_map(|token| parts(token)).collect(),
        plain: verifier().build().expect("a verifier"),
        caching: verifier().cache(TokenCache::new(100)).build().expect("a verifier"),
        tokens,
    }
});

fn parts(token: &str) -> [String; 4] {
    let [header, payload, signature] = segments(token);
    let mut start = signature.clone();
    start.pop();
    [header, payload, signature, start]
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(token) = String::from_utf8(fill(input, &WORLD.parts)) else { return Corpus::Reject };
    let verdict = now(WORLD.plain.verify(&token)).map(drop).map_err(|error| error.kind());
    assert!(verdict.is_err() || WORLD.tokens.contains(&token), "nobody has signed {token}");
    assert!(verdict.is_ok() || !WORLD.tokens.contains(&token), "a good token is refused: {verdict:?}");

    let explanation = now(WORLD.plain.explain(&token));
    assert_eq!(explanation.error().map(AuthError::kind), verdict.err());
    assert_eq!(explanation.checks().iter().all(CheckReport::ok), verdict.is_ok());
    for _ in 0..2 {
        let cached = now(WORLD.caching.verify(&token)).map(drop).map_err(|error| error.kind());
        assert_eq!(cached, verdict);
    }
    Corpus::Keep
});
