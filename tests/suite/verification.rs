//! The engine without HTTP: whole tokens against whole policies, each rule from both sides.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{Key, KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::testing::{Authority, TokenBuilder};
use tower_jwt_auth::verify::{Check, CheckReport};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, KeySet, Verifier};

use crate::support::verdict;

const LACKING: &[Algorithm] = if cfg!(feature = "aws-lc-rs") {
    &[]
} else {
    &[Algorithm::ES512, Algorithm::MlDsa44, Algorithm::MlDsa65, Algorithm::MlDsa87]
};

fn algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|algorithm| !LACKING.contains(algorithm))
}

fn verifier(issuer: Issuer) -> Verifier<Value> {
    Verifier::new(issuer).expect("a valid configuration")
}

#[tokio::test]
async fn every_algorithm_of_the_backend_verifies_its_own_tokens_and_no_tampered_ones() {
    for algorithm in algorithms() {
        let authority = Authority::new(algorithm);
        let verifier = verifier(authority.trusted());
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()), "{algorithm}");
        let tampered = authority.token().tampered().sign();
        assert_eq!(verdict(&verifier, &tampered).await, Err(Kind::InvalidSignature), "{algorithm}");
        let unsigned = authority.token().unsigned().sign();
        assert_eq!(verdict(&verifier, &unsigned).await, Err(Kind::InvalidSignature), "{algorithm}");
        let other = Authority::new(algorithm);
        let foreign = authority.token().signed_by(&other).sign();
        assert_eq!(verdict(&verifier, &foreign).await, Err(Kind::InvalidSignature), "{algorithm}");
    }
}

#[test]
fn an_algorithm_that_the_backend_lacks_is_a_configuration_error() {
    let authority = Authority::new(Algorithm::ES256);
    for &algorithm in LACKING {
        let issuer = authority.trusted().algorithms([algorithm, Algorithm::ES256]);
        let error = Verifier::<Value>::new(issuer).expect_err("lacking").to_string();
        assert!(error.contains("aws-lc-rs"), "{error}");
    }
}

/// A case: what it shows, the token, the issuer's rules, the verdict.
type Case = (&'static str, fn(TokenBuilder<'_>) -> TokenBuilder<'_>, fn(Issuer) -> Issuer, Result<(), Kind>);

const PLAIN: fn(Issuer) -> Issuer = |issuer| issuer;
const AS_IS: fn(TokenBuilder<'_>) -> TokenBuilder<'_> = |token| token;

const CASES: &[Case] = &[
    ("a plain token", AS_IS, PLAIN, Ok(())),
    // The envelope.
    ("CVE-2022-23540, alg none", |t| t.header("alg", "none").unsigned(), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("CVE-2020-28042, no signature", |t| t.unsigned(), PLAIN, Err(Kind::InvalidSignature)),
    ("alg none in another spelling", |t| t.header("alg", "NoNe"), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("alg missing", |t| t.without_header("alg"), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("alg unknown", |t| t.header("alg", "ES256K"), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("alg with white space", |t| t.header("alg", "ES256 "), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("CVE-2015-9235, HS256 with a public key", |t| t.header("alg", "HS256"), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("alg of another key type", |t| t.header("alg", "RS256"), PLAIN, Err(Kind::AlgorithmNotAllowed)),
    ("CVE-2025-59420, crit", |t| t.header("crit", ["exp"]), PLAIN, Err(Kind::CriticalHeader)),
    ("RFC 7797, b64", |t| t.header("b64", false), PLAIN, Err(Kind::CriticalHeader)),
    ("CVE-2018-0114, jwk is not read", |t| t.header("jwk", json!({"kty": "oct", "k": "AA"})), PLAIN, Ok(())),
    ("jku, x5u and x5c are not read", |t| t.header("jku", "x").header("x5u", 1).header("x5c", [1]), PLAIN, Ok(())),
    ("header not JSON", |t| t.raw_header("{alg:ES256}"), PLAIN, Err(Kind::MalformedHeader)),
    ("header an array", |t| t.raw_header("[\"ES256\"]"), PLAIN, Err(Kind::MalformedHeader)),
    (
        "header with a name twice",
        |t| t.raw_header(r#"{"alg":"ES256","kid":"key-1","kid":"key-1"}"#),
        PLAIN,
        Err(Kind::MalformedHeader),
    ),
    ("kid of 256 bytes, unknown", |t| t.header("kid", "k".repeat(256)), PLAIN, Err(Kind::UnknownKey)),
    ("kid of 257 bytes", |t| t.header("kid", "k".repeat(257)), PLAIN, Err(Kind::MalformedHeader)),
    ("kid a number", |t| t.header("kid", 1), PLAIN, Err(Kind::MalformedHeader)),
    ("kid with a path in it", |t| t.header("kid", "../../dev/null"), PLAIN, Err(Kind::UnknownKey)),
    ("no kid", |t| t.without_header("kid"), PLAIN, Ok(())),
    ("typ at+jwt", |t| t.header("typ", "at+jwt"), PLAIN, Ok(())),
    ("typ with its prefix, in capitals", |t| t.header("typ", "APPLICATION/JWT"), PLAIN, Ok(())),
    ("no typ", |t| t.without_header("typ"), PLAIN, Ok(())),
    ("typ of a logout token", |t| t.header("typ", "logout+jwt"), PLAIN, Err(Kind::WrongType)),
    ("typ of a DPoP proof", |t| t.header("typ", "dpop+jwt"), PLAIN, Err(Kind::WrongType)),
    ("typ wanted and there", |t| t.header("typ", "vc+jwt"), |i| i.types(["vc+jwt"]), Ok(())),
    ("typ wanted and absent", |t| t.without_header("typ"), |i| i.types(["vc+jwt"]), Err(Kind::WrongType)),
    // The payload.
    ("payload not JSON", |t| t.raw_payload("sub=1"), PLAIN, Err(Kind::MalformedPayload)),
    ("payload not UTF-8", |t| t.raw_payload(b"{\"a\":\"\xff\"}"), PLAIN, Err(Kind::MalformedPayload)),
    ("payload empty", |t| t.raw_payload(""), PLAIN, Err(Kind::MalformedPayload)),
    ("payload with a name twice", |t| t.raw_payload(r#"{"a":1,"\u0061":1}"#), PLAIN, Err(Kind::MalformedPayload)),
    // Who and for whom.
    ("iss missing", |t| t.without("iss"), PLAIN, Err(Kind::InvalidIssuer)),
    ("iss null", |t| t.claim("iss", ()), PLAIN, Err(Kind::InvalidIssuer)),
    ("CVE-2025-30144, iss an array", |t| t.claim("iss", ["https://issuer.test"]), PLAIN, Err(Kind::InvalidIssuer)),
    ("CVE-2024-53861, iss a prefix", |t| t.claim("iss", "https://issuer.tes"), PLAIN, Err(Kind::InvalidIssuer)),
    ("iss with a slash more", |t| t.claim("iss", "https://issuer.test/"), PLAIN, Err(Kind::InvalidIssuer)),
    ("iss an alias", |t| t.claim("iss", "issuer.test"), |i| i.alias("issuer.test"), Ok(())),
    ("aud missing", |t| t.without("aud"), PLAIN, Err(Kind::InvalidAudience)),
    ("aud null", |t| t.claim("aud", ()), PLAIN, Err(Kind::InvalidAudience)),
    ("aud another", |t| t.claim("aud", "test-audienc"), PLAIN, Err(Kind::InvalidAudience)),
    ("aud one of several", |t| t.claim("aud", ["x", "test-audience"]), PLAIN, Ok(())),
    ("aud with a number", |t| t.claim("aud", json!(["test-audience", 1])), PLAIN, Err(Kind::InvalidAudience)),
    ("aud empty", |t| t.claim("aud", json!([])), PLAIN, Err(Kind::InvalidAudience)),
    ("the second audience", |t| t.claim("aud", "b"), |i| i.audience("b"), Ok(())),
    (
        "the audience in client_id",
        |t| t.without("aud").claim("client_id", "test-audience"),
        |i| i.audience_claim("client_id"),
        Ok(()),
    ),
    ("aud does not stand in for azp", |t| t.claim("azp", "x"), |i| i.audience_claim("azp"), Err(Kind::InvalidAudience)),
    // Times.
    ("exp missing", |t| t.without("exp"), PLAIN, Err(Kind::MissingTime)),
    ("exp missing, allowed", |t| t.without("exp"), |i| i.danger_allow_no_expiry(), Ok(())),
    ("CVE-2026-25537, exp a string", |t| t.claim("exp", "9999999999"), PLAIN, Err(Kind::MalformedTime)),
    ("exp null", |t| t.claim("exp", ()), PLAIN, Err(Kind::MalformedTime)),
    ("exp with a fraction", |t| t.claim("exp", 9_999_999_999.5), PLAIN, Ok(())),
    ("exp huge", |t| t.claim("exp", 1e300), PLAIN, Ok(())),
    ("exp negative", |t| t.claim("exp", -1), PLAIN, Err(Kind::Expired)),
    ("exp 29 s ago, within the leeway", |t| t.expires_in(-29), PLAIN, Ok(())),
    ("exp 30 s ago", |t| t.expires_in(-30), PLAIN, Err(Kind::Expired)),
    ("exp now, no leeway", |t| t.expires_in(0), |i| i.leeway(Duration::ZERO), Err(Kind::Expired)),
    ("exp in 1 s, no leeway", |t| t.expires_in(1), |i| i.leeway(Duration::ZERO), Ok(())),
    ("nbf in 30 s, within the leeway", |t| t.claim("nbf", NOW + 30), PLAIN, Ok(())),
    ("nbf in 31 s", |t| t.claim("nbf", NOW + 31), PLAIN, Err(Kind::NotYetValid)),
    ("iat a string", |t| t.claim("iat", "1"), PLAIN, Err(Kind::MalformedTime)),
    ("iat in the future, not asked", |t| t.claim("iat", NOW + 999), PLAIN, Ok(())),
    (
        "iat in the future, asked",
        |t| t.claim("iat", NOW + 31),
        |i| i.max_age(Duration::from_secs(60)),
        Err(Kind::TooOld),
    ),
    ("max_age, just inside", |t| t.claim("iat", NOW - 89), |i| i.max_age(Duration::from_secs(60)), Ok(())),
    ("max_age, just outside", |t| t.claim("iat", NOW - 90), |i| i.max_age(Duration::from_secs(60)), Err(Kind::TooOld)),
    ("max_age without iat", |t| t.without("iat"), |i| i.max_age(Duration::from_secs(60)), Err(Kind::MissingTime)),
    ("max_lifetime, just inside", AS_IS, |i| i.max_lifetime(Duration::from_secs(300)), Ok(())),
    ("max_lifetime, just outside", AS_IS, |i| i.max_lifetime(Duration::from_secs(299)), Err(Kind::LivesTooLong)),
    // Everything else.
    ("a required claim there", |t| t.claim("tenant", ()), |i| i.require_claims(["tenant"]), Ok(())),
    ("a required claim missing", AS_IS, |i| i.require_claims(["tenant"]), Err(Kind::MissingClaim)),
    ("a security event", |t| t.claim("events", json!({})), PLAIN, Err(Kind::SecurityEvent)),
    ("RFC 7800, cnf with jkt", |t| t.claim("cnf", json!({"jkt": "x"})), PLAIN, Err(Kind::BindingNotChecked)),
    ("RFC 8705, cnf with x5t#S256", |t| t.claim("cnf", json!({"x5t#S256": "x"})), PLAIN, Err(Kind::BindingNotChecked)),
    ("cnf of an unknown kind", |t| t.claim("cnf", json!({"new": 1})), PLAIN, Err(Kind::BindingNotChecked)),
    ("cnf null", |t| t.claim("cnf", ()), PLAIN, Err(Kind::BindingNotChecked)),
    (
        "cnf checked by a gateway",
        |t| t.claim("cnf", json!({"jkt": "x"})),
        |i| i.danger_binding_checked_upstream(),
        Ok(()),
    ),
    ("RFC 9068, an id token", AS_IS, |i| i.access_token_profile(), Err(Kind::WrongType)),
    ("RFC 9068, claims missing", |t| t.header("typ", "at+jwt"), |i| i.access_token_profile(), Err(Kind::MissingClaim)),
    (
        "RFC 9068, complete",
        |t| t.header("typ", "at+jwt").claim("client_id", "c").claim("jti", "1"),
        |i| i.access_token_profile(),
        Ok(()),
    ),
];

const NOW: i64 = 1_700_000_000;

#[tokio::test]
async fn every_rule_is_judged_from_both_sides() {
    let clock = Clock::manual(UnixTime::from_secs(NOW));
    let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
    for (name, token, rules, expected) in CASES {
        let issuer = rules(authority.trusted());
        let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock.clone()).build().expect("valid");
        assert_eq!(verdict(&verifier, &token(authority.token()).sign()).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_three_strict_base64url_segments_is_refused() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().sign();
    let segments: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else { unreachable!("three segments") };
    let malformed = [
        ("CVE-2023-52428, five segments", format!("{token}.a.b")),
        ("two segments", format!("{header}.{payload}")),
        ("four segments", format!("{token}.")),
        ("CVE-2022-39227, JSON serialization", format!(r#"{{"payload":"{payload}","signature":"{signature}"}}"#)),
        ("CVE-2022-39227, polyglot", format!(r#"{{"a.{payload}.b":1,"protected":"{header}"}}"#)),
        ("padding", format!("{token}==")),
        ("white space", format!("{header}.{payload}. {signature}")),
        ("a line feed at the end", format!("{token}\n")),
        ("plus instead of minus", format!("{header}.{payload}+.{signature}")),
        ("empty", String::new()),
    ];
    for (name, token) in malformed {
        assert_eq!(verdict(&verifier, &token).await, Err(Kind::MalformedToken), "{name}");
    }
    let too_long = format!("{header}.{}.{signature}", "a".repeat(16 * 1024));
    assert_eq!(verdict(&verifier, &too_long).await, Err(Kind::TokenTooLong), "CVE-2025-30204, CVE-2025-27144");
}

#[tokio::test]
async fn a_token_of_16_kib_passes_and_one_byte_more_does_not() {
    let authority = Authority::new(Algorithm::HS256);
    let verifier = verifier(authority.trusted());
    let of_len = |fill: usize| authority.token().claim("fill", "x".repeat(fill)).sign();
    let base = of_len(0).len();
    // Four characters of base64url are three bytes of payload.
    let fill = (base..).step_by(1).find(|fill| of_len(*fill).len() >= 16 * 1024).expect("grows");
    let longest = (0..4).map(|less| of_len(fill - less)).find(|token| token.len() <= 16 * 1024).expect("one fits");
    assert!(longest.len() >= 16 * 1024 - 2);
    assert_eq!(verdict(&verifier, &longest).await, Ok(()));
    assert_eq!(verdict(&verifier, &of_len(fill + 1)).await, Err(Kind::TokenTooLong));
}

#[tokio::test]
async fn trailing_bits_of_a_signature_do_not_make_a_second_token() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().sign();
    // 64 bytes leave two characters of which the last carries 4 unused bits.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&token[token.len() - 1..]).expect("base64url");
    for other in (0..64).filter(|other| other / 16 == last / 16 && *other != last) {
        let twin = format!("{}{}", &token[..token.len() - 1], &alphabet[other..=other]);
        assert_eq!(verdict(&verifier, &twin).await, Err(Kind::MalformedToken));
    }
}

/// CVE-2015-9235, CVE-2016-10555, CVE-2022-29217, CVE-2024-33663, CVE-2026-48526: the public key, in any spelling, as
/// an HMAC secret.
#[tokio::test]
async fn a_token_hmaced_with_the_public_key_is_refused_and_the_key_makes_no_secret() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea user@host";
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let set = format!(r#"{{"keys":[{jwk}]}}"#);
    for document in [jwk, &set, pem, &pem.replace('\n', ""), &pem.replace('\n', "\r\n"), ssh] {
        assert!(KeySet::secret(Algorithm::HS256, document).is_err(), "{document}");
        assert!(Key::danger_weak_secret(Algorithm::HS256, document).is_err(), "{document}");
    }
    let header = base64_encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = base64_encode(br#"{"iss":"https://issuer.test","aud":"test-audience","exp":9999999999}"#);
    let signed = format!("{header}.{payload}");
    let mac = aws_lc_mac(pem.as_bytes(), signed.as_bytes());
    let forged = format!("{signed}.{}", base64_encode(&mac));
    let keys = move || KeySet::pem(Algorithm::EdDSA, pem).expect("RFC 8037 A.2");
    let issuer = || Issuer::new("https://issuer.test", keys()).audience("test-audience");
    assert_eq!(verdict(&verifier(issuer()), &forged).await, Err(Kind::AlgorithmNotAllowed));
    // Even a source that lets each key decide does not let the token decide.
    let undecided = move |_: &KeyQuery<'_>| KeyLookup::ready(keys());
    let open = Issuer::new("https://issuer.test", undecided).audience("test-audience");
    assert_eq!(verdict(&verifier(open), &forged).await, Err(Kind::UnknownKey));
}

/// CVE-2017-15361: a modulus with the fingerprint of the broken generator (it is no product of two primes, which
/// nobody looks at), and its neighbour without.
#[test]
fn cve_2017_15361_an_rsa_key_with_the_roca_fingerprint_is_refused() {
    let common = "wEsOglnn41SONMC8ftsqB5btEeYeuB-JGHhrG2t-3k_GaPw2T-9W15pYChtX_PnL3Wy9xO0J5iq5jaBISiE5uLZb303EZSd6\
        7wtXIwJNX8IIVNW8VZS-MkuUbWBEeTVOaDJzodnfHPO_A-IJvr7vLoDlRJpKfciG1ond5qGPzqXPNBS3_dtjtVgLmo4bsdEQ\
        HU8kcGBRLtcOBVqJElJVCnviUi-WPAnFaZorIWba0veunNZPXy0nrG_7hxDomIUfYzn0YxLhMJuWG53HIbCnkpDX373jI4e5\
        R-DDMLPI8IjBvJJ0D6SmITsXhi-16OLBfhcwdVgbxlrtgns8MSHxM";
    let jwk = |end: &str| json!({"kty": "RSA", "n": format!("{common}{end}"), "e": "AQAB"}).to_string();
    let error = KeySet::jwk(jwk("Q")).expect_err("the fingerprint").to_string();
    assert!(error.contains("CVE-2017-15361"), "{error}");
    assert!(KeySet::jwk(jwk("w")).is_ok(), "the neighbour");
}

/// HMAC-SHA256 by the reference implementation that the tests have at hand.
fn aws_lc_mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    use jsonwebtoken::{EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
    let key = EncodingKey::from_secret(secret);
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).expect("HMAC");
    signer.try_sign(message).expect("HMAC")
}

#[tokio::test]
async fn cve_2022_21449_zero_and_der_signatures_are_refused() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().sign();
    let signed = &token[..token.rfind('.').expect("three segments")];
    let zeros = "A".repeat(86);
    // A DER SEQUENCE of two INTEGERs 1, and a signature of the wrong length.
    for signature in [zeros.as_str(), "MAYCAQECAQE", &"A".repeat(84), &"A".repeat(128)] {
        let forged = format!("{signed}.{signature}");
        assert_eq!(verdict(&verifier, &forged).await, Err(Kind::InvalidSignature), "{signature}");
    }
}

#[tokio::test]
async fn an_ed25519_signature_with_a_larger_s_is_refused() {
    // RFC 8032 §5.1.7: s must be below the group's order; s + L verifies where that is not checked.
    const ORDER: [u8; 32] = [
        0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let authority = Authority::new(Algorithm::EdDSA);
    let verifier = verifier(authority.trusted());
    let token = authority.token().sign();
    let (signed, signature) = token.rsplit_once('.').expect("three segments");
    let mut bytes = base64_decode(signature);
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "s + L fits into 32 bytes");
    let twin = format!("{signed}.{}", base64_encode(&bytes));
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    assert_eq!(verdict(&verifier, &twin).await, Err(Kind::InvalidSignature));
}

#[tokio::test]
async fn an_expired_token_is_told_so_even_where_its_claims_have_changed() {
    #[derive(Deserialize, Debug)]
    struct Strict {
        #[expect(dead_code)]
        tenant: u64,
    }
    let authority = Authority::new(Algorithm::ES256);
    let verifier = Verifier::<Strict>::new(authority.trusted()).expect("valid");
    let kind = async |token: String| verifier.verify(&token).await.map(drop).map_err(|error| error.kind());
    assert_eq!(kind(authority.token().claim("tenant", 1).sign()).await, Ok(()));
    assert_eq!(kind(authority.token().sign()).await, Err(Kind::ClaimsMismatch));
    assert_eq!(kind(authority.token().expires_in(-60).sign()).await, Err(Kind::Expired));
    let error = verifier.verify(&authority.token().sign()).await.expect_err("tenant is missing");
    assert!(error.detail().is_some_and(|detail| detail.starts_with("missing field `tenant`")), "{error}");
}

#[tokio::test]
async fn rules_of_ones_own_refuse_with_401_or_403() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = Verifier::<Value>::builder()
        .trust(authority.trusted())
        .require(|jwt| jwt.claims()["tenant"].is_string())
        .authorize(|jwt| jwt.claims()["tenant"] == "a")
        .build()
        .expect("valid");
    let of = |tenant: Value| authority.token().claim("tenant", tenant).sign();
    assert_eq!(verdict(&verifier, &of(json!("a"))).await, Ok(()));
    assert_eq!(verdict(&verifier, &of(json!("b"))).await, Err(Kind::Forbidden));
    assert_eq!(verdict(&verifier, &of(json!(1))).await, Err(Kind::ClaimRefused));
}

#[tokio::test]
async fn several_issuers_keep_their_keys_audiences_and_algorithms_to_themselves() {
    let a = Authority::new(Algorithm::ES256).named("https://a.test").for_audience("a");
    let b = Authority::new(Algorithm::EdDSA).named("https://b.test").for_audience("b");
    let verifier = Verifier::<Value>::builder().trust(a.trusted()).trust(b.trusted()).build().expect("valid");
    assert_eq!(verdict(&verifier, &a.token().sign()).await, Ok(()));
    assert_eq!(verdict(&verifier, &b.token().sign()).await, Ok(()));
    let cases = [
        ("a's key for b", a.token().claim("iss", "https://b.test").claim("aud", "b").sign(), Kind::AlgorithmNotAllowed),
        ("b's audience from a", a.token().claim("aud", "b").sign(), Kind::InvalidAudience),
        ("b's key in a's name", b.token().claim("iss", "https://a.test").sign(), Kind::AlgorithmNotAllowed),
        ("unknown", a.token().claim("iss", "https://c.test").sign(), Kind::InvalidIssuer),
        ("missing", a.token().without("iss").sign(), Kind::InvalidIssuer),
        ("an array", a.token().claim("iss", ["https://a.test"]).sign(), Kind::InvalidIssuer),
        (
            "two",
            a.token().raw_payload(r#"{"iss":"https://c.test","iss":"https://a.test"}"#).sign(),
            Kind::MalformedPayload,
        ),
    ];
    for (name, token, kind) in cases {
        assert_eq!(verdict(&verifier, &token).await, Err(kind), "{name}");
    }
    let jwt = verifier.verify(&b.token().sign()).await.expect("valid");
    assert_eq!(jwt.issuer(), Some("https://b.test"));
}

#[tokio::test]
async fn an_unknown_issuer_ends_before_any_key_is_looked_for() {
    let a = Authority::new(Algorithm::ES256).named("https://a.test");
    let never = |_: &KeyQuery<'_>| -> KeyLookup<'static> { panic!("a key was looked for") };
    let verifier = Verifier::<Value>::builder()
        .trust(Issuer::new("https://b.test", never).audience("b"))
        .trust(Issuer::new("https://c.test", never).audience("c"))
        .build()
        .expect("valid");
    assert_eq!(verdict(&verifier, &a.token().sign()).await, Err(Kind::InvalidIssuer));
}

#[test]
fn what_cannot_work_is_said_when_it_is_built() {
    let keys = || Authority::new(Algorithm::ES256).key_set();
    let named = || Issuer::new("https://a.test", keys());
    let secret = || KeySet::secret(Algorithm::HS256, [7; 32]).expect("valid");
    let wrong: Vec<(Issuer, &str)> = vec![
        (named(), "audience"),
        (named().audience("a").danger_any_audience(), "exclude"),
        (named().audience(""), "empty"),
        (named().audience("a").types([""; 0]), "empty"),
        (Issuer::new("", keys()).audience("a"), "name"),
        (Issuer::new("i".repeat(513), keys()).audience("a"), "512"),
        (named().audience("a").leeway(Duration::from_secs(301)), "5 minutes"),
        (named().audience("a").algorithms([]), "empty"),
        (named().audience("a").algorithms([Algorithm::HS256, Algorithm::ES256]), "public keys"),
        (named().audience("a").algorithms([Algorithm::RS256]), "RS256"),
        (Issuer::new("https://a.test", secret()).audience("a").algorithms([Algorithm::ES256]), "HS256"),
        (named().audience("a").require_claims((0..65).map(|n| n.to_string())), "64"),
    ];
    for (issuer, word) in wrong {
        let error = Verifier::<Value>::new(issuer).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(Verifier::<Value>::new(named().audience("a").leeway(Duration::from_secs(300))).is_ok());
    let any = || Issuer::danger_any_issuer(keys()).audience("a");
    assert!(Verifier::<Value>::builder().trust(any()).build().is_ok());
    assert!(Verifier::<Value>::builder().trust(any()).trust(named().audience("a")).build().is_err());
    assert!(Verifier::<Value>::builder().trust(named().audience("a")).trust(named().audience("b")).build().is_err());
    assert!(Verifier::<Value>::builder().build().is_err());
}

#[tokio::test]
async fn secrets_rotate_without_a_kid() {
    let (old, new) = (Authority::new(Algorithm::HS256), Authority::new(Algorithm::HS256));
    let key = |authority: &Authority| {
        let jwks: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
        Key::base64_secret(Algorithm::HS256, jwks["keys"][0]["k"].as_str().expect("a secret")).expect("valid")
    };
    let keys = KeySet::new([key(&old), key(&new)]).expect("valid");
    let verifier = verifier(Issuer::new(old.name(), keys).audience(old.audience()));
    for authority in [&old, &new] {
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    }
    let stranger = Authority::new(Algorithm::HS256);
    assert_eq!(verdict(&verifier, &stranger.token().sign()).await, Err(Kind::InvalidSignature));
}

#[tokio::test]
async fn a_source_is_asked_once_more_for_an_unknown_kid_and_never_for_a_bad_signature() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let mut authority = Authority::new(Algorithm::ES256);
    let old = authority.key_set();
    authority.add_key(Algorithm::ES256);
    let new = authority.key_set();
    let retries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&retries);
    let source = move |query: &KeyQuery<'_>| {
        if query.is_retry() {
            let (new, counted) = (new.clone(), Arc::clone(&counted));
            return KeyLookup::pending(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(new)
            });
        }
        KeyLookup::ready(old.clone())
    };
    let verifier = verifier(Issuer::new(authority.name(), source).audience(authority.audience()));
    let asked = || retries.swap(0, Ordering::Relaxed);

    assert_eq!(verdict(&verifier, &authority.token().with_key(0).sign()).await, Ok(()));
    assert_eq!(verdict(&verifier, &authority.token().with_key(0).tampered().sign()).await, Err(Kind::InvalidSignature));
    assert_eq!(asked(), 0, "the kid is known");
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    assert_eq!(asked(), 1, "the first token of a rotation");
    assert_eq!(verdict(&verifier, &authority.token().without_header("kid").sign()).await, Ok(()));
    assert_eq!(asked(), 1, "no kid, and nothing that verifies");
    for hopeless in [
        authority.token().header("kid", "forged").expires_in(-60),
        authority.token().header("kid", "forged").claim("aud", "other"),
        authority.token().header("kid", "forged").claim("iss", "other"),
        authority.token().header("kid", "forged").raw_payload("[]"),
        authority.token().header("kid", "forged").header("alg", "none"),
    ] {
        assert!(verdict(&verifier, &hopeless.sign()).await.is_err());
    }
    assert_eq!(asked(), 0, "no key could save them");
    assert_eq!(verdict(&verifier, &authority.token().header("kid", "forged").sign()).await, Err(Kind::UnknownKey));
}

#[tokio::test]
async fn a_pending_lookup_is_not_polled_for_a_token_that_no_key_can_save() {
    let authority = Authority::new(Algorithm::ES256);
    let source = |_: &KeyQuery<'_>| KeyLookup::pending(async { panic!("polled for a token that is refused anyway") });
    let verifier = verifier(Issuer::new(authority.name(), source).audience(authority.audience()));
    let cases = [
        (authority.token().expires_in(-60), Kind::Expired),
        (authority.token().claim("nbf", 9_999_999_999_u64), Kind::NotYetValid),
        (authority.token().claim("aud", "other"), Kind::InvalidAudience),
        (authority.token().claim("iss", "other"), Kind::InvalidIssuer),
        (authority.token().raw_payload("[]"), Kind::MalformedPayload),
    ];
    for (token, kind) in cases {
        assert_eq!(verdict(&verifier, &token.sign()).await, Err(kind));
    }
}

#[tokio::test]
async fn a_source_that_fails_is_not_the_tokens_fault() {
    let authority = Authority::new(Algorithm::ES256);
    let failing = |_: &KeyQuery<'_>| {
        KeyLookup::failed(KeyError::new("the vault is sealed").retry_after(Duration::from_millis(1500)))
    };
    let verifier = verifier(Issuer::new(authority.name(), failing).audience(authority.audience()));
    let error = verifier.verify(&authority.token().sign()).await.expect_err("no keys");
    assert_eq!(error.kind(), Kind::KeysUnavailable);
    assert!(error.kind().is_our_fault());
    assert_eq!(error.detail(), Some("the vault is sealed"));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn a_verified_token_tells_what_it_was() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let token = authority.token().claim("jti", "j\u{e9}\"1").claim("client_id", "c").claim("scp", ["a", "b"]).sign();
    let jwt = verifier.verify(&token).await.expect("valid");
    assert_eq!(jwt.issuer(), Some("https://issuer.test"));
    assert_eq!(jwt.subject(), Some("user-1"));
    assert_eq!(jwt.jwt_id(), Some("j\u{e9}\"1"));
    assert_eq!(jwt.client_id(), Some("c"));
    assert_eq!(jwt.key_id(), Some("key-1"));
    assert_eq!(jwt.algorithm(), Algorithm::ES256);
    assert_eq!(jwt.scopes().collect::<Vec<_>>(), ["a", "b"]);
    assert!(jwt.has_scope("a") && !jwt.has_scope("a b") && !jwt.has_scope(""));
    assert_eq!(jwt.expires_at().map(UnixTime::as_secs), jwt.claims()["exp"].as_i64());
    assert_eq!(jwt.issued_at().map(UnixTime::as_secs), jwt.claims()["iat"].as_i64());
    let erased = jwt.erase();
    assert_eq!(erased.subject(), Some("user-1"));
    assert_eq!(erased.claims().downcast_ref::<Value>(), Some(jwt.claims()));

    let plain = verifier.verify(&authority.token().without("sub").without_header("kid").sign()).await.expect("valid");
    assert_eq!((plain.subject(), plain.jwt_id(), plain.key_id()), (None, None, None));
    assert_eq!(plain.scopes().count(), 0);

    let any =
        Verifier::<Value>::new(Issuer::danger_any_issuer(authority.key_set()).danger_any_audience()).expect("valid");
    assert_eq!(any.verify(&token).await.expect("valid").issuer(), Some("https://issuer.test"));
    assert_eq!(any.verify(&authority.token().without("iss").sign()).await.expect("valid").issuer(), None);
}

#[tokio::test]
async fn an_explanation_names_the_checks_in_their_order_and_ends_with_the_first_that_failed() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier = verifier(authority.trusted());
    let all =
        ["envelope", "header", "algorithm", "key", "signature", "payload", "issuer", "audience", "time", "claims"];
    let cases = [
        (authority.token().sign(), 10, None),
        ("a.b".to_owned(), 1, Some(Kind::MalformedToken)),
        (authority.token().header("crit", ["x"]).sign(), 2, Some(Kind::CriticalHeader)),
        (authority.token().header("typ", "logout+jwt").sign(), 2, Some(Kind::WrongType)),
        (authority.token().header("alg", "none").sign(), 3, Some(Kind::AlgorithmNotAllowed)),
        (authority.token().header("kid", "x").sign(), 4, Some(Kind::UnknownKey)),
        (authority.token().tampered().sign(), 5, Some(Kind::InvalidSignature)),
        (authority.token().without_header("kid").tampered().sign(), 5, Some(Kind::InvalidSignature)),
        (authority.token().raw_payload("[]").sign(), 6, Some(Kind::MalformedPayload)),
        (authority.token().claim("iss", "x").sign(), 7, Some(Kind::InvalidIssuer)),
        (authority.token().claim("aud", "x").sign(), 8, Some(Kind::InvalidAudience)),
        (authority.token().expires_in(-99).sign(), 9, Some(Kind::Expired)),
        (authority.token().claim("events", 1).sign(), 10, Some(Kind::SecurityEvent)),
    ];
    for (token, length, kind) in cases {
        let explanation = verifier.explain(&token).await;
        let labels: Vec<_> = explanation.checks().iter().map(|report| report.check().label()).collect();
        assert_eq!(labels, all[..length], "{kind:?}");
        assert_eq!(explanation.error().map(tower_jwt_auth::AuthError::kind), kind);
        assert_eq!(explanation.accepted(), kind.is_none());
        let failed = explanation.checks().iter().filter(|report| !report.ok()).count();
        assert_eq!(failed, usize::from(kind.is_some()), "{kind:?}");
        assert_eq!(verdict(&verifier, &token).await.err(), kind, "explaining and verifying agree");
    }
    let failing = |_: &KeyQuery<'_>| KeyLookup::failed(KeyError::new("sealed"));
    let verifier = Verifier::<Value>::new(Issuer::new("x", failing).audience("y")).expect("valid");
    let explanation = verifier.explain(&authority.token().sign()).await;
    assert_eq!(explanation.checks().last().map(|report| report.check().label()), Some("key"));
}

#[tokio::test]
async fn an_explanation_shows_no_signature_as_good_that_no_key_verified() {
    let [ours, forger] = [Authority::new(Algorithm::ES256), Authority::new(Algorithm::ES256)];
    let first = ours.key_set();
    let second = ours.key_set();
    let source = move |query: &KeyQuery<'_>| {
        let second = second.clone();
        if query.is_retry() { KeyLookup::pending(async { Ok(second) }) } else { KeyLookup::ready(first.clone()) }
    };
    let verifier = verifier(Issuer::danger_any_issuer(source).danger_any_audience());
    let forged = || ours.token().without_header("kid").signed_by(&forger);
    for (token, last) in [(forged().expires_in(-600).sign(), Check::Time), (forged().sign(), Check::Signature)] {
        let explanation = verifier.explain(&token).await;
        let signatures = explanation.checks().iter().filter(|report| report.check() == Check::Signature);
        assert!(signatures.clone().all(|report| !report.ok()));
        assert!(signatures.count() <= 1);
        assert_eq!(explanation.checks().last().map(CheckReport::check), Some(last));
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn base64_encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
