//! The provider's keys, discovered and fetched over HTTP: rotations, outages, and what they cost.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_jwt_auth::keys::{RemoteJwks, RemoteJwksBuilder};

use super::*;
use crate::examples::{Running, get};

const OUTAGES: [&str; 2] = ["500", "hang"];

#[tokio::test]
async fn discovered_keys_verify_in_every_algorithm_and_bent_tokens_are_refused() {
    let issuer = Issuer::discover(&provider().issuer).expect("http is fine on loopback");
    check_every_algorithm(provider(), for_orders(issuer)).await;
}

#[tokio::test]
async fn discovered_issuers_answer_for_their_own_tokens_alone() {
    let ours = &Provider::start();
    let theirs = &Provider::start();
    let (our_keys, their_keys) = (ours.discovered(), theirs.discovered());
    let only_ours = Verifier::new(ours.trusting(&our_keys)).expect("a valid configuration");
    let both = Verifier::builder().trust(ours.trusting(&our_keys)).trust(theirs.trusting(&their_keys));
    let (only_ours, both) =
        (Servers::start(&only_ours).await, Servers::start(&both.build().expect("a valid configuration")).await);
    let (our_token, their_token) = (ours.any_token().await, theirs.any_token().await);

    only_ours.check("ours", &our_token, &accepted()).await;
    only_ours.check("theirs", &their_token, &refused(AuthErrorKind::InvalidIssuer)).await;
    assert_eq!(ours.fetches().await, ONE_FETCH, "a foreign token buys no fetch");
    both.check("ours of both", &our_token, &accepted()).await;
    both.check("theirs of both", &their_token, &accepted()).await;
    assert_eq!((ours.fetches().await, theirs.fetches().await), (ONE_FETCH, ONE_FETCH));
}

#[tokio::test]
async fn two_hundred_first_requests_at_once_cost_one_fetch() {
    let provider = &Provider::start();
    let servers = provider.servers(&provider.discovered()).await;
    let token = provider.any_token().await;

    let mut requests = JoinSet::new();
    for server in [servers.axum, servers.hyper].repeat(100) {
        let token = token.clone();
        requests.spawn(async move { check_http(server, "one of 200", &token, &accepted()).await });
    }
    requests.join_all().await;
    assert_eq!(provider.fetches().await, ONE_FETCH);
}

#[tokio::test]
async fn a_rotation_with_overlap_refuses_neither_the_first_new_token_nor_the_oldest() {
    let provider = &Provider::start();
    let servers = provider.servers(&provider.discovered()).await;
    let oldest = provider.any_token().await;
    servers.check("before", &oldest, &accepted()).await;

    for server in ["axum", "hyper", "tonic"] {
        provider.rotate("?overlap=1").await;
        let newest = provider.any_token().await;
        servers.check_on(server, "the first after a rotation", &newest, &accepted()).await;
    }
    servers.check("after three", &oldest, &accepted()).await;
    assert_eq!(provider.fetches().await, Fetches { jwks: 4, discovery: 1 });
}

#[tokio::test]
async fn a_rotation_without_overlap_ends_the_old_tokens_with_the_next_refresh() {
    let provider = &Provider::start();
    let servers = provider.servers(&provider.discovered()).await;
    let old = provider.any_token().await;
    servers.check("before", &old, &accepted()).await;

    provider.rotate("").await;
    servers.check("old, before the next refresh", &old, &accepted()).await;
    assert_eq!(provider.fetches().await, ONE_FETCH);

    let new = provider.any_token().await;
    servers.check("new", &new, &accepted()).await;
    servers.check_on("axum", "old, after it", &old, &refused(AuthErrorKind::UnknownKey)).await;
    servers.check("old, once more", &old, &refused(AuthErrorKind::UnknownKey)).await;
    // One for the new `kid`, and a last look for the old one, however often it comes.
    assert_eq!(provider.fetches().await, Fetches { jwks: 3, discovery: 1 });
}

#[tokio::test]
async fn a_refresh_by_the_operator_ends_withdrawn_keys_at_once() {
    let provider = &Provider::start();
    let keys = provider.discovered();
    let servers = provider.servers(&keys).await;
    let old = provider.any_token().await;
    servers.check("before", &old, &accepted()).await;

    provider.rotate("").await;
    keys.refresh().await.expect("the provider answers");
    servers.check("after", &old, &refused(AuthErrorKind::UnknownKey)).await;
    servers.check("after", &provider.any_token().await, &accepted()).await;
}

#[tokio::test]
async fn an_outage_is_unseen_by_tokens_of_known_keys_and_ends_with_the_first_good_answer() {
    for outage in OUTAGES {
        let provider = &Provider::start();
        // A window that short leaves no recent success behind, which would be the last word on an unknown `kid`.
        let builder = provider.builder().fetch_timeout(Duration::from_secs(2));
        let keys = build(builder.forced_refetches(2, Duration::from_millis(1)));
        let servers = provider.servers(&keys).await;
        let old = provider.any_token().await;
        servers.check("before", &old, &accepted()).await;

        provider.rotate("").await;
        let new = provider.any_token().await;
        provider.fail(outage).await;
        if outage == "hang" {
            let expected = accepted();
            tokio::select! {
                biased;
                refreshed = keys.refresh() => panic!("the provider hangs, and the refresh says {refreshed:?}"),
                () = servers.check("a known key while a fetch hangs", &old, &expected) => {}
            }
        } else {
            keys.refresh().await.expect_err("the provider answers 500");
        }
        servers.check(&format!("a new key, {outage}"), &new, &unavailable()).await;
        servers.check(&format!("a known key, {outage}"), &old, &accepted()).await;
        let status = keys.status();
        assert!(status.is_ready && status.last_error.is_some(), "{outage}: {status:?}");

        provider.fail("ok").await;
        servers.check(&format!("a new key after {outage}"), &new, &accepted()).await;
        servers.check(&format!("a withdrawn key after {outage}"), &old, &refused(AuthErrorKind::UnknownKey)).await;
    }
}

#[tokio::test]
async fn a_start_in_an_outage_is_503_until_the_provider_is_there() {
    for (outage, reason) in OUTAGES.into_iter().zip(["500", "no answer"]) {
        let provider = &Provider::start();
        let short = Duration::from_millis(50);
        let builder = provider.builder().fetch_timeout(Duration::from_millis(500)).backoff(short, short, short);
        let keys = build(builder);
        let servers = provider.servers(&keys).await;
        let token = provider.any_token().await;

        provider.fail(outage).await;
        servers.check(outage, &token, &unavailable()).await;
        let status = keys.status();
        assert!(!status.is_ready && status.keys == 0, "{outage}: {status:?}");
        assert!(status.last_error.as_ref().is_some_and(|error| error.contains(reason)), "{outage}: {status:?}");

        provider.fail("ok").await;
        let healed = timeout(Duration::from_secs(20), keys.ready()).await;
        healed.expect("it heals by itself").expect("there is a runtime");
        servers.check(&format!("after {outage}"), &token, &accepted()).await;
    }
}

#[tokio::test]
async fn the_resource_server_tells_whose_a_real_token_is_across_a_rotation() {
    let provider = &Provider::start();
    let arguments = ["--issuer", &provider.issuer, "--audience", AUDIENCE, "--port", "0"];
    let mut server = Running::start("resource_server", &arguments);
    let whoami = format!("{}/whoami", server.ready().remove(0));

    for rotation in ["?overlap=1", ""] {
        for alg in ALGORITHMS {
            let token = provider.token(TokenRequest { alg, ..TokenRequest::default() }).await;
            let answer = get(&whoami, &token);
            assert_eq!(answer.status, 200, "{alg}: {}", answer.head);
            let expected = json!({
                "iss": provider.issuer,
                "sub": "service",
                "aud": AUDIENCE,
                "scope": TokenRequest::default().scope,
                "claims": payload(&token),
            });
            assert_eq!(answer.json(), expected, "{alg}");
        }
        provider.rotate(rotation).await;
    }

    let for_invoices = provider.token(TokenRequest { path: "invoices", ..TokenRequest::default() }).await;
    assert_eq!(get(&whoami, &for_invoices).status, 401);
    assert_eq!(get(&whoami, &with_flipped_signature(&provider.any_token().await)).status, 401);
}

/// How often the provider was asked.
#[derive(Debug, PartialEq, Deserialize)]
struct Fetches {
    jwks: u32,
    discovery: u32,
}

const ONE_FETCH: Fetches = Fetches { jwks: 1, discovery: 1 };

fn unavailable() -> Expected {
    Expected { http: StatusCode::SERVICE_UNAVAILABLE, grpc: tonic::Code::Unavailable, challenge: None }
}

fn build(builder: RemoteJwksBuilder) -> RemoteJwks {
    builder.build().expect("http is fine on loopback")
}

impl Provider {
    fn builder(&self) -> RemoteJwksBuilder {
        RemoteJwks::discover(&self.issuer)
    }

    fn discovered(&self) -> RemoteJwks {
        build(self.builder())
    }

    fn trusting(&self, keys: &RemoteJwks) -> Issuer {
        for_orders(Issuer::new(&self.issuer, keys.clone()))
    }

    async fn servers(&self, keys: &RemoteJwks) -> Servers {
        Servers::start(&Verifier::new(self.trusting(keys)).expect("a valid configuration")).await
    }

    async fn any_token(&self) -> String {
        self.token(TokenRequest::default()).await
    }

    async fn rotate(&self, query: &str) {
        self.send(Request::post(format!("/control/rotate{query}")).body(String::new())).await;
    }

    async fn fail(&self, mode: &str) {
        self.send(Request::post(format!("/control/fail?mode={mode}")).body(String::new())).await;
    }

    async fn fetches(&self) -> Fetches {
        let counts = self.send(Request::get("/control/counts").body(String::new())).await;
        serde_json::from_str(&counts).expect("two numbers")
    }
}
