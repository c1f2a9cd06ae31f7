//! What a refused request is answered: status, challenge and headers, over HTTP and gRPC.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::keys::{KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::rejection::{self, MakeRejection, Rejection};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, Issuer, JwtAuth, ProblemJson, RequireScopes, Verifier};

use crate::support::{Claims, read_challenge};

type Body = Full<Bytes>;

async fn answer<R: MakeRejection<Body> + Send + Sync + 'static>(
    auth: JwtAuth<Claims, R>,
    guard: RequireScopes,
    authorization: &[&str],
    content_type: Option<&str>,
) -> Response<Body> {
    let service = ServiceBuilder::new()
        .layer(auth)
        .layer(guard)
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::default()))));
    let mut request = Request::builder().method("POST");
    for value in authorization {
        request = request.header("authorization", *value);
    }
    if let Some(value) = content_type {
        request = request.header("content-type", value);
    }
    service.oneshot(request.body(()).expect("a request")).await.expect("infallible")
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().expect("ASCII");
    assert!(values.next().is_none(), "{name} twice");
    Some(value)
}

/// What is sent, and what is to come back: HTTP status, gRPC status, `error`, `scope`.
struct Case {
    name: &'static str,
    authorization: Vec<String>,
    status: StatusCode,
    grpc: &'static str,
    error: Option<&'static str>,
    scope: Option<&'static str>,
    challenged: bool,
    no_store: bool,
}

fn cases(authority: &Authority) -> Vec<Case> {
    let unauthorized = |name, authorization: Vec<String>, error| Case {
        name,
        authorization,
        status: StatusCode::UNAUTHORIZED,
        grpc: "16",
        error,
        scope: None,
        challenged: true,
        no_store: true,
    };
    let malformed = |name, authorization: Vec<String>| Case {
        status: StatusCode::BAD_REQUEST,
        no_store: false,
        ..unauthorized(name, authorization, Some("invalid_request"))
    };
    let bearer = |token: String| vec![format!("Bearer {token}")];
    let good = || format!("Bearer {}", authority.token().sign());
    vec![
        unauthorized("no credential", vec![], None),
        unauthorized("another scheme", vec!["Basic dTpw".into()], None),
        unauthorized("expired", bearer(authority.token().expires_in(-60).sign()), Some("invalid_token")),
        unauthorized("tampered", bearer(authority.token().tampered().sign()), Some("invalid_token")),
        unauthorized("no JWT", bearer("opaque".into()), Some("invalid_token")),
        malformed("an empty token", vec!["Bearer ".into()]),
        malformed("an inner space", vec!["Bearer a b".into()]),
        malformed("two headers", vec![good(), good()]),
        Case {
            status: StatusCode::FORBIDDEN,
            grpc: "7",
            scope: Some("orders:read orders:write"),
            ..unauthorized(
                "scope missing",
                bearer(authority.token().claim("scope", "orders:read").sign()),
                Some("insufficient_scope"),
            )
        },
    ]
}

fn guard() -> RequireScopes {
    RequireScopes::all(["orders:read", "orders:write"])
}

#[tokio::test]
async fn every_refusal_over_http_has_its_status_and_its_challenge() {
    let authority = Authority::new(Algorithm::ES256);
    for case in cases(&authority) {
        let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").realm("shop");
        let sent: Vec<_> = case.authorization.iter().map(String::as_str).collect();
        let response = answer(auth, guard(), &sent, None).await;
        let name = case.name;
        assert_eq!(response.status(), case.status, "{name}");
        let challenge = text(response.headers(), "www-authenticate").map(read_challenge);
        assert_eq!(challenge.is_some(), case.challenged, "{name}");
        if let Some(challenge) = challenge {
            assert_eq!(challenge.scheme, "Bearer", "{name}");
            assert_eq!(challenge.param("realm"), Some("shop"), "{name}");
            assert_eq!(challenge.param("error"), case.error, "{name}");
            assert_eq!(challenge.param("error_description").is_some(), case.error.is_some(), "{name}");
            assert_eq!(challenge.param("scope"), case.scope, "{name}");
        }
        let cache = text(response.headers(), "cache-control");
        assert_eq!(cache, case.no_store.then_some("no-store"), "{name}");
        assert_eq!(text(response.headers(), "grpc-status"), None, "{name}");
        assert!(response.extensions().get::<AuthError>().is_some(), "{name}");
    }
}

#[tokio::test]
async fn every_refusal_over_grpc_is_header_only_with_its_status() {
    let authority = Authority::new(Algorithm::ES256);
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"] {
        for case in cases(&authority) {
            let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").on_reject(ProblemJson);
            let sent: Vec<_> = case.authorization.iter().map(String::as_str).collect();
            let response = answer(auth, guard(), &sent, Some(content_type)).await;
            let name = case.name;
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(text(response.headers(), "grpc-status"), Some(case.grpc), "{name}");
            let error = response.extensions().get::<AuthError>().expect("an error").clone();
            assert_eq!(text(response.headers(), "grpc-message"), Some(error.kind().phrase()), "{name}");
            let expected = if content_type.contains("web") { content_type } else { "application/grpc" };
            assert_eq!(text(response.headers(), "content-type"), Some(expected), "{name}");
            let challenge = text(response.headers(), "www-authenticate").map(read_challenge);
            assert_eq!(challenge.is_some(), case.challenged, "{name}");
            let body = response.into_body().collect().await.expect("infallible").to_bytes();
            assert!(body.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn our_own_outage_is_a_503_without_a_challenge() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = || {
        let failing =
            |_: &KeyQuery<'_>| KeyLookup::failed(KeyError::new("down").retry_after(Duration::from_millis(1500)));
        JwtAuth::<Claims>::new(Issuer::new("https://issuer.test", failing).audience("a")).expect("valid")
    };
    let sent = format!("Bearer {}", authority.token().sign());
    let http = answer(auth(), guard(), &[&sent], None).await;
    assert_eq!(http.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(http.headers(), "retry-after"), Some("2"));
    assert_eq!(text(http.headers(), "www-authenticate"), None);
    let grpc = answer(auth(), guard(), &[&sent], Some("application/grpc")).await;
    assert_eq!(text(grpc.headers(), "grpc-status"), Some("14"));
    assert_eq!(text(grpc.headers(), "grpc-retry-pushback-ms"), Some("1500"));
    assert_eq!(text(grpc.headers(), "www-authenticate"), None);
}

#[tokio::test]
async fn a_rule_marked_as_authorization_is_a_403_without_a_challenge() {
    let authority = Authority::new(Algorithm::ES256);
    let verifier =
        Verifier::<Claims>::builder().trust(authority.trusted()).authorize(|_| false).build().expect("valid");
    let sent = format!("Bearer {}", authority.token().sign());
    let response = answer(JwtAuth::with(verifier), guard(), &[&sent], None).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(text(response.headers(), "www-authenticate"), None);
    assert_eq!(text(response.headers(), "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_problem_document_names_the_error() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").on_reject(ProblemJson);
    let response = answer(auth, guard(), &["Bearer x"], None).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(response.headers(), "content-type"), Some("application/problem+json"));
    assert!(text(response.headers(), "www-authenticate").is_some());
    let body = response.into_body().collect().await.expect("infallible").to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Unauthorized");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["error"], "malformed_token");
}

#[tokio::test]
async fn a_maker_of_ones_own_gives_the_body_and_the_crate_the_rest() {
    let authority = Authority::new(Algorithm::ES256);
    let maker = rejection::from_fn(|refused: &Rejection<'_>| {
        let body = format!("{} {}", refused.head().uri.path(), refused.error().kind());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response.headers_mut().insert("x-own", "kept".parse().expect("a value"));
        response
    });
    let auth = || JwtAuth::<Claims>::new(authority.trusted()).expect("valid").realm("shop");
    let response = answer(auth().on_reject(maker), guard(), &[], None).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(response.headers(), "x-own"), Some("kept"));
    assert_eq!(text(response.headers(), "www-authenticate"), Some(r#"Bearer realm="shop""#));
    let body = response.into_body().collect().await.expect("infallible").to_bytes();
    assert_eq!(body, "/ missing_token");

    let grpc = answer(auth().on_reject(maker), guard(), &[], Some("application/grpc")).await;
    assert!(grpc.into_body().collect().await.expect("infallible").to_bytes().is_empty());

    let verbatim = answer(auth().on_reject(rejection::danger_verbatim(maker)), guard(), &[], None).await;
    assert_eq!(verbatim.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(text(verbatim.headers(), "www-authenticate"), None);
    assert!(verbatim.extensions().get::<AuthError>().is_some());
}

#[tokio::test]
async fn a_guard_without_the_layer_is_a_500_and_never_open() {
    let service = guard().layer(service_fn(async |_: Request<()>| -> Result<Response<Body>, Infallible> {
        panic!("the service was called")
    }));
    let response = service.oneshot(Request::new(())).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(response.headers(), "www-authenticate"), None);
}

#[tokio::test]
async fn a_guard_behind_optional_authentication_asks_for_a_token() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").realm("shop").optional();
    let response = answer(auth, guard(), &[], None).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(response.headers(), "www-authenticate"), Some(r#"Bearer realm="shop""#));
}

#[tokio::test]
async fn every_scope_is_needed_and_more_do_no_harm() {
    let authority = Authority::new(Algorithm::ES256);
    let cases = [
        (serde_json::json!("orders:write orders:read"), StatusCode::OK),
        (serde_json::json!(["orders:read", "x", "orders:write"]), StatusCode::OK),
        (serde_json::json!("orders:read"), StatusCode::FORBIDDEN),
        (serde_json::json!("orders:read orders:writer"), StatusCode::FORBIDDEN),
        (serde_json::json!(["orders:read orders:write"]), StatusCode::FORBIDDEN),
        (serde_json::json!(null), StatusCode::FORBIDDEN),
    ];
    for (scope, status) in cases {
        let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid");
        let sent = format!("Bearer {}", authority.token().claim("scope", &scope).sign());
        assert_eq!(answer(auth, guard(), &[&sent], None).await.status(), status, "{scope}");
    }
    for wrong in [&["a b"][..], &[""], &["a\""], &["\u{e9}"], &[]] {
        assert!(RequireScopes::try_all(wrong).is_err(), "{wrong:?}");
    }
}

/// `AuthErrorKind` is closed for this crate alone; here every kind goes through the answers once.
#[tokio::test]
async fn every_kind_has_a_well_formed_answer() {
    for &kind in AuthErrorKind::ALL {
        let extractor = tower_jwt_auth::extract::from_fn(move |_| Err(AuthError::new(kind)));
        let authority = Authority::new(Algorithm::ES256);
        let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").extractor(extractor);
        let response = answer(auth, guard(), &[], None).await;
        assert!(response.status().is_client_error() || response.status().is_server_error(), "{kind}");
        assert_eq!(kind.is_our_fault(), response.status().is_server_error(), "{kind}");
        if let Some(challenge) = text(response.headers(), "www-authenticate") {
            read_challenge(challenge);
        }
        // RFC 9110 §11.6.1: a 401 has a challenge.
        if response.status() == StatusCode::UNAUTHORIZED {
            assert!(response.headers().contains_key("www-authenticate"), "{kind}");
        }
    }
}
