//! What holds for every token, request and order of events: properties, each against a plain oracle.
//!
//! `PROPTEST_CASES=100000` makes any of them as long as one likes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::{BearerHeader, Cookie, Query, WebSocketProtocol};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind as Kind, JwtAuth, TokenCache, Verifier};

use crate::support::{read_challenge, verdict};

const NOW: i64 = 1_700_000_000;

/// Signing keys are dear to make: one authority of each kind for all cases.
#[derive(Debug)]
struct World {
    authority: Authority,
    verifier: Verifier<Value>,
    auth: JwtAuth<Value>,
    token: String,
}

fn world(algorithm: Algorithm) -> World {
    let clock = Clock::manual(UnixTime::from_secs(NOW));
    let authority = Authority::new(algorithm).with_clock(clock.clone());
    let builder = Verifier::builder().trust(authority.trusted()).clock(clock).cache(TokenCache::new(100));
    let verifier = builder.build().expect("valid");
    let auth = JwtAuth::with(verifier.clone()).realm("shop");
    let token = authority.token().claim("scope", "a b").sign();
    World { authority, verifier, auth, token }
}

static WORLDS: LazyLock<Vec<World>> = LazyLock::new(|| {
    [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256].map(world).into()
});

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
}

fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

impl World {
    fn judge(&self, token: &str) -> Result<(), Kind> {
        wait(verdict(&self.verifier, token))
    }

    /// What the layer answers, and whether the service was called.
    fn ask(&self, request: Request<()>) -> (Response<()>, bool) {
        ask(&self.auth, request)
    }
}

fn ask(auth: &JwtAuth<Value>, request: Request<()>) -> (Response<()>, bool) {
    let service = auth.layer(service_fn(|_: Request<()>| async {
        let mut response = Response::new(());
        response.extensions_mut().insert(WasCalled);
        Ok::<_, Infallible>(response)
    }));
    let response = wait(service.oneshot(request)).expect("infallible");
    let was_called = response.extensions().get::<WasCalled>().is_some();
    (response, was_called)
}

#[derive(Clone)]
struct WasCalled;

/// What every refusal looks like, whatever was sent.
fn check_refusal(response: &Response<()>) -> Result<(), TestCaseError> {
    let error = response.extensions().get::<AuthError>().expect("every refusal has one");
    let expected = match error.kind() {
        Kind::MalformedCredential | Kind::SeveralCredentials => StatusCode::BAD_REQUEST,
        Kind::CrossSite => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    prop_assert_eq!(response.status(), expected, "{:?}", error);
    let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    prop_assert_eq!(challenges.len(), usize::from(expected != StatusCode::FORBIDDEN));
    for challenge in challenges {
        let challenge = read_challenge(challenge.to_str().expect("ASCII"));
        prop_assert_eq!(&challenge.scheme, "Bearer");
        prop_assert_eq!(challenge.param("realm"), Some("shop"));
        let error_code = match (expected, error.kind()) {
            (StatusCode::BAD_REQUEST, _) => Some("invalid_request"),
            (_, Kind::MissingToken) => None,
            _ => Some("invalid_token"),
        };
        prop_assert_eq!(challenge.param("error"), error_code);
    }
    Ok(())
}

fn any_world() -> impl Strategy<Value = &'static World> {
    (0..WORLDS.len()).prop_map(|at| &WORLDS[at])
}

/// Header values of every shape, and those near a good one.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let legal = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let any_bytes = proptest::collection::vec(any::<u8>().prop_filter("legal in a header", legal), 0..80);
    let near = (any_world(), "[bB][eE]arer? {0,3}", "[ -~]{0,3}", any::<prop::sample::Index>(), any::<u8>());
    prop_oneof![
        any_bytes,
        near.prop_map(|(world, scheme, tail, at, byte)| {
            let mut value = format!("{scheme}{}{tail}", world.token).into_bytes();
            let at = at.index(value.len());
            if (b' '..=b'~').contains(&byte) {
                value[at] = byte;
            }
            value
        }),
        "(Bearer|DPoP|Basic)[ ,=a-zA-Z0-9._~+/-]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn a_token_with_any_bit_flipped_is_refused(world in any_world(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = world.token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // What is no text cannot be handed over at all; the layer is shown it below.
        if let Ok(token) = std::str::from_utf8(&bytes) {
            prop_assert!(world.judge(token).is_err(), "bit {bit} of byte {at}");
        }
        if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &bytes[..]].concat()) {
            let mut request = Request::new(());
            request.headers_mut().insert(AUTHORIZATION, value);
            let (response, was_called) = world.ask(request);
            prop_assert!(!was_called);
            check_refusal(&response)?;
        }
    }

    /// The bits of what was signed, and of the signature, under the same encoding.
    #[test]
    fn a_decoded_segment_with_any_bit_flipped_is_refused(
        world in any_world(), segment in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut segments: Vec<_> = world.token.split('.').map(|text| URL_SAFE_NO_PAD.decode(text).expect("ours")).collect();
        let at = at.index(segments[segment].len());
        segments[segment][at] ^= 1 << bit;
        let token = segments.iter().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).collect::<Vec<_>>().join(".");
        prop_assert!(world.judge(&token).is_err(), "bit {bit} of byte {at} of segment {segment}");
    }

    #[test]
    fn segments_reordered_duplicated_cut_or_extended_are_refused(
        world in any_world(),
        order in proptest::collection::vec(0..3_usize, 0..6),
        cut in proptest::collection::vec(any::<Option<u8>>(), 6),
        extension in "[A-Za-z0-9_.=-]{0,4}",
    ) {
        let segments: Vec<_> = world.token.split('.').collect();
        let pieces = order.iter().zip(&cut).map(|(&at, cut)| {
            let text = segments[at];
            &text[..text.len() - cut.map_or(0, |cut| usize::from(cut) % text.len())]
        });
        let token = format!("{}{extension}", pieces.collect::<Vec<_>>().join("."));
        prop_assume!(token != world.token);
        prop_assert!(world.judge(&token).is_err(), "{order:?} {cut:?} {extension:?}");
    }

    #[test]
    fn segments_of_two_good_tokens_make_no_third(world in any_world(), from in proptest::collection::vec(any::<bool>(), 3), sub in "[a-z]{1,8}") {
        let other = world.authority.token().claim("sub", sub).claim("n", 1).header("typ", "at+jwt").sign();
        let picked: Vec<_> = world.token.split('.').zip(other.split('.')).zip(&from).map(|((one, two), &second)| if second { two } else { one }).collect();
        let token = picked.join(".");
        prop_assert_eq!(world.judge(&token).is_ok(), token == world.token || token == other);
    }

    #[test]
    fn any_header_has_a_well_formed_answer_and_no_panic(
        world in any_world(),
        values in proptest::collection::vec(header_value(), 0..3),
        cookie in proptest::option::of(header_value()),
        query in proptest::option::of("[ -~]{0,40}"),
        protocol in proptest::option::of(header_value()),
        source in 0..5_u8,
        method in prop::sample::select(vec!["GET", "POST", "OPTIONS"]),
    ) {
        let mut request = Request::new(());
        *request.method_mut() = method.parse().expect("a method");
        if let Some(uri) = query.and_then(|query| format!("/orders?access_token={query}").parse().ok()) {
            *request.uri_mut() = uri;
        }
        let named = [("cookie", cookie), ("sec-websocket-protocol", protocol)];
        let all = values.iter().map(|value| ("authorization", value.clone())).chain(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
        for (name, value) in all {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        let auth = match source {
            0 => world.auth.clone(),
            1 => world.auth.clone().extractor(Cookie::new("Bearer")),
            2 => world.auth.clone().extractor(Query::access_token()),
            3 => world.auth.clone().extractor(WebSocketProtocol::new()),
            _ => world.auth.clone().extractor(BearerHeader::new().or(Cookie::new("a").or(Query::access_token())).prefer_header()),
        };
        let (response, was_called) = ask(&auth, request);
        if was_called {
            prop_assert_eq!(response.status(), StatusCode::OK);
        } else {
            check_refusal(&response)?;
        }
    }

    #[test]
    fn the_layer_and_the_verifier_agree(world in any_world(), token in near_a_token()) {
        let alone = world.judge(&token);
        let mut request = Request::new(());
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
            request.headers_mut().insert(AUTHORIZATION, value);
            let (response, was_called) = world.ask(request);
            let kind = response.extensions().get::<AuthError>().map(AuthError::kind);
            prop_assert_eq!(was_called, alone.is_ok());
            // A text that cannot be sent as a token is one reason more.
            prop_assert!(kind == alone.err() || kind == Some(Kind::MalformedCredential), "{:?} {:?}", kind, alone);
        }
    }
}

#[test]
fn the_verdict_is_that_of_the_oracle() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: Config::default().cases * 4, ..Config::default() });
    let outcome = runner.run(&oracle_case(), |case| {
        let world = &WORLDS[case.world];
        let (token, expected) = (case.sign(world), oracle(&case));
        let count = if expected { &accepted } else { &refused };
        count.set(count.get() + 1);
        prop_assert_eq!(world.judge(&token).is_ok(), expected, "{:?}", &case);
        // The second time the header is known, and the verdict may be remembered.
        prop_assert_eq!(world.judge(&token).is_ok(), expected, "again: {:?}", &case);
        let explained = wait(world.verifier.explain(&token));
        prop_assert_eq!(explained.accepted(), expected, "explained: {:?}", &case);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(accepted > refused / 20 && refused > accepted / 20, "{accepted} accepted, {refused} refused");
}

/// Texts around tokens: of their alphabet, and good ones with something changed.
fn near_a_token() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_.=-]{0,60}",
        "[ -~]{0,40}",
        any_world().prop_map(|world| world.token.clone()),
        (any_world(), -100..100_i64).prop_map(|(world, seconds)| world.authority.token().expires_in(seconds).sign()),
        (any_world(), "[a-z-]{1,14}").prop_map(|(world, aud)| world.authority.token().claim("aud", aud).sign()),
    ]
}

/// A token, member by member, as text: duplicates and odd types included.
#[derive(Clone, Debug)]
struct OracleCase {
    world: usize,
    header: Vec<(String, Value)>,
    claims: Vec<(String, Value)>,
    /// How each name is written: as it is, or with its first letter escaped.
    escaped: Vec<bool>,
    is_signed: bool,
}

fn oracle_case() -> impl Strategy<Value = OracleCase> {
    let header = prop_oneof![
        8 => Just(vec![]),
        2 => proptest::collection::vec(header_member(), 0..3),
    ];
    let claims = proptest::collection::vec(claim(), 0..5);
    let (escaped, is_signed) = (proptest::collection::vec(prop::bool::weighted(0.2), 12), prop::bool::weighted(0.9));
    (0..WORLDS.len(), header, claims, escaped, is_signed).prop_map(|(world, header, claims, escaped, is_signed)| {
        OracleCase { world, header, claims, escaped, is_signed }
    })
}

/// `Null` in the place of a value takes the member out, so a JSON null is written as this.
const NULL: &str = "\u{0}null";

fn header_member() -> impl Strategy<Value = (String, Value)> {
    let values = vec![
        ("alg", json!("none")),
        ("alg", json!("HS512")),
        ("alg", json!(NULL)),
        ("alg", Value::Null),
        ("kid", Value::Null),
        ("kid", json!("key-1")),
        ("kid", json!("key-2")),
        ("kid", json!("k".repeat(257))),
        ("kid", json!(1)),
        ("typ", Value::Null),
        ("typ", json!("at+jwt")),
        ("typ", json!("application/JWT")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!(1)),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jku", json!("https://evil.test")),
        ("x", json!({"x": [1, {"y": null}]})),
    ];
    prop::sample::select(values).prop_map(|(name, value)| (name.to_owned(), value))
}

fn claim() -> impl Strategy<Value = (String, Value)> {
    let odd = vec![Value::Null, json!(NULL), json!(true), json!("1700000100"), json!([]), json!({}), json!("")];
    let names = prop::sample::select(vec!["iss", "aud", "exp", "nbf", "iat", "events", "cnf", "sub", "scope", "x"]);
    let time = (-100..100_i64).prop_map(|seconds| NOW + seconds);
    prop_oneof![
        3 => (names, prop::sample::select(odd)).prop_map(|(name, value)| (name.to_owned(), value)),
        2 => (prop::sample::select(vec!["exp", "nbf", "iat"]), time.clone()).prop_map(|(name, at)| (name.to_owned(), json!(at))),
        1 => (prop::sample::select(vec!["exp", "nbf"]), time, 1..9_u8)
            .prop_map(|(name, at, tenth)| (name.to_owned(), serde_json::from_str(&format!("{at}.{tenth}")).expect("a number"))),
        1 => prop::sample::select(vec![
            json!("https://issuer.test"), json!("https://issuer.test/"), json!(["https://issuer.test"]),
        ]).prop_map(|value| ("iss".to_owned(), value)),
        1 => prop::sample::select(vec![
            json!("test-audience"), json!("other"), json!(["other", "test-audience"]), json!(["test-audience", 1]), json!(["other"]),
        ]).prop_map(|value| ("aud".to_owned(), value)),
        1 => prop::sample::select(vec![json!(-1), json!(1e300), json!(-1e300), json!(u64::MAX), json!(i64::MIN)])
            .prop_map(|value| ("exp".to_owned(), value)),
    ]
}

impl OracleCase {
    /// The members of the header in their order, with those that every token has where the case does not say otherwise.
    fn header(&self, world: &World) -> Vec<(String, Value)> {
        let first = world.token.split('.').next().expect("a header");
        let plain: Map<String, Value> =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first).expect("ours")).expect("JSON");
        with_defaults(&self.header, plain)
    }

    fn claims(&self) -> Vec<(String, Value)> {
        let plain = json!({ "iss": "https://issuer.test", "aud": "test-audience", "exp": NOW + 300 });
        with_defaults(&self.claims, plain.as_object().expect("an object").clone())
    }

    fn sign(&self, world: &World) -> String {
        let header = self.write(&self.header(world));
        let payload = self.write(&self.claims());
        let token = world.authority.token().raw_header(header).raw_payload(payload);
        if self.is_signed { token.sign() } else { token.tampered().sign() }
    }

    /// JSON by hand, for no library writes a name twice.
    fn write(&self, members: &[(String, Value)]) -> String {
        let members = members.iter().enumerate().map(|(at, (name, value))| {
            let value = if value == NULL { "null".to_owned() } else { value.to_string() };
            let (first, rest) = name.split_at(1);
            let is_escaped = self.escaped.get(at).is_some_and(|is| *is);
            let first = if is_escaped { format!("\\u{:04x}", first.as_bytes()[0]) } else { first.to_owned() };
            format!("\"{first}{rest}\":{value}")
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// What the case says, and the rest as in a good token; `Null` takes a member out.
fn with_defaults(said: &[(String, Value)], plain: Map<String, Value>) -> Vec<(String, Value)> {
    let is_said = |name: &str| said.iter().any(|(said, _)| said == name);
    let rest = plain.into_iter().filter(|(name, _)| !is_said(name));
    said.iter().filter(|(_, value)| !value.is_null()).cloned().chain(rest).collect()
}

/// The rules, written once more and as plainly as they can be.
fn oracle(case: &OracleCase) -> bool {
    let world = &WORLDS[case.world];
    let (header, claims) = (case.header(world), case.claims());
    let is_unique = |members: &[(String, Value)]| {
        let names: BTreeSet<_> = members.iter().map(|(name, _)| name).collect();
        names.len() == members.len()
    };
    let find = |members: &[(String, Value)], name: &str| {
        members
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| if *value == NULL { Value::Null } else { value.clone() })
    };
    let first = world.token.split('.').next().expect("a header");
    let good: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first).expect("ours")).expect("JSON");

    let alg = find(&header, "alg") == Some(good["alg"].clone());
    let kid = match find(&header, "kid") {
        None => true,
        Some(kid) => kid == good["kid"],
    };
    let typ = match find(&header, "typ") {
        None => true,
        Some(typ) => typ == "JWT" || typ == "at+jwt" || typ == "application/JWT",
    };
    let plain = find(&header, "crit").is_none() && find(&header, "b64").is_none();

    let iss = find(&claims, "iss") == Some(json!("https://issuer.test"));
    let aud = match find(&claims, "aud") {
        Some(Value::String(name)) => name == "test-audience",
        Some(Value::Array(names)) => {
            names.iter().all(Value::is_string) && names.iter().any(|name| name == "test-audience")
        }
        _ => false,
    };
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (now, leeway) = (NOW as f64, 30.0);
    let time = |name: &str, is_fine: &dyn Fn(f64) -> bool| match find(&claims, name) {
        None => true,
        Some(value) => value.as_f64().is_some_and(is_fine),
    };
    let exp = find(&claims, "exp").is_some() && time("exp", &|exp| now < exp + leeway);
    let nbf = time("nbf", &|nbf| now >= nbf - leeway);
    let iat = time("iat", &|_| true);
    let nothing_else = find(&claims, "events").is_none() && find(&claims, "cnf").is_none();
    case.is_signed
        && is_unique(&header)
        && is_unique(&claims)
        && [alg, kid, typ, plain, iss, aud, exp, nbf, iat, nothing_else].iter().all(|is_met| *is_met)
}

#[test]
fn a_flood_of_dots_is_refused_before_it_is_split() {
    let world = &WORLDS[0];
    let time = |token: &str| {
        let start = Instant::now();
        for _ in 0..20 {
            assert!(world.judge(token).is_err());
        }
        start.elapsed()
    };
    assert_eq!(world.judge(&".".repeat(16 * 1024 + 1)), Err(Kind::TokenTooLong));
    assert_eq!(world.judge(&".".repeat(16 * 1024)), Err(Kind::MalformedToken));
    // Sixty-four times the length is no more work, with room for a busy machine.
    let (short, long) = (time(&".".repeat(16 * 1024)), time(&".".repeat(1024 * 1024)));
    assert!(long < 50 * short + std::time::Duration::from_millis(200), "{long:?} against {short:?}");
}
