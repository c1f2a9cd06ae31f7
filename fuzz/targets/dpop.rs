//! Any text as a DPoP proof, or a good proof with changes to it.
//!
//! - Text: the bytes 1 to 3 stand for the segments of a good proof. What passes is that proof.
//! - Changes: a proof signed with the right key, in which a few members are set, left out or replaced. The verdict is
//!   that of a plain oracle after RFC 9449 §4.3.
//! - What has passed once does not pass again.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use http::{HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::binding::{Dpop, MemoryReplayStore};
use tower_jwt_auth::testing::{Authority, DpopClient, ProofBuilder};
use tower_jwt_auth::{Algorithm, AuthErrorKind, JwtAuth, Verifier};
use tower_jwt_auth_fuzz::answer;
use tower_jwt_auth_fuzz::parts::{fill, segments};
use tower_jwt_auth_fuzz::{NOW, authority, clock, now};
use url::Url;

const BASE: &str = "https://api.test/v1";
const PATH: &str = "/orders/1";

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Text(&'a [u8]),
    Changes { method: Method, changes: Vec<Change<'a>>, is_tampered: bool },
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

#[derive(Arbitrary, Debug)]
enum Change<'a> {
    Header(HeaderName, Json<'a>),
    /// A member of the key in the header.
    Key(KeyMember, Json<'a>),
    Claim(Claim, Json<'a>),
    Without(Claim),
    /// Near the bounds of time.
    Iat(i16),
    Htu(Htu<'a>),
    Htm(Method),
}

#[derive(Arbitrary, Debug)]
enum HeaderName {
    Typ,
    Alg,
    Kid,
    Crit,
    Other,
}

#[derive(Arbitrary, Debug)]
enum KeyMember {
    Kty,
    Crv,
    X,
    D,
    K,
    Alg,
    Use,
    Kid,
}

#[derive(Arbitrary, Debug)]
enum Claim {
    Jti,
    Htm,
    Htu,
    Iat,
    Ath,
    Nonce,
    Other,
}

/// Texts around the right URL.
#[derive(Arbitrary, Debug)]
enum Htu<'a> {
    Behind(&'a str),
    Before(&'a str),
    Cut(u8),
    Capitals,
    Port,
}

#[derive(Debug)]
struct Json<'a>(Value, std::marker::PhantomData<&'a ()>);

impl<'a> Arbitrary<'a> for Json<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const WORDS: [&str; 8] = ["dpop+jwt", "DPoP+JWT", "JWT", "ES256", "HS256", "none", "GET", "P-256"];
        let value = match u.int_in_range(0..=7)? {
            0 => json!(u.choose(&WORDS)?),
            1 => json!(<&str>::arbitrary(u)?),
            2 => json!(i64::arbitrary(u)?),
            3 => json!(f64::arbitrary(u)?),
            4 => json!([<&str>::arbitrary(u)?]),
            5 => json!({"jkt": <&str>::arbitrary(u)?}),
            6 => json!(bool::arbitrary(u)?),
            _ => Value::Null,
        };
        Ok(Self(value, std::marker::PhantomData))
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

macro_rules! names {
    ($($type:ident { $($variant:ident => $name:literal,)* })*) => {
        $(impl $type {
            fn name(&self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        })*
    };
}

names! {
    HeaderName { Typ => "typ", Alg => "alg", Kid => "kid", Crit => "crit", Other => "x", }
    KeyMember { Kty => "kty", Crv => "crv", X => "x", D => "d", K => "k", Alg => "alg", Use => "use", Kid => "kid", }
    Claim {
        Jti => "jti", Htm => "htm", Htu => "htu", Iat => "iat", Ath => "ath", Nonce => "nonce", Other => "x",
    }
}

impl Htu<'_> {
    fn url(&self) -> String {
        let url = format!("{BASE}{PATH}");
        match self {
            Self::Behind(text) => format!("{url}{text}"),
            Self::Before(text) => format!("{text}{url}"),
            Self::Cut(end) => url.chars().take(usize::from(*end)).collect(),
            Self::Capitals => url.replacen("https://api.test", "HTTPS://API.Test", 1),
            Self::Port => url.replacen("api.test", "api.test:443", 1),
        }
    }
}

struct World {
    token: String,
    client: DpopClient,
    verifier: Verifier<Value>,
    _issuer: Authority,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let issuer = authority(Algorithm::HS256);
    let client = DpopClient::new(Algorithm::ES256).with_clock(clock());
    World {
        token: issuer.token().claim("cnf", json!({"jkt": client.thumbprint()})).sign(),
        verifier: Verifier::builder().trust(issuer.trusted()).clock(clock()).build().expect("a verifier"),
        client,
        _issuer: issuer,
    }
});

/// A good proof, for the text that holds its segments.
static PROOF: LazyLock<String> = LazyLock::new(|| proof(Method::Get).sign());

fn proof(method: Method) -> ProofBuilder<'static> {
    WORLD.client.proof(method.name(), &format!("{BASE}{PATH}"), &WORLD.token)
}

/// Sends the same request twice to a fresh layer.
fn ask(proof: &HeaderValue, method: Method) -> [Result<(), AuthErrorKind>; 2] {
    let dpop = Dpop::new(BASE).expect("a URL").replay_store(MemoryReplayStore::with_bounds(8, 8));
    let layer = JwtAuth::with(WORLD.verifier.clone()).dpop(dpop);
    let request = Request::builder()
        .method(method.name())
        .uri(PATH)
        .header("authorization", format!("DPoP {}", WORLD.token))
        .header("dpop", proof)
        .body(())
        .expect("a request");
    [(); 2].map(|()| {
        let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(true))));
        let Ok(response) = now(service.oneshot(request.clone()));
        if *response.body() { Ok(()) } else { Err(answer::check(&response)) }
    })
}

/// What is in the proof after the changes, as the client would see it.
struct Expected {
    is_tampered: bool,
    header: Map<String, Value>,
    /// Members of the key that were set.
    key: Map<String, Value>,
    claims: Map<String, Value>,
}

/// The hash of the token, which only the client's library knows.
fn right_hash() -> Value {
    json!({"of": "the token"})
}

impl Expected {
    fn htu(&self) -> &str {
        self.claims.get("htu").and_then(Value::as_str).unwrap_or_default()
    }

    /// Every check but that of `htu`.
    #[expect(clippy::cast_precision_loss, reason = "times of this century are exact")]
    fn passes(&self, method: Method) -> bool {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        let is_typed = self.header["typ"].as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt"));
        let is_named = self.header.get("kid").is_none_or(|kid| kid.as_str().is_some_and(|kid| kid.len() <= 256));
        let is_plain = !self.header.contains_key("crit") && is_named;
        // Absent or null, or a string.
        let is_nonce = self.claims.get("nonce").is_none_or(|nonce| nonce.is_string() || nonce.is_null());
        let iat = self.claims.get("iat").and_then(Value::as_f64);
        let is_good_key = self.key.iter().all(|(name, value)| match name.as_str() {
            "kid" => value.is_string(),
            "use" => value == "sig",
            "alg" => value == "ES256",
            "crv" => value == "P-256",
            "kty" => value == "EC",
            _ => false,
        });
        !self.is_tampered
            && is_typed
            && is_plain
            && self.header["alg"] == "ES256"
            && is_good_key
            && text("jti").is_some_and(|jti| (1..=256).contains(&jti.len()))
            && text("htm") == Some(method.name())
            && iat.is_some_and(|iat| iat > (NOW - 300) as f64 && iat <= (NOW + 30) as f64)
            && self.claims.get("ath") == Some(&right_hash())
            && is_nonce
    }
}

/// By the reader of URLs that browsers have.
fn is_this_url(text: &str) -> bool {
    let Ok(mut url) = Url::parse(text) else { return false };
    url.set_query(None);
    url.set_fragment(None);
    url.as_str() == format!("{BASE}{PATH}")
}

/// Where a browser's reader and the normal form of RFC 3986 may differ: either may have its way.
fn is_odd_url(text: &str) -> bool {
    let text = text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let is_plain = text.starts_with("https://") && text.bytes().all(|byte| byte.is_ascii_graphic());
    !is_plain || text.starts_with("https:///") || ["\\", "%", "@", "/.", ":0"].iter().any(|odd| text.contains(odd))
}

fn change<'p>(proof: ProofBuilder<'p>, changes: &[Change<'_>], expected: &mut Expected) -> ProofBuilder<'p> {
    let claim = |proof: ProofBuilder<'p>, name: &str, value: Value, expected: &mut Expected| {
        expected.claims.insert(name.to_owned(), value.clone());
        proof.claim(name, value)
    };
    changes.iter().fold(proof, |proof, change| match change {
        Change::Header(name, value) => {
            expected.header.insert(name.name().to_owned(), value.0.clone());
            proof.header(name.name(), &value.0)
        }
        Change::Key(member, value) => {
            expected.key.insert(member.name().to_owned(), value.0.clone());
            proof.jwk_member(member.name(), &value.0)
        }
        Change::Claim(name, value) => claim(proof, name.name(), value.0.clone(), expected),
        Change::Without(name) => {
            expected.claims.remove(name.name());
            proof.without(name.name())
        }
        Change::Iat(offset) => claim(proof, "iat", json!(NOW + i64::from(*offset)), expected),
        Change::Htu(htu) => claim(proof, "htu", json!(htu.url()), expected),
        Change::Htm(method) => claim(proof, "htm", json!(method.name()), expected),
    })
}

fuzz_target!(|input: Input<'_>| {
    let (verdicts, may_pass, must_pass) = match input {
        Input::Text(text) => {
            let text = fill(text, &segments(&PROOF));
            let Ok(value) = HeaderValue::from_bytes(&text) else { return };
            let is_good = text == PROOF.as_bytes();
            (ask(&value, Method::Get), is_good, is_good)
        }
        Input::Changes { method, changes, is_tampered } => {
            let claims = [
                ("jti", json!("j")),
                ("htm", json!(method.name())),
                ("htu", json!(format!("{BASE}{PATH}"))),
                ("iat", json!(NOW)),
                ("ath", right_hash()),
            ];
            let claims = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
            let header = Map::from_iter([("typ".into(), json!("dpop+jwt")), ("alg".into(), json!("ES256"))]);
            let mut expected = Expected { is_tampered, header, key: Map::new(), claims };
            let proof = change(proof(method), &changes, &mut expected);
            let text = if is_tampered { proof.tampered().sign() } else { proof.sign() };
            let Ok(value) = HeaderValue::from_str(&text) else { return };
            let passes = text.len() <= 8 * 1024 && expected.passes(method);
            let (is_right, is_odd) = (is_this_url(expected.htu()), is_odd_url(expected.htu()));
            (ask(&value, method), passes && (is_right || is_odd), passes && is_right && !is_odd)
        }
    };
    assert!(may_pass || verdicts[0] == Err(AuthErrorKind::InvalidDpopProof), "{verdicts:?}");
    assert!(!must_pass || verdicts[0].is_ok(), "{verdicts:?}");
    assert_eq!(verdicts[1], Err(AuthErrorKind::InvalidDpopProof), "once is enough");
});
