//! Two minutes under load and faults: `cargo bench --bench soak`. It needs Node and the packages of `tests/provider`.
//!
//! A real OpenID provider publishes new keys every 20 seconds, some of which replace the old ones; it is killed, and comes
//! back with others. Meanwhile two threads send valid, expired, tampered and forged tokens, and valid ones of keys that
//! were withdrawn, through the layer, as fast as it answers. First the same load with a calm provider.
//!
//! What is right:
//!
//! - A valid token passes, from the first time that one of its keys has, until these are withdrawn: during the outage too.
//! - Until that first time, while the storm of forged `kid`s has used up the refetches, it may be 401, for the window of
//!   these at most. The window is 10 seconds here instead of 30, for three times as many turns in the same time.
//! - A token of withdrawn keys is refused within the window, and from the first time on for good.
//! - An expired, tampered or forged token never passes. An expired one is always 401, and a tampered one of held keys.
//! - 503 is right for unknown keys alone, from the provider's death to the first fetch after its return.
//!
//! It ends with 1 where a verdict is wrong, something panics, the source does not see the outage or does not come back from
//! it, memory is at any time 8 MiB above where the calm load has left it, or the 99th percentile of valid requests is more
//! than twice that of the calm provider.

mod judge;
mod provider;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use bench_harness::{Nothing, Random};
use http::{Request, StatusCode};
use http_body_util::Empty;
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::{Issuer, JwtAuth};

use crate::judge::{Before, Seen, Sent, UNSEEN_FOR};
use crate::provider::{Keys, Provider};

const CALM: Duration = Duration::from_secs(20);
const ROUGH: Duration = Duration::from_secs(100);
const WINDOW: Duration = Duration::from_secs(10);
const AUDIENCE: &str = "https://api.example.com/orders";
const MOST_GROWTH: u64 = 8 << 20;

static PANICS: AtomicU64 = AtomicU64::new(0);

fn main() {
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/node_modules").exists() {
        println!("SKIPPED: run `npm ci` in tests/provider first");
        return;
    }
    // The runtime would keep a panic of the source's task to itself.
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        shown(panic);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let is_fine = runtime.expect("a runtime").block_on(soak());
    std::process::exit(i32::from(!is_fine));
}

/// What the load sends.
struct Pool {
    keys: RwLock<Vec<Arc<Keys>>>,
    /// The provider does not answer, or was not asked since.
    is_away: AtomicBool,
    requests: AtomicU64,
    stop: AtomicBool,
}

impl Pool {
    /// The provider is about to take the keys of now away.
    fn leave(&self) {
        self.keys.read().expect("not poisoned").iter().for_each(|keys| keys.leave());
    }

    /// The provider has these keys, and no longer those that were to leave.
    async fn publish(&self, provider: &Provider, since: Instant) {
        for old in self.keys.read().expect("not poisoned").iter().filter(|keys| keys.is_leaving()) {
            let _ = old.withdrawn.set(since);
        }
        let keys = Arc::new(provider.keys(since).await);
        self.keys.write().expect("not poisoned").push(keys);
    }

    /// The newest keys twice as often as each of the others.
    fn choose(&self, random: &mut Random) -> Arc<Keys> {
        let all = self.keys.read().expect("not poisoned");
        Arc::clone(&all[random.below(all.len() + 1).min(all.len() - 1)])
    }
}

async fn soak() -> bool {
    let mut provider = Provider::start(0);
    let remote = RemoteJwks::discover(&provider.issuer).forced_refetches(2, WINDOW).build().expect("a URL");
    let issuer = Issuer::new(&provider.issuer, remote.clone()).audience(AUDIENCE).leeway(Duration::ZERO);
    let auth = JwtAuth::<Value>::new(issuer).expect("valid");
    let pool = Arc::new(Pool {
        keys: RwLock::default(),
        is_away: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    pool.publish(&provider, Instant::now()).await;

    println!("{} s with a calm provider …", CALM.as_secs());
    let calm = load(&auth, &pool, tokio::time::sleep(CALM)).await;
    let memory = resident();
    println!("{} s with rotations and an outage …", ROUGH.as_secs());
    let mut most = memory;
    let mut problems = Vec::new();
    let rough = load(&auth, &pool, async {
        tokio::select! {
            found = faults(&pool, &mut provider, &remote) => problems = found,
            () = watch_memory(&mut most) => {}
        }
    })
    .await;
    let growth = most.saturating_sub(memory);
    report(&pool, &calm, &rough);
    let status = remote.status();
    println!("{} fetches, {} of them forced", status.fetches, status.forced_fetches);
    is_fine(&calm, &rough, growth, problems)
}

async fn watch_memory(most: &mut u64) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        *most = resident().max(*most);
    }
}

/// A rotation every 20 seconds, and an outage in between. What went wrong.
async fn faults(pool: &Pool, provider: &mut Provider, remote: &RemoteJwks) -> Vec<&'static str> {
    let start = Instant::now();
    let at = async |seconds| tokio::time::sleep_until((start + Duration::from_secs(seconds)).into()).await;
    let mut problems = Vec::new();
    at(20).await;
    pool.leave();
    pool.publish(provider, provider.rotate(false).await).await;
    at(40).await;
    pool.publish(provider, provider.rotate(true).await).await;

    at(52).await;
    pool.is_away.store(true, Ordering::SeqCst);
    provider.kill();
    at(66).await;
    if remote.status().last_error.is_none() {
        problems.push("the source has not seen the outage");
    }
    pool.leave();
    let port = provider.address().port();
    *provider = Provider::start(port);
    let back = Instant::now();
    pool.publish(provider, back).await;
    while provider.fetches().await == 0 {
        if back.elapsed() > UNSEEN_FOR {
            problems.push("the source has not come back from the outage");
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The fetch has begun.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pool.is_away.store(false, Ordering::SeqCst);

    at(80).await;
    pool.leave();
    pool.publish(provider, provider.rotate(false).await).await;
    at(ROUGH.as_secs()).await;
    problems
}

/// Four clients on two threads, until the rest has ended.
async fn load(auth: &JwtAuth<Value>, pool: &Arc<Pool>, until: impl Future<Output = ()>) -> Seen {
    pool.stop.store(false, Ordering::SeqCst);
    let clients: Vec<_> = (1..=4).map(|seed| tokio::spawn(client(auth.clone(), Arc::clone(pool), seed))).collect();
    until.await;
    pool.stop.store(true, Ordering::SeqCst);
    let mut all = Seen::default();
    for client in clients {
        all.merge(client.await.expect("no panic"));
    }
    all
}

async fn client(auth: JwtAuth<Value>, pool: Arc<Pool>, seed: u64) -> Seen {
    let service = auth.layer(Nothing);
    let (mut random, mut seen) = (Random::new(seed), Seen::default());
    while !pool.stop.load(Ordering::Relaxed) {
        let number = pool.requests.fetch_add(1, Ordering::Relaxed);
        let keys = pool.choose(&mut random);
        let valid = &keys.valid[random.below(2)];
        let (sent, token) = match (random.below(10), keys.expired()) {
            (0, Some(expired)) => (Sent::Expired, expired.to_owned()),
            (1, _) => (Sent::Tampered, tampered(valid, number)),
            (2, _) => (Sent::Forged, forged(valid, number)),
            _ if keys.is_leaving() => (Sent::Withdrawn, valid.clone()),
            _ => (Sent::Valid, valid.clone()),
        };
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
        let (was_away, before) = (pool.is_away.load(Ordering::SeqCst), Before::new(sent, &keys));
        let start = Instant::now();
        let status = service.clone().oneshot(request).await.expect("infallible").status();
        let end = Instant::now();
        let is_away = was_away || pool.is_away.load(Ordering::SeqCst);
        *seen.verdicts.entry((sent, status.as_u16())).or_default() += 1;
        if !before.allows(status, &keys, is_away) {
            seen.wrong += 1;
            if seen.examples.len() < 3 {
                let since = keys.withdrawn.get().unwrap_or(&keys.published).elapsed();
                seen.examples.push(format!("{sent:?}: {status}, {since:?} after its keys came or went"));
            }
        }
        match (sent, status) {
            (Sent::Valid, StatusCode::OK) => {
                seen.latencies.add(end - start);
                keys.passed.get_or_init(|| end);
            }
            (Sent::Withdrawn, StatusCode::UNAUTHORIZED) => drop(keys.gone.get_or_init(|| end)),
            _ => {}
        }
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    seen
}

/// The same token with another character in its signature, or in its claims.
fn tampered(token: &str, number: u64) -> String {
    let dot = if number.is_multiple_of(2) { token.find('.') } else { token.rfind('.') };
    let at = dot.expect("a compact token") + 5;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// A `kid` that nobody has.
fn forged(token: &str, number: u64) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let (_, rest) = token.split_once('.').expect("a compact token");
    let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"forged-{number}"}}"#);
    format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn report(pool: &Pool, calm: &Seen, rough: &Seen) {
    println!("\n| sent | answered | calm | rotations and outage |\n|---|---|---|---|");
    let mut verdicts: Vec<_> = calm.verdicts.keys().chain(rough.verdicts.keys()).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    for verdict in verdicts {
        let count = |seen: &Seen| seen.verdicts.get(verdict).copied().unwrap_or(0);
        println!("| {:?} | {} | {} | {} |", verdict.0, verdict.1, count(calm), count(rough));
    }
    println!("\n| keys | first passed after | first refused after their withdrawal |\n|---|---|---|");
    for (number, keys) in pool.keys.read().expect("not poisoned").iter().enumerate() {
        let took = |from: Option<&Instant>, to: Option<&Instant>| match (from, to) {
            (Some(from), Some(to)) => format!("{:.2} s", to.saturating_duration_since(*from).as_secs_f64()),
            _ => "–".to_owned(),
        };
        let passed = took(Some(&keys.published), keys.passed.get());
        println!("| {number} | {passed} | {} |", took(keys.withdrawn.get(), keys.gone.get()));
    }
    println!("\n| valid and passed, µs | calm | rotations and outage |\n|---|---|---|");
    for part in [50, 99] {
        let percentile = |seen: &Seen| seen.latencies.percentile(part);
        println!("| p{part} | {:.1} | {:.1} |", percentile(calm), percentile(rough));
    }
    println!("\n{} requests", pool.requests.load(Ordering::Relaxed));
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn is_fine(calm: &Seen, rough: &Seen, growth: u64, mut problems: Vec<&'static str>) -> bool {
    let (wrong, panics) = (calm.wrong + rough.wrong, PANICS.load(Ordering::SeqCst));
    println!("wrong verdicts: {wrong}, panics: {panics}, memory grew by {:.1} MiB", growth as f64 / 1_048_576.0);
    for example in calm.examples.iter().chain(&rough.examples) {
        println!("WRONG {example}");
    }
    if growth > MOST_GROWTH {
        problems.push("memory has grown by more than 8 MiB");
    }
    if rough.latencies.percentile(99) > 2.0 * calm.latencies.percentile(99) {
        problems.push("the 99th percentile is more than twice that of the calm provider");
    }
    for problem in &problems {
        println!("PROBLEM {problem}");
    }
    wrong == 0 && panics == 0 && problems.is_empty()
}
