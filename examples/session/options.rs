//! The command line.

use std::str::FromStr;
use std::time::Duration;

use tower_jwt_auth::Algorithm;

const USAGE: &str = "cargo run --example session -- [OPTIONS]: sign in as user@example.com with the password pass

  --port N              from 0 (a free port, the default) to 65535
  --access-ttl SECONDS  how long an access token lives: 1 to 3600, 300 unless given
  --alg NAME            how tokens are signed: ES256 unless given; ES384, EdDSA, RS256, PS256, ML-DSA-65 …; no HS256: a secret cannot
                        be published
  --grace SECONDS       for how long a refresh token may be sent again: 0 to 60, 10 unless given
  --redis URL           keep keys, sessions and logouts there; copies with the same URL behave as one";

pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) access_ttl: Duration,
    pub(crate) algorithm: Algorithm,
    pub(crate) grace: Duration,
    pub(crate) redis: Option<String>,
}

impl Options {
    pub(crate) fn from_arguments() -> Self {
        let mut options = Self {
            port: 0,
            access_ttl: Duration::from_secs(300),
            algorithm: Algorithm::ES256,
            grace: Duration::from_secs(10),
            redis: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--help" || name == "-h" {
                println!("{USAGE}");
                std::process::exit(0);
            }
            let value = arguments.next().unwrap_or_default();
            let is_valid = match name.as_str() {
                "--port" => parsed(&value).map(|port| options.port = port),
                "--access-ttl" => seconds(&value, 1, 3600).map(|ttl| options.access_ttl = ttl),
                "--grace" => seconds(&value, 0, 60).map(|grace| options.grace = grace),
                // A secret could not be published at `/.well-known/jwks.json`.
                "--alg" => Algorithm::ALL
                    .iter()
                    .find(|algorithm| algorithm.name() == value && !algorithm.is_symmetric())
                    .map(|algorithm| options.algorithm = *algorithm),
                "--redis" => (!value.is_empty()).then(|| options.redis = Some(value.clone())),
                _ => None,
            };
            if is_valid.is_none() {
                eprintln!("`{name} {value}` is not one of them, or out of its bounds\n{USAGE}");
                std::process::exit(2);
            }
        }
        options
    }
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn seconds(text: &str, least: u64, most: u64) -> Option<Duration> {
    parsed(text).filter(|seconds| (least..=most).contains(seconds)).map(Duration::from_secs)
}
