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
use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RefreshStore, RefreshTokens};
use tower_jwt_auth::issue::{SigningKey, TokenIssuer};
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::{Issuer, Verifier};

use crate::app::{AUDIENCE, App, ISSUER};
use crate::options::Options;
use crate::revocations::Revocations;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments();
    let key = SigningKey::generate(options.algorithm)?;
    let list = RevocationList::new();
    let trusted = Issuer::new(ISSUER, key.key_set()?)
        .audience(AUDIENCE)
        .access_token_profile()
        .revocation_claims(["jti", "sid"])
        // The clock that issues is the clock that verifies.
        .leeway(Duration::ZERO);
    let verifier = Verifier::builder().trust(trusted).revocation(list.clone()).build()?;
    let issuer = TokenIssuer::builder(ISSUER, key.clone()).audience(AUDIENCE).lifetime(options.access_ttl).build()?;
    let store = Arc::new(MemoryRefreshStore::new());
    let app = App {
        issuer,
        verifier,
        api: RefreshTokens::new(Arc::clone(&store))?,
        web: RefreshTokens::builder(store).grace(options.grace).build()?,
        revocations: Revocations::Own(list),
        access_ttl: options.access_ttl,
    };
    serve(app, &options).await
}

async fn serve<S: RefreshStore>(app: App<S>, options: &Options) -> Result<(), Box<dyn Error>> {
    let app = Arc::new(app);
    let router = Router::new().merge(web::routes(&app)).merge(api::routes(&app)).with_state(app);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .map_err(|error| format!("port {}: {error}; `--port 0` takes a free one", options.port))?;
    println!("READY http://{}", listener.local_addr()?);
    println!("Sign in as user@example.com with the password pass.");
    Ok(axum::serve(listener, router).await?)
}
