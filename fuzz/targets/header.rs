//! Any bytes as the JOSE header of a token whose signature is good: nothing but the header decides.
//!
//! - The verdict is that of a plain oracle over `serde_json`: names unique, no `crit` or `b64`, `alg`, `kid` and `typ`
//!   strings, `alg` the issuer's, `kid` absent or known, `typ` of an access token.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use tower_jwt_auth::AuthErrorKind::{
    self, AlgorithmNotAllowed, CriticalHeader, MalformedHeader, TokenTooLong, UnknownKey, WrongType,
};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Verifier};
use tower_jwt_auth_fuzz::json::{Members, depth};
use tower_jwt_auth_fuzz::{authority, clock, now};

static WORLD: LazyLock<(Authority, Verifier<serde_json::Value>)> = LazyLock::new(|| {
    let authority = authority(Algorithm::HS256);
    let verifier = Verifier::builder().trust(authority.trusted()).clock(clock()).build().expect("a verifier");
    (authority, verifier)
});

fn oracle(header: &[u8]) -> Result<(), AuthErrorKind> {
    let members = Members::read(header).filter(Members::are_unique).ok_or(MalformedHeader)?;
    if std::str::from_utf8(header).is_ok_and(|text| depth(text) > 16) {
        return Err(MalformedHeader);
    }
    let text = |name| members.read_as::<String>(name).transpose().map_err(|_| MalformedHeader);
    let (alg, kid, typ) = (text("alg")?, text("kid")?, text("typ")?);
    if members.has("crit") || members.has("b64") {
        return Err(CriticalHeader);
    }
    if kid.as_ref().is_some_and(|kid| kid.len() > 256) {
        return Err(MalformedHeader);
    }
    let typ = typ.map(|typ| typ.to_ascii_lowercase());
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    if typ.is_some_and(|typ| !matches!(typ, "jwt" | "jose" | "at+jwt")) {
        return Err(WrongType);
    }
    if alg.as_deref() != Some("HS256") {
        return Err(AlgorithmNotAllowed);
    }
    match kid.as_deref() {
        None | Some("key-1") => Ok(()),
        Some(_) => Err(UnknownKey),
    }
}

fuzz_target!(|header: &[u8]| -> Corpus {
    let (authority, verifier) = &*WORLD;
    let token = authority.token().raw_header(header).sign();
    let expected = if token.len() > 16 * 1024 { Err(TokenTooLong) } else { oracle(header) };
    // The second time, a header that has passed is known.
    for _ in 0..2 {
        let verdict = now(verifier.verify(&token)).map(drop).map_err(|error| error.kind());
        assert_eq!(verdict, expected);
    }
    Corpus::Keep
});
