//! Towards the next hop: which headers it sees, and that none of them is the client's.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::extract::{BearerHeader, Cookie, Header, Query};
use tower_jwt_auth::forward::ForwardClaims;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth};

use crate::redaction::Log;
use crate::support::Claims;

thread_local! {
    pub(crate) static AUTHORITY: Authority = Authority::new(Algorithm::ES256);
}

pub(crate) fn auth() -> JwtAuth<Claims> {
    let sources = BearerHeader::new().or(Cookie::new("access")).or(Header::new("x-token").expect("a name"));
    JwtAuth::new(AUTHORITY.with(Authority::trusted)).expect("valid").extractor(sources.or(Query::access_token()))
}

fn forward() -> ForwardClaims {
    let forward = ForwardClaims::new().subject("x-user-id").and_then(|forward| forward.scopes("x-scopes"));
    forward.and_then(|forward| forward.issuer("x-issuer")).expect("names")
}

/// The status, and the headers that the next hop sees.
async fn pass(auth: JwtAuth<Claims>, forward: ForwardClaims, request: Request<()>) -> (StatusCode, HeaderMap) {
    let service = ServiceBuilder::new().layer(auth).layer(forward).service(service_fn(async |request: Request<()>| {
        let mut response = Response::new(());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, Infallible>(response)
    }));
    let response = service.oneshot(request).await.expect("infallible");
    (response.status(), response.into_parts().0.headers)
}

pub(crate) fn token(claims: &serde_json::Value) -> String {
    AUTHORITY.with(|authority| authority.token().claims(claims).sign())
}

pub(crate) fn bearer(token: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().header("authorization", format!("Bearer {token}"));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).expect("a request")
}

#[tokio::test]
async fn the_next_hop_sees_what_the_token_says_and_never_what_the_client_says() {
    let spoofed = [
        ("X-User-Id", "admin"),
        ("x-user-id", "root"),
        ("x_user_id", "admin"),
        ("x-User_Id", "admin"),
        ("x-scopes", "all"),
        ("x-issuer", "evil"),
        ("x-user-identity", "mine"),
        ("accept", "text/plain"),
    ];
    let claims = json!({"sub": "alice", "scope": "a b"});
    let (status, headers) = pass(auth(), forward(), bearer(&token(&claims), &spoofed)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers.get_all("x-user-id").iter().collect::<Vec<_>>(), ["alice"]);
    assert_eq!(
        (&headers["x-scopes"], &headers["x-issuer"]),
        (&"a b".parse().unwrap(), &"https://issuer.test".parse().unwrap())
    );
    assert_eq!(
        (&headers["x-user-identity"], &headers["accept"]),
        (&"mine".parse().unwrap(), &"text/plain".parse().unwrap())
    );
    assert!(!headers.contains_key("x_user_id") && !headers.contains_key("x-user_id"));
    assert!(headers.contains_key("authorization"), "kept unless asked for");

    // A claim that the token lacks is nobody's to say, and neither is one of an anonymous request.
    let (_, headers) = pass(auth(), forward(), bearer(&token(&json!({"sub": "alice"})), &spoofed)).await;
    assert!(!headers.contains_key("x-scopes"));
    let anonymous = spoofed.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    let (status, headers) = pass(auth().optional(), forward(), anonymous.body(()).expect("a request")).await;
    assert_eq!(status, StatusCode::OK);
    for name in ["x-user-id", "x_user_id", "x-scopes", "x-issuer"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_client_cannot_have_the_next_hop_remove_what_is_set() {
    let token = token(&json!({"sub": "alice", "scope": "a"}));
    for (listed, kept) in [
        (&["close, X-User-Id"][..], Some("close")),
        (&["x_user_id,upgrade ,\tx-scopes", "keep-alive"], Some("upgrade, keep-alive")),
        (&["x-user-id"], None),
        (&["upgrade,x-other"], Some("upgrade,x-other")),
        (&["x-user-identity"], Some("x-user-identity")),
    ] {
        let headers: Vec<_> = listed.iter().map(|value| ("connection", *value)).collect();
        let (_, headers) = pass(auth(), forward(), bearer(&token, &headers)).await;
        assert_eq!(headers.get("connection").map(|value| value.to_str().expect("ASCII")), kept, "{listed:?}");
        assert_eq!(headers["x-user-id"], "alice");
    }
}

#[tokio::test]
async fn a_value_that_cannot_stand_in_a_header_is_refused() {
    for (subject, passes) in [
        ("a", true),
        ("two words", true),
        (&*"x".repeat(4096), true),
        (&*"x".repeat(4097), false),
        ("", false),
        (" a", false),
        ("a\r\nx-admin: 1", false),
        ("\u{e9}", false),
        ("a\u{0}", false),
    ] {
        let (status, headers) = pass(auth(), forward(), bearer(&token(&json!({"sub": subject})), &[])).await;
        assert_eq!(status == StatusCode::OK, passes, "{subject:?}");
        assert!(passes || status == StatusCode::FORBIDDEN);
        assert_eq!(headers.get("x-user-id").is_some_and(|value| value == subject), passes, "{subject:?}");
    }
}

#[tokio::test]
async fn a_token_is_stripped_from_where_it_came_or_the_request_is_refused() {
    let (strip, good) = (|| forward().strip_token(), token(&json!({"sub": "alice"})));
    let send = |name: &str, value: String| Request::builder().uri("/").header(name, value).body(()).expect("a request");
    let cases = [
        ("authorization", send("authorization", format!("Bearer {good}"))),
        ("cookie", send("cookie", format!("a=b; access={good}"))),
        ("x-token", send("x-token", good.clone())),
    ];
    for (name, request) in cases {
        let (status, headers) = pass(auth(), strip(), request).await;
        assert_eq!((status, headers.contains_key(name)), (StatusCode::OK, false), "{name}");
        assert_eq!(headers["x-user-id"], "alice");
    }
    let log = Log::start();
    let start = Instant::now();
    // It is said once a second, and another test of this process may just have been heard.
    while !log.text().contains("strip") {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", log.text());
        let query = Request::builder().uri(format!("/?access_token={good}")).body(()).expect("a request");
        assert_eq!(pass(auth(), strip(), query).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }
    // Another scheme's credentials, which nobody has verified, go too.
    let basic = Request::builder().header("authorization", "Basic dTpw").body(()).expect("a request");
    assert!(!pass(auth().optional(), strip(), basic).await.1.contains_key("authorization"));
}

#[tokio::test]
async fn claims_of_ones_own_are_sent_where_the_layer_in_front_verifies_them() {
    let own = || {
        forward().claim("x-greeting", |jwt: &Jwt<Claims>| Some(format!("hello {}", jwt.claims().sub))).expect("a name")
    };
    let (_, headers) = pass(auth(), own(), bearer(&token(&json!({"sub": "alice"})), &[("x-greeting", "no")])).await;
    assert_eq!(headers["x-greeting"], "hello alice");

    let log = Log::start();
    let other =
        forward().claim("x-greeting", |jwt: &Jwt<serde_json::Value>| Some(jwt.claims().to_string())).expect("a name");
    let (status, _) = pass(auth(), other, bearer(&token(&json!({"sub": "alice"})), &[])).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(log.text().contains("ForwardClaims") && log.text().contains("support::Claims"), "{}", log.text());
}

#[tokio::test]
async fn without_a_layer_in_front_it_is_a_500_that_the_log_explains() {
    let log = Log::start();
    let service = forward().layer(service_fn(async |_: Request<()>| -> Result<Response<()>, Infallible> {
        panic!("the service was called")
    }));
    let response = service.oneshot(bearer("x", &[])).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(log.text().contains("ForwardClaims"), "{}", log.text());
}

#[test]
fn headers_that_mean_something_to_the_next_hop_cannot_be_set() {
    for name in [
        "",
        "a b",
        "Host",
        "content-length",
        "Content_Length",
        "authorization",
        "cookie",
        "te",
        "sec-fetch-site",
        "connection",
    ] {
        assert!(ForwardClaims::new().subject(name).is_err(), "{name}");
    }
    assert!(forward().client_id("X-USER-ID").is_err() && forward().client_id("x_user_id").is_err(), "twice");
    assert!(forward().client_id("x-client-id").is_ok());
}
