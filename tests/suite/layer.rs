//! The layer: readiness, waiting, bodies and errors of any type, and what handlers see.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::extract::{self, Credential};
use tower_jwt_auth::forward::{CallerToken, RelayError, RelayToken, RelayTokenService};
use tower_jwt_auth::layer::JwtAuthService;
use tower_jwt_auth::rejection::{EmptyBody, Rejection};
use tower_jwt_auth::testing::{Authority, TestKeys};
use tower_jwt_auth::{Algorithm, AnyJwt, AuthError, AuthErrorKind, Jwt, JwtAuth, KeySet, Verifier};

use crate::support::Claims;

fn request(token: &str) -> Request<String> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(String::new()).expect("a request")
}

async fn subject(request: Request<String>) -> Result<Response<String>, Infallible> {
    let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer put it there");
    Ok(Response::new(jwt.claims().sub.clone()))
}

/// An authority whose second key is not known before its keys heal.
fn gated() -> (Authority, TestKeys) {
    let authority = Authority::new(Algorithm::ES256);
    let keys = authority.keys();
    keys.hang();
    authority.rotate();
    (authority, keys)
}

fn layer(authority: &Authority, keys: &TestKeys) -> JwtAuth<Claims> {
    JwtAuth::new(authority.trusted_with(keys.clone())).expect("valid")
}

#[tokio::test]
async fn a_handler_sees_typed_claims_and_the_erased_token() {
    let authority = Authority::new(Algorithm::ES256);
    let service = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").layer(service_fn(
        async |request: Request<String>| {
            let erased = AnyJwt::from_extensions(request.extensions()).expect("beside the typed one");
            assert_eq!(erased.subject(), Some("user-1"));
            subject(request).await
        },
    ));
    let response = service.oneshot(request(&authority.token().sign())).await.expect("infallible");
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::OK, "user-1"));
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_service() {
    let authority = Authority::new(Algorithm::ES256);
    let service = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").layer(service_fn(
        async |_: Request<String>| -> Result<Response<String>, Infallible> { panic!("the service was called") },
    ));
    for token in [authority.token().tampered().sign(), "x".to_owned()] {
        let response = service.clone().oneshot(request(&token)).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    let response = service.oneshot(Request::new(String::new())).await.expect("infallible");
    assert_eq!(response.extensions().get::<AuthError>().map(AuthError::kind), Some(AuthErrorKind::MissingToken));
}

/// CVE-2021-21378: "missing" and "failed" are different.
#[tokio::test]
async fn with_optional_authentication_no_token_passes_and_a_bad_one_does_not() {
    let authority = Authority::new(Algorithm::ES256);
    let service = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").optional().layer(service_fn(
        async |request: Request<String>| {
            let seen = request.extensions().get::<Jwt<Claims>>().is_some();
            assert_eq!(AnyJwt::from_extensions(request.extensions()).is_some(), seen);
            Ok::<_, Infallible>(Response::new(seen.to_string()))
        },
    ));
    let cases = [
        (Request::new(String::new()), StatusCode::OK, "false"),
        (request(&authority.token().sign()), StatusCode::OK, "true"),
        (request(&authority.token().expires_in(-60).sign()), StatusCode::UNAUTHORIZED, ""),
        (request(""), StatusCode::BAD_REQUEST, ""),
        (request("x.y"), StatusCode::UNAUTHORIZED, ""),
    ];
    for (request, status, body) in cases {
        let response = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!((response.status(), response.body().as_str()), (status, body));
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_called() {
    let authority = Authority::new(Algorithm::ES256);
    // A clone of a concurrency limit that is called without having been polled ready panics.
    let mut service = ServiceBuilder::new()
        .layer(JwtAuth::<Claims>::new(authority.trusted()).expect("valid"))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(subject));
    for _ in 0..3 {
        let response = service.ready().await.expect("infallible").call(request(&authority.token().sign())).await;
        assert_eq!(response.expect("infallible").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_called_after_waiting_has_been_polled_ready() {
    let (authority, keys) = gated();
    let mut service = ServiceBuilder::new()
        .layer(layer(&authority, &keys))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(subject));
    let waiting = service.ready().await.expect("infallible").call(request(&authority.token().sign()));
    let waiting = tokio::spawn(waiting);
    tokio::task::yield_now().await;
    keys.heal();
    let response = waiting.await.expect("no panic").expect("infallible");
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::OK, "user-1"));
}

#[tokio::test]
async fn a_forged_kid_that_waits_does_not_delay_a_request_whose_key_is_known() {
    let (authority, keys) = gated();
    let mut service = ServiceBuilder::new()
        .layer(layer(&authority, &keys))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(subject));
    let forged = authority.token().header("kid", "forged").sign();
    let waiting = tokio::spawn(service.ready().await.expect("infallible").call(request(&forged)));
    while keys.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    // The only permit of the inner service is free, for this instance and for others.
    for mut instance in [service.clone(), service] {
        let known = authority.token().with_key(0).sign();
        let call = async { instance.ready().await.expect("infallible").call(request(&known)).await };
        let response = tokio::time::timeout(Duration::from_secs(5), call).await.expect("not delayed");
        assert_eq!(response.expect("infallible").status(), StatusCode::OK);
    }
    assert!(!waiting.is_finished());
    keys.heal();
    let refused = waiting.await.expect("no panic").expect("infallible");
    assert_eq!(refused.extensions().get::<AuthError>().map(AuthError::kind), Some(AuthErrorKind::UnknownKey));
}

#[tokio::test]
async fn readiness_and_calls_are_passed_on_and_nothing_else_happens() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid");
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<Request<String>, Response<String>, _>(auth);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let response = tokio::spawn(service.call(request(&authority.token().sign())));
    let (seen, answer) = handle.next_request().await.expect("the request came through");
    assert!(seen.extensions().get::<Jwt<Claims>>().is_some());
    answer.send_response(Response::new("done".to_owned()));
    assert_eq!(response.await.expect("no panic").expect("a response").body(), "done");

    handle.send_error("the inner service broke");
    let error = std::future::poll_fn(|_| service.poll_ready()).await.expect_err("its error is passed on");
    assert_eq!(error.to_string(), "the inner service broke");
}

/// A service that counts its clones.
struct CountClones(Arc<AtomicUsize>);

impl Clone for CountClones {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Service<Request<String>> for CountClones {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn the_inner_service_is_not_cloned_when_the_key_is_at_hand() {
    let authority = Authority::new(Algorithm::ES256);
    let clones = Arc::new(AtomicUsize::new(0));
    let mut service =
        JwtAuth::<Claims>::new(authority.trusted()).expect("valid").layer(CountClones(Arc::clone(&clones)));
    for token in [authority.token().sign(), authority.token().tampered().sign()] {
        service.ready().await.expect("infallible").call(request(&token)).await.expect("infallible");
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

#[test]
fn the_future_is_no_larger_than_a_response_and_a_little() {
    type Ready = std::future::Ready<Result<Response<String>, Infallible>>;
    type Future = <JwtAuthService<CountClones, Claims> as Service<Request<String>>>::Future;
    assert!(size_of::<Future>() <= size_of::<Ready>() + 16, "{} bytes", size_of::<Future>());
}

#[test]
fn public_types_and_futures_are_send_and_sync() {
    fn is<T: Send + Sync>() {}
    fn sends<T: Send>() {}
    is::<JwtAuth<Claims>>();
    is::<JwtAuthService<CountClones, Claims, EmptyBody>>();
    is::<Verifier<Claims>>();
    is::<Jwt<Claims>>();
    is::<AnyJwt>();
    is::<AuthError>();
    is::<KeySet>();
    is::<CallerToken>();
    is::<RelayToken>();
    is::<RelayTokenService<CountClones>>();
    is::<RelayError>();
    sends::<<RelayTokenService<CountClones> as Service<Request<String>>>::Future>();
    sends::<<JwtAuthService<CountClones, Claims> as Service<Request<String>>>::Future>();
}

#[tokio::test]
async fn bodies_need_not_be_clone_or_send_and_errors_need_not_be_errors() {
    /// Neither `Clone` nor `Send` nor `Default`.
    struct Body(Rc<Cell<u8>>);
    #[derive(Debug, PartialEq)]
    struct NoError;

    let (authority, keys) = gated();
    let seen = Rc::new(Cell::new(0));
    let service = layer(&authority, &keys).layer(service_fn(async |request: Request<Body>| {
        request.body().0.set(request.body().0.get() + 1);
        Err::<Response<String>, _>(NoError)
    }));
    let with_body = |token: String| request(&token).map(|_| Body(Rc::clone(&seen)));
    let known = authority.token().with_key(0).sign();
    assert_eq!(service.clone().oneshot(with_body(known)).await.expect_err("the inner error"), NoError);
    let waiting = service.oneshot(with_body(authority.token().sign()));
    keys.heal();
    assert_eq!(waiting.await.expect_err("the inner error"), NoError);
    assert_eq!(seen.get(), 2);
}

#[tokio::test]
async fn the_authorization_header_is_marked_sensitive() {
    let authority = Authority::new(Algorithm::ES256);
    let service = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").layer(service_fn(
        async |request: Request<String>| {
            assert!(request.headers()["authorization"].is_sensitive());
            Ok::<_, Infallible>(Response::new(String::new()))
        },
    ));
    assert_eq!(service.oneshot(request(&authority.token().sign())).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn every_header_that_carries_a_credential_is_marked_sensitive() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = || JwtAuth::<Claims>::new(authority.trusted()).expect("valid");
    let twice = auth().on_reject(|refused: &Rejection<'_>| {
        assert!(refused.head().headers.get_all("authorization").iter().all(http::HeaderValue::is_sensitive));
        Response::new(String::new())
    });
    let token = authority.token().sign();
    let mut sent = request(&token);
    sent.headers_mut().append("authorization", format!("Bearer {token}").parse().expect("a value"));
    let response = twice.layer(service_fn(subject)).oneshot(sent).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);

    let from_gateway = extract::from_fn(|head| {
        let value = head.headers.get("x-token").and_then(|value| value.to_str().ok()?.strip_prefix("JWT "));
        value.map(Credential::bearer).transpose()
    });
    let service = auth().extractor(from_gateway).layer(service_fn(async |request: Request<String>| {
        assert!(request.headers()["x-token"].is_sensitive());
        assert!(!request.headers()["x-other"].is_sensitive());
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let sent = Request::builder().header("x-token", format!("JWT {token}")).header("x-other", "x").body(String::new());
    assert_eq!(service.oneshot(sent.expect("a request")).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_layer_that_saw_no_token_hides_the_one_of_a_layer_further_out() {
    let authority = Authority::new(Algorithm::ES256);
    let user_header = extract::from_fn(|head| match head.headers.get("x-user") {
        Some(value) => Credential::bearer(value.to_str().unwrap_or_default()).map(Some),
        None => Ok(None),
    });
    let service = ServiceBuilder::new()
        .layer(JwtAuth::<Claims>::new(authority.trusted()).expect("valid"))
        .layer(JwtAuth::<Claims>::new(authority.trusted()).expect("valid").optional().extractor(user_header))
        .service(service_fn(async |request: Request<String>| {
            assert!(request.extensions().get::<Jwt<Claims>>().is_none());
            assert!(AnyJwt::from_extensions(request.extensions()).is_none());
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    assert_eq!(service.oneshot(request(&authority.token().sign())).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_can_come_from_elsewhere() {
    let authority = Authority::new(Algorithm::ES256);
    let from_gateway = extract::from_fn(|head| match head.headers.get("x-token") {
        Some(value) => Credential::bearer(value.to_str().unwrap_or_default()).map(Some),
        None => Ok(None),
    });
    let service =
        JwtAuth::<Claims>::new(authority.trusted()).expect("valid").extractor(from_gateway).layer(service_fn(subject));
    let sent = Request::builder().header("x-token", authority.token().sign()).body(String::new()).expect("a request");
    assert_eq!(service.clone().oneshot(sent).await.expect("infallible").status(), StatusCode::OK);
    let ignored = request(&authority.token().sign());
    assert_eq!(service.oneshot(ignored).await.expect("infallible").status(), StatusCode::UNAUTHORIZED);
}
