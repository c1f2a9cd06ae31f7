//! Any request head, as text: a line of method and URI, then a header on each line. The byte 1 stands for a good
//! token, 2 for one that has expired.
//!
//! - The inner service sees no request without the good token in a place where it belongs; of two sources, one is used.
//! - A plain `Authorization: Bearer` with the good token passes; one with the other never does.
//! - Every refusal is well-formed, challenge and all.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Method, Request, Response};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::extract::{Cookie, ExtractToken, Query, WebSocketProtocol};
use tower_jwt_auth::{Algorithm, AuthErrorKind, BearerHeader, Jwt, JwtAuth, Verifier};
use tower_jwt_auth_fuzz::answer;
use tower_jwt_auth_fuzz::parts::fill;
use tower_jwt_auth_fuzz::{authority, clock, now};

struct World {
    good: String,
    expired: String,
    verifier: Verifier<Value>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let authority = authority(Algorithm::HS256);
    World {
        good: authority.token().sign(),
        expired: authority.token().expires_in(-60).sign(),
        verifier: Verifier::builder().trust(authority.trusted()).clock(clock()).build().expect("a verifier"),
    }
});

const COOKIE: &str = "__Host-access";

fn read(input: &[u8]) -> Option<Request<()>> {
    let filled = fill(input, &[&WORLD.good, &WORLD.expired]);
    let mut lines = filled.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let at = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&first[..at]).uri(&first[at + 1..]).body(()).ok()?;
    for line in lines.filter(|line| !line.is_empty()).take(32) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?);
    }
    Some(request)
}

/// What became of a request: whether the inner service saw it, or the kind of the refusal.
fn ask(layer: &JwtAuth<Value>, request: Request<()>) -> Result<(), AuthErrorKind> {
    let service = layer.layer(service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<Jwt<Value>>().is_some(), "it saw a request without a token");
        let mut response = Response::new(());
        response.extensions_mut().insert(Seen);
        Ok::<_, Infallible>(response)
    }));
    let Ok(response) = now(service.oneshot(request));
    match response.extensions().get::<Seen>() {
        Some(Seen) => {
            assert!(!response.headers().contains_key("www-authenticate"));
            Ok(())
        }
        None => Err(answer::check(&response)),
    }
}

#[derive(Clone)]
struct Seen;

fn layer(extractor: impl ExtractToken) -> JwtAuth<Value> {
    JwtAuth::with(WORLD.verifier.clone()).realm("a \"realm\"").extractor(extractor)
}

fn values<'r>(request: &'r Request<()>, name: &str) -> Vec<&'r [u8]> {
    request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// How often a text stands in another.
fn count(haystack: &[u8], needle: &str) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
}

/// The query, its percent-encoding taken off where it is one.
fn query(request: &Request<()>) -> Vec<u8> {
    let text = request.uri().query().unwrap_or_default().as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let digits =
            text.get(at + 1..at + 3).filter(|_| text[at] == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// How often the good token stands in each place.
struct Places {
    cookie: usize,
    query: usize,
    protocol: usize,
}

impl Places {
    fn of(request: &Request<()>) -> Self {
        let count_in = |name| values(request, name).iter().map(|value| count(value, &WORLD.good)).sum();
        Self {
            cookie: count_in("cookie"),
            query: count(&query(request), &WORLD.good),
            protocol: count_in("sec-websocket-protocol"),
        }
    }
}

fn is_from_this_site(request: &Request<()>) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let upgrades = values(request, "upgrade").join(&b',').to_ascii_lowercase();
    let is_handshake = upgrades.split(|byte| *byte == b',').any(|member| member.trim_ascii() == b"websocket");
    if is_safe && !is_handshake {
        return true;
    }
    match *values(request, "sec-fetch-site") {
        [] => values(request, "origin").len() == 1,
        [value] => value == b"same-origin" || value == b"none",
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(request) = read(input) else { return Corpus::Reject };
    let places = Places::of(&request);
    let authorization = values(&request, AUTHORIZATION.as_str());

    let bearer = [JwtAuth::with(WORLD.verifier.clone()), layer(BearerHeader::new())];
    let [by_default, by_extractor] = bearer.map(|layer| ask(&layer, request.clone()));
    assert_eq!(by_default, by_extractor, "the quick way and the extractor");
    let is_plain = |token: &str| *authorization == [format!("Bearer {token}").as_bytes()];
    if by_default.is_ok() {
        let [value] = *authorization else { panic!("{} headers", authorization.len()) };
        let (scheme, rest) = value.split_at(b"bearer ".len());
        assert!(scheme.eq_ignore_ascii_case(b"bearer "));
        assert_eq!(rest.trim_ascii(), WORLD.good.as_bytes());
    }
    assert!(by_default.is_ok() || !is_plain(&WORLD.good));
    assert!(by_default == Err(AuthErrorKind::Expired) || !is_plain(&WORLD.expired));

    let cookie = ask(&layer(Cookie::new(COOKIE)), request.clone());
    assert!(cookie.is_err() || places.cookie > 0 && is_from_this_site(&request));
    let parameter = ask(&layer(Query::access_token()), request.clone());
    assert!(parameter.is_err() || places.query > 0);
    let protocol = ask(&layer(WebSocketProtocol::new()), request.clone());
    assert!(protocol.is_err() || places.protocol > 0);

    let all = || BearerHeader::new().or(Cookie::new(COOKIE)).or(Query::access_token()).or(WebSocketProtocol::new());
    let alone = [by_default, cookie, parameter, protocol];
    let any = ask(&layer(all()), request.clone());
    let absent = alone.iter().filter(|verdict| **verdict == Err(AuthErrorKind::MissingToken)).count();
    // Under the scheme DPoP there may be a credential for another layer: nothing passes here with one.
    let is_dpop = |value: &&[u8]| {
        let scheme = value.trim_ascii().split(|byte| *byte == b' ').next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"dpop"))
    };
    if authorization.iter().any(is_dpop) {
        assert!(any.is_err());
        return Corpus::Keep;
    }
    match absent {
        // One source has something: what it says is what is said.
        3 => assert_eq!(Some(&any), alone.iter().find(|verdict| **verdict != Err(AuthErrorKind::MissingToken))),
        4 => assert_eq!(any, Err(AuthErrorKind::MissingToken)),
        _ => assert!(any.is_err(), "two credentials"),
    }
    let preferring = BearerHeader::new().or(Cookie::new(COOKIE)).prefer_header();
    let preferred = ask(&layer(preferring), request.clone());
    match by_default {
        Err(AuthErrorKind::MissingToken) => assert_eq!(preferred, cookie),
        Ok(()) => assert_eq!(preferred, Ok(())),
        Err(_) => assert!(preferred.is_err(), "a malformed header, and a cookie in its place"),
    }
    Corpus::Keep
});
