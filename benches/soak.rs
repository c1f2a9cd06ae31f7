//! Two minutes under load and faults: `cargo bench --bench soak`. It needs Node and the packages of `tests/provider`.
//!
//! A real OpenID provider publishes new keys every 20 seconds, is killed, and comes back with others. Meanwhile two threads
//! send valid, expired, tampered and forged tokens through the layer, as fast as it answers. First the same load with a
//! calm provider.
//!
//! - A wrong verdict is an expired, tampered or forged token that passes, or that is answered 5xx while the provider
//!   answers, and a valid one that is refused. What is right of a token with a key that is new: it passes, or, while a storm
//!   of forged `kid`s has used up the refetches, is 401 for 30 seconds at most; while the provider is away, 503.
//! - It ends with 1 where a verdict is wrong, where memory grows by more than 8 MiB, or where the 99th percentile of valid
//!   requests is more than twice that of the calm provider.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use bench_harness::{Nothing, Random};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tower::{Layer, ServiceExt};
use tower_jwt_auth::{Issuer, JwtAuth};

const CALM: Duration = Duration::from_secs(20);
const ROUGH: Duration = Duration::from_secs(100);
const ROTATION: Duration = Duration::from_secs(20);
/// When the provider is killed, and when it comes back.
const AWAY: [Duration; 2] = [Duration::from_secs(45), Duration::from_secs(60)];
/// How long a new key may stay unseen, and some for the machine.
const UNSEEN_FOR: Duration = Duration::from_secs(32);
const AUDIENCE: &str = "https://api.example.com/orders";

fn main() {
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/node_modules").exists() {
        println!("SKIPPED: run `npm ci` in tests/provider first");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let is_fine = runtime.expect("a runtime").block_on(soak());
    std::process::exit(i32::from(!is_fine));
}

/// The provider's process, and what the load knows of it.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    fn start(port: u16) -> Self {
        let mut child = Command::new("node")
            .args(["provider.mjs", "--watch-stdin", "--port", &port.to_string()])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("text");
        let issuer = line.trim().strip_prefix("READY ").expect("the provider starts").to_owned();
        Self { child, issuer }
    }

    fn address(&self) -> SocketAddr {
        self.issuer.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("a loopback address")
    }

    async fn post(&self, path: &str, form: String) -> Value {
        let stream = TcpStream::connect(self.address()).await.expect("the provider listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("no bytes are exchanged yet");
        tokio::spawn(connection);
        let request = Request::post(path)
            .header("host", self.address().to_string())
            .header("authorization", "Basic c2VydmljZTppbnRlZ3JhdGlvbi10ZXN0LXNlY3JldC0wMTIzNDU2Nzg5YWJjZGVm")
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = sender.send_request(request.body(form).expect("a request")).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("the whole body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }

    async fn token(&self, alg: &str, ttl: u32) -> String {
        let resource = format!("https%3A%2F%2Fapi.example.com%2Forders%3Falg%3D{alg}%26ttl%3D{ttl}");
        let form = format!("grant_type=client_credentials&resource={resource}&scope=orders%3Aread");
        self.post("/token", form).await["access_token"].as_str().expect("a token").to_owned()
    }

    /// The tokens of this moment's keys.
    async fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        for alg in ["RS256", "ES256"] {
            tokens.push(Token { text: self.token(alg, 3600).await, since: Instant::now() });
        }
        tokens
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
struct Token {
    text: String,
    since: Instant,
}

/// What the load sends.
struct Pool {
    valid: RwLock<Vec<Token>>,
    expired: String,
    /// The provider does not answer, or has not for a moment.
    is_away: AtomicBool,
    requests: AtomicU64,
    stop: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Sent {
    Valid,
    Expired,
    Tampered,
    Forged,
}

/// What one client has seen.
#[derive(Default)]
struct Seen {
    verdicts: BTreeMap<(Sent, u16), u64>,
    wrong: Vec<String>,
    /// Of valid requests that passed.
    latencies: Latencies,
}

/// How often a request took how long, in steps of a thirty-second of its own: the memory does not grow.
struct Latencies(Vec<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(vec![0; 64 * 32])
    }
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(32);
        let octave = nanos.ilog2();
        let step = (nanos >> (octave - 5)) & 31;
        self.0[octave as usize * 32 + usize::try_from(step).unwrap_or(0)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(one, other)| *one += other);
    }

    /// In microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn percentile(&self, part: u64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let mut left = all * part / 100;
        for (at, count) in self.0.iter().enumerate() {
            if left < *count {
                let (octave, step) = (at / 32, at % 32);
                return ((32 + step) as f64) * 2_f64.powi(i32::try_from(octave).unwrap_or(0) - 5) / 1000.0;
            }
            left -= count;
        }
        0.0
    }
}

async fn soak() -> bool {
    let mut provider = Provider::start(0);
    let port = provider.address().port();
    let issuer = Issuer::discover(&provider.issuer).expect("a URL").audience(AUDIENCE).leeway(Duration::ZERO);
    let auth = JwtAuth::<Value>::new(issuer).expect("valid");
    let expired = provider.token("RS256", 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pool = Arc::new(Pool {
        valid: RwLock::new(provider.tokens().await),
        expired,
        is_away: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });

    println!("{} s with a calm provider …", CALM.as_secs());
    let calm = load(&auth, &pool, tokio::time::sleep(CALM)).await;
    let memory = resident();
    println!("{} s with rotations and an outage …", ROUGH.as_secs());
    let rough = load(&auth, &pool, faults(&pool, &mut provider, port)).await;
    let growth = resident().saturating_sub(memory);
    report(&pool, &calm, &rough, growth)
}

/// Rotates every 20 seconds, and takes the provider away for a while.
async fn faults(pool: &Pool, provider: &mut Provider, port: u16) {
    let start = Instant::now();
    let at = async |time: Duration| tokio::time::sleep_until((start + time).into()).await;
    let mut rotation = ROTATION;
    let mut away = AWAY.into_iter();
    let (mut dies, back) = (away.next(), away.next());
    while rotation < ROUGH {
        if let Some(time) = dies.filter(|time| *time < rotation) {
            at(time).await;
            pool.is_away.store(true, Ordering::SeqCst);
            provider.child.kill().expect("it runs");
            let _ = provider.child.wait();
            at(back.expect("it comes back")).await;
            // It has other keys now: the tokens of the old ones are as good as the keys that are still held.
            *provider = Provider::start(port);
            *pool.valid.write().expect("not poisoned") = provider.tokens().await;
            // The last fetch may have failed, and none may have succeeded since.
            tokio::time::sleep(UNSEEN_FOR).await;
            pool.is_away.store(false, Ordering::SeqCst);
            dies = None;
            while start + rotation < Instant::now() {
                rotation += ROTATION;
            }
            continue;
        }
        at(rotation).await;
        provider.post("/control/rotate?overlap=1", String::new()).await;
        let fresh = provider.tokens().await;
        let mut valid = pool.valid.write().expect("not poisoned");
        valid.extend(fresh);
        drop(valid);
        rotation += ROTATION;
    }
    at(ROUGH).await;
}

/// Four clients on two threads, until the rest has ended.
async fn load(auth: &JwtAuth<Value>, pool: &Arc<Pool>, until: impl Future<Output = ()>) -> Seen {
    pool.stop.store(false, Ordering::SeqCst);
    let clients: Vec<_> = (1..=4).map(|seed| tokio::spawn(client(auth.clone(), Arc::clone(pool), seed))).collect();
    until.await;
    pool.stop.store(true, Ordering::SeqCst);
    let mut all = Seen::default();
    for client in clients {
        let seen = client.await.expect("no panic");
        for (verdict, count) in seen.verdicts {
            *all.verdicts.entry(verdict).or_default() += count;
        }
        all.wrong.extend(seen.wrong);
        all.latencies.merge(&seen.latencies);
    }
    all
}

async fn client(auth: JwtAuth<Value>, pool: Arc<Pool>, seed: u64) -> Seen {
    let service = auth.layer(Nothing);
    let (mut random, mut seen) = (Random::new(seed), Seen::default());
    while !pool.stop.load(Ordering::Relaxed) {
        let number = pool.requests.fetch_add(1, Ordering::Relaxed);
        let chosen = {
            let valid = pool.valid.read().expect("not poisoned");
            valid[random.below(valid.len())].clone()
        };
        let (sent, token) = match random.below(10) {
            0 => (Sent::Expired, pool.expired.clone()),
            1 => (Sent::Tampered, tampered(&chosen.text)),
            2 => (Sent::Forged, forged(&chosen.text, number)),
            _ => (Sent::Valid, chosen.text.clone()),
        };
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
        let was_away = pool.is_away.load(Ordering::SeqCst);
        let start = Instant::now();
        let response = service.clone().oneshot(request).await.expect("infallible");
        let took = start.elapsed();
        let status = response.status();
        let is_away = was_away || pool.is_away.load(Ordering::SeqCst);
        let may_be_away = is_away && status == StatusCode::SERVICE_UNAVAILABLE;
        let is_new = chosen.since.elapsed() < UNSEEN_FOR;
        let is_right = match sent {
            Sent::Valid => status == StatusCode::OK || is_new && status == StatusCode::UNAUTHORIZED || may_be_away,
            _ => status == StatusCode::UNAUTHORIZED || may_be_away,
        };
        *seen.verdicts.entry((sent, status.as_u16())).or_default() += 1;
        if !is_right && seen.wrong.len() < 10 {
            seen.wrong.push(format!("{sent:?}: {status}, {:?} after it was issued", chosen.since.elapsed()));
        }
        if sent == Sent::Valid && status == StatusCode::OK {
            seen.latencies.add(took);
        }
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    seen
}

/// The same claims and key under a signature with one other character.
fn tampered(token: &str) -> String {
    let at = token.rfind('.').expect("a compact token") + 5;
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

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(pool: &Pool, calm: &Seen, rough: &Seen, growth: u64) -> bool {
    println!("\n| sent | answered | calm | rotations and outage |\n|---|---|---|---|");
    let mut keys: Vec<_> = calm.verdicts.keys().chain(rough.verdicts.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let count = |seen: &Seen| seen.verdicts.get(key).copied().unwrap_or(0);
        println!("| {:?} | {} | {} | {} |", key.0, key.1, count(calm), count(rough));
    }
    let percentile = |seen: &Seen, part| seen.latencies.percentile(part);
    println!("\n| valid and passed, µs | calm | rotations and outage |\n|---|---|---|");
    for part in [50, 99] {
        println!("| p{part} | {:.1} | {:.1} |", percentile(calm, part), percentile(rough, part));
    }
    let wrong: Vec<_> = calm.wrong.iter().chain(&rough.wrong).collect();
    let requests = pool.requests.load(Ordering::Relaxed);
    println!("\n{requests} requests, wrong verdicts: {}", wrong.len());
    println!("memory grew by {:.1} MiB", growth as f64 / 1_048_576.0);
    for wrong in &wrong {
        println!("WRONG {wrong}");
    }
    let is_quick = percentile(rough, 99) <= 2.0 * percentile(calm, 99);
    if !is_quick {
        println!("the 99th percentile is more than twice that of the calm provider");
    }
    wrong.is_empty() && growth <= 8 << 20 && is_quick
}
