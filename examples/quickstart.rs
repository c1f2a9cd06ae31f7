//! An axum server that signs its own tokens and lets nobody without one see a profile.
//!
//! Nothing needs to be installed: the secret is made at the start and dies with the process.
//!
//! ```text
//! cargo run --example quickstart                # port 3000
//! cargo run --example quickstart -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, and curl lines to paste: the tokens in them are good, expired and tampered.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::{IssuedToken, SigningKey, TokenIssuer};
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, Jwt, JwtAuth, KeySet};

const ISSUER: &str = "https://quickstart.example";
const AUDIENCE: &str = "profiles";
const LIFETIME: Duration = Duration::from_secs(3600);

/// What our tokens say. The layer deserializes it; the checks of issuer, audience and times are its own.
#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
}

async fn public() -> &'static str {
    "open to everybody\n"
}

/// Never called without a verified token.
async fn profile(jwt: Jwt<Claims>) -> Json<Claims> {
    Json(jwt.claims().clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct Grant {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

/// The body is read by hand, so that whatever is not the right credentials has one answer: 401.
async fn login(State(issuer): State<TokenIssuer>, body: Bytes) -> Result<Json<Grant>, StatusCode> {
    let given: Credentials = serde_json::from_slice(&body).map_err(|_| StatusCode::UNAUTHORIZED)?;
    // A real service keeps a slow hash of the password and compares in constant time.
    if given.email != "user@example.com" || given.password != "pass" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let token = issuer.token().subject(given.email).sign().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let access_token = token.into_string();
    Ok(Json(Grant { access_token, token_type: "Bearer", expires_in: LIFETIME.as_secs() }))
}

/// Signs tokens, by this clock.
fn token_issuer(secret: [u8; 32], clock: Clock) -> Result<TokenIssuer, ConfigError> {
    let key = SigningKey::secret(Algorithm::HS256, secret)?;
    TokenIssuer::builder(ISSUER, key).audience(AUDIENCE).lifetime(LIFETIME).clock(clock).build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();

    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let signing = token_issuer(secret, Clock::system())?;

    // The three lines that protect `/profile`: whose tokens, for whom, and the layer.
    let keys = KeySet::secret(Algorithm::HS256, secret)?;
    let issuer = Issuer::new(ISSUER, keys).audience(AUDIENCE);
    let protected = Router::new().route("/profile", get(profile)).layer(JwtAuth::<Claims>::new(issuer)?);

    let app = Router::new()
        .route("/public", get(public))
        .route("/login", post(login))
        .with_state(signing.clone())
        .merge(protected);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("READY {url}\n");
    // Its tokens expired a minute ago, which is more than the 30 seconds by which clocks may differ.
    let past = Clock::system().now().as_secs() - 60 - i64::try_from(LIFETIME.as_secs())?;
    let expired = token_issuer(secret, Clock::manual(UnixTime::from_secs(past)))?;
    print_curl_lines(&url, &signing, &expired)?;
    Ok(axum::serve(listener, app).await?)
}

fn print_curl_lines(url: &str, signing: &TokenIssuer, past: &TokenIssuer) -> Result<(), Box<dyn Error>> {
    let sign = |issuer: &TokenIssuer, user| issuer.token().subject(user).sign().map(IssuedToken::into_string);
    let valid = sign(signing, "user@example.com")?;
    let expired = sign(past, "user@example.com")?;
    // Another user's claims under this user's signature.
    let other = sign(signing, "admin@example.com")?;
    let (claims, signature) = (other.rsplit_once('.'), valid.rsplit_once('.'));
    let (Some((claims, _)), Some((_, signature))) = (claims, signature) else { return Err("not a JWT".into()) };
    let tampered = format!("{claims}.{signature}");

    println!("Open to everybody: 200\ncurl -i {url}/public\n");
    println!("No token: 401\ncurl -i {url}/profile\n");
    println!("A valid token: 200 and the claims\ncurl -i {url}/profile -H 'Authorization: Bearer {valid}'\n");
    println!("An expired token: 401 invalid_token\ncurl -i {url}/profile -H 'Authorization: Bearer {expired}'\n");
    println!("A tampered token: 401 invalid_token\ncurl -i {url}/profile -H 'Authorization: Bearer {tampered}'\n");
    println!(
        "A token of your own: 200 and the token\n\
         curl -i {url}/login -H 'Content-Type: application/json' \
         -d '{{\"email\":\"user@example.com\",\"password\":\"pass\"}}'\n"
    );
    Ok(())
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
