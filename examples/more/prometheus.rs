//! Metrics for Prometheus: verdicts, signature checks, the cache, and the keys of a provider that can be made to fail.
//!
//! ```text
//! cd examples/more
//! cargo run --bin prometheus                # port 3000
//! cargo run --bin prometheus -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, and curl lines to paste. The metrics are at `/metrics`; in a service, keep them off
//! the public port. Nothing needs to be installed: the provider runs in the process too.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::Value;
use tokio::net::TcpListener;
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth, RequireScopes, TokenCache, Verifier};

/// In seconds: from what HMAC takes to what RSA takes on a busy machine. Without buckets of its own, the exporter makes
/// a summary, which cannot be added up over instances.
const BUCKETS: [f64; 8] = [1e-6, 3e-6, 10e-6, 30e-6, 100e-6, 300e-6, 1e-3, 10e-3];

/// What the exporter keeps of histograms has to be folded up from time to time.
const UPKEEP: Duration = Duration::from_secs(5);

async fn metrics(State(prometheus): State<PrometheusHandle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], prometheus.render())
}

async fn hello(jwt: Jwt<Value>) -> String {
    format!("hello {}\n", jwt.subject().unwrap_or("stranger"))
}

/// This stands for the identity provider: it publishes its keys at `/jwks`, unless it has been told to fail.
async fn start_provider(jwks: String) -> Result<String, Box<dyn Error>> {
    let is_up = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_up);
    let fail = post(move || async move { switch.store(false, Ordering::Relaxed) });
    let keys = get(move || async move {
        if is_up.load(Ordering::Relaxed) { Ok(jwks) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) }
    });
    let provider = Router::new().route("/jwks", keys).route("/fail", fail);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, provider).await });
    Ok(url)
}

fn app(keys: RemoteJwks, authority: &Authority, prometheus: PrometheusHandle) -> Result<Router, Box<dyn Error>> {
    let issuer = Issuer::new(authority.name(), keys).audience(authority.audience());
    let verifier = Verifier::<Value>::builder().trust(issuer).cache(TokenCache::new(10_000)).build()?;
    let orders = get(hello).route_layer(RequireScopes::all(["orders:read"]));
    Ok(Router::new()
        .route("/hello", get(hello))
        .route("/orders", orders)
        .layer(JwtAuth::with(verifier))
        .route("/metrics", get(metrics)) // after the layer, which is not in front of it
        .with_state(prometheus))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
    let prometheus = builder.install_recorder()?;

    let authority = Authority::new(Algorithm::ES256).for_audience("hello");
    let provider = start_provider(authority.jwks()).await?;
    let keys = RemoteJwks::from_url(format!("{provider}/jwks")).build()?;
    let app = app(keys.clone(), &authority, prometheus.clone())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    keys.ready().await?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            prometheus.run_upkeep();
        }
    });

    println!("READY {url}\n");
    let token = |scope: &str| authority.token().claim("scope", scope).expires_in(3600);
    let reader = token("orders:read").sign();
    let with = |token: &str| format!("-H 'Authorization: Bearer {token}'");
    println!("A good token: 200\ncurl -i {url}/orders {}\n", with(&reader));
    println!("The same again, which is remembered: 200\ncurl -i {url}/hello {}\n", with(&reader));
    println!("A scope is missing: 403\ncurl -i {url}/orders {}\n", with(&token("").sign()));
    println!("A bad signature: 401\ncurl -i {url}/hello {}\n", with(&token("").tampered().sign()));
    println!("No token: 401\ncurl -i {url}/hello\n");
    println!("The provider fails from now on: 200\ncurl -i -X POST {provider}/fail\n");
    let unknown = token("").header("kid", "another-key").sign();
    println!("A key that it cannot be asked for: 401 or 503\ncurl -i {url}/hello {}\n", with(&unknown));
    println!("All of it: 200\ncurl -i {url}/metrics\n");
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
