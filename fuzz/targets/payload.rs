//! Any bytes as the payload of a token whose signature is good: nothing but the payload decides.
//!
//! - The verdict is that of a plain oracle over `serde_json`: names unique, `iss`, `aud` and the times by the rules of
//!   RFC 7519, no event, no binding; and, last, whether the payload fits the type of the claims.
//! - It is so for every type of claims: all, none, a few, and those that read a claim in a way of their own.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use tower_jwt_auth::AuthErrorKind::{
    self, BindingNotChecked, ClaimsMismatch, Expired, InvalidAudience, InvalidIssuer, MalformedPayload, MalformedTime,
    MissingTime, NotYetValid, SecurityEvent, TokenTooLong,
};
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, Jwt, Verifier};
use tower_jwt_auth_fuzz::json::Members;
use tower_jwt_auth_fuzz::{NOW, authority, clock, now};

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only reading counts")]
struct Few {
    sub: String,
    exp: Option<f64>,
    #[serde(default)]
    aud: serde_json::Value,
    #[serde(rename = "role")]
    role: Option<Role>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only reading counts")]
enum Role {
    One(String),
    Many(Vec<String>),
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only reading counts")]
struct Flat {
    iss: String,
    #[serde(flatten)]
    rest: std::collections::HashMap<String, serde_json::Value>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(Algorithm::HS256));
static ALL: LazyLock<Verifier<serde_json::Value>> = LazyLock::new(verifier);
static NONE: LazyLock<Verifier<IgnoredAny>> = LazyLock::new(verifier);
static FEW: LazyLock<Verifier<Few>> = LazyLock::new(verifier);
static FLAT: LazyLock<Verifier<Flat>> = LazyLock::new(verifier);

fn verifier<C: DeserializeOwned + Send + Sync + 'static>() -> Verifier<C> {
    Verifier::builder().trust(AUTHORITY.trusted()).clock(clock()).build().expect("a verifier")
}

/// Milliseconds of a `NumericDate`, cut off; what is beyond all time is its end.
#[expect(clippy::cast_possible_truncation, reason = "that is the rule: it saturates")]
fn time(claims: &Members, name: &str) -> Result<Option<i64>, AuthErrorKind> {
    let Some(text) = claims.raw(name) else { return Ok(None) };
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Some(seconds.saturating_mul(1000)));
    }
    match serde_json::from_str::<f64>(text) {
        Ok(seconds) => Ok(Some((seconds * 1000.0) as i64)),
        Err(_) => Err(MalformedTime),
    }
}

/// True when a reader of one string or number can read a value: a number beyond all numbers is no number, half a
/// surrogate no text. Where nobody reads it, it does no harm.
fn is_readable(value: &str) -> bool {
    match value.as_bytes()[0] {
        b'"' => serde_json::from_str::<String>(value).is_ok(),
        b'{' => Members::read(value.as_bytes()).is_some(),
        b'-' | b'0'..=b'9' => serde_json::from_str::<f64>(value).is_ok(),
        _ => true,
    }
}

/// The same for what may be an array.
fn are_readable(values: &str) -> bool {
    match serde_json::from_str::<Vec<Box<RawValue>>>(values) {
        Ok(values) => values.iter().all(|value| is_readable(value.get())),
        Err(_) => values.starts_with('{') || is_readable(values),
    }
}

/// The same for `cnf`, in which names are unique too.
fn is_confirmation(cnf: &str) -> bool {
    let members = Members::read(cnf.as_bytes());
    let reads = |members: &Members| ["jkt", "x5t#S256"].iter().filter_map(|name| members.raw(name)).all(is_readable);
    is_readable(cnf) && members.is_none_or(|members| members.are_unique() && reads(&members))
}

fn oracle(payload: &[u8]) -> Result<(), AuthErrorKind> {
    let claims = Members::read(payload).filter(Members::are_unique).ok_or(MalformedPayload)?;
    let ones = ["iss", "sub", "jti", "client_id", "exp", "nbf", "iat", "acr", "auth_time"];
    let reads = ones.iter().filter_map(|name| claims.raw(name)).all(is_readable)
        && ["aud", "scope", "scp"].iter().filter_map(|name| claims.raw(name)).all(are_readable)
        && claims.raw("cnf").is_none_or(is_confirmation);
    if !reads {
        return Err(MalformedPayload);
    }
    let iss = claims.read_as::<String>("iss").and_then(Result::ok);
    if iss.as_deref() != Some(AUTHORITY.name()) {
        return Err(InvalidIssuer);
    }
    let audiences = match claims.read_as::<String>("aud") {
        None => Vec::new(),
        Some(Ok(one)) => vec![one],
        Some(Err(_)) => claims.read_as::<Vec<String>>("aud").and_then(Result::ok).unwrap_or_default(),
    };
    if !audiences.iter().any(|audience| audience == AUTHORITY.audience()) {
        return Err(InvalidAudience);
    }
    let [exp, nbf, _iat] = [time(&claims, "exp")?, time(&claims, "nbf")?, time(&claims, "iat")?];
    let (now, leeway) = (NOW * 1000, 30_000);
    if now >= exp.ok_or(MissingTime)?.saturating_add(leeway) {
        return Err(Expired);
    }
    if nbf.is_some_and(|nbf| now < nbf.saturating_sub(leeway)) {
        return Err(NotYetValid);
    }
    if claims.has("events") {
        return Err(SecurityEvent);
    }
    Ok(())
}

fn judge<C: DeserializeOwned + Send + Sync + 'static>(verifier: &Verifier<C>, token: &str, payload: &[u8]) {
    let verdict = now(verifier.verify(token));
    let mut expected = oracle(payload);
    if token.len() > 16 * 1024 {
        expected = Err(TokenTooLong);
    }
    if expected.is_ok() {
        let claims = Members::read(payload).expect("passed");
        // Bound to something that nobody can check comes before the type of the claims, bound to a key comes last.
        let thumbprints = claims.raw("cnf").map(|cnf| {
            let cnf = Members::read(cnf.as_bytes());
            let text = |name| cnf.as_ref().and_then(|cnf| cnf.read_as::<String>(name));
            let found = [text("jkt"), text("x5t#S256")];
            found.iter().any(Option::is_some) && found.iter().flatten().all(Result::is_ok)
        });
        expected = match thumbprints {
            Some(false) => Err(BindingNotChecked),
            _ if serde_json::from_slice::<C>(payload).is_err() => Err(ClaimsMismatch),
            Some(true) => Err(BindingNotChecked),
            None => Ok(()),
        };
    }
    assert_eq!(verdict.as_ref().map(drop).map_err(AuthError::kind), expected);
    if let Ok(jwt) = verdict {
        agrees(&jwt, payload);
    }
}

/// What the proof says of the token is what stands there.
fn agrees<C: Send + Sync + 'static>(jwt: &Jwt<C>, payload: &[u8]) {
    let claims = Members::read(payload).expect("passed");
    let text = |name| claims.read_as::<String>(name).and_then(Result::ok);
    assert_eq!(jwt.issuer(), text("iss").as_deref());
    assert_eq!(jwt.subject(), text("sub").as_deref());
    assert_eq!(jwt.jwt_id(), text("jti").as_deref());
    assert_eq!(jwt.client_id(), text("client_id").as_deref());
    assert_eq!(jwt.authentication_context(), text("acr").as_deref());
    let secs = |name| time(&claims, name).expect("passed").map(|millis| millis.div_euclid(1000));
    assert_eq!(jwt.expires_at().map(UnixTime::as_secs), secs("exp"));
    assert_eq!(jwt.issued_at().map(UnixTime::as_secs), secs("iat"));
}

fuzz_target!(|payload: &[u8]| -> Corpus {
    let token = AUTHORITY.token().raw_payload(payload).sign();
    judge(&ALL, &token, payload);
    judge(&NONE, &token, payload);
    judge(&FEW, &token, payload);
    judge(&FLAT, &token, payload);
    Corpus::Keep
});
