//! The same token through this crate, its alternatives, and code by hand, each around a service that does nothing:
//! `cargo run --release -- --bench`, with `--quick` for a first look and `--json FILE` for the chart, which
//! `bash benches/picture` makes.
//!
//! - The keys are a JWK set in memory for all; `iss`, `aud` and `exp` are checked by all; the claims go into the
//!   request's extensions, or, where the crate is an extractor, into the handler's argument.
//! - Each runs on the fastest cryptography that it can be built with: aws-lc for this crate, for code by hand and for
//!   tower-oauth2-resource-server, ring for jwt-authorizer and oauth-resource-server, Rust alone for axum-jwt-auth.
//! - oauth-resource-server takes no HMAC, and parses the claims into a map.
//!
//! `bench-harness` says how time is taken.

mod peers;

use axum::body::Body;
use bench_harness::{AUDIENCE, Bench, ByHand, Case, Claims, ISSUER, Limit, Nothing, RememberedLimit, claims, request};
use http::StatusCode;
use tower::Layer;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, JwtAuth, TokenCache, Verifier};

const OK: StatusCode = StatusCode::OK;

fn main() {
    let mut bench = Bench::from_arguments();
    // What some of them start in the background has to have a place to run.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        if bench.wants(algorithm.name()) {
            compare(&mut bench, &runtime, algorithm);
        }
    }
}

fn compare(bench: &mut Bench, runtime: &tokio::runtime::Runtime, algorithm: Algorithm) {
    let authority = Authority::new(algorithm).named(ISSUER).for_audience(AUDIENCE);
    let token = &authority.token().claims(claims(1, 3600)).sign();
    let jwks = &authority.jwks();
    let send = move || request::<Body>(Some(token));
    let send_07 = move || request::<axum_07::body::Body>(Some(token));

    let accepting = JwtAuth::<Claims>::new(authority.trusted()).expect("a good configuration");
    let verifier = Verifier::<Claims>::builder().trust(authority.trusted()).cache(TokenCache::new(50_000)).build();
    let remembering = JwtAuth::with(verifier.expect("a good configuration"));

    let mut cases = vec![
        Case::requests("no middleware", OK, Nothing, send),
        Case::requests("the limit", OK, Limit::new(Nothing, jwks), send),
        Case::requests("the limit, remembered", OK, RememberedLimit::new(Nothing, jwks, [token.as_str()]), send),
        Case::requests("tower-jwt-auth", OK, accepting.layer(Nothing), send),
        Case::requests("tower-jwt-auth, remembered", OK, remembering.layer(Nothing), send),
        Case::requests("by hand, jsonwebtoken 11", OK, ByHand::new(Nothing, jwks), send),
        Case::requests("jwt-authorizer 0.15", OK, runtime.block_on(peers::jwt_authorizer(jwks)), send_07),
        Case::requests(
            "tower-oauth2-resource-server 0.12",
            OK,
            runtime.block_on(peers::tower_oauth2(jwks, algorithm)),
            send,
        ),
        Case::requests("axum-jwt-auth 0.7", OK, peers::axum_jwt_auth(jwks), send),
    ];
    if algorithm != Algorithm::HS256 {
        cases.push(Case::requests("oauth-resource-server 0.4", OK, peers::oauth_resource_server(jwks), send));
    }
    bench.group(algorithm.name(), "tower-jwt-auth", cases);
}
