//! A small web application with sessions: short access tokens, refresh tokens that rotate, and a logout that works at
//! once. Its pages are for browsers, its API for clients that keep their tokens by themselves.
//!
//! ```text
//! cargo run --example session                                    # a free port, everything in memory
//! cargo run --example session -- --port 3000 --access-ttl 15     # watch the access token being made anew
//! cargo run --example session -- --redis redis://127.0.0.1/      # several copies behave as one
//! ```
//!
//! It prints `READY` and its address. The user is `user@example.com`, the password `pass`.
//!
//! - `app.rs`: what a session is. `web.rs`: pages, cookies, the silent refresh. `api.rs`: JSON. `pages.rs`: HTML.
//! - Pages: `/`, `POST /login`, `/profile`, `/sessions`, `POST /logout`, `POST /logout-everywhere`.
//! - API: `POST /api/login`, `POST /api/refresh`, `GET /api/profile`, `POST /api/logout`, `/.well-known/jwks.json`.

mod api;
mod app;
mod options;
mod pages;
mod revocations;
mod web;

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RedisRefreshStore, RefreshStore, RefreshTokens};
use tower_jwt_auth::issue::{IssuerMetadata, KeyRing, RedisKeyStore, TokenIssuer};
use tower_jwt_auth::revocation::{RedisRevocations, RevocationList};
use tower_jwt_auth::verify::VerifierBuilder;
use tower_jwt_auth::{Issuer, Redis, Verifier};

use crate::app::{AUDIENCE, App, Claims, ISSUER};
use crate::options::Options;
use crate::revocations::Revocations;

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments();
    let ring = KeyRing::builder(options.algorithm).longest_lifetime(options.access_ttl);
    let list = RevocationList::new();
    let verifier = Verifier::builder();
    match &options.redis {
        None => {
            let verifier = verifier.revocation(list.clone());
            serve(&options, ring.open().await?, verifier, Revocations::Own(list), MemoryRefreshStore::new()).await
        }
        Some(url) => {
            let redis = Redis::open(url)?.prefix("session:");
            let ring = ring.store(RedisKeyStore::new(redis.clone())).open().await?;
            let shared = RedisRevocations::new(list, redis.clone());
            let verifier = verifier.revocation(shared.clone());
            shared.ready().await?;
            serve(&options, ring, verifier, Revocations::Shared(shared), RedisRefreshStore::new(redis)).await
        }
    }
}

async fn serve<S: RefreshStore>(
    options: &Options,
    ring: KeyRing,
    verifier: VerifierBuilder<Claims>,
    revocations: Revocations,
    store: S,
) -> Result<(), Box<dyn Error>> {
    let trusted = Issuer::new(ISSUER, ring.clone())
        .audience(AUDIENCE)
        .access_token_profile()
        .revocation_claims(["sid"])
        // The clock that verifies is the one that issues.
        .leeway(Duration::ZERO);
    let issuer = TokenIssuer::builder(ISSUER, ring.clone()).audience(AUDIENCE).lifetime(options.access_ttl);
    let app = Arc::new(App {
        issuer: issuer.build()?,
        verifier: verifier.trust(trusted).build()?,
        tokens: RefreshTokens::builder(Arc::new(store)).grace(options.grace).build()?,
        revocations,
        access_ttl: options.access_ttl,
    });
    let router = Router::new()
        .merge(web::routes(&app))
        .merge(api::routes(&app))
        .with_state(app)
        .layer(IssuerMetadata::new(ISSUER, ring)?);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .map_err(|error| format!("port {}: {error}; `--port 0` takes a free one", options.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("READY {url}");
    println!("Sign in as user@example.com with the password pass, in a browser, or with curl:");
    println!("curl -b jar -c jar {url}/login -d 'email=user%40example.com&password=pass'");
    println!("curl -b jar -c jar {url}/profile");
    println!("curl -b jar -c jar -X POST -H 'Sec-Fetch-Site: same-origin' {url}/logout");
    Ok(axum::serve(listener, router).await?)
}
