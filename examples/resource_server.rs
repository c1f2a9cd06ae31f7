//! A resource server for any OpenID provider: it takes the provider's access tokens and answers whose they are.
//!
//! ```text
//! cargo run --example resource_server -- --issuer https://tenant.example/ --audience https://api.example --port 3000
//! ISSUER=https://tenant.example/ AUDIENCE=https://api.example PORT=3000 cargo run --example resource_server
//! ```
//!
//! The issuer is spelled as in the tokens' `iss`, its last slash included; the audience is what they have in `aud`. An
//! option wins over its variable, and the port is 3000 unless set, with 0 for a free one. It prints `READY` and its
//! address, whether or not the provider answers: without keys a request gets 503 and may try again, and the first good
//! answer of the provider heals it. Why a token was refused, or keys could not be had, is in the log on standard error.
//!
//! ```text
//! curl -i http://127.0.0.1:3000/whoami -H 'Authorization: Bearer TOKEN'
//! ```

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::exit;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::{ConfigError, Issuer, Jwt, JwtAuth};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const HELP: &str = "\
A resource server for any OpenID provider: GET /whoami answers whose the token is.

  --issuer URL    ISSUER    the provider, spelled as in the tokens' `iss`
  --audience AUD  AUDIENCE  this service, as in the tokens' `aud`
  --port P        PORT      3000 unless set; 0 takes a free one

An option wins over the environment variable beside it.
";

/// The claims as the token has them; `null` for one that it lacks.
async fn whoami(jwt: Jwt<Value>) -> Json<Value> {
    let claims = jwt.claims();
    Json(json!({
        "iss": claims["iss"],
        "sub": claims["sub"],
        "aud": claims["aud"],
        "scope": claims["scope"],
        "claims": claims,
    }))
}

/// The layer, and the handle of its keys. `Issuer::discover` is the short form for who needs no handle.
fn protect(issuer: &str, audience: String) -> Result<(JwtAuth<Value>, RemoteJwks), ConfigError> {
    let keys = RemoteJwks::discover(issuer).build()?;
    let auth = JwtAuth::new(Issuer::new(issuer, keys.clone()).audience(audience))?;
    Ok((auth, keys))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { issuer, audience, port } = options();
    let (auth, keys) = protect(&issuer, audience).unwrap_or_else(|error| refuse(&error.to_string()));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let of_interest = Targets::new().with_target("tower_jwt_auth", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(log).with(of_interest).init();

    let app = Router::new().route("/whoami", get(whoami)).layer(auth);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    println!("READY http://{}", listener.local_addr()?);
    // The first fetch starts now and not with the first request; nothing waits for it.
    tokio::spawn(async move { keys.ready().await });
    Ok(axum::serve(listener, app).await?)
}

struct Options {
    issuer: String,
    audience: String,
    port: u16,
}

fn options() -> Options {
    let variable = |name| std::env::var(name).ok();
    let (mut issuer, mut audience, mut port) = (variable("ISSUER"), variable("AUDIENCE"), variable("PORT"));
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = match option.as_str() {
            "--issuer" => &mut issuer,
            "--audience" => &mut audience,
            "--port" => &mut port,
            "--help" | "-h" => {
                print!("{HELP}");
                exit(0)
            }
            _ => refuse(&format!("{option}: there is no such option")),
        };
        *value = Some(arguments.next().unwrap_or_else(|| refuse(&format!("{option} has no value"))));
    }
    let required = |value: Option<String>, what| {
        value.filter(|value| !value.is_empty()).unwrap_or_else(|| refuse(&format!("{what} is missing")))
    };
    let port = port.filter(|value| !value.is_empty()).unwrap_or_else(|| "3000".to_owned());
    Options {
        issuer: required(issuer, "the issuer: `--issuer URL` or ISSUER"),
        audience: required(audience, "the audience: `--audience AUD` or AUDIENCE"),
        port: port.parse().unwrap_or_else(|_| refuse(&format!("the port is a number from 0 to 65535, not {port:?}"))),
    }
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}\n\n{HELP}");
    exit(2)
}
