//! Ten rotations under load, and no token refused: two issuing instances on one ring, and a verifier that fetches.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::{
    IssuedToken, IssuerMetadata, KeyPhase, KeyRing, KeyRingDocument, KeyRingError, KeyStore, KeyStoreFuture,
    MemoryKeyStore, TokenIssuer,
};
use tower_jwt_auth::keys::{BoxError, RemoteJwks, ResponseBody, Transport};
use tower_jwt_auth::{Algorithm, AuthError, Issuer, Verifier};

const HOUR: Duration = Duration::from_secs(60 * 60);
const ROTATIONS: usize = 10;

/// Both instances of the issuer behind one URL, in turns.
#[derive(Clone)]
struct Balanced {
    published: [IssuerMetadata; 2],
    turn: Arc<AtomicUsize>,
    unavailable: Arc<AtomicUsize>,
}

async fn not_found<Q, B: Default>(_: Request<Q>) -> Result<Response<B>, Infallible> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

impl Balanced {
    fn new(name: &str, rings: &[KeyRing; 2]) -> Self {
        let published = rings.each_ref().map(|ring| IssuerMetadata::new(name, ring.clone()).expect("a URL"));
        Self { published, turn: Arc::default(), unavailable: Arc::default() }
    }

    async fn answer<B: Default + From<Bytes>, Q>(&self, request: Request<Q>) -> Response<B> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % 2;
        let response = self.published[turn].layer(service_fn(not_found)).oneshot(request).await.expect("infallible");
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
        }
        response
    }
}

/// Without a network, for virtual time.
impl Transport for Balanced {
    fn send(
        &self,
        request: Request<()>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>> {
        let balanced = self.clone();
        Box::pin(async move {
            let response: Response<Full<Bytes>> = balanced.answer(request).await;
            Ok(response.map(|body| Box::pin(body.map_err(BoxError::from)) as ResponseBody))
        })
    }
}

fn signing(ring: &KeyRing) -> String {
    let keys = ring.status().keys.into_iter();
    keys.filter(|key| key.phase == KeyPhase::Signing).map(|key| key.kid).next().expect("one signs")
}

/// In virtual time, with every default: a rotation every two hours, tokens that live for an hour and are used to their
/// end, and a store that each instance loses again and again, for as long as it may.
#[tokio::test(start_paused = true)]
async fn with_the_defaults_no_token_is_refused_and_none_makes_the_verifier_fetch() {
    let name = "https://login.test";
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let (store, away) = (MemoryKeyStore::new(), [(); 2].map(|()| Arc::<AtomicBool>::default()));
    let instance = async |at: usize| {
        let store = Losing { store: store.clone(), away: Arc::clone(&away[at]) };
        let builder = KeyRing::builder(Algorithm::EdDSA).store(store).clock(clock.clone());
        builder.rotate_every(2 * HOUR).open().await.expect("in memory")
    };
    let rings = [instance(0).await, instance(1).await];
    let issuers = rings.each_ref().map(|ring| {
        let builder = TokenIssuer::builder(name, ring.clone()).audience("orders").lifetime(HOUR);
        builder.clock(clock.clone()).build().expect("valid")
    });
    let balanced = Balanced::new(name, &rings);
    let keys = RemoteJwks::discover(name).client(balanced.clone()).clock(clock.clone()).build().expect("valid");
    let trusted = Issuer::new(name, keys.clone()).audience("orders");
    let verifier = Verifier::<Value>::builder().trust(trusted).clock(clock.clone()).build().expect("valid");

    let mut alive: VecDeque<IssuedToken> = VecDeque::new();
    let (mut seen, mut used) = (vec![signing(&rings[0])], 0);
    let step = Duration::from_secs(10);
    for round in 0_usize.. {
        // Each instance is without the store for 3 of 10 minutes, and not at the same time.
        for (at, away) in away.iter().enumerate() {
            away.store((round + at * 30) % 60 < 18, Ordering::Relaxed);
        }
        // Virtual time goes on when all tasks wait, and no sooner than a thread that makes a key is done.
        tokio::time::sleep(step).await;
        clock.advance(step);
        for ring in &rings {
            assert!(ring.status().age <= 26 * step, "round {round}: {ring:?}");
        }
        alive.extend(issuers.each_ref().map(|issuer| issuer.token().subject("u").sign().expect("a key signs")));
        while alive.front().is_some_and(|token| token.expires_at() <= clock.now()) {
            alive.pop_front();
        }
        for token in alive.iter().take(2).chain(alive.iter().rev().take(2)) {
            let verdict = verifier.verify(token.as_str()).await;
            assert!(verdict.is_ok(), "round {round}: {:?}; {:?} {:?}", verdict.err(), rings, keys.status());
            used += 1;
        }
        let now = signing(&rings[0]);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if seen.len() > ROTATIONS {
            break;
        }
    }
    let status = keys.status();
    assert!(used > 20_000 && status.fetches > 200, "{used} tokens, {status:?}");
    assert_eq!(status.forced_fetches, 0, "every key was known before its first token");
    assert_eq!(balanced.unavailable.load(Ordering::Relaxed), 0, "3 minutes are within what is safe");
}

/// A store that can be away.
struct Losing {
    store: MemoryKeyStore,
    away: Arc<AtomicBool>,
}

impl KeyStore for Losing {
    fn load(&self) -> KeyStoreFuture<'_, Option<KeyRingDocument>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(KeyRingError::new("away")) });
        }
        self.store.load()
    }

    fn replace<'a>(&'a self, expected: u64, document: &'a KeyRingDocument) -> KeyStoreFuture<'a, bool> {
        self.store.replace(expected, document)
    }
}

/// In real time, over real sockets: axum, reqwest and Redis. The times are those of the defaults divided by 300: a
/// `max-age` of a second, so a rotation every two.
///
/// To stand still for half a second is what two and a half minutes are in production: where the machine does, and a token
/// is refused, it begins again.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_network_ten_rotations_under_load_refuse_no_token() {
    for _ in 0..5 {
        let stalls = Stalls::watch();
        let outcome = over_the_network().await;
        let longest = stalls.end();
        match outcome {
            Ok(answers) => {
                assert!(answers > 1000, "{answers}");
                return;
            }
            Err(refused) if longest < Duration::from_millis(300) => panic!("{refused}; no stall of over {longest:?}"),
            Err(refused) => eprintln!("again, for the machine stood still for {longest:?}: {refused}"),
        }
    }
    panic!("a machine that stands still again and again cannot show it");
}

/// Looks at its watch every few milliseconds.
#[cfg(feature = "redis")]
struct Stalls {
    ended: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<Duration>,
}

#[cfg(feature = "redis")]
impl Stalls {
    fn watch() -> Self {
        let ended = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&ended);
        let watching = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let before = std::time::Instant::now();
                std::thread::sleep(Duration::from_millis(5));
                longest = longest.max(before.elapsed());
            }
            longest
        });
        Self { ended, watching }
    }

    /// How long it could not.
    fn end(self) -> Duration {
        self.ended.store(true, Ordering::Relaxed);
        self.watching.join().expect("it only sleeps")
    }
}

/// How many tokens passed; `Err` for the first that was refused.
#[cfg(feature = "redis")]
async fn over_the_network() -> Result<usize, String> {
    use crate::redis_server::RedisServer;
    use tower_jwt_auth::JwtAuth;
    use tower_jwt_auth::issue::RedisKeyStore;

    let second = Duration::from_secs(1);
    let server = RedisServer::start();
    let instance = async || {
        let builder = KeyRing::builder(Algorithm::ES256).store(RedisKeyStore::new(server.redis()));
        let builder = builder.max_age(second).rotate_every(2 * second).stale_for(2 * second);
        builder.longest_lifetime(10 * second).leeway(2 * second).open().await.expect("the server answers")
    };
    let rings = [instance().await, instance().await];

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let name = format!("http://{}", listener.local_addr().expect("it listens"));
    let balanced = Balanced::new(&name, &rings);
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let balanced = balanced.clone();
        async move { balanced.answer::<axum::body::Body, _>(request).await }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    let keys = RemoteJwks::discover(&name).time_to_live_bounds(second, HOUR).build().expect("loopback may be http");
    let trusted = Issuer::new(&name, keys.clone()).audience("orders").access_token_profile();
    let auth = JwtAuth::<Value>::new(trusted).expect("valid");
    let protected =
        auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));

    let ended = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        let issuer = TokenIssuer::builder(&name, rings[client % 2].clone()).audience("orders").lifetime(10 * second);
        let issuer = issuer.build().expect("valid");
        let (ended, protected, keys) = (Arc::clone(&ended), protected.clone(), keys.clone());
        clients.spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(2));
            let mut kept: VecDeque<IssuedToken> = VecDeque::new();
            let mut answers = 0;
            while !ended.load(Ordering::Relaxed) {
                pace.tick().await;
                let fresh = issuer.token().subject("u").client("c").sign().expect("a key signs");
                // One that is about to end, four rotations later.
                let late = UnixTime::from_secs(fresh.issued_at().as_secs() + 2);
                let old = kept.front().is_some_and(|old| old.expires_at() <= late).then(|| kept.pop_front()).flatten();
                for token in [Some(&fresh), old.as_ref()].into_iter().flatten() {
                    let bearer = format!("Bearer {}", token.as_str());
                    let request = Request::get("/").header("authorization", bearer).body(()).expect("a request");
                    let response = protected.clone().oneshot(request).await.expect("infallible");
                    if response.status() != StatusCode::OK {
                        let error = response.extensions().get::<AuthError>();
                        return Err(format!("{}: {error:?}, {:?}", response.status(), keys.status()));
                    }
                    answers += 1;
                }
                kept.push_back(fresh);
            }
            Ok(answers)
        });
    }

    // Both turn at the same time, each by its own clock.
    let mut seen = vec![signing(&rings[0])];
    let deadline = tokio::time::Instant::now() + 60 * second;
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while seen.len() <= ROTATIONS {
        pace.tick().await;
        assert!(tokio::time::Instant::now() < deadline, "{seen:?} {rings:?}");
        let now = signing(&rings[1]);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if let Some(refused) = clients.try_join_next() {
            refused.expect("no panic")?;
        }
    }
    ended.store(true, Ordering::Relaxed);
    let answers = clients.join_all().await.into_iter().sum::<Result<usize, String>>()?;
    assert_eq!(seen.len(), ROTATIONS + 1);
    println!("{answers} requests, {:?}", keys.status());
    serving.abort();
    Ok(answers)
}
