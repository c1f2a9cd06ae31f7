//! State on a real Redis server whose password is the canary, and what is said while it is away or wants another.

use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::binding::{Dpop, RedisReplayStore};
use tower_jwt_auth::clock::Clock;
use tower_jwt_auth::issue::refresh::{RedisRefreshStore, RefreshTokens};
use tower_jwt_auth::issue::{KeyRing, RedisKeyStore};
use tower_jwt_auth::revocation::{RedisRevocations, RevocationList};
use tower_jwt_auth::testing::{Authority, DpopClient};
use tower_jwt_auth::{Algorithm, JwtAuth, Redis};

use super::{CANARY, Seen};
use crate::redis_server::RedisServer;

fn open(url: &str) -> Redis {
    Redis::open(url).expect("a URL").timeout(Duration::from_secs(5))
}

pub(super) async fn show(seen: &Seen) {
    let mut server = RedisServer::with_options(&["--requirepass", CANARY]);
    let port = server.port();
    let right = open(&format!("redis://:{CANARY}@127.0.0.1:{port}/"));
    let wrong = open(&format!("redis://{CANARY}:x{CANARY}@127.0.0.1:{port}/"));
    let without = open(&server.url());
    for redis in [&right, &wrong, &without] {
        uses(seen, redis).await;
    }
    server.kill();
    uses(seen, &right).await;
}

/// Every store, whether the server answers or not.
async fn uses(seen: &Seen, redis: &Redis) {
    seen.show(redis);
    revocations(seen, redis).await;
    let store = RedisKeyStore::new(redis.clone());
    seen.show(&store);
    match KeyRing::builder(Algorithm::EdDSA).store(store).open().await {
        Ok(ring) => seen.show(&ring),
        Err(error) => seen.fail(&error),
    }
    let store = RedisRefreshStore::new(redis.clone());
    seen.show(&store);
    let tokens = RefreshTokens::<String, _>::new(store).expect("valid");
    match tokens.start(CANARY, &CANARY.to_owned()).await {
        Ok(token) => {
            seen.hide(token.as_str());
            seen.show(&token);
            seen.show(&tokens.rotate(token.as_str()).await.expect("live"));
            seen.fail(&tokens.rotate(token.as_str()).await.expect_err("spent"));
        }
        Err(error) => seen.fail(&error),
    }
    proofs(seen, redis).await;
}

async fn revocations(seen: &Seen, redis: &Redis) {
    let list = RevocationList::builder().max_lifetime(Duration::from_secs(60)).build();
    let builder = RedisRevocations::builder(list, redis.clone());
    seen.show(&builder);
    let revocations = builder.build();
    if let Err(error) = revocations.revoke(CANARY, CANARY, None).await {
        seen.fail(&error);
    }
    if let Err(error) = revocations.revoke_subject(CANARY, CANARY, Clock::system().now()).await {
        seen.fail(&error);
    }
    let _ = tokio::time::timeout(Duration::from_millis(500), revocations.ready()).await;
    seen.show(&revocations);
    seen.show(&revocations.status());
}

async fn proofs(seen: &Seen, redis: &Redis) {
    let (authority, client) = (Authority::new(Algorithm::ES256), DpopClient::new(Algorithm::ES256));
    let store = RedisReplayStore::new(redis.clone());
    seen.show(&store);
    let dpop = Dpop::new("https://api.example.com").expect("a URL").replay_store(store);
    let auth = JwtAuth::<serde_json::Value>::new(authority.trusted()).expect("valid").dpop(dpop);
    let token = authority.token().claim("cnf", json!({"jkt": client.thumbprint()})).sign();
    let proof = client.proof("POST", "https://api.example.com/orders", &token).claim("jti", CANARY).sign();
    seen.hide_token(&token);
    seen.hide_token(&proof);
    seen.use_proof(auth, &token, &proof).await;
}
