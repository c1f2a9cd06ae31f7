//! A resource server for any issuer: it takes the issuer's access tokens and answers whose they are.
//!
//! ```text
//! cargo run --example resource_server -- --issuer https://tenant.example/ --audience https://api.example --port 3000
//! ISSUER=https://tenant.example/ AUDIENCE=https://api.example PORT=3000 cargo run --example resource_server
//! cargo run --example resource_server -- --config auth.toml
//! ```
//!
//! The issuer is spelled as in the tokens' `iss`, its last slash included; the audience is what they have in `aud`. The
//! port is 3000 unless set, with 0 for a free one. `auth.toml` has all settings of the module `config`; the least is
//!
//! ```toml
//! realm = "shop"
//! issuer = "https://tenant.example/"
//! audiences = ["https://api.example"]
//! ```
//!
//! and each may come from the environment: `AUTH_ISSUER`, `AUTH_AUDIENCES`, `AUTH_SECRET_FILE`. An option wins over its
//! variable, that over one with `AUTH_`, and that over the file. What is wrong with them is said all at once.
//!
//! It prints `READY` and its address, whether or not the provider answers: without keys a request gets 503 and may try
//! again, and the first good answer of the provider heals it. Why a token was refused, or keys could not be had, is in the
//! log on standard error.
//!
//! ```text
//! curl -i http://127.0.0.1:3000/whoami -H 'Authorization: Bearer TOKEN'
//! curl -i http://127.0.0.1:3000/ready    # 200, or 503 while there are no keys
//! ```

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::exit;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_jwt_auth::Jwt;
use tower_jwt_auth::config::{Config, Settings};
use tower_jwt_auth::keys::RemoteJwks;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const HELP: &str = "\
A resource server for any issuer: GET /whoami answers whose the token is.

  --issuer URL    ISSUER    the provider, spelled as in the tokens' `iss`
  --audience AUD  AUDIENCE  this service, as in the tokens' `aud`; several are separated by commas
  --port P        PORT      3000 unless set; 0 takes a free one
  --config FILE             all settings, in TOML; variables that start with AUTH_ win over it

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { settings, port } = options();
    let config = settings.build().unwrap_or_else(|errors| refuse(&errors.to_string()));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let of_interest = Targets::new().with_target("tower_jwt_auth", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(log).with(of_interest).init();

    let app = app(&config)?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    println!("READY http://{}", listener.local_addr()?);
    // The first fetch starts now and not with the first request; nothing waits for it.
    for keys in config.remote_keys() {
        let keys = keys.clone();
        tokio::spawn(async move { keys.ready().await });
    }
    Ok(axum::serve(listener, app).await?)
}

fn app(config: &Config) -> Result<Router, Box<dyn Error>> {
    let protected = Router::new().route("/whoami", get(whoami)).layer(config.layer::<Value>()?);
    let sources = config.remote_keys().to_vec();
    // For a readiness probe; the example `health` says why as well.
    let ready = move || async move {
        let is_ready = sources.iter().all(RemoteJwks::is_ready);
        if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    Ok(protected.route("/ready", get(ready)))
}

struct Options {
    settings: Settings,
    port: u16,
}

fn options() -> Options {
    let variable = |name| std::env::var(name).ok();
    let (mut issuer, mut audience) = (variable("ISSUER"), variable("AUDIENCE"));
    let (mut port, mut config) = (variable("PORT"), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = match option.as_str() {
            "--issuer" => &mut issuer,
            "--audience" => &mut audience,
            "--config" => &mut config,
            "--port" => &mut port,
            "--help" | "-h" => {
                print!("{HELP}");
                exit(0)
            }
            _ => refuse(&format!("{option}: there is no such option")),
        };
        *value = Some(arguments.next().unwrap_or_else(|| refuse(&format!("{option} has no value"))));
    }
    let file = config.map_or_else(Settings::default, |path| read(&path));
    let options = [("ISSUER", issuer), ("AUDIENCES", audience)];
    let options = options.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let port = port.filter(|value| !value.is_empty()).unwrap_or_else(|| "3000".to_owned());
    Options {
        settings: file.with_env("AUTH_").with_variables("", options),
        port: port.parse().unwrap_or_else(|_| refuse(&format!("the port is a number from 0 to 65535, not {port:?}"))),
    }
}

fn read(path: &str) -> Settings {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| refuse(&format!("{path}: {error}")));
    // The error's own text quotes the line, which may hold a secret.
    toml::from_str(&text).unwrap_or_else(|error: toml::de::Error| refuse(&format!("{path}: {}", error.message())))
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}\n\n{HELP}");
    exit(2)
}
