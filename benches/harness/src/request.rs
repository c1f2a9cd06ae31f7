//! The request, its claims, and the service that does nothing.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_service::Service;

/// The `iss` of every token.
pub const ISSUER: &str = "https://login.eu-central-1.example.com/realms/customers";

/// The `aud` of every token.
pub const AUDIENCE: &str = "https://orders.api.eu-central-1.example.com/v1";

/// The claims that every contender parses: owned fields for all nine members.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: u64,
    pub iat: u64,
    pub jti: String,
    pub scope: String,
    pub email: String,
    pub roles: Vec<String>,
}

/// Claims as providers issue them, about 450 bytes of JSON, for the user of this number. `expires_in` is in seconds,
/// and negative for a token that has expired.
pub fn claims(user: u64, expires_in: i64) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    json!({
        "iss": ISSUER,
        "sub": format!("employees|5f7c8ec7c33c6c004bbafe82{user:08x}"),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now.saturating_add_signed(expires_in),
        "jti": format!("3d1f3c0e-8f3b-4b3a-9a51-{user:012x}"),
        "scope": "openid offline_access customers:read orders:read orders:write",
        "email": "firstname.lastname@procurement.customer.example.com",
        "roles": ["customer-administrator", "purchase-order-approver"],
    })
}

/// What stands in a request's extensions before any middleware, as a server puts it there.
#[derive(Clone, Copy)]
struct PeerAddress(#[expect(dead_code, reason = "it only has to be there")] std::net::SocketAddr);

/// A request with four headers, one of them the token if there is one, and one extension.
pub fn request<B: Default>(token: Option<&str>) -> Request<B> {
    let mut request = Request::new(B::default());
    *request.uri_mut() = http::Uri::from_static("/orders/17");
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a token is visible ASCII");
        headers.insert(AUTHORIZATION, value);
    }
    request.extensions_mut().insert(PeerAddress(([127, 0, 0, 1], 40_000).into()));
    request
}

/// The token of a request that has one.
pub fn token_of<B>(request: &Request<B>) -> &str {
    let value = request.headers().get(AUTHORIZATION).expect("a token").to_str().expect("visible ASCII");
    value.strip_prefix("Bearer ").expect("a bearer token")
}

/// Calls a service whose answer is at hand: nothing here waits.
pub fn call<S, B, R>(service: &mut S, request: Request<B>) -> Response<R>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "the service is always ready");
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(_)) => panic!("the service does not fail"),
        Poll::Pending => panic!("a measured request waits for nothing"),
    }
}

/// The service that does nothing, at the bottom of every stack.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl<B> Service<Request<B>> for Nothing
where
    B: Default,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The request ends here, as it would in a handler.
        drop(request);
        ready(Ok(Response::new(B::default())))
    }
}
