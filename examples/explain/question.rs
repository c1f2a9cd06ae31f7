//! A question about a token, as an object: its keys, its rules, and the checks in answer.

use std::error::Error;
use std::io::{self, BufRead, IsTerminal, Write};

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{Key, KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::verify::{CheckReport, Explanation};
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, KeySet, KeySource, Verifier};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) token: String,
    pub(crate) jwks: Option<Value>,
    pub(crate) secret: Option<String>,
    pub(crate) pem: Option<String>,
    pub(crate) algorithms: Option<Vec<String>>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) audience_claim: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) now: Option<i64>,
}

/// Judges the token with the keys of the question.
pub(crate) async fn explain(question: &Question) -> Result<Explanation, Box<dyn Error>> {
    let listed = algorithms(question)?;
    let keys = match (&question.jwks, &question.secret, &question.pem) {
        (Some(jwks), None, None) => from_jwks(jwks, listed.as_deref()),
        (None, Some(secret), None) => from_secret(secret, listed.as_deref()),
        (None, None, Some(pem)) => from_pem(pem, listed.as_deref()),
        _ => return Err("give the keys as one of `jwks`, `secret` and `pem`".into()),
    };
    let of_keys = || Some(keys.as_ref().ok()?.iter().map(Key::algorithm).collect());
    let algorithms = listed.or_else(of_keys);

    // Broken keys are told at the check that needs them, so that an answer has its checks whatever is wrong.
    let source = move |_: &KeyQuery<'_>| match &keys {
        Ok(keys) => KeyLookup::ready(keys.clone()),
        Err(error) => KeyLookup::failed(KeyError::new(error.to_string())),
    };
    judge(question, source, algorithms).await
}

/// The algorithms that the question lists.
pub(crate) fn algorithms(question: &Question) -> Result<Option<Vec<Algorithm>>, ConfigError> {
    let names = question.algorithms.as_ref();
    names.map(|names| names.iter().map(|name| name.parse()).collect()).transpose()
}

/// Judges the token with keys from anywhere.
pub(crate) async fn judge(
    question: &Question,
    source: impl KeySource,
    algorithms: Option<Vec<Algorithm>>,
) -> Result<Explanation, Box<dyn Error>> {
    let mut issuer = match &question.issuer {
        Some(name) => Issuer::new(name, source),
        None => Issuer::danger_any_issuer(source),
    };
    issuer = match &question.audience {
        Some(audience) => issuer.audience(audience),
        None => issuer.danger_any_audience(),
    };
    if let Some(claim) = &question.audience_claim {
        issuer = issuer.audience_claim(claim.clone());
    }
    if let Some(algorithms) = algorithms {
        issuer = issuer.algorithms(algorithms);
    }
    if let Some(typ) = &question.typ {
        issuer = issuer.types([typ.clone()]);
    }
    let clock = question.now.map_or_else(Clock::system, |now| Clock::manual(UnixTime::from_secs(now)));
    let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock).build()?;
    Ok(verifier.explain(&question.token).await)
}

/// A JWK has one algorithm: its `alg`, else its curve's, else for RSA the first in the list, and RS256 without one.
fn from_jwks(jwks: &Value, listed: Option<&[Algorithm]>) -> Result<KeySet, ConfigError> {
    let jwks = match jwks {
        Value::String(text) => serde_json::from_str(text).map_err(|_| ConfigError::new("`jwks` is not JSON"))?,
        object => object.clone(),
    };
    let set = if jwks.get("kty").is_some() { json!({ "keys": [jwks] }) } else { jwks };
    let is_rsa = |algorithm: &&Algorithm| algorithm.name().starts_with(['R', 'P']);
    let rsa = listed.unwrap_or_default().iter().find(is_rsa);
    KeySet::jwk_set_with(set.to_string(), rsa.copied().unwrap_or(Algorithm::RS256))
}

/// A secret names no algorithm: it is a key for each in the list, or of all, for which it is long enough.
fn from_secret(secret: &str, listed: Option<&[Algorithm]>) -> Result<KeySet, ConfigError> {
    let hmac = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    a_key_for_each(listed.unwrap_or(&hmac), |algorithm| Key::secret(algorithm, secret))
}

/// A PEM names a kind of key: it is a key for each algorithm in the list that suits. Without a list, RSA is RS256.
fn from_pem(pem: &str, listed: Option<&[Algorithm]>) -> Result<KeySet, ConfigError> {
    let one_of_a_kind = [
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
        Algorithm::MlDsa44,
        Algorithm::MlDsa65,
        Algorithm::MlDsa87,
    ];
    a_key_for_each(listed.unwrap_or(&one_of_a_kind), |algorithm| Key::pem(algorithm, pem))
}

/// The keys that can be made; where there are none, the reasons.
fn a_key_for_each(
    algorithms: &[Algorithm],
    make: impl Fn(Algorithm) -> Result<Key, ConfigError>,
) -> Result<KeySet, ConfigError> {
    let (mut keys, mut reasons) = (Vec::new(), Vec::new());
    for &algorithm in algorithms {
        match make(algorithm) {
            Ok(key) => keys.push(key),
            Err(reason) => reasons.push(reason.to_string()),
        }
    }
    if keys.is_empty() && !reasons.is_empty() {
        reasons.dedup();
        return Err(ConfigError::new(reasons.join("; ")));
    }
    KeySet::new(keys)
}

fn to_json(explanation: &Explanation) -> Value {
    let error = explanation.error();
    let check = |check: &CheckReport| json!({ "check": check.check().label(), "ok": check.ok(), "saw": check.saw() });
    json!({
        "accepted": explanation.accepted(),
        "kind": error.map(|error| error.kind().label()),
        "detail": error.map(ToString::to_string),
        "checks": explanation.checks().iter().map(check).collect::<Vec<_>>(),
    })
}

/// Whether standard input has questions: its first byte that is not blank is a brace.
pub(crate) fn is_piped_in() -> io::Result<bool> {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        return Ok(false);
    }
    loop {
        let bytes = input.fill_buf()?;
        let blank = bytes.len() - bytes.trim_ascii_start().len();
        match bytes.get(blank) {
            Some(first) => return Ok(*first == b'{'),
            None if bytes.is_empty() => return Ok(false),
            None => input.consume(blank),
        }
    }
}

/// Answers a question a line.
pub(crate) async fn answer_lines() -> io::Result<()> {
    let mut output = io::stdout().lock();
    // Bytes and not text: a line that is no UTF-8 is one more line that is not JSON.
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let explanation = match serde_json::from_slice(&line) {
            Ok(question) => explain(&question).await,
            Err(error) => Err(error.into()),
        };
        let answer = match explanation {
            Ok(explanation) => to_json(&explanation),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}
