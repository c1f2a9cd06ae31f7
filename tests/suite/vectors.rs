//! Third-party test vectors: RFC 7520, RFC 7797 and RFC 8037, Wycheproof, `JSONTestSuite`.
//!
//! - They are found through `TOWER_JWT_AUTH_VECTORS`, a folder. Where that is not set the tests say so and pass; where
//!   it is set and a file is missing they fail.
//! - The payloads of the signature vectors are no claims, so what counts is how the check `signature` went.
//! - Each deliberate difference is listed with its reason, and one that is none any more fails.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_jwt_auth::keys::Key;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::{Check, CheckReport, Explanation};
use tower_jwt_auth::{Algorithm, AuthError, ConfigError, Issuer, KeySet, Verifier};

/// The backend in Rust alone lacks ES512, and refuses its keys.
const HAS_ES512: bool = cfg!(feature = "aws-lc-rs");

/// Where this crate's verdict is not Wycheproof's: file, `tcId`, reason; ascending in each file.
const DIFFERENCES: [(&str, u64, &str); 8] = [
    (SIGNATURE, 346, "the token has PS384 and the key is for PS256: one algorithm per key (RFC 8725 section 3.1)"),
    (SIGNATURE, 347, "the `alg` of the key is ES521, which does not exist"),
    (SIGNATURE, 350, "the token has PS384 and the key is for PS256: one algorithm per key (RFC 8725 section 3.1)"),
    (SIGNATURE, 351, "the `alg` of the key is ES521, which does not exist"),
    (SIGNATURE, 367, "it has lost the padding that it is named after: byte for byte it is 357, which is valid"),
    (SIGNATURE, 370, "it has lost the padding that it is named after: byte for byte it is 357, which is valid"),
    (SIGNATURE, 372, "the header has a character that is not base64url (RFC 7515 section 2)"),
    (SIGNATURE, 373, "the payload has a character that is not base64url (RFC 7515 section 2)"),
];
const SIGNATURE: &str = "json_web_signature_test.json";
const KEY: &str = "json_web_key_test.json";
const CRYPTO: &str = "json_web_crypto_test.json";
const ENCRYPTION: &str = "json_web_encryption_test.json";

/// JSON objects that repeat a name: fine for a parser, refused in a token (RFC 7515 §4, RFC 7519 §4).
const REPEATING: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

/// What is left of a longer document when it is put into a token, so that its parser judges it and not its length.
const LONGEST_DOCUMENT: usize = 8 * 1024;

#[test]
fn the_keys_of_rfc_7520_are_read() {
    let Some(folder) = vectors("cookbook/jwk") else { return };
    let mut tally = Tally::new("cookbook/jwk");
    let es512 = HAS_ES512.then_some(Algorithm::ES512);
    let keys = [
        ("3_1.ec_public_key.json", es512),
        ("3_2.ec_private_key.json", es512),
        ("3_3.rsa_public_key.json", Some(Algorithm::RS256)),
        ("3_4.rsa_private_key.json", Some(Algorithm::RS256)),
        ("3_5.symmetric_key_mac_computation.json", Some(Algorithm::HS256)),
        ("3_6.symmetric_key_encryption.json", None),
    ];
    for (file, expected) in keys {
        let algorithm = Key::jwk(read(&folder, file)).ok().map(|key| key.algorithm());
        assert_eq!(algorithm, expected, "{file}");
        tally.count(algorithm.is_some());
    }
    tally.say();
}

#[tokio::test]
async fn the_compact_signatures_of_rfc_7520_verify() {
    let Some(folder) = vectors("cookbook") else { return };
    let mut tally = Tally::new("cookbook/jws");
    // An RSA key that names no algorithm is for RS256, unless its user says otherwise.
    let signatures = [
        ("4_1.rsa_v15_signature.json", "3_3.rsa_public_key.json", Algorithm::RS256, true),
        ("4_2.rsa-pss_signature.json", "3_3.rsa_public_key.json", Algorithm::PS384, true),
        ("4_2.rsa-pss_signature.json", "3_3.rsa_public_key.json", Algorithm::RS256, false),
        ("4_3.ecdsa_signature.json", "3_1.ec_public_key.json", Algorithm::RS256, HAS_ES512),
        ("4_4.hmac-sha2_integrity_protection.json", "3_5.symmetric_key_mac_computation.json", Algorithm::RS256, true),
    ];
    for (file, key, rsa, expected) in signatures {
        let key = String::from_utf8(read(&folder.join("jwk"), key)).expect("JSON is UTF-8");
        let keys = KeySet::jwk_set_with(format!(r#"{{"keys":[{key}]}}"#), rsa);
        let token = compact(&read_json(&folder.join("jws"), file));
        let verdict = judge(keys, &token).await;
        assert_eq!(verdict.is_verified(), expected, "{file} with {rsa}: {verdict}");
        tally.count(verdict.is_verified());
    }
    tally.say();
}

#[tokio::test]
async fn the_signature_of_rfc_8037_verifies_and_its_encryption_is_refused() {
    let Some(folder) = vectors("cookbook/curve25519") else { return };
    let mut tally = Tally::new("cookbook/curve25519");
    let vector: Value = read_json(&folder, "jws.json");
    let verdict = judge(KeySet::jwk(vector["input"]["key"].to_string()), &compact(&vector)).await;
    assert!(verdict.is_verified(), "{verdict}");
    tally.count(true);
    let authority = Authority::new(Algorithm::HS256);
    let verdict = judge(Ok(authority.key_set()), &compact(&read_json(&folder, "ecdh-es.json"))).await;
    assert_eq!(verdict.stopped_at(), Some(Check::Envelope), "{verdict}");
    tally.count(false);
    tally.say();
}

#[tokio::test]
async fn detached_content_json_serializations_and_unencoded_payloads_are_refused() {
    const COMPACT_TOO: &[&str] = &["compact", "json", "json_flat"];
    const JSON: &[&str] = &["json", "json_flat"];

    let Some(folder) = vectors("cookbook") else { return };
    let files = [
        ("jws/4_1.rsa_v15_signature.json", JSON),
        ("jws/4_2.rsa-pss_signature.json", JSON),
        ("jws/4_3.ecdsa_signature.json", JSON),
        ("jws/4_4.hmac-sha2_integrity_protection.json", JSON),
        ("jws/4_5.signature_with_detached_content.json", COMPACT_TOO),
        ("jws/4_6.protecting_specific_header_fields.json", JSON),
        ("jws/4_7.protecting_content_only.json", JSON),
        ("jws/4_8.multiple_signatures.json", &["json"]),
        ("rfc7797/hmac-sha2_b64_false.json", COMPACT_TOO),
        ("rfc7797/4.2.hmac-sha2_b64_false.json", JSON),
        ("curve25519/jws.json", JSON),
    ];
    let mut tally = Tally::new("cookbook, detached, JSON and unencoded");
    for (file, forms) in files {
        let vector: Value = read_json(&folder, file);
        let key = &vector["input"]["key"];
        let keys = if key.is_array() { key.clone() } else { Value::Array(vec![key.clone()]) };
        for form in forms {
            let token = text(&vector["output"][form]);
            // Nothing is refused for the lack of a key: each of the signers is trusted in its turn.
            for key in keys.as_array().expect("an array") {
                let verdict = judge(KeySet::jwk(key.to_string()), &token).await;
                let trusted = HAS_ES512 || key["crv"] != "P-521";
                assert!(!verdict.is_verified() && verdict.keys_are_good() == trusted, "{file}, {form}: {verdict}");
            }
            tally.count(false);
        }
    }
    tally.say();
}

#[tokio::test]
async fn an_unencoded_payload_is_refused_by_its_header() {
    let Some(folder) = vectors("cookbook/rfc7797") else { return };
    let mut tally = Tally::new("cookbook/rfc7797, detached");
    for file in ["hmac-sha2_b64_false.json", "4.2.hmac-sha2_b64_false.json"] {
        let vector: Value = read_json(&folder, file);
        // The detached form (RFC 7797 §5.2) has no foreign characters that would be refused earlier.
        let protected = vector["output"]["json_flat"]["protected"].as_str().expect("a string");
        let token = format!("{protected}..{}", vector["signing"]["sig"].as_str().expect("a string"));
        let verdict = judge(KeySet::jwk(vector["input"]["key"].to_string()), &token).await;
        assert_eq!(verdict.stopped_at(), Some(Check::Header), "{file}: {verdict}");
        tally.count(false);
    }
    tally.say();
}

#[tokio::test]
async fn wycheproof_signatures_get_the_expected_verdicts() {
    let Some(folder) = vectors("wycheproof") else { return };
    for file in [SIGNATURE, KEY, CRYPTO] {
        let suite: Suite = read_json(&folder, file);
        let mut tally = Tally::new(format!("wycheproof/{file}"));
        let mut differences = BTreeMap::new();
        for group in &suite.test_groups {
            for (case, jws) in group.tests.iter().filter_map(|case| Some((case, case.jws.as_ref()?))) {
                let verdict = judge(group.verifying_keys(), &text(jws)).await;
                tally.count(verdict.is_verified());
                if verdict.is_verified() != case.is_valid() {
                    differences.insert(case.tc_id, format!("{} is {}: {verdict}", case.comment, case.result));
                }
            }
        }
        let listed = DIFFERENCES.iter().filter(|(of, ..)| *of == file).map(|(_, id, _)| id);
        assert!(differences.keys().eq(listed), "{file}: the differences are not those listed, but {differences:#?}");
        tally.differences = differences.len();
        assert_eq!(tally.cases() + suite.encrypted().count(), suite.number_of_tests, "{file}");
        tally.say();
    }
}

#[tokio::test]
async fn padding_is_refused_although_the_vectors_for_it_have_none() {
    let Some(folder) = vectors("wycheproof") else { return };
    let suite: Suite = read_json(&folder, SIGNATURE);
    let find =
        |id| suite.test_groups.iter().find_map(|group| Some((group, group.tests.iter().find(|c| c.tc_id == id)?)));
    let [(group, valid), (_, mac), (_, payload)] = [357, 367, 370].map(|id| find(id).expect("a case of this file"));
    assert_eq!([&mac.jws, &payload.jws], [&valid.jws; 2], "mended: take them off the list of differences");
    let token = text(valid.jws.as_ref().expect("a signature"));
    let (signed, signature) = token.rsplit_once('.').expect("three segments");
    for padded in [format!("{signed}.{signature}="), format!("{signed}==.{signature}")] {
        let verdict = judge(group.verifying_keys(), &padded).await;
        assert_eq!(verdict.stopped_at(), Some(Check::Envelope), "{padded}: {verdict}");
    }
}

#[tokio::test]
async fn encrypted_tokens_are_refused_before_any_key_is_looked_for() {
    let Some(folder) = vectors("wycheproof") else { return };
    let authority = Authority::new(Algorithm::HS256);
    for (file, expected) in [(ENCRYPTION, 139), (CRYPTO, 34)] {
        let suite: Suite = read_json(&folder, file);
        let mut tally = Tally::new(format!("wycheproof/{file} (JWE)"));
        for (case, jwe) in suite.encrypted() {
            let verdict = judge(Ok(authority.key_set()), &text(jwe)).await;
            let early = matches!(verdict.stopped_at(), Some(Check::Envelope | Check::Header | Check::Algorithm));
            assert!(early, "{file} {}: {verdict}", case.tc_id);
            tally.count(false);
        }
        for group in suite.test_groups.iter().filter(|group| group.tests.iter().any(|case| case.jwe.is_some())) {
            assert!(group.verifying_keys().is_err(), "{file}: a key for encryption verifies");
        }
        assert_eq!(tally.cases(), expected, "{file}");
        tally.say();
    }
}

#[tokio::test]
async fn a_header_that_is_not_json_is_refused() {
    let Some(folder) = vectors("json/test_parsing") else { return };
    let authority = Authority::new(Algorithm::HS256);
    let verifier = permissive::<Value>(authority.key_set());
    let mut tally = Tally::new("json/test_parsing in a header");
    for document in Document::all(&folder) {
        let alone = authority.token().raw_header(document.short()).sign();
        let alone = explain(&verifier, &alone).await;
        let member = authority.token().raw_header(document.as_member_of(r#""alg":"HS256""#)).sign();
        let member = explain(&verifier, &member).await;
        match document.verdict() {
            "y" => {
                // A header without `alg` goes no further.
                let stop = if document.is_claims() { Check::Algorithm } else { Check::Header };
                assert_eq!(stopped_at(&alone), Some(stop), "{document}");
                assert_eq!(stopped_at(&member), None, "{document}");
            }
            "n" => {
                assert_eq!([&alone, &member].map(stopped_at), [Some(Check::Header); 2], "{document}");
            }
            // To come back without a panic is enough, and a header without `alg` does not pass whatever else it has.
            _ => assert!(!alone.accepted(), "{document}"),
        }
        tally.count(member.accepted());
    }
    tally.say();
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_refused_whatever_the_claims_type() {
    /// Takes any object, and skips what it does not know.
    #[derive(Deserialize)]
    struct Claims {
        #[serde(rename = "sub")]
        _subject: Option<String>,
    }

    let Some(folder) = vectors("json/test_parsing") else { return };
    let authority = Authority::new(Algorithm::HS256);
    let value = permissive::<Value>(authority.key_set());
    let typed = permissive::<Claims>(authority.key_set());
    let mut whole = Tally::new("json/test_parsing as a payload");
    let mut within = Tally::new("json/test_parsing in a payload");
    for document in Document::all(&folder) {
        let alone = authority.token().raw_payload(document.short()).sign();
        let alone = [explain(&value, &alone).await, explain(&typed, &alone).await];
        let member = authority.token().raw_payload(document.as_member_of(r#""sub":"user""#)).sign();
        let member = [explain(&value, &member).await, explain(&typed, &member).await];
        match document.verdict() {
            "y" => {
                let stop = if document.is_claims() { None } else { Some(Check::Payload) };
                assert_eq!(alone.each_ref().map(stopped_at), [stop; 2], "{document}");
                assert_eq!(member.each_ref().map(stopped_at), [None; 2], "{document}");
            }
            "n" => {
                assert_eq!(alone.each_ref().map(stopped_at), [Some(Check::Payload); 2], "{document}");
                assert_eq!(member.each_ref().map(stopped_at), [Some(Check::Payload); 2], "{document}");
            }
            // To come back without a panic is enough.
            _ => {}
        }
        whole.count(alone[0].accepted());
        within.count(member[0].accepted());
    }
    whole.say();
    within.say();
}

#[test]
fn a_key_set_that_is_not_json_is_refused() {
    let Some(folder) = vectors("json/test_parsing") else { return };
    let jwks = Authority::new(Algorithm::HS256).jwks();
    let keys = jwks.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("an object");
    let mut tally = Tally::new("json/test_parsing in a JWK set");
    for document in Document::all(&folder) {
        assert!(KeySet::jwk_set(&document.bytes).is_err(), "{document} has no keys");
        let member = KeySet::jwk_set(document.as_member_of(keys));
        match document.verdict() {
            "y" => assert!(member.is_ok(), "{document}"),
            "n" => assert!(member.is_err(), "{document}"),
            _ => {}
        }
        tally.count(member.is_ok());
    }
    tally.say();
}

/// A folder of vectors, if there are vectors.
fn vectors(of: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TOWER_JWT_AUTH_VECTORS");
    if folder.is_none() {
        say(format_args!("SKIPPED: set TOWER_JWT_AUTH_VECTORS to the folder of the third-party vectors ({of})"));
    }
    folder.map(|folder| Path::new(&folder).join(of))
}

/// A line that the test harness does not swallow when the test passes.
fn say(line: fmt::Arguments<'_>) {
    // Nothing hangs on the line, so neither does the test.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    let path = folder.join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_json<T: DeserializeOwned>(folder: &Path, file: &str) -> T {
    serde_json::from_slice(&read(folder, file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A token as a client would send it: the vectors hold those in JSON as strings and as objects.
fn text(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

/// The compact serialization of a cookbook's vector.
fn compact(vector: &Value) -> String {
    vector["output"]["compact"].as_str().expect("a compact serialization").to_owned()
}

/// A verifier for which only the envelope, the header, the key and the form of the payload matter.
fn permissive<C: DeserializeOwned + Send + Sync + 'static>(keys: KeySet) -> Verifier<C> {
    let issuer = Issuer::danger_any_issuer(keys).danger_any_audience().danger_allow_no_expiry();
    Verifier::new(issuer).expect("nothing is left out")
}

/// The explanation of a verdict, which is that of the request path.
async fn explain<C: DeserializeOwned + Send + Sync + 'static>(verifier: &Verifier<C>, token: &str) -> Explanation {
    let explanation = verifier.explain(token).await;
    let error = verifier.verify(token).await.err();
    assert_eq!(explanation.error().map(AuthError::kind), error.as_ref().map(AuthError::kind));
    explanation
}

/// The check that refused, or `None` where all passed.
fn stopped_at(explanation: &Explanation) -> Option<Check> {
    explanation.checks().iter().find(|report| !report.ok()).map(CheckReport::check)
}

/// What became of a token, or of its keys before it.
enum Verdict {
    BadKeys(ConfigError),
    Judged(Explanation),
}

async fn judge(keys: Result<KeySet, ConfigError>, token: &str) -> Verdict {
    match keys {
        Ok(keys) => Verdict::Judged(explain(&permissive::<Value>(keys), token).await),
        Err(error) => Verdict::BadKeys(error),
    }
}

impl Verdict {
    fn keys_are_good(&self) -> bool {
        matches!(self, Self::Judged(_))
    }

    /// True when the signature was good, whatever it signs.
    fn is_verified(&self) -> bool {
        let Self::Judged(explanation) = self else { return false };
        explanation.checks().iter().any(|report| report.check() == Check::Signature && report.ok())
    }

    fn stopped_at(&self) -> Option<Check> {
        let Self::Judged(explanation) = self else { return None };
        stopped_at(explanation)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKeys(error) => write!(f, "keys refused, {error}"),
            Self::Judged(explanation) => {
                let error = explanation.error().map_or("accepted".to_owned(), AuthError::to_string);
                write!(f, "{error} ({:?})", stopped_at(explanation))
            }
        }
    }
}

/// A file of Wycheproof.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suite {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    public: Option<Value>,
    private: Option<Value>,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u64,
    comment: String,
    result: String,
    jws: Option<Value>,
    jwe: Option<Value>,
}

impl Suite {
    /// The cases whose token is encrypted.
    fn encrypted(&self) -> impl Iterator<Item = (&Case, &Value)> {
        self.test_groups.iter().flat_map(|group| &group.tests).filter_map(|case| Some((case, case.jwe.as_ref()?)))
    }
}

impl Group {
    /// The keys that whoever verifies would have: the public ones, or else the secrets.
    fn verifying_keys(&self) -> Result<KeySet, ConfigError> {
        let keys = self.public.as_ref().or(self.private.as_ref()).expect("a group has keys");
        if keys.get("keys").is_some() { KeySet::jwk_set(keys.to_string()) } else { KeySet::jwk(keys.to_string()) }
    }
}

impl Case {
    fn is_valid(&self) -> bool {
        match &*self.result {
            "valid" => true,
            "invalid" => false,
            other => panic!("{}: {other:?} is no result", self.tc_id),
        }
    }
}

/// A document of the JSON suite.
struct Document {
    name: String,
    bytes: Vec<u8>,
}

impl Document {
    fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"));
        let all: Vec<_> = names.map(|name| Self { bytes: read(folder, &name), name }).collect();
        assert_eq!(all.len(), 318, "{}", folder.display());
        all
    }

    /// What its name says: `y` and `n` for what every parser accepts or refuses, `i` for what each may decide.
    fn verdict(&self) -> &str {
        let (verdict, _) = self.name.split_once('_').expect("a verdict and a description");
        assert!(["y", "n", "i"].contains(&verdict), "{self}");
        verdict
    }

    /// True for an object whose names are unique.
    fn is_claims(&self) -> bool {
        let is_object = serde_json::from_slice::<Value>(&self.bytes).is_ok_and(|value| value.is_object());
        is_object && !REPEATING.contains(&&*self.name)
    }

    /// As much of it as fits into a token.
    fn short(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(LONGEST_DOCUMENT)]
    }

    /// An object that has this document as a member beside others.
    fn as_member_of(&self, others: &str) -> Vec<u8> {
        [b"{", others.as_bytes(), b",\"x\":", self.short(), b"}"].concat()
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// How many cases went which way.
struct Tally {
    what: String,
    accepted: usize,
    refused: usize,
    differences: usize,
}

impl Tally {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), accepted: 0, refused: 0, differences: 0 }
    }

    fn count(&mut self, accepted: bool) {
        if accepted { self.accepted += 1 } else { self.refused += 1 }
    }

    fn cases(&self) -> usize {
        self.accepted + self.refused
    }

    fn say(&self) {
        say(format_args!(
            "{}: {} cases, {} accepted, {} refused, {} listed differences",
            self.what,
            self.cases(),
            self.accepted,
            self.refused,
            self.differences
        ));
    }
}
