//! Real threads that verify, rotate, revoke and forget at once, for two seconds, or for as many as
//! `TOWER_JWT_AUTH_STRESS_SECONDS` says. What must hold is said by flags that are set before a change begins and after it is
//! acknowledged: a request between the two may see either.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use bench_harness::Random;
use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, TokenCache, Verifier};

use crate::support::verdict;

const THREADS: u64 = 4;
/// Tokens that are sent at any time: more than are remembered.
const SLOTS: usize = 200;

/// Something that changes once.
#[derive(Default)]
struct Change {
    begun: AtomicBool,
    done: AtomicBool,
}

impl Change {
    fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::SeqCst)
    }

    fn done(&self) {
        self.done.store(true, Ordering::SeqCst);
    }
}

struct Token {
    text: String,
    id: String,
    tampered: String,
    revoked: Change,
    withdrawn: Arc<Change>,
}

/// Runs one operation after the other on every thread, until the time is up: how many.
fn stress<F: Future<Output = ()> + 'static>(
    one: impl Fn(Arc<Mutex<Random>>) -> F + Send + Sync + Clone + 'static,
) -> u64 {
    let seconds = std::env::var("TOWER_JWT_AUTH_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(2));
    let threads: Vec<_> = (1..=THREADS)
        .map(|seed| {
            let one = one.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
                let random = Arc::new(Mutex::new(Random::new(seed)));
                let mut count = 0_u64;
                while Instant::now() < end {
                    runtime.block_on(one(Arc::clone(&random)));
                    count += 1;
                }
                count
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("no panic, and nothing wrong")).sum()
}

fn below(random: &Mutex<Random>, bound: usize) -> usize {
    random.lock().expect("not poisoned").below(bound)
}

struct Keys {
    authority: Authority,
    withdrawn: Arc<Change>,
}

impl Keys {
    fn new() -> Self {
        Self { authority: Authority::new(Algorithm::ES256), withdrawn: Arc::default() }
    }

    fn token(&self, number: u64) -> Token {
        let id = number.to_string();
        let build = || self.authority.token().claim("jti", &id);
        let (text, tampered) = (build().sign(), build().tampered().sign());
        Token { text, id, tampered, revoked: Change::default(), withdrawn: Arc::clone(&self.withdrawn) }
    }
}

struct World {
    source: source::Source,
    keys: RwLock<Keys>,
    slots: Vec<RwLock<Arc<Token>>>,
    list: RevocationList,
    verifier: Verifier<Value>,
    /// Of revocations, and of rotations; one at a time.
    revoked: AtomicU64,
    rotated: tokio::sync::Mutex<u64>,
    numbers: AtomicU64,
}

impl World {
    async fn verify(&self, slot: usize) {
        let token = Arc::clone(&self.slots[slot].read().expect("not poisoned"));
        let was_revoked = token.revoked.done.load(Ordering::SeqCst);
        let was_withdrawn = token.withdrawn.done.load(Ordering::SeqCst);
        let verdict = verdict(&self.verifier, &token.text).await;
        let is_possible = match verdict {
            Ok(()) => !was_revoked && !was_withdrawn,
            Err(Kind::Revoked) => token.revoked.begun.load(Ordering::SeqCst),
            // An authority's first key always has the same `kid`.
            Err(Kind::UnknownKey | Kind::InvalidSignature) => token.withdrawn.begun.load(Ordering::SeqCst),
            _ => false,
        };
        assert!(is_possible, "{verdict:?}, revoked: {was_revoked}, withdrawn: {was_withdrawn}");
    }

    async fn verify_tampered(&self, slot: usize) {
        let token = Arc::clone(&self.slots[slot].read().expect("not poisoned"));
        let verdict = verdict(&self.verifier, &token.tampered).await;
        assert!(matches!(verdict, Err(Kind::InvalidSignature | Kind::UnknownKey)), "{verdict:?}");
    }

    fn revoke(&self, slot: usize) {
        let token = Arc::clone(&self.slots[slot].read().expect("not poisoned"));
        if token.revoked.begin() {
            let exp = UnixTime::from_secs(Clock::system().now().as_secs() + 24 * 60 * 60);
            let name = self.keys.read().expect("not poisoned").authority.name().to_owned();
            self.list.revoke(&name, &token.id, exp).expect("room");
            token.revoked.done();
            self.revoked.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Another token, of the keys of now.
    fn renew(&self, slot: usize) {
        let token = self.keys.read().expect("not poisoned").token(self.numbers.fetch_add(1, Ordering::SeqCst));
        *self.slots[slot].write().expect("not poisoned") = Arc::new(token);
    }

    async fn rotate(&self) {
        let Ok(mut rotated) = self.rotated.try_lock() else { return };
        let fresh = Keys::new();
        let old = Arc::clone(&self.keys.read().expect("not poisoned").withdrawn);
        old.begin();
        self.source.publish(&fresh.authority).await;
        old.done();
        *self.keys.write().expect("not poisoned") = fresh;
        *rotated += 1;
        for slot in 0..SLOTS {
            self.renew(slot);
        }
    }
}

#[test]
fn no_order_of_rotations_and_revocations_lets_a_dead_token_pass_or_refuses_a_live_one() {
    let keys = Keys::new();
    let source = source::Source::new(&keys.authority);
    let list = RevocationList::new();
    let cache = TokenCache::new(SLOTS / 3);
    let issuer = source.issuer(&keys.authority);
    let verifier =
        Verifier::builder().trust(issuer).cache(cache.clone()).revocation(list.clone()).build().expect("valid");
    let numbers = AtomicU64::new(SLOTS as u64);
    let slots = (0..SLOTS as u64).map(|number| RwLock::new(Arc::new(keys.token(number)))).collect();
    let (revoked, rotated) = (AtomicU64::new(0), tokio::sync::Mutex::new(0));
    let world = Arc::new(World { source, keys: RwLock::new(keys), slots, list, verifier, revoked, rotated, numbers });
    let shared = Arc::clone(&world);
    let count = stress(move |random| {
        let world = Arc::clone(&shared);
        async move {
            // A few are sent often: they are remembered when they die.
            let slot = if below(&random, 2) == 0 { below(&random, 8) } else { below(&random, SLOTS) };
            match below(&random, 1000) {
                0 => world.rotate().await,
                1..20 => world.revoke(slot),
                20..40 => world.renew(slot),
                40..100 => world.verify_tampered(slot).await,
                _ => world.verify(slot).await,
            }
        }
    });
    let (revoked, rotated) = (world.revoked.load(Ordering::SeqCst), *world.rotated.blocking_lock());
    println!("{count} operations: {revoked} revocations, {rotated} rotations");
    assert_eq!(world.list.len() as u64, revoked);
    assert!(cache.len() <= SLOTS / 3);
    assert!(count > 100 && revoked > 0 && rotated > 0, "too little happened");
    world.source.check_idle();
}

#[test]
fn no_order_of_questions_and_withdrawals_lets_a_withdrawn_tenant_pass_or_refuses_a_restored_one() {
    let tenant = Arc::new(Authority::new(Algorithm::ES256));
    // Four phases in turn: trusted, being withdrawn, withdrawn, being restored.
    let (phase, is_trusted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (asked, answers) = (Arc::clone(&is_trusted), Arc::clone(&tenant));
    let resolver = IssuerResolver::new(move |iss: String| {
        let answer = asked.load(Ordering::SeqCst) && iss == answers.name();
        let answer = answer.then(|| answers.trusted());
        async move {
            tokio::task::yield_now().await;
            Ok(answer)
        }
    });
    let verifier = Verifier::<Value>::builder().resolver(resolver).cache(TokenCache::new(10)).build().expect("valid");
    let (token, turn) = (tenant.token().sign(), Arc::new(Mutex::new(())));
    let stranger = Arc::new(Authority::new(Algorithm::ES256).named("https://stranger.test"));
    let turns = Arc::clone(&phase);
    let count = stress(move |random| {
        let (verifier, token, phase) = (verifier.clone(), token.clone(), Arc::clone(&phase));
        let (tenant, stranger) = (Arc::clone(&tenant), Arc::clone(&stranger));
        let (is_trusted, turn) = (Arc::clone(&is_trusted), Arc::clone(&turn));
        async move {
            match below(&random, 100) {
                0 => {
                    let Ok(_turn) = turn.try_lock() else { return };
                    let now = phase.fetch_add(1, Ordering::SeqCst);
                    is_trusted.store(now % 4 == 2, Ordering::SeqCst);
                    verifier.forget_issuer(tenant.name());
                    phase.fetch_add(1, Ordering::SeqCst);
                }
                1 => {
                    let iss = format!("https://{}.test", below(&random, 1_000_000));
                    let invented = stranger.token().claim("iss", iss).sign();
                    assert_eq!(verdict(&verifier, &invented).await, Err(Kind::InvalidIssuer));
                }
                _ => {
                    let before = phase.load(Ordering::SeqCst);
                    let verdict = verdict(&verifier, &token).await;
                    let is_still = phase.load(Ordering::SeqCst) == before;
                    let expected = match before % 4 {
                        0 if is_still => verdict == Ok(()),
                        2 if is_still => verdict == Err(Kind::InvalidIssuer),
                        _ => matches!(verdict, Ok(()) | Err(Kind::InvalidIssuer)),
                    };
                    assert!(expected, "{verdict:?} in phase {before}");
                }
            }
        }
    });
    let turns = turns.load(Ordering::SeqCst) / 2;
    println!("{count} operations: {turns} withdrawals and restorations");
    assert!(count > 100 && turns > 1, "too little happened");
}

#[cfg(feature = "issue")]
#[test]
fn no_order_of_uses_spends_a_refresh_token_twice() {
    use tower_jwt_auth::issue::refresh::{MemoryRefreshStore, RefreshErrorKind, RefreshTokens};

    let tokens = Arc::new(
        RefreshTokens::<Value, _>::builder(MemoryRefreshStore::with_bounds(1_000_000, 1_000_000))
            .build()
            .expect("valid"),
    );
    let live = Arc::new(RwLock::new(Vec::new()));
    let spent = Arc::new(Mutex::new(HashSet::new()));
    let ended = Arc::new(AtomicU64::new(0));
    let (uses, endings) = (Arc::clone(&spent), Arc::clone(&ended));
    let count = stress(move |random| {
        let (tokens, live) = (Arc::clone(&tokens), Arc::clone(&live));
        let (spent, ended) = (Arc::clone(&spent), Arc::clone(&ended));
        async move {
            let chosen = {
                let live: std::sync::RwLockReadGuard<'_, Vec<String>> = live.read().expect("not poisoned");
                (live.len() == 4).then(|| below(&random, 4)).map(|at| (at, live[at].clone()))
            };
            let Some((at, token)) = chosen else {
                let new = tokens.start("user", &Value::Null).await.expect("room");
                let mut live = live.write().expect("not poisoned");
                if live.len() < 4 {
                    live.push(new.as_str().to_owned());
                }
                return;
            };
            let next = match tokens.rotate(&token).await {
                Ok(rotated) => {
                    assert!(spent.lock().expect("not poisoned").insert(token), "spent twice");
                    rotated.into_parts().0
                }
                Err(error) => {
                    let kind = error.kind();
                    assert!(matches!(kind, RefreshErrorKind::Reused | RefreshErrorKind::Invalid), "{kind:?}");
                    ended.fetch_add(1, Ordering::SeqCst);
                    tokens.start("user", &Value::Null).await.expect("room")
                }
            };
            live.write().expect("not poisoned")[at] = next.as_str().to_owned();
        }
    });
    let (spent, ended) = (uses.lock().expect("not poisoned").len(), endings.load(Ordering::SeqCst));
    println!("{count} operations: {spent} tokens spent, {ended} used again or of an ended session");
    assert!(spent > 100 && ended > 0, "too little happened");
}

/// Keys that are fetched.
#[cfg(feature = "remote")]
mod source {
    use std::pin::Pin;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use tower_jwt_auth::keys::{RemoteJwks, ResponseBody, Transport};

    use super::{Arc, AtomicUsize, Authority, Duration, Issuer, Mutex, Ordering};

    pub(super) struct Source {
        published: Arc<Mutex<String>>,
        keys: RemoteJwks,
        /// The task runs here: the threads' runtimes stand still between their operations.
        _runtime: tokio::runtime::Runtime,
    }

    struct Provider {
        published: Arc<Mutex<String>>,
        fetching: Arc<AtomicUsize>,
    }

    type BoxError = Box<dyn std::error::Error + Send + Sync>;
    type Answer = Result<Response<ResponseBody>, BoxError>;

    impl Transport for Provider {
        fn send(&self, _: Request<()>) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let (published, fetching) = (Arc::clone(&self.published), Arc::clone(&self.fetching));
            Box::pin(async move {
                assert_eq!(fetching.fetch_add(1, Ordering::SeqCst), 0, "one fetch at a time");
                let body = published.lock().expect("not poisoned").clone();
                tokio::task::yield_now().await;
                fetching.fetch_sub(1, Ordering::SeqCst);
                let body = Full::new(Bytes::from(body)).map_err(|never| -> BoxError { match never {} });
                Ok(Response::new(Box::pin(body) as ResponseBody))
            })
        }
    }

    impl Source {
        pub(super) fn new(authority: &Authority) -> Self {
            let published = Arc::new(Mutex::new(authority.jwks()));
            let provider = Provider { published: Arc::clone(&published), fetching: Arc::default() };
            let keys = RemoteJwks::from_url("https://issuer.test/jwks").client(provider);
            let keys = keys.forced_refetches(1_000_000, Duration::from_secs(30)).build().expect("valid");
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(keys.ready()).expect("it answers");
            Self { published, keys, _runtime: runtime }
        }

        pub(super) fn issuer(&self, authority: &Authority) -> Issuer {
            Issuer::new(authority.name(), self.keys.clone()).audience(authority.audience())
        }

        pub(super) async fn publish(&self, authority: &Authority) {
            *self.published.lock().expect("not poisoned") = authority.jwks();
            self.keys.refresh().await.expect("it answers");
        }

        pub(super) fn check_idle(&self) {
            let status = self.keys.status();
            assert_eq!(status.waiting, 0);
            assert!(status.last_error.is_none(), "{status:?}");
        }
    }
}

/// Keys in memory.
#[cfg(not(feature = "remote"))]
mod source {
    use tower_jwt_auth::KeySet;
    use tower_jwt_auth::keys::{KeyLookup, KeyQuery};

    use super::{Arc, Authority, Issuer, RwLock};

    pub(super) struct Source(Arc<RwLock<KeySet>>);

    impl Source {
        pub(super) fn new(authority: &Authority) -> Self {
            Self(Arc::new(RwLock::new(authority.key_set())))
        }

        pub(super) fn issuer(&self, authority: &Authority) -> Issuer {
            let keys = Arc::clone(&self.0);
            let source = move |_: &KeyQuery<'_>| KeyLookup::ready(keys.read().expect("not poisoned").clone());
            Issuer::new(authority.name(), source).audience(authority.audience())
        }

        #[expect(clippy::unused_async, reason = "fetched keys need time")]
        pub(super) async fn publish(&self, authority: &Authority) {
            *self.0.write().expect("not poisoned") = authority.key_set();
        }

        #[expect(clippy::unused_self, reason = "nothing waits")]
        pub(super) fn check_idle(&self) {}
    }
}
