//! The record of used DPoP proofs on a real Redis server: shared, bounded, and never open when it cannot say.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::binding::{Dpop, RedisReplayStore};
use tower_jwt_auth::testing::{Authority, DpopClient};
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, JwtAuth, Redis};

use crate::redis_server::RedisServer;

const URL: &str = "https://api.example.com/orders";

struct World {
    authority: Authority,
    client: DpopClient,
}

impl World {
    fn new() -> Self {
        Self { authority: Authority::new(Algorithm::ES256), client: DpopClient::new(Algorithm::ES256) }
    }

    /// One instance of the service.
    fn instance(&self, store: RedisReplayStore) -> JwtAuth<Value> {
        let dpop = Dpop::new("https://api.example.com").expect("a URL").replay_store(store);
        JwtAuth::new(self.authority.trusted()).expect("valid").dpop(dpop)
    }

    fn token(&self, client: &DpopClient) -> String {
        self.authority.token().claim("cnf", json!({"jkt": client.thumbprint()})).sign()
    }

    fn proof(&self) -> (String, String) {
        let token = self.token(&self.client);
        let proof = self.client.proof("GET", URL, &token).sign();
        (token, proof)
    }
}

async fn ask(auth: &JwtAuth<Value>, (token, proof): &(String, String)) -> (StatusCode, Option<AuthErrorKind>) {
    let service = auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let request = Request::get("/orders").header("authorization", format!("DPoP {token}")).header("dpop", proof);
    let response = service.oneshot(request.body(()).expect("a request")).await.expect("infallible");
    (response.status(), response.extensions().get::<AuthError>().map(AuthError::kind))
}

const PASSES: (StatusCode, Option<AuthErrorKind>) = (StatusCode::OK, None);
const REPLAYED: (StatusCode, Option<AuthErrorKind>) = (StatusCode::UNAUTHORIZED, Some(AuthErrorKind::InvalidDpopProof));
const UNAVAILABLE: (StatusCode, Option<AuthErrorKind>) =
    (StatusCode::SERVICE_UNAVAILABLE, Some(AuthErrorKind::ReplayStateUnavailable));

#[tokio::test]
async fn a_proof_that_was_used_at_one_instance_is_refused_at_the_other() {
    let (world, server) = (World::new(), RedisServer::start());
    let [one, other] = [(); 2].map(|()| world.instance(RedisReplayStore::new(server.redis())));
    let proof = world.proof();
    assert_eq!(ask(&one, &proof).await, PASSES);
    assert_eq!(ask(&other, &proof).await, REPLAYED);
    assert_eq!(ask(&one, &proof).await, REPLAYED);
    assert_eq!(ask(&other, &world.proof()).await, PASSES);
    let elsewhere = world.instance(RedisReplayStore::new(server.redis().prefix("another-service:")));
    assert_eq!(ask(&elsewhere, &proof).await, PASSES, "an application of its own");

    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(!keys.is_empty());
    for key in keys {
        let seconds: i64 = server.ask(&["TTL", &key]);
        assert!((1..=400).contains(&seconds), "{key} stays for {seconds} seconds");
    }
}

#[tokio::test]
async fn of_many_that_come_at_once_one_passes() {
    let (world, server) = (World::new(), RedisServer::start());
    let instances = [(); 4].map(|()| world.instance(RedisReplayStore::new(server.redis())));
    for _ in 0..20 {
        let proof = world.proof();
        let mut asked = tokio::task::JoinSet::new();
        for instance in instances.iter().chain(&instances) {
            let (instance, proof) = (instance.clone(), proof.clone());
            asked.spawn(async move { ask(&instance, &proof).await });
        }
        let answers = asked.join_all().await;
        assert_eq!(answers.iter().filter(|answer| **answer == PASSES).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == REPLAYED).count(), 7);
    }
}

#[tokio::test]
async fn one_key_cannot_fill_the_record_and_a_full_one_says_so() {
    let (world, server) = (World::new(), RedisServer::start());
    let auth = world.instance(RedisReplayStore::with_bounds(server.redis(), 3, 2));
    let used = world.proof();
    assert_eq!(ask(&auth, &used).await, PASSES);
    assert_eq!(ask(&auth, &world.proof()).await, PASSES);
    assert_eq!(ask(&auth, &world.proof()).await, UNAVAILABLE, "its share is used up");
    assert_eq!(ask(&auth, &used).await, REPLAYED, "known all the same");
    let others = [World::new(), World::new()].map(|other| other.client);
    let of = |client: &DpopClient| {
        let token = world.token(client);
        let proof = client.proof("GET", URL, &token).sign();
        (token, proof)
    };
    assert_eq!(ask(&auth, &of(&others[0])).await, PASSES);
    assert_eq!(ask(&auth, &of(&others[1])).await, UNAVAILABLE, "the record is full");
}

#[tokio::test]
async fn while_the_server_is_away_or_stands_still_nothing_passes_and_it_comes_back_by_itself() {
    let (world, mut server) = (World::new(), RedisServer::start());
    let auth = world.instance(RedisReplayStore::new(server.redis().timeout(Duration::from_secs(1))));
    let used = world.proof();
    assert_eq!(ask(&auth, &used).await, PASSES);

    server.pause();
    assert_eq!(ask(&auth, &used).await, UNAVAILABLE);
    assert_eq!(ask(&auth, &world.proof()).await, UNAVAILABLE);
    server.resume();
    assert_eq!(until_it_answers(&auth, &used).await, REPLAYED);

    server.kill();
    assert_eq!(ask(&auth, &used).await, UNAVAILABLE);
    server.restart();
    assert_eq!(until_it_answers(&auth, &used).await, REPLAYED, "what was used stays used: it is in the file");
    assert_eq!(ask(&auth, &world.proof()).await, PASSES);
}

/// A connection that is being made is no answer yet; it must come within a few requests.
async fn until_it_answers(auth: &JwtAuth<Value>, proof: &(String, String)) -> (StatusCode, Option<AuthErrorKind>) {
    for _ in 0..10 {
        let answer = ask(auth, proof).await;
        if answer != UNAVAILABLE {
            return answer;
        }
    }
    UNAVAILABLE
}

#[tokio::test]
async fn a_service_starts_while_the_server_is_away() {
    let (world, mut server) = (World::new(), RedisServer::start());
    server.kill();
    let auth = world.instance(RedisReplayStore::new(server.redis()));
    assert_eq!(ask(&auth, &world.proof()).await, UNAVAILABLE);
    server.restart();
    assert_eq!(until_it_answers(&auth, &world.proof()).await, PASSES);
}

#[test]
fn a_url_that_is_wrong_is_refused_and_never_shown() {
    for wrong in ["", "localhost", "http://127.0.0.1/", "redis://user:CANARY@", "redis://:CANARY@127.0.0.1:port/"] {
        let error = Redis::open(wrong).expect_err(wrong).to_string();
        assert!(!error.contains("CANARY"), "{error}");
    }
    let redis = Redis::open("redis://user:CANARY@127.0.0.1/").expect("a URL");
    assert!(!format!("{redis:?}").contains("CANARY"));
}
