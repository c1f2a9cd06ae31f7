//! The extractors for axum.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use serde::Deserialize;
use tower::ServiceExt;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, ProblemJson, RequireScopes};

use crate::redaction::Log;
use crate::support::Claims;

async fn get_path(app: &Router, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::builder().uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

async fn required(jwt: Jwt<Claims>) -> String {
    jwt.claims().sub.clone()
}

async fn optional(jwt: Option<Jwt<Claims>>) -> String {
    jwt.map_or("anonymous".to_owned(), |jwt| jwt.claims().sub.clone())
}

#[tokio::test]
async fn handlers_take_the_token_as_an_argument() {
    let authority = Authority::new(Algorithm::ES256);
    let app = Router::new()
        .route("/required", get(required))
        .route("/optional", get(optional))
        .layer(JwtAuth::<Claims>::new(authority.trusted()).expect("valid").optional());
    let token = authority.token().sign();
    assert_eq!(get_path(&app, "/required", Some(&token)).await, (StatusCode::OK, "user-1".into()));
    assert_eq!(get_path(&app, "/optional", Some(&token)).await, (StatusCode::OK, "user-1".into()));
    assert_eq!(get_path(&app, "/optional", None).await, (StatusCode::OK, "anonymous".into()));
    assert_eq!(get_path(&app, "/required", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn layers_and_guards_work_on_routes_nests_and_routers() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").on_reject(ProblemJson);
    let orders = Router::new()
        .route("/read", get(required))
        .route_layer(RequireScopes::all(["orders:read"]).on_reject(ProblemJson));
    let app = Router::new()
        .nest("/orders", orders)
        .route("/profile", get(required))
        .layer(auth)
        .route("/public", get(async || "open"));
    let (reader, plain) = (authority.token().claim("scope", "orders:read").sign(), authority.token().sign());
    assert_eq!(get_path(&app, "/public", None).await.0, StatusCode::OK);
    assert_eq!(get_path(&app, "/profile", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get_path(&app, "/profile", Some(&plain)).await.0, StatusCode::OK);
    assert_eq!(get_path(&app, "/orders/read", Some(&reader)).await.0, StatusCode::OK);
    let (status, body) = get_path(&app, "/orders/read", Some(&plain)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("insufficient_scope"), "{body}");
}

#[tokio::test]
async fn a_missing_layer_is_a_500_that_the_log_explains() {
    let log = Log::start();
    let app = Router::new().route("/required", get(required)).route("/optional", get(optional));
    for path in ["/required", "/optional"] {
        assert_eq!(get_path(&app, path, None).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let text = log.text();
    assert!(text.contains("ERROR") && text.contains("no layer `JwtAuth` in front"), "{text}");
    assert!(text.contains("Claims"), "the wanted type is named: {text}");
}

#[tokio::test]
async fn a_layer_with_other_claims_is_a_500_whose_log_names_both_types() {
    #[derive(Deserialize)]
    struct OtherClaims {}

    let log = Log::start();
    let authority = Authority::new(Algorithm::ES256);
    let app =
        Router::new().route("/", get(required)).layer(JwtAuth::<OtherClaims>::new(authority.trusted()).expect("valid"));
    assert_eq!(get_path(&app, "/", Some(&authority.token().sign())).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    let text = log.text();
    assert!(text.contains("support::Claims") && text.contains("OtherClaims"), "{text}");
}
