//! How many refresh tokens are rotated in a second: `cargo bench --bench refresh`, or one group by a part of its name.
//!
//! Every client rotates the token of a session of its own, over and over, and waits for each answer. In memory, and on one
//! `redis-server` that this starts on loopback, on the same machine, with an append-only file; `everysec` and `always`
//! are its `appendfsync`. One `RefreshTokens`, and so one connection. Of several rounds, the median.

#[path = "../tests/suite/redis_server.rs"]
mod redis_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench_harness::Bench;
use redis_server::RedisServer;
use tokio::task::JoinSet;
use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RedisRefreshStore, RefreshStore, RefreshTokens};

const CLIENTS: [usize; 4] = [1, 8, 64, 256];

#[tokio::main]
async fn main() {
    let mut bench = Bench::from_arguments();
    if bench.wants("memory") {
        run(&mut bench, "memory", &Arc::new(MemoryRefreshStore::new())).await;
    }
    for fsync in ["everysec", "always"] {
        let group = format!("redis, appendfsync {fsync}");
        if bench.wants(&group) {
            let server = RedisServer::with_options(&["--appendonly", "yes", "--appendfsync", fsync]);
            let redis = server.redis().timeout(Duration::from_secs(5));
            run(&mut bench, &group, &RedisRefreshStore::new(redis)).await;
        }
    }
}

async fn run<S: RefreshStore + Clone>(bench: &mut Bench, group: &str, store: &S) {
    let window = Duration::from_secs(10);
    for (name, grace) in [("", Duration::ZERO), (", with a grace window", window)] {
        let tokens = RefreshTokens::<String, _>::builder(store.clone()).grace(grace).build().expect("valid settings");
        for clients in CLIENTS {
            // A handful in a trial run, which `cargo test` makes.
            let time = Duration::from_millis(u64::from(bench.scale(40_000) / 40));
            let mut rounds = Vec::new();
            for _ in 0..5 {
                rounds.push(rate(&tokens, clients, time).await);
            }
            rounds.sort_by(f64::total_cmp);
            bench.figure(group, &format!("{clients} clients{name}"), rounds[2], "rotations/s");
        }
    }
}

/// Rotations in a second.
async fn rate<S: RefreshStore>(tokens: &RefreshTokens<String, S>, clients: usize, time: Duration) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tokens_of_clients = Vec::new();
    for client in 0..clients {
        let subject = format!("user-{client}");
        let data = r#"{"client_id":"shop","scope":"orders:read orders:write"}"#.to_owned();
        tokens_of_clients.push(tokens.start(&subject, &data).await.expect("there is room"));
    }
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for mut token in tokens_of_clients {
        let (tokens, stop) = (tokens.clone(), Arc::clone(&stop));
        running.spawn(async move {
            let mut rotations = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                token = tokens.rotate(token.as_str()).await.expect("it is live").into_parts().0;
                rotations += 1;
                // In memory a rotation never waits; the others have to get a turn.
                if rotations.is_multiple_of(64) {
                    tokio::task::yield_now().await;
                }
            }
            rotations
        });
    }
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let rotations: u32 = running.join_all().await.into_iter().sum();
    f64::from(rotations) / begun.elapsed().as_secs_f64()
}
