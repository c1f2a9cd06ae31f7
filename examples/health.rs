//! Readiness and a status page for the key sources of a service, and a provider to make fail.
//!
//! Nothing needs to be installed: the provider runs in the process too.
//!
//! ```text
//! cargo run --example health                # port 3000
//! cargo run --example health -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, and curl lines to paste: the probe, the page, a protected route, and two that
//! make the provider fail and heal.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_jwt_auth::keys::{KeyStatus, RemoteJwks};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth};

/// One for each issuer that the service trusts; here there is one.
type Sources = Arc<[RemoteJwks]>;

/// For a readiness probe, not for one of liveness: a restart brings no keys back.
///
/// A failing provider alone is no reason for 503. The keys at hand serve on until they are too old, and only then would
/// every request be answered with 503 as well.
async fn ready(State(sources): State<Sources>) -> (StatusCode, String) {
    let reasons: Vec<_> =
        sources.iter().map(RemoteJwks::status).filter(|status| !status.is_ready).map(reason).collect();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.concat())
}

fn reason(status: KeyStatus) -> String {
    let error = status.last_error.unwrap_or_else(|| format!("{}: the first fetch has not finished", status.location));
    format!("no keys: {error}\n")
}

/// For operators, who may see where keys come from: keep it off the public port.
async fn status(State(sources): State<Sources>) -> Json<Vec<Value>> {
    Json(sources.iter().map(|source| to_json(&source.status())).collect())
}

fn to_json(status: &KeyStatus) -> Value {
    let skipped = status.skipped.iter().map(|key| json!({ "index": key.index(), "reason": key.reason() }));
    json!({
        "location": status.location,
        "is_ready": status.is_ready,
        "age_seconds": status.age.map(|age| age.as_secs()),
        "keys": status.keys,
        "skipped": skipped.collect::<Vec<_>>(),
        "last_error": status.last_error,
        "next_refresh_seconds": status.next_refresh.as_secs(),
        "fetches": status.fetches,
        "forced_fetches": status.forced_fetches,
        "waiting": status.waiting,
    })
}

async fn hello(jwt: Jwt<Value>) -> String {
    format!("hello {}\n", jwt.subject().unwrap_or("stranger"))
}

/// This stands for the identity provider: it publishes its keys at `/jwks`, unless it has been told to fail.
async fn start_provider(jwks: String) -> Result<String, Box<dyn Error>> {
    let is_up = Arc::new(AtomicBool::new(true));
    let switch = |to: bool| {
        let is_up = Arc::clone(&is_up);
        post(move || async move { is_up.store(to, Ordering::Relaxed) })
    };
    let (fail, heal) = (switch(false), switch(true));
    let keys = get(move || async move {
        if is_up.load(Ordering::Relaxed) { Ok(jwks) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) }
    });
    let provider = Router::new().route("/jwks", keys).route("/fail", fail).route("/heal", heal);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, provider).await });
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();
    let authority = Authority::new(Algorithm::ES256).for_audience("hello");
    let provider = start_provider(authority.jwks()).await?;

    // A real service leaves these numbers alone: its keys outlive an outage of an hour, which is long to watch.
    let keys = RemoteJwks::from_url(format!("{provider}/jwks"))
        .time_to_live(Duration::from_secs(2))
        .stale_for(Duration::from_secs(4))
        .backoff(Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(1))
        .build()?;
    let issuer = Issuer::new(authority.name(), keys.clone()).audience(authority.audience());
    let protected = Router::new().route("/hello", get(hello)).layer(JwtAuth::<Value>::new(issuer)?);

    let sources: Sources = Arc::new([keys.clone()]);
    let health = Router::new().route("/ready", get(ready)).route("/status", get(status)).with_state(sources);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    // The first fetch starts now: a service that is not ready is sent no request that would start it.
    tokio::spawn(async move { keys.ready().await });
    println!("READY {url}\n");
    let token = authority.token().expires_in(3600).sign();
    println!("Ready for traffic? 200, or 503 with the reason\ncurl -i {url}/ready\n");
    println!("The state of the keys\ncurl -i {url}/status\n");
    println!("A protected route\ncurl -i {url}/hello -H 'Authorization: Bearer {token}'\n");
    println!("Make the provider fail: the status says why, and 6 seconds later the keys are too old");
    println!("curl -i -X POST {provider}/fail\n");
    println!("Heal it: ready within 2 seconds\ncurl -i -X POST {provider}/heal\n");
    Ok(axum::serve(listener, protected.merge(health)).await?)
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
