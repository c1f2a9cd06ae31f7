//! Protected-resource metadata (RFC 9728): the document, its path, and the way to it in every challenge.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::binding::Dpop;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, RequireScopes, Verifier};

use crate::support::{Claims, read_challenge};

const DOCUMENT: &str = "https://api.example.com/.well-known/oauth-protected-resource/orders";

async fn document(response: Response<Full<Bytes>>) -> Value {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test]
async fn the_document_says_what_the_layer_does_and_is_served_without_a_token() {
    let authority = Authority::new(Algorithm::ES256);
    let other = Authority::new(Algorithm::ES256).named("https://a.test");
    let verifier = Verifier::<Claims>::builder().trust(authority.trusted()).trust(other.trusted()).build();
    let dpop = Dpop::new("https://api.example.com").expect("a URL").required();
    let dpop = dpop.algorithms([Algorithm::ES256]).expect("allowed");
    let auth = JwtAuth::with(verifier.expect("valid")).mtls().dpop(dpop);
    let resource = auth.metadata("https://api.example.com/orders").expect("an identifier");
    let resource =
        resource.scopes(["orders:read"]).name("Orders").member("resource_documentation", "https://d.example");
    let service = ServiceBuilder::new()
        .layer(resource)
        .layer(auth)
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
    let ask = |method: Method, path: &str| {
        service.clone().oneshot(Request::builder().method(method).uri(path).body(()).expect("a request"))
    };
    let path = "/.well-known/oauth-protected-resource/orders";
    let response = ask(Method::GET, path).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "public, max-age=3600");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let length = response.headers()["content-length"].clone();
    assert_eq!(
        document(response).await,
        json!({
            "resource": "https://api.example.com/orders",
            "authorization_servers": ["https://a.test", "https://issuer.test"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["orders:read"],
            "resource_name": "Orders",
            "resource_documentation": "https://d.example",
            "tls_client_certificate_bound_access_tokens": true,
            "dpop_signing_alg_values_supported": ["ES256"],
            "dpop_bound_access_tokens_required": true,
        })
    );
    let head = ask(Method::HEAD, path).await.expect("infallible");
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &length));
    assert!(head.into_body().collect().await.expect("a body").to_bytes().is_empty());
    let post = ask(Method::POST, path).await.expect("infallible");
    assert_eq!(
        (post.status(), &post.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap())
    );
    assert_eq!(ask(Method::GET, &format!("{path}?x=y")).await.expect("infallible").status(), StatusCode::OK);
    for other in ["/", "/.well-known/oauth-protected-resource", &format!("{path}/"), &path.to_uppercase()] {
        let response = ask(Method::GET, other).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{other}");
    }
}

#[tokio::test]
async fn every_challenge_names_the_document_over_http_and_grpc() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid");
    let resource = auth.metadata("https://api.example.com/orders").expect("an identifier");
    let app = Router::new()
        .route("/", get(async |jwt: Jwt<Claims>| jwt.claims().sub.clone()).post(async || "posted"))
        .route_layer(RequireScopes::all(["orders:read"]))
        .layer(auth.resource_metadata(&resource).realm("shop"))
        .layer(resource);
    let good = format!("Bearer {}", authority.token().sign());
    for (authorization, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer x"), StatusCode::UNAUTHORIZED),
        (Some("Bearer "), StatusCode::BAD_REQUEST),
        (Some(good.as_str()), StatusCode::FORBIDDEN),
    ] {
        for content_type in ["text/plain", "application/grpc"] {
            let mut request = Request::post("/").header("content-type", content_type);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let response =
                app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
            let expected = if content_type == "text/plain" { status } else { StatusCode::OK };
            assert_eq!(response.status(), expected, "{authorization:?} {content_type}");
            let challenge = read_challenge(response.headers()["www-authenticate"].to_str().expect("ASCII"));
            assert_eq!(challenge.param("resource_metadata"), Some(DOCUMENT), "{authorization:?}");
            assert_eq!(challenge.param("realm"), Some("shop"), "{authorization:?}");
        }
    }
    // Outside of axum's routes too.
    let request = Request::get("/.well-known/oauth-protected-resource/orders").body(Body::empty()).expect("a request");
    assert_eq!(app.oneshot(request).await.expect("infallible").status(), StatusCode::OK);
}
