//! What a request costs: `cargo bench --bench request`, or one group of it by a part of its name, with `-- RS256`.
//!
//! - Per algorithm: the layer around a service that does nothing, beside two yardsticks in the same run: the limit
//!   (one signature check with a prepared key, one decode, one typed parse, and, remembered, one lookup by the whole
//!   token), and `jsonwebtoken::decode` by hand. Ratios are to the limit.
//! - Then what must not grow: threads, remembered tokens, keys, issuers, a fetch that hangs, a guard.
//!
//! Requests are built outside the timed part: four headers, one of them the token, and one extension. The claims are
//! nine members in about 450 bytes, parsed into a struct of owned fields. `bench-harness` says how time is taken, and
//! why not with criterion.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench_harness::{
    AUDIENCE, Bench, ByHand, Case, Claims, ISSUER, Limit, Nothing, Random, RememberedLimit, allocated, call, claims,
    request,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_jwt_auth::authorize::{Require, StepUp};
use tower_jwt_auth::keys::{BoxError, RemoteJwks, ResponseBody, Transport};
use tower_jwt_auth::layer::JwtAuthService;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Jwt, JwtAuth, KeySet, RequireScopes, TokenCache, Verifier};
use tower_layer::Layer;

type Body = Full<Bytes>;
type Group = fn(&mut Bench, &str);
type Service = JwtAuthService<Nothing, Claims>;

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

const OK: StatusCode = StatusCode::OK;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

const HOUR: i64 = 3600;

fn main() {
    let mut bench = Bench::from_arguments();
    for algorithm in ALGORITHMS {
        if bench.wants(algorithm.name()) {
            per_request(&mut bench, algorithm);
        }
    }
    let groups: [(&str, Group); 8] = [
        ("threads", threads),
        ("remembered tokens", remembered_tokens),
        ("memory", memory),
        ("fixed keys", fixed_keys),
        ("remote keys", remote_keys),
        ("issuers", issuers),
        ("a fetch that hangs", hanging_fetch),
        ("a guard", guard),
    ];
    for (name, run) in groups {
        if bench.wants(name) {
            run(&mut bench, name);
        }
    }
}

fn authority(algorithm: Algorithm) -> Authority {
    Authority::new(algorithm).named(ISSUER).for_audience(AUDIENCE)
}

/// A good token for the user of this number.
fn token(authority: &Authority, user: u64) -> String {
    authority.token().claims(claims(user, HOUR)).sign()
}

fn accepting(issuer: Issuer) -> Service {
    JwtAuth::new(issuer).expect("a good configuration").layer(Nothing)
}

fn remembering(issuer: Issuer, tokens: usize) -> Service {
    let verifier = Verifier::builder().trust(issuer).cache(TokenCache::new(tokens)).build();
    JwtAuth::with(verifier.expect("a good configuration")).layer(Nothing)
}

/// A case that sends one token over and over.
fn accepted(name: impl Into<String>, service: Service, token: &str) -> Case<'_> {
    Case::requests(name, OK, service, move || request::<Body>(Some(token)))
}

fn per_request(bench: &mut Bench, algorithm: Algorithm) {
    let authority = &authority(algorithm);
    let jwks = &authority.jwks();
    let good = &token(authority, 1);
    let tampered = authority.token().claims(claims(1, HOUR)).tampered().sign();
    let expired = authority.token().claims(claims(1, -HOUR)).sign();
    let unknown = authority.token().claims(claims(1, HOUR)).header("kid", "another-key").sign();
    let remembered_limit = RememberedLimit::new(Nothing, jwks, [good.as_str()]);
    let send = move || request::<Body>(Some(good));

    let mut cases = vec![
        Case::requests("the limit", OK, Limit::new(Nothing, jwks), send),
        accepted("accepted", accepting(authority.trusted()), good),
        Case::requests("jsonwebtoken by hand", OK, ByHand::new(Nothing, jwks), send),
    ];
    for (name, token) in [
        ("refused: bad signature", Some(tampered)),
        ("refused: expired", Some(expired)),
        ("refused: unknown kid", Some(unknown)),
        ("refused: no token", None),
    ] {
        let service = accepting(authority.trusted());
        cases.push(Case::requests(name, UNAUTHORIZED, service, move || request::<Body>(token.as_deref())));
    }
    bench.group(algorithm.name(), "the limit", cases);

    let group = format!("{algorithm}, remembered");
    bench.group(
        &group,
        "the limit, remembered",
        vec![
            Case::requests("no middleware", OK, Nothing, send),
            Case::requests("the limit, remembered", OK, remembered_limit, send),
            accepted("remembered", remembering(authority.trusted(), 50_000), good),
        ],
    );
    if algorithm == ALGORITHMS[0] {
        let payload = claims(1, HOUR).to_string();
        let (own, _) = allocated(|| serde_json::from_str::<Claims>(&payload).expect("claims"));
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        bench.figure("claims", "allocations of the claims themselves", own.count as f64, "");
    }
}

/// Two threads, each with tokens of its own, against one.
fn threads(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let tokens: Vec<String> = (0..2000).map(|user| token(authority, user)).collect();
    // For each thread its part of the tokens, in an order of its own.
    let makers = |threads: u32| {
        (0..threads).map(|thread| {
            let (part, mut random) = (&tokens[1000 * thread as usize..][..1000], Random::new(u64::from(thread) + 1));
            move || request::<Body>(Some(&part[random.below(part.len())]))
        })
    };
    let remembering = &remembering(authority.trusted(), 50_000);
    for token in &tokens {
        call(&mut remembering.clone(), request::<Body>(Some(token)));
    }
    let accepting = &accepting(authority.trusted());
    bench.group(
        group,
        "remembered, one thread",
        vec![
            Case::threads("remembered, one thread", remembering, makers(1).collect()),
            Case::threads("remembered, two threads", remembering, makers(2).collect()),
            Case::threads("accepted (HS256), one thread", accepting, makers(1).collect()),
            Case::threads("accepted (HS256), two threads", accepting, makers(2).collect()),
            Case::threads("no middleware, one thread", &Nothing, makers(1).collect()),
            Case::threads("no middleware, two threads", &Nothing, makers(2).collect()),
        ],
    );
}

/// A hit among many remembered tokens against one among few, asked for at random.
fn remembered_tokens(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let tokens: Vec<String> = (0..bench.scale(1_000_000)).map(|user| token(authority, user.into())).collect();
    let services = [1000, tokens.len()].map(|count| {
        // Room to spare: entries do not spread evenly, and none may leave.
        let mut service = remembering(authority.trusted(), count + count / 2);
        for token in &tokens[..count] {
            call(&mut service, request::<Body>(Some(token)));
        }
        (count, service)
    });
    let cases = services.map(|(count, service)| {
        let (tokens, mut random) = (&tokens[..count], Random::new(7));
        let send = move || request::<Body>(Some(&tokens[random.below(tokens.len())]));
        Case::requests(format!("a hit among {count}"), OK, service, send)
    });
    bench.group(group, "a hit among 1000", cases.into());
}

/// Bytes per remembered token of a full memory, beyond the token and its claims.
fn memory(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let count = bench.scale(50_000) as usize;
    let tokens: Vec<String> = (0..count as u64 * 3 / 2).map(|user| token(authority, user)).collect();
    let payload = claims(1, HOUR).to_string();
    let (own, _claims) = allocated(|| serde_json::from_str::<Claims>(&payload).expect("claims"));
    let own = own.bytes + i64::try_from(size_of::<Claims>()).expect("small");
    let length = tokens.iter().map(String::len).sum::<usize>() / tokens.len();
    let cache = TokenCache::new(count);
    let (held, _service) = allocated(|| {
        let verifier = Verifier::<Claims>::builder().trust(authority.trusted()).cache(cache.clone()).build();
        let mut service = JwtAuth::with(verifier.expect("a good configuration")).layer(Nothing);
        for token in &tokens {
            call(&mut service, request::<Body>(Some(token)));
        }
        service
    });
    #[expect(clippy::cast_precision_loss, reason = "less than 2^52 bytes")]
    let held = held.bytes as f64 / cache.len() as f64;
    #[expect(clippy::cast_precision_loss, reason = "some thousand bytes")]
    let (length, own) = (length as f64, own as f64);
    bench.figure(group, "per remembered token", held, "bytes");
    bench.figure(group, "length of the token", length, "bytes");
    bench.figure(group, "its claims", own, "bytes");
    bench.figure(group, "beyond token and claims", held - length - own, "bytes");
}

/// Key choice among 10,000 keys of a fixed set against one.
fn fixed_keys(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let good = &token(authority, 1);
    let jwk = |kid: &str| {
        let jwks = authority.jwks();
        let mut jwk = serde_json::from_str::<serde_json::Value>(&jwks).expect("a JWK set")["keys"][0].take();
        jwk["kid"] = kid.into();
        jwk
    };
    let services = [1, 10_000].map(|count| {
        let others = (1..count).map(|number| jwk(&format!("another-key-{number}")));
        let keys: Vec<_> = others.chain([jwk("key-1")]).collect();
        let keys = KeySet::jwk_set(serde_json::json!({ "keys": keys }).to_string()).expect("good keys");
        (count, Issuer::new(ISSUER, keys).audience(AUDIENCE))
    });
    let cases = services.map(|(count, issuer)| accepted(format!("HS256, {count} keys"), accepting(issuer), good));
    bench.group(group, "HS256, 1 keys", cases.into());
}

/// Answers once with a key set, and then never again.
struct Provider {
    jwks: String,
    hangs: Arc<AtomicBool>,
}

impl Transport for Provider {
    fn send(&self, _: Request<()>) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>> {
        let body = Full::new(Bytes::from(self.jwks.clone())).map_err(BoxError::from);
        let hangs = self.hangs.load(Ordering::Relaxed);
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Box::pin(body) as ResponseBody))
        })
    }
}

/// Where sources fetch; the measured thread never waits for it.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
}

/// A source with these keys at hand, and the switch after which its provider hangs.
fn remote(runtime: &tokio::runtime::Runtime, jwks: String) -> (RemoteJwks, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let provider = Provider { jwks, hangs: Arc::clone(&hangs) };
    let keys = RemoteJwks::from_url("https://login.example.com/jwks")
        .client(provider)
        .fetch_timeout(Duration::from_secs(3600))
        .build()
        .expect("a good configuration");
    runtime.block_on(keys.ready()).expect("the first fetch");
    (keys, hangs)
}

/// Key choice among 100 remote keys against one: verified, and remembered, where an entry stands only while its key
/// does.
fn remote_keys(bench: &mut Bench, group: &str) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut one = authority(Algorithm::EdDSA);
    let few = one.jwks();
    let good = &token(&one, 1);
    for _ in 1..100 {
        one.add_key(Algorithm::EdDSA);
    }
    let sources = [(1, few), (100, one.jwks())].map(|(count, jwks)| (count, remote(&runtime, jwks).0));
    let issuer = |keys: &RemoteJwks| Issuer::new(ISSUER, keys.clone()).audience(AUDIENCE);
    let cases =
        sources.iter().map(|(count, keys)| accepted(format!("EdDSA, {count} keys"), accepting(issuer(keys)), good));
    bench.group(group, "EdDSA, 1 keys", cases.collect());
    let cases = sources
        .iter()
        .map(|(count, keys)| accepted(format!("remembered, {count} keys"), remembering(issuer(keys), 1000), good));
    bench.group("remote keys, remembered", "remembered, 1 keys", cases.collect());
}

/// One of 1,000 issuers against one of one and of two.
fn issuers(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let good = &token(authority, 1);
    let service = |count: usize| {
        let mut builder = Verifier::builder().trust(authority.trusted());
        for number in 1..count {
            let another = Authority::new(Algorithm::HS256).named(format!("https://login.example.com/realms/{number}"));
            builder = builder.trust(another.for_audience(AUDIENCE).trusted());
        }
        JwtAuth::with(builder.build().expect("a good configuration")).layer(Nothing)
    };
    let cases = [1, 2, 1000].map(|count| accepted(format!("HS256, {count} issuers"), service(count), good));
    bench.group(group, "HS256, 1 issuers", cases.into());
}

/// A known key while a fetch hangs against none on its way.
fn hanging_fetch(bench: &mut Bench, group: &str) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let authority = &authority(Algorithm::EdDSA);
    let good = &token(authority, 1);
    let sources = ["no fetch", "a fetch that hangs"].map(|name| {
        let (keys, hangs) = remote(&runtime, authority.jwks());
        if name == "a fetch that hangs" {
            hangs.store(true, Ordering::Relaxed);
            let handle = keys.clone();
            runtime.spawn(async move { handle.refresh().await });
            while keys.status().fetches < 2 {
                std::thread::yield_now();
            }
        }
        (name, keys)
    });
    let issuer = |keys: &RemoteJwks| Issuer::new(ISSUER, keys.clone()).audience(AUDIENCE);
    let cases = sources.iter().map(|(name, keys)| accepted(*name, accepting(issuer(keys)), good));
    bench.group(group, "no fetch", cases.collect());
    let cases = sources.iter().map(|(name, keys)| accepted(*name, remembering(issuer(keys), 1000), good));
    bench.group("a fetch that hangs, remembered", "no fetch", cases.collect());
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}

/// What guards add.
fn guard(bench: &mut Bench, group: &str) {
    let authority = &authority(Algorithm::HS256);
    let good = &token(authority, 1);
    let verifier = || {
        let builder = Verifier::<Claims>::builder().trust(authority.trusted()).cache(TokenCache::new(1000));
        JwtAuth::with(builder.build().expect("a good configuration"))
    };
    let send = move || request::<Body>(Some(good));
    let of_employee = |jwt: &Jwt<Claims>| jwt.claims().sub.starts_with("employees|");
    let recent = &authority.token().claims(claims(1, HOUR)).claim("auth_time", now()).sign();
    let fresh = move || request::<Body>(Some(recent));
    let guarded = |scopes: &[&'static str]| RequireScopes::all(scopes.iter().copied()).layer(Nothing);
    bench.group(
        group,
        "remembered, no guard",
        vec![
            Case::requests("remembered, no guard", OK, verifier().layer(Nothing), send),
            Case::requests("one scope", OK, verifier().layer(guarded(&["orders:read"])), send),
            Case::requests("two scopes", OK, verifier().layer(guarded(&["orders:read", "orders:write"])), send),
            Case::requests("a predicate", OK, verifier().layer(Require::new(of_employee).layer(Nothing)), send),
            Case::requests(
                "step-up",
                OK,
                verifier().layer(StepUp::max_age(Duration::from_secs(3600)).layer(Nothing)),
                fresh,
            ),
            Case::requests(
                "refused: a scope is missing",
                StatusCode::FORBIDDEN,
                verifier().layer(guarded(&["orders:delete"])),
                send,
            ),
        ],
    );
}
