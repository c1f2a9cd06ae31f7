//! Guards: what each asks of a verified token, and how it answers, as layers and as extractors.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::authorize::{Require, StepUp};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::testing::{Authority, TokenBuilder};
use tower_jwt_auth::{Algorithm, AnyJwt, AuthError, Jwt, JwtAuth, RequireScopes, Scoped, Scopes, TokenCache, Verifier};

use crate::redaction::Log;
use crate::support::{Claims, read_challenge};

const NOW: i64 = 1_700_000_000;

struct World {
    authority: Authority,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(UnixTime::from_secs(NOW));
        Self { authority: Authority::new(Algorithm::ES256).with_clock(clock.clone()), clock }
    }

    /// A layer that remembers, so that every guard is shown to work on a remembered verdict too.
    fn auth(&self) -> JwtAuth<Claims> {
        let builder = Verifier::builder().trust(self.authority.trusted()).clock(self.clock.clone());
        JwtAuth::with(builder.cache(TokenCache::new(100)).build().expect("valid")).realm("shop")
    }

    fn token(&self, claims: &Value) -> String {
        self.authority.token().claims(claims).sign()
    }
}

async fn nothing(_: Request<String>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(String::new()))
}

/// What is answered to a request with this token, over HTTP and gRPC.
async fn ask<S>(service: &S, token: Option<&str>) -> (StatusCode, HeaderMap, String)
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible> + Clone,
{
    let request = |grpc: bool| {
        let mut request = Request::builder().method("POST");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if grpc {
            request = request.header("content-type", "application/grpc");
        }
        request.body(String::new()).expect("a request")
    };
    let response = service.clone().oneshot(request(false)).await.expect("infallible");
    let grpc = service.clone().oneshot(request(true)).await.expect("infallible");
    assert_eq!(grpc.status(), StatusCode::OK);
    let grpc = grpc.headers().get("grpc-status").map_or("0", |value| value.to_str().expect("ASCII")).to_owned();
    (response.status(), response.headers().clone(), grpc)
}

/// A guard in front of nothing judges tokens with these claims: whether they pass.
async fn judge<L>(guard: L, cases: &[(Value, bool)], refused: (StatusCode, &str)) -> Option<HeaderMap>
where
    L: Layer<tower::util::ServiceFn<fn(Request<String>) -> Nothing>>,
    L::Service: Service<Request<String>, Response = Response<String>, Error = Infallible> + Clone,
{
    let world = World::new();
    let inner: fn(Request<String>) -> Nothing = |request| Box::pin(nothing(request));
    let service = world.auth().layer(guard.layer(service_fn(inner)));
    let mut refusal = None;
    for (claims, passes) in cases {
        let token = world.token(claims);
        // The second time the verdict is remembered.
        for _ in 0..2 {
            let (status, headers, grpc) = ask(&service, Some(&token)).await;
            let expected = if *passes { (StatusCode::OK, "0") } else { refused };
            assert_eq!((status, grpc.as_str()), expected, "{claims}");
            refusal = (!passes).then_some(headers).or(refusal);
        }
    }
    refusal
}

type Nothing = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

fn challenge(headers: &HeaderMap) -> Option<crate::support::ReadChallenge> {
    headers.get("www-authenticate").map(|value| read_challenge(value.to_str().expect("ASCII")))
}

#[tokio::test]
async fn scopes_are_needed_all_or_any() {
    let forbidden = (StatusCode::FORBIDDEN, "7");
    let cases = [
        (json!({"scope": "a b"}), true),
        (json!({"scope": ["b", "a", "c"]}), true),
        (json!({"scp": ["a", "b"]}), true),
        (json!({"scp": "a", "scope": "b"}), true),
        (json!({"scope": "a"}), false),
        (json!({"scope": "ab"}), false),
        (json!({"scope": "A B"}), false),
        (json!({"scope": ["a b"]}), false),
        (json!({"scope": {"a": "b"}}), false),
        (json!({}), false),
    ];
    let headers = judge(RequireScopes::all(["a", "b"]), &cases, forbidden).await.expect("a refusal");
    let read = challenge(&headers).expect("a challenge");
    assert_eq!((read.param("error"), read.param("scope")), (Some("insufficient_scope"), Some("a b")));
    assert_eq!(read.param("realm"), Some("shop"));

    let cases = [
        (json!({"scope": "a"}), true),
        (json!({"scope": "x b"}), true),
        (json!({"scope": "x ab"}), false),
        (json!({}), false),
    ];
    let headers = judge(RequireScopes::any(["a", "b"]), &cases, forbidden).await.expect("a refusal");
    assert_eq!(challenge(&headers).expect("a challenge").param("scope"), Some("a b"));

    assert!(RequireScopes::try_any(Vec::<String>::new()).is_err());
    assert!(RequireScopes::try_any(["a b"]).is_err());
    assert!(RequireScopes::try_all(["a\""]).is_err());
}

/// For the log: with several guards, which one it was.
#[tokio::test]
async fn the_detail_says_what_a_guard_needs() {
    let world = World::new();
    let token = world.token(&json!({"scope": "a"}));
    let detail = async |service: BoxCloneSyncService<Request<String>, Response<String>, Infallible>| {
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let response = service.oneshot(request.body(String::new()).expect("a request")).await.expect("infallible");
        response.extensions().get::<AuthError>().and_then(|error| error.detail().map(str::to_owned))
    };
    let guarded = |guard: RequireScopes| BoxCloneSyncService::new(world.auth().layer(guard.layer(service_fn(nothing))));
    assert_eq!(detail(guarded(RequireScopes::all(["b", "c"]))).await.as_deref(), Some("needs b c"));
    assert_eq!(detail(guarded(RequireScopes::any(["b", "c"]))).await.as_deref(), Some("needs one of b c"));
    let strong = StepUp::acr_values(["phr"]).expect("a value").and_max_age(Duration::from_secs(600));
    let strong = BoxCloneSyncService::new(world.auth().layer(strong.layer(service_fn(nothing))));
    assert_eq!(detail(strong).await.as_deref(), Some(r#"needs acr_values="phr", max_age="600""#));
}

#[tokio::test]
async fn a_scope_is_granted_by_its_whole_name() {
    let world = World::new();
    let verifier = Verifier::<Value>::builder().trust(world.authority.trusted()).clock(world.clock.clone());
    let verifier = verifier.build().expect("valid");
    for (scope, granted, others) in [
        ("a bc d", &["a", "bc", "d"][..], &["", " ", "b", "c", "a bc", "bc d", "D", "abc"][..]),
        ("a", &["a"], &["", "aa"]),
        ("", &[], &["", "a"]),
    ] {
        let jwt = verifier.verify(&world.token(&json!({"scope": scope}))).await.expect("valid");
        assert!(granted.iter().all(|name| jwt.has_scope(name)), "{scope}");
        assert!(!others.iter().any(|name| jwt.has_scope(name)), "{scope}");
        assert_eq!(jwt.scopes().collect::<Vec<_>>(), granted);
    }
}

#[tokio::test]
async fn a_predicate_is_answered_403_without_a_challenge() {
    let guard = Require::new(|jwt: &Jwt<Claims>| jwt.claims().sub == "admin" && jwt.has_scope("x"));
    let cases = [
        (json!({"sub": "admin", "scope": "x"}), true),
        (json!({"sub": "admin"}), false),
        (json!({"sub": "user", "scope": "x"}), false),
    ];
    let headers = judge(guard, &cases, (StatusCode::FORBIDDEN, "7")).await.expect("a refusal");
    assert!(challenge(&headers).is_none());
    assert_eq!(headers["cache-control"], "no-store");
}

/// RFC 9470 section 3.
#[tokio::test]
async fn step_up_asks_for_a_stronger_or_more_recent_authentication() {
    let unauthorized = (StatusCode::UNAUTHORIZED, "16");
    // The leeway is 30 seconds.
    let age = Duration::from_secs(300);
    let at = |seconds_ago: i64| json!({"auth_time": NOW - seconds_ago});
    let cases = [
        (at(0), true),
        (at(329), true),
        (at(330), false),
        (at(-30), true),
        (at(-31), false),
        (json!({}), false),
        (json!({"auth_time": null}), false),
        (json!({"auth_time": (NOW - 1).to_string()}), false),
        (json!({"auth_time": f64::from(u32::MAX) * 1e300}), false),
    ];
    let headers = judge(StepUp::max_age(age), &cases, unauthorized).await.expect("a refusal");
    let read = challenge(&headers).expect("a challenge");
    assert_eq!((read.scheme.as_str(), read.param("realm")), ("Bearer", Some("shop")));
    assert_eq!(read.param("error"), Some("insufficient_user_authentication"));
    assert_eq!((read.param("max_age"), read.param("acr_values")), (Some("300"), None));

    let cases = [
        (json!({"acr": "phr"}), true),
        (json!({"acr": "phrh"}), true),
        (json!({"acr": "ph"}), false),
        (json!({"acr": "phr phrh"}), false),
        (json!({"acr": ["phr"]}), false),
        (json!({"acr": 1}), false),
        (json!({}), false),
    ];
    let guard = || StepUp::acr_values(["phr", "phrh"]).expect("valid");
    let headers = judge(guard(), &cases, unauthorized).await.expect("a refusal");
    let read = challenge(&headers).expect("a challenge");
    assert_eq!((read.param("max_age"), read.param("acr_values")), (None, Some("phr phrh")));

    let both = |acr: &str, seconds_ago: i64| json!({"acr": acr, "auth_time": NOW - seconds_ago});
    let cases = [(both("phr", 100), true), (both("phr", 400), false), (both("x", 100), false)];
    let headers = judge(guard().and_max_age(age), &cases, unauthorized).await.expect("a refusal");
    let read = challenge(&headers).expect("a challenge");
    assert_eq!((read.param("max_age"), read.param("acr_values")), (Some("300"), Some("phr phrh")));

    assert!(StepUp::acr_values(Vec::<String>::new()).is_err());
    for wrong in ["", "a b", "a\"", "a\\", "\u{e9}", "a\n"] {
        assert!(StepUp::acr_values([wrong]).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_remembered_token_grows_too_old_for_a_step_up() {
    let world = World::new();
    let service = world.auth().layer(StepUp::max_age(Duration::from_secs(60)).layer(service_fn(nothing)));
    let token = world.token(&json!({"auth_time": NOW}));
    assert_eq!(ask(&service, Some(&token)).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_secs(89));
    assert_eq!(ask(&service, Some(&token)).await.0, StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&service, Some(&token)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guards_stack_and_the_first_that_refuses_answers() {
    let world = World::new();
    let service = ServiceBuilder::new()
        .layer(world.auth())
        .layer(RequireScopes::all(["a"]))
        .layer(StepUp::acr_values(["phr"]).expect("valid"))
        .layer(Require::new(|jwt: &Jwt<Claims>| jwt.claims().sub == "admin"))
        .service(service_fn(nothing));
    let cases = [
        (json!({"scope": "a", "acr": "phr", "sub": "admin"}), StatusCode::OK),
        (json!({"scope": "a", "acr": "phr", "sub": "user"}), StatusCode::FORBIDDEN),
        (json!({"scope": "a", "acr": "x", "sub": "admin"}), StatusCode::UNAUTHORIZED),
        (json!({"scope": "x", "acr": "x", "sub": "user"}), StatusCode::FORBIDDEN),
    ];
    for (claims, expected) in cases {
        assert_eq!(ask(&service, Some(&world.token(&claims))).await.0, expected, "{claims}");
    }
    assert_eq!(ask(&service, None).await.0, StatusCode::UNAUTHORIZED);
}

type Boxed = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

/// Each guard alone, around nothing.
fn alone() -> Vec<(&'static str, Boxed)> {
    vec![
        ("RequireScopes", Boxed::new(RequireScopes::all(["a"]).layer(service_fn(nothing)))),
        ("Require", Boxed::new(Require::new(|_: &Jwt<Claims>| true).layer(service_fn(nothing)))),
        ("StepUp", Boxed::new(StepUp::max_age(Duration::MAX).layer(service_fn(nothing)))),
    ]
}

#[tokio::test]
async fn a_guard_without_a_layer_in_front_is_a_500_that_the_log_explains() {
    for (name, service) in alone() {
        let log = Log::start();
        let token = World::new().token(&json!({"scope": "a", "auth_time": NOW}));
        let (status, headers, grpc) = ask(&service, Some(&token)).await;
        assert_eq!((status, grpc.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "13"), "{name}");
        assert!(challenge(&headers).is_none(), "{name}");
        let text = log.text();
        assert!(text.contains("ERROR") && text.contains(name) && text.contains("no layer `JwtAuth`"), "{text}");
    }
}

#[tokio::test]
async fn where_authentication_is_optional_a_guard_wants_a_token_all_the_same() {
    let world = World::new();
    for (name, service) in alone() {
        let service = world.auth().optional().layer(service);
        let (status, headers, grpc) = ask(&service, None).await;
        assert_eq!((status, grpc.as_str()), (StatusCode::UNAUTHORIZED, "16"), "{name}");
        let read = challenge(&headers).expect("a challenge");
        assert_eq!((read.param("error"), read.param("realm")), (None, Some("shop")), "{name}");
    }
}

#[derive(Deserialize)]
struct OtherClaims {}

#[tokio::test]
async fn a_predicate_on_other_claims_than_the_nearest_layer_verifies_is_a_500_that_names_both() {
    let (outer, inner) = (World::new(), World::new());
    let other = JwtAuth::<OtherClaims>::with(
        Verifier::builder().trust(inner.authority.trusted()).clock(inner.clock.clone()).build().expect("valid"),
    );
    let guard = Require::new(|_: &Jwt<Claims>| true);
    // The inner layer takes its token from elsewhere, so that both pass.
    let inner_token = tower_jwt_auth::extract::Header::new("x-inner").expect("a name");
    let service = ServiceBuilder::new()
        .layer(outer.auth())
        .layer(other.clone().extractor(inner_token))
        .layer(guard.clone())
        .service(service_fn(nothing));
    let log = Log::start();
    let request = Request::builder()
        .header("authorization", format!("Bearer {}", outer.authority.token().sign()))
        .header("x-inner", inner.authority.token().sign());
    let response = service.oneshot(request.body(String::new()).expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = log.text();
    assert!(text.contains("support::Claims") && text.contains("OtherClaims"), "{text}");

    // Without the outer layer it is the same.
    let service = other.layer(guard.layer(service_fn(nothing)));
    assert_eq!(ask(&service, Some(&inner.authority.token().sign())).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

struct ReadAndWrite;

impl Scopes for ReadAndWrite {
    const ALL: &'static [&'static str] = &["orders:read", "orders:write"];
}

#[tokio::test]
async fn a_handler_can_name_its_scopes_in_its_signature() {
    let authority = Authority::new(Algorithm::ES256);
    let handler = async |jwt: Scoped<ReadAndWrite, Claims>| jwt.claims().sub.clone();
    let open = Router::new().route("/", get(handler));
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").realm("shop").optional();
    let app = open.clone().layer(auth);
    let sign = |change: fn(TokenBuilder<'_>) -> TokenBuilder<'_>| Some(change(authority.token()).sign());
    let cases = [
        (sign(|token| token.claim("scope", "orders:write x orders:read")), StatusCode::OK, None),
        (sign(|token| token.claim("scope", "orders:read")), StatusCode::FORBIDDEN, Some("insufficient_scope")),
        (sign(|token| token), StatusCode::FORBIDDEN, Some("insufficient_scope")),
        (None, StatusCode::UNAUTHORIZED, None),
    ];
    let request = |token: Option<&String>| {
        let mut request = Request::builder().uri("/");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::empty()).expect("a request")
    };
    for (token, status, error) in cases {
        let response = app.clone().oneshot(request(token.as_ref())).await.expect("infallible");
        assert_eq!(response.status(), status);
        let read = challenge(response.headers());
        assert_eq!(read.as_ref().and_then(|read| read.param("error")), error);
        let scope = read.as_ref().and_then(|read| read.param("scope"));
        assert_eq!(scope, error.map(|_| "orders:read orders:write"));
        assert!(read.is_none_or(|read| read.param("realm") == Some("shop")));
    }
    let response = open.oneshot(request(None)).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn scoped_asks_the_innermost_layer() {
    let (outer, inner) = (World::new(), World::new());
    let verifier = Verifier::builder().trust(inner.authority.trusted()).clock(inner.clock.clone());
    let other = JwtAuth::<OtherClaims>::with(verifier.build().expect("valid")).optional();
    let other = other.extractor(tower_jwt_auth::extract::Header::new("x-inner").expect("a name"));
    let app = Router::new()
        .route("/", get(async |_: Scoped<ReadAndWrite, Claims>| "passed"))
        .layer(other)
        .layer(outer.auth());
    let scopes = json!({"scope": "orders:read orders:write"});
    let ask = |inner_token: Option<String>| {
        let mut request = Request::builder().header("authorization", format!("Bearer {}", outer.token(&scopes)));
        if let Some(token) = inner_token {
            request = request.header("x-inner", token);
        }
        app.clone().oneshot(request.body(Body::empty()).expect("a request"))
    };
    assert_eq!(ask(None).await.expect("infallible").status(), StatusCode::UNAUTHORIZED);
    let log = Log::start();
    let response = ask(Some(inner.token(&scopes))).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(log.text().contains("support::Claims") && log.text().contains("OtherClaims"), "{}", log.text());
}

#[tokio::test]
async fn what_a_step_up_asks_for_is_there_for_handlers_too() {
    let world = World::new();
    let service = world.auth().layer(service_fn(async |request: Request<String>| {
        let jwt = AnyJwt::from_extensions(request.extensions()).expect("the layer put it there");
        let at = jwt.authenticated_at().map(UnixTime::as_secs);
        Ok::<_, Infallible>(Response::new(format!("{:?} {at:?}", jwt.authentication_context())))
    }));
    let token = world.token(&json!({"acr": "phr", "auth_time": 5}));
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(String::new());
    let response = service.oneshot(request.expect("a request")).await.expect("infallible");
    assert_eq!(response.body(), r#"Some("phr") Some(5)"#);
}
