//! Traces for OpenTelemetry: the spans of this crate among those of the service, in one trace.
//!
//! ```text
//! cd examples/more
//! cargo run --bin opentelemetry                # port 3000
//! cargo run --bin opentelemetry -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, curl lines to paste, and every span as it ends. A service exports them to a
//! collector instead: put `opentelemetry-otlp` where `opentelemetry-stdout` is here. The spans `verify_token` and
//! `fetch_keys` are of the level `debug`, so the filter lets those of this crate pass.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tokio::net::TcpListener;
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

async fn hello(jwt: Jwt<Value>) -> String {
    format!("hello {}\n", jwt.subject().unwrap_or("stranger"))
}

/// The span of a request. It stands around the layer, so that `verify_token` is its child.
async fn in_a_span(request: Request, next: Next) -> Response {
    let span = info_span!("request", method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}

/// This stands for the identity provider.
async fn start_provider(jwks: String) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/jwks", listener.local_addr()?);
    let provider = Router::new().route("/jwks", get(move || async move { jwks }));
    tokio::spawn(async { axum::serve(listener, provider).await });
    Ok(url)
}

/// The provider has to live as long as spans are made.
fn start_tracing() -> SdkTracerProvider {
    let exporter = opentelemetry_stdout::SpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
    let filter = Targets::new().with_default(LevelFilter::INFO).with_target("tower_jwt_auth", LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("orders")).with_filter(filter);
    tracing_subscriber::registry().with(layer).init();
    provider
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();
    let _traces = start_tracing();
    let authority = Authority::new(Algorithm::ES256).for_audience("hello");
    let keys = RemoteJwks::from_url(start_provider(authority.jwks()).await?).build()?;
    let issuer = Issuer::new(authority.name(), keys).audience(authority.audience());
    let app = Router::new().route("/hello", get(hello)).layer(JwtAuth::<Value>::new(issuer)?).layer(from_fn(in_a_span));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("READY {url}\n");
    let token = authority.token().expires_in(3600).sign();
    let expired = authority.token().expires_in(-3600).sign();
    println!("A good token, the first, which waits for the keys: 200");
    println!("curl -i {url}/hello -H 'Authorization: Bearer {token}'\n");
    println!("An expired one: 401\ncurl -i {url}/hello -H 'Authorization: Bearer {expired}'\n");
    Ok(axum::serve(listener, app).await?)
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
