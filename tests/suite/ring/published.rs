//! What an issuer publishes: its JWK set and its metadata.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::issue::{IssuerMetadata, KeyRing, SigningKey};

use super::{MINUTE, Unsteady, builder, clock, open};

/// What stands behind the layer.
async fn teapot(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    Ok(response)
}

async fn ask(
    published: &IssuerMetadata,
    method: Method,
    path: &str,
    known: Option<&str>,
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let response =
        published.layer(service_fn(teapot)).oneshot(request.body(()).expect("a request")).await.expect("infallible");
    let (head, body) = response.into_parts();
    (head.status, head.headers, body.collect().await.expect("infallible").to_bytes())
}

const JWKS: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn the_keys_are_served_as_caches_need_them() {
    let clock = clock();
    let ring = builder(&clock, tower_jwt_auth::issue::MemoryKeyStore::new()).max_age(2 * MINUTE).open().await;
    let ring = ring.expect("in memory");
    let published = IssuerMetadata::new(super::NAME, ring.clone()).expect("a URL");
    let (status, headers, body) = ask(&published, Method::GET, JWKS, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "application/jwk-set+json");
    assert_eq!(headers["cache-control"], "public, max-age=120");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["content-length"], body.len().to_string());
    assert_eq!(body, ring.jwks().expect("fresh"));
    let keys: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(!body.windows(3).any(|window| window == b"\"d\"") && keys["keys"][0]["kid"].is_string());

    let (status, head, empty) = ask(&published, Method::HEAD, JWKS, None).await;
    assert_eq!((status, head, empty.len()), (StatusCode::OK, headers.clone(), 0));
    let tag = headers["etag"].to_str().expect("ASCII");
    for method in [Method::GET, Method::HEAD] {
        let (status, again, empty) = ask(&published, method, JWKS, Some(tag)).await;
        assert_eq!((status, empty.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!((&again["etag"], &again["cache-control"]), (&headers["etag"], &headers["cache-control"]));
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let (status, headers, _) = ask(&published, method, JWKS, None).await;
        assert_eq!((status, &headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().expect("ASCII")));
    }
    ring.rotate().await.expect("in memory");
    let (status, changed, _) = ask(&published, Method::GET, JWKS, Some(tag)).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(changed["etag"], headers["etag"]);
    for path in ["/", "/.well-known/jwks.json/", "/.well-known/JWKS.json"] {
        assert_eq!(ask(&published, Method::GET, path, None).await.0, StatusCode::IM_A_TEAPOT, "{path}");
    }
}

#[tokio::test]
async fn a_set_that_may_lack_a_key_is_not_served() {
    let (clock, store) = (clock(), Unsteady::default());
    let ring = open(&clock, store.clone()).await;
    let published = IssuerMetadata::new(super::NAME, ring.clone()).expect("a URL");
    store.leave(true);
    clock.advance(4 * MINUTE);
    assert_eq!(ask(&published, Method::GET, JWKS, None).await.0, StatusCode::OK);
    clock.advance(MINUTE);
    let (status, headers, body) = ask(&published, Method::GET, JWKS, None).await;
    assert_eq!((status, body.len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(
        (&headers["retry-after"], &headers["cache-control"]),
        (&"60".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert_eq!(ask(&published, Method::POST, JWKS, None).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_metadata_names_the_issuer_and_its_keys_at_every_well_known_path() {
    let key = SigningKey::generate(Algorithm::EdDSA).expect("every backend has it");
    for (name, jwks_uri, paths) in [
        (
            "https://login.test",
            "https://login.test/.well-known/jwks.json",
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
        ),
        (
            "https://login.test/",
            "https://login.test/.well-known/jwks.json",
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
        ),
        (
            "http://127.0.0.1:3000/shop/",
            "http://127.0.0.1:3000/shop/.well-known/jwks.json",
            ["/shop/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/shop"],
        ),
    ] {
        let published = IssuerMetadata::new(name, key.clone()).expect("a URL").member("scopes_supported", ["a"]);
        for path in paths {
            let (status, headers, body) = ask(&published, Method::GET, path, None).await;
            assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
            let document: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(document, json!({"issuer": name, "jwks_uri": jwks_uri, "scopes_supported": ["a"]}));
        }
        let path = jwks_uri.split_at(jwks_uri.find("/.well").map_or(0, |_| name.trim_end_matches('/').len())).1;
        let path = if name.contains("shop") { format!("/shop{path}") } else { path.to_owned() };
        let (status, headers, body) = ask(&published, Method::GET, &path, None).await;
        assert_eq!((status, &headers["cache-control"]), (StatusCode::OK, &"public, max-age=300".parse().unwrap()));
        assert_eq!(body, key.jwks().expect("public"));
    }
    let elsewhere = IssuerMetadata::new("https://login.test", key.clone()).expect("a URL").jwks_path("/keys");
    let elsewhere = elsewhere.expect("a path");
    assert_eq!(elsewhere.jwks_uri(), "https://login.test/keys");
    assert_eq!(ask(&elsewhere, Method::GET, "/keys", None).await.0, StatusCode::OK);
    assert_eq!(ask(&elsewhere, Method::GET, JWKS, None).await.0, StatusCode::IM_A_TEAPOT);
    for wrong in ["", "keys", "/keys?x", "https://login.test/keys", "/a b"] {
        let published = IssuerMetadata::new("https://login.test", key.clone()).expect("a URL");
        published.jwks_path(wrong).expect_err(wrong);
    }
    for wrong in ["login.test", "http://login.test", "https://login.test?x", "https://u@login.test", ""] {
        IssuerMetadata::new(wrong, key.clone()).expect_err(wrong);
    }
    let secret = SigningKey::generate(Algorithm::HS256).expect("every backend has it");
    IssuerMetadata::new("https://login.test", secret).expect_err("a secret");
    assert!(KeyRing::builder(Algorithm::HS512).open().await.is_err());
}
