//! Any bytes as keys: a JWK, a JWK set, a PEM or a DER, for every algorithm.
//!
//! - A set holds what the document holds, used or skipped, and never a secret beside a public key, or two alike.
//! - A key is for the algorithm that it was loaded for, and verifies no signature that anybody could write: zeros, the
//!   neutral point of Ed25519, or bytes of the same input.
//! - What can be loaded as a key cannot be loaded as an HMAC secret (CVE-2016-10555, CVE-2022-29217).

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tower_jwt_auth::keys::Key;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, KeySet, Verifier};
use tower_jwt_auth_fuzz::{authority, clock, now};

const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
    Algorithm::MlDsa44,
    Algorithm::MlDsa65,
    Algorithm::MlDsa87,
];

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(Algorithm::HS256));

/// How long a signature is; an RSA key says it itself.
fn signature_lengths(algorithm: Algorithm) -> &'static [usize] {
    match algorithm {
        Algorithm::ES256 | Algorithm::EdDSA | Algorithm::HS512 => &[64],
        Algorithm::ES384 => &[96],
        Algorithm::ES512 => &[132],
        Algorithm::MlDsa44 => &[2420],
        Algorithm::MlDsa65 => &[3309],
        Algorithm::MlDsa87 => &[4627],
        Algorithm::HS256 => &[32],
        Algorithm::HS384 => &[48],
        _ => &[256, 512],
    }
}

/// Nobody has signed anything with these keys.
fn verifies_nothing(keys: &KeySet, input: &[u8]) {
    let issuer = Issuer::new(AUTHORITY.name(), keys.clone()).audience(AUTHORITY.audience());
    let issuer = issuer.algorithms(keys.iter().map(Key::algorithm));
    let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock()).build().expect("a verifier");
    for key in keys.iter().take(2) {
        let unsigned = AUTHORITY.token().header("alg", key.algorithm().name()).header("kid", key.kid()).unsigned();
        let unsigned = if key.kid().is_none() { unsigned.without_header("kid") } else { unsigned };
        let unsigned = unsigned.sign();
        for &length in signature_lengths(key.algorithm()) {
            let zeros = vec![0; length];
            let mut neutral = zeros.clone();
            neutral[0] = 1;
            let taken = input.iter().copied().cycle().take(length).collect();
            for signature in [zeros, neutral, taken] {
                let token = format!("{unsigned}{}", base64url(&signature));
                let verdict = now(verifier.verify(&token)).map(drop).map_err(|error| error.kind());
                let refused = [
                    AuthErrorKind::InvalidSignature,
                    AuthErrorKind::UnknownKey,
                    AuthErrorKind::MalformedHeader,
                    AuthErrorKind::TokenTooLong,
                ];
                assert!(verdict.as_ref().is_err_and(|kind| refused.contains(kind)), "{verdict:?}");
            }
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        text.extend((0..=chunk.len()).map(|at| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize])));
    }
    text
}

fn is_no_secret(input: &[u8]) {
    assert!(Key::secret(Algorithm::HS256, input).is_err(), "a key as a secret");
    assert!(Key::danger_weak_secret(Algorithm::HS256, input).is_err(), "a key as a weak secret");
}

fn check_set(set: &KeySet, input: &[u8]) {
    let document: Value = serde_json::from_slice(input).expect("it was read");
    let members = document["keys"].as_array().expect("it was read");
    assert!(!set.is_empty());
    assert_eq!(set.len() + set.skipped().len(), members.len());
    let secrets = set.iter().filter(|key| key.algorithm().is_symmetric()).count();
    assert!(secrets == 0 || secrets == set.len(), "mixed");
    let mut names: Vec<_> = set.iter().filter_map(|key| Some((key.kid()?, key.algorithm().name()))).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two alike");
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut found = Vec::new();
    found.extend(KeySet::jwk(input));
    for algorithm in ALGORITHMS {
        let loaded = [KeySet::pem(algorithm, input), KeySet::der(algorithm, input)];
        for set in loaded.into_iter().flatten() {
            assert!(set.iter().all(|key| key.algorithm() == algorithm && !algorithm.is_symmetric()));
            found.push(set);
        }
    }
    if let Ok(set) = KeySet::jwk_set(input) {
        check_set(&set, input);
        found.push(set);
    }
    if let Ok(set) = KeySet::spiffe_bundle(input) {
        assert!(set.iter().all(|key| key.kid().is_some()));
        found.push(set);
    }
    if !found.is_empty() {
        is_no_secret(input);
    }
    for set in &found {
        verifies_nothing(set, input);
    }
    Corpus::Keep
});
