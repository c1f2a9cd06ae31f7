//! Why is this token refused? The checks in the order in which they are made, and what each of them saw.
//!
//! For a person, with a file that holds a JWK set, or with a secret (the exit code is 1 when the token is refused, and 2
//! when it could not be judged):
//!
//! ```text
//! cargo run --example explain -- --token TOKEN --jwks FILE --issuer NAME --audience NAME
//! cargo run --example explain -- --token TOKEN --secret TEXT
//! ```
//!
//! The token may be pasted with its `Bearer` in front.
//!
//! For a program, a JSON object a line on standard input, and one in answer on standard output:
//!
//! ```text
//! {"token": "…", "secret": "…", "algorithms": ["HS256"], "issuer": "…", "audience": "…", "typ": "at+jwt", "now": 1}
//! {"accepted": false, "kind": "expired", "detail": "…", "checks": [{"check": "envelope", "ok": true, "saw": "…"}, …]}
//! ```
//!
//! The keys are one of `jwks` (a JWK set or one JWK, as an object or as text), `secret` (text) and `pem`. Left out,
//! `issuer` and `audience` may be any, `typ` is what the crate takes by default, `algorithms` are what the keys name,
//! and `now` (Unix seconds) is the clock's. Keys that cannot be used refuse the token with `keys_unavailable`. A line
//! that cannot be understood is answered with `{"error": "…"}`, an empty one not at all.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{Key, KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::verify::{CheckReport, Explanation};
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, KeySet, Verifier};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    token: String,
    jwks: Option<Value>,
    secret: Option<String>,
    pem: Option<String>,
    algorithms: Option<Vec<String>>,
    issuer: Option<String>,
    audience: Option<String>,
    typ: Option<String>,
    now: Option<i64>,
}

async fn explain(question: Question) -> Result<Explanation, Box<dyn Error>> {
    let listed = question.algorithms.map(|names| names.iter().map(|name| name.parse()).collect());
    let listed: Option<Vec<Algorithm>> = listed.transpose()?;
    let keys = match (question.jwks, question.secret, question.pem) {
        (Some(jwks), None, None) => from_jwks(jwks, listed.as_deref()),
        (None, Some(secret), None) => from_secret(&secret, listed.as_deref()),
        (None, None, Some(pem)) => from_pem(&pem, listed.as_deref()),
        _ => return Err("give the keys as one of `jwks`, `secret` and `pem`".into()),
    };
    let of_keys = || Some(keys.as_ref().ok()?.iter().map(Key::algorithm).collect());
    let algorithms = listed.or_else(of_keys);

    // Broken keys are told at the check that needs them, so that an answer has its checks whatever is wrong.
    let source = move |_: &KeyQuery<'_>| match &keys {
        Ok(keys) => KeyLookup::ready(keys.clone()),
        Err(error) => KeyLookup::failed(KeyError::new(error.to_string())),
    };
    let mut issuer = match question.issuer {
        Some(name) => Issuer::new(name, source),
        None => Issuer::danger_any_issuer(source),
    };
    issuer = match question.audience {
        Some(audience) => issuer.audience(audience),
        None => issuer.danger_any_audience(),
    };
    if let Some(algorithms) = algorithms {
        issuer = issuer.algorithms(algorithms);
    }
    if let Some(typ) = question.typ {
        issuer = issuer.types([typ]);
    }
    let clock = question.now.map_or_else(Clock::system, |now| Clock::manual(UnixTime::from_secs(now)));
    let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock).build()?;
    Ok(verifier.explain(&question.token).await)
}

/// A JWK has one algorithm: its `alg`, else its curve's, else for RSA the first in the list, and RS256 without one.
fn from_jwks(jwks: Value, listed: Option<&[Algorithm]>) -> Result<KeySet, ConfigError> {
    let jwks = match jwks {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| ConfigError::new("`jwks` is not JSON"))?,
        object => object,
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

async fn answer_lines() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    // Bytes and not text: a line that is no UTF-8 is one more line that is not JSON.
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let explanation = match serde_json::from_slice(&line) {
            Ok(question) => explain(question).await,
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

fn print_for_a_person(explanation: &Explanation, notes: &[&str]) {
    let error = explanation.error();
    for check in explanation.checks() {
        let verdict = if check.ok() { "ok" } else { "FAILED" };
        // A token must not control the terminal.
        let saw = check.saw().replace(char::is_control, "\u{fffd}");
        println!("{verdict:<8}{:<11}{saw}", check.check().label());
    }
    // Right above the verdict, which they qualify.
    for note in notes {
        println!("{note}");
    }
    match error {
        Some(error) => println!("refused: {} ({error})", error.kind()),
        None => println!("accepted"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Some(mut question) = options() else {
        answer_lines().await?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut notes = Vec::new();
    if let Some(token) = without_scheme(&question.token) {
        question.token = token.to_owned();
        notes.push("the `Bearer` in front of the token is left out");
    }
    notes.extend(not_checked(&question));
    let explanation = explain(question).await.unwrap_or_else(|error| refuse(&error.to_string()));
    print_for_a_person(&explanation, &notes);
    Ok(ExitCode::from(u8::from(!explanation.accepted())))
}

/// The token of a pasted header, whose scheme is spelled in any case (RFC 9110 §11.1).
fn without_scheme(pasted: &str) -> Option<&str> {
    let (scheme, token) = pasted.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start_matches(' '))
}

fn not_checked(question: &Question) -> Option<&'static str> {
    match (&question.issuer, &question.audience) {
        (None, None) => Some("issuer and audience not checked (give --issuer, --audience)"),
        (None, Some(_)) => Some("issuer not checked (give --issuer)"),
        (Some(_), None) => Some("audience not checked (give --audience)"),
        (Some(_), Some(_)) => None,
    }
}

/// The question that the options ask, or none without options.
fn options() -> Option<Question> {
    if std::env::args().len() <= 1 {
        return None;
    }
    let (mut token, mut file, mut question) = (None, None, Question::default());
    let mut options = std::env::args().skip(1);
    while let Some(option) = options.next() {
        let value = match option.as_str() {
            "--token" => &mut token,
            "--jwks" => &mut file,
            "--secret" => &mut question.secret,
            "--issuer" => &mut question.issuer,
            "--audience" => &mut question.audience,
            _ => refuse(&format!("{option}: {OPTIONS}")),
        };
        *value = Some(options.next().unwrap_or_else(|| refuse(&format!("{option} has no value: {OPTIONS}"))));
    }
    question.token = token.unwrap_or_else(|| refuse(&format!("the token is missing: {OPTIONS}")));
    if file.is_some() == question.secret.is_some() {
        refuse(&format!("give the keys as one of --jwks and --secret: {OPTIONS}"));
    }
    question.jwks = file.map(|file| match std::fs::read_to_string(&file) {
        Ok(text) => text.into(),
        Err(error) => refuse(&format!("{file}: {error}")),
    });
    Some(question)
}

const OPTIONS: &str = "the options are `--token TOKEN`, one of `--jwks FILE` and `--secret TEXT`, and, to check them, \
                       `--issuer NAME` and `--audience NAME`; without any, standard input is read";

fn refuse(what: &str) -> ! {
    eprintln!("error: {what}");
    std::process::exit(2)
}
