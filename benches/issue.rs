//! What a token costs its issuer: `cargo bench --bench issue`, or one algorithm of it with `-- ES256`.
//!
//! Each algorithm beside `jsonwebtoken::encode` with the same key, where it has the algorithm. Both make the same token:
//! nine claims in about 450 bytes, the time of now, and a `jti` of 128 random bits. A thousand million, divided by the
//! nanoseconds, is how many tokens a second one thread issues. `bench-harness` says how time is taken.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bench_harness::{AUDIENCE, Bench, Case, ISSUER};
use http::{Request, Response, StatusCode};
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use serde_json::Value;
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::issue::{KeyRing, SigningKey, TokenIssuer};
use tower_service::Service;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    client_id: &'a str,
    scope: &'a str,
    email: &'a str,
    roles: [&'a str; 2],
}

const CLAIMS: Claims<'static> = Claims {
    sub: "employees|5f7c8ec7c33c6c004bbafe8200000001",
    client_id: "procurement",
    scope: "openid offline_access customers:read orders:read orders:write",
    email: "firstname.lastname@procurement.customer.example.com",
    roles: ["customer-administrator", "purchase-order-approver"],
};

/// What a careful user of `jsonwebtoken` adds to them.
#[derive(Serialize)]
struct Whole<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    #[serde(flatten)]
    claims: &'a Claims<'a>,
}

/// A service that makes a token for every request.
struct Makes<F>(F);

impl<F: FnMut() -> String> Service<Request<()>> for Makes<F> {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new((self.0)())))
    }
}

fn case<'a>(name: &str, make: impl FnMut() -> String + 'a) -> Case<'a> {
    Case::requests(name, StatusCode::OK, Makes(make), || Request::new(()))
}

fn main() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let mut bench = Bench::from_arguments();
    let keys: Value = serde_json::from_str(include_str!("../tests/suite/issuing/private_keys.json")).expect("JSON");
    for &algorithm in Algorithm::ALL {
        if bench.wants(algorithm.name()) {
            issue(&mut bench, algorithm, &keys["good"]);
        }
    }
    if bench.wants("ring") {
        ring(&mut bench);
    }
}

/// The same key for both, where they both have the algorithm.
fn key(algorithm: Algorithm, keys: &Value) -> (SigningKey, Option<EncodingKey>) {
    let name = algorithm.name();
    if algorithm.is_symmetric() {
        let secret = [7; 64];
        return (SigningKey::secret(algorithm, secret).expect("long enough"), Some(EncodingKey::from_secret(&secret)));
    }
    // PKCS #1 for RSA, else PKCS #8.
    let (at, form) = match name {
        "ES256" => (2, 0),
        "ES384" => (3, 0),
        "EdDSA" => (5, 0),
        _ if name.starts_with("RS") || name.starts_with("PS") => (0, 1),
        _ => return (SigningKey::generate(algorithm).expect("the backend has every algorithm"), None),
    };
    let pem = keys[at]["pems"][form].as_str().expect("a PEM");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64_STANDARD.decode(body).expect("base64");
    let theirs = match form {
        1 => EncodingKey::from_rsa_der(&der),
        _ if name == "EdDSA" => EncodingKey::from_ed_der(&der),
        _ => EncodingKey::from_ec_der(&der),
    };
    (SigningKey::from_pem(algorithm, pem).expect("a good key"), Some(theirs))
}

fn issuer(keys: impl Into<tower_jwt_auth::issue::IssuingKeys>) -> TokenIssuer {
    TokenIssuer::builder(ISSUER, keys).audience(AUDIENCE).build().expect("a good configuration")
}

fn issue(bench: &mut Bench, algorithm: Algorithm, keys: &Value) {
    let (ours, theirs) = key(algorithm, keys);
    let kid = ours.kid().map(str::to_owned);
    let issuer = issuer(ours);
    let mut cases = vec![case("TokenIssuer::issue", move || issuer.issue(&CLAIMS).expect("good claims").into_string())];
    if let Some(theirs) = theirs {
        let mut header = Header::new(algorithm.name().parse().expect("it has the algorithm"));
        (header.kid, header.typ) = (kid, Some("at+jwt".to_owned()));
        cases.push(case("jsonwebtoken::encode", move || {
            let iat = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
            let mut id = [0; 16];
            getrandom::fill(&mut id).expect("the system has randomness");
            let jti = BASE64_URL_SAFE_NO_PAD.encode(id);
            let whole = Whole { iss: ISSUER, aud: AUDIENCE, iat, exp: iat + 300, jti, claims: &CLAIMS };
            jsonwebtoken::encode(&header, &whole, &theirs).expect("a good key")
        }));
    }
    bench.group(algorithm.name(), "TokenIssuer::issue", cases);
}

/// A ring against a single key.
fn ring(bench: &mut Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ring = runtime.block_on(KeyRing::builder(Algorithm::EdDSA).poll_every(Duration::from_secs(60)).open());
    let of_ring = issuer(ring.expect("in memory"));
    let of_one = issuer(SigningKey::generate(Algorithm::EdDSA).expect("the backend has every algorithm"));
    let cases = [("one key", of_one), ("a ring", of_ring)];
    let cases =
        cases.map(|(name, issuer)| case(name, move || issuer.issue(&CLAIMS).expect("good claims").into_string()));
    bench.group("EdDSA, a ring", "one key", cases.into());
}
