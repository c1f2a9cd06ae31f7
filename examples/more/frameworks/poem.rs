//! A poem server that shows orders to nobody without a good token that grants `orders:read`.
//!
//! ```text
//! cd examples/more
//! cargo run --bin poem                # port 3000
//! cargo run --bin poem -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, and curl lines to paste.
//!
//! [`TowerLayer`] is what joins the two: poem's own `.compat()` is for layers over its own requests, and `JwtAuth` is one
//! over those of the crate `http`. What only poem knows of a request is kept: path parameters, the remote address.

use std::error::Error;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use poem::listener::TcpAcceptor;
use poem::{
    Body, Endpoint, EndpointExt as _, IntoResponse as _, Middleware, Request, RequestParts, Response, ResponseParts,
    Route, Server, get, handler,
};
use serde::Deserialize;
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, RequireScopes};

/// A tower layer as a poem middleware: `endpoint.with(TowerLayer(layer))`.
#[derive(Debug)]
pub(crate) struct TowerLayer<L>(pub(crate) L);

/// What poem knows of a request and the crate `http` does not.
type Rest = (RequestParts, Body);

impl<L, E> Middleware<E> for TowerLayer<L>
where
    L: Layer<Inner<E>>,
    E: Endpoint,
    Outer<L::Service>: Endpoint,
{
    type Output = Outer<L::Service>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Outer(self.0.layer(Inner(Arc::new(endpoint))))
    }
}

/// What the layer makes, as an endpoint.
#[derive(Debug)]
pub(crate) struct Outer<S>(S);

impl<S> Endpoint for Outer<S>
where
    S: Service<http::Request<Rest>, Response = http::Response<Body>, Error = poem::Error>,
    S: Clone + Send + Sync,
    S::Future: Send,
{
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (mut parts, body) = request.into_parts();
        let (mut head, ()) = http::Request::new(()).into_parts();
        swap_heads(&mut head, &mut parts);
        let response = self.0.clone().oneshot(http::Request::from_parts(head, (parts, body))).await?;
        let (http::response::Parts { status, version, headers, extensions, .. }, body) = response.into_parts();
        Ok(Response::from_parts(ResponseParts { status, version, headers, extensions }, body))
    }
}

/// The endpoint, as the service that the layer wraps.
#[derive(Debug)]
pub(crate) struct Inner<E>(Arc<E>);

impl<E: Endpoint + 'static> Service<http::Request<Rest>> for Inner<E> {
    type Response = http::Response<Body>;
    type Error = poem::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Rest>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        let (mut head, (mut parts, body)) = request.into_parts();
        swap_heads(&mut head, &mut parts);
        Box::pin(async move {
            let response = endpoint.call(Request::from_parts(parts, body)).await?.into_response();
            let (ResponseParts { status, version, headers, extensions }, body) = response.into_parts();
            let mut response = http::Response::new(body);
            *response.status_mut() = status;
            *response.version_mut() = version;
            *response.headers_mut() = headers;
            *response.extensions_mut() = extensions;
            Ok(response)
        })
    }
}

impl<E> Clone for Inner<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

fn swap_heads(head: &mut http::request::Parts, parts: &mut RequestParts) {
    std::mem::swap(&mut head.method, &mut parts.method);
    std::mem::swap(&mut head.uri, &mut parts.uri);
    std::mem::swap(&mut head.version, &mut parts.version);
    std::mem::swap(&mut head.headers, &mut parts.headers);
    std::mem::swap(&mut head.extensions, &mut parts.extensions);
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// Never called without a verified token.
#[handler]
fn orders(request: &Request) -> String {
    let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer is in front");
    format!("the orders of {}\n", jwt.claims().sub)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();
    // This stands for the identity provider. A service has `Issuer::discover("https://…")?.audience("orders")`.
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("orders");

    // The first layer is the outermost: who it is comes before what they may do.
    let layers = ServiceBuilder::new()
        .layer(JwtAuth::<Claims>::new(authority.trusted())?.realm("orders"))
        .layer(RequireScopes::all(["orders:read"]));
    let app = Route::new().at("/orders", get(orders).with(TowerLayer(layers)));

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("READY {url}\n");
    print_curl_lines(&url, &authority);
    Ok(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(app).await?)
}

fn print_curl_lines(url: &str, authority: &Authority) {
    let token = || authority.token().claim("scope", "orders:read").expires_in(3600);
    let (valid, expired, tampered) = (token().sign(), token().expires_in(-60).sign(), token().tampered().sign());
    let other = authority.token().claim("scope", "orders:write").expires_in(3600).sign();
    println!("No token: 401\ncurl -i {url}/orders\n");
    println!("A valid token: 200 and the orders\ncurl -i {url}/orders -H 'Authorization: Bearer {valid}'\n");
    println!("An expired token: 401 invalid_token\ncurl -i {url}/orders -H 'Authorization: Bearer {expired}'\n");
    println!("A tampered token: 401 invalid_token\ncurl -i {url}/orders -H 'Authorization: Bearer {tampered}'\n");
    println!("Another scope: 403 insufficient_scope\ncurl -i {url}/orders -H 'Authorization: Bearer {other}'\n");
}

/// The only option: `--port N`.
fn port_option() -> u16 {
    let mut port = 3000;
    let mut options = std::env::args().skip(1);
    while let Some(option) = options.next() {
        if let ("--port", Some(Ok(value))) = (option.as_str(), options.next().map(|value| value.parse())) {
            port = value;
        } else {
            eprintln!("{option}: the only option is `--port N`, with N from 0 (a free port) to 65535");
            std::process::exit(2);
        }
    }
    port
}
