//! What a request costs in a real server: axum on HTTP/1.1, the same handler three times: `/open`, `/verified` behind
//! the layer (RS256), `/remembered` behind the layer with a `TokenCache`. `bash benches/serve/run` puts load on it.
//!
//! It prints `READY` with its port and a token that is good for an hour. `/cpu` answers the nanoseconds of processor
//! time that the process has used so far, from the kernel's own accounting: what the clients use does not count.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use bench_harness::{AUDIENCE, Claims, ISSUER, claims};
use tokio::net::TcpListener;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, TokenCache, Verifier};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--bench") {
        println!("this one is run by `bash benches/serve/run`");
        return Ok(());
    }
    let authority = Authority::new(Algorithm::RS256).named(ISSUER).for_audience(AUDIENCE);
    let verified = JwtAuth::<Claims>::new(authority.trusted())?;
    let verifier = Verifier::<Claims>::builder().trust(authority.trusted()).cache(TokenCache::new(50_000)).build()?;
    let remembered = JwtAuth::with(verifier);

    // All three answer the same text.
    let app = Router::new()
        .route("/verified", get(subject).layer(verified))
        .route("/remembered", get(subject).layer(remembered))
        .route("/open", get(|| async { "employees|5f7c8ec7c33c6c004bbafe8200000001".to_owned() }))
        .route("/cpu", get(|| async { processor_time().map_err(|error| error.to_string()) }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let token = authority.token().claims(claims(1, 3600)).sign();
    println!("READY {} {token}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}

async fn subject(jwt: Jwt<Claims>) -> String {
    jwt.claims().sub.clone()
}

/// Nanoseconds on a processor, of all threads together.
fn processor_time() -> std::io::Result<String> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let schedstat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += schedstat.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum.to_string())
}
