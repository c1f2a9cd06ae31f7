//! Ways around the checks that were tried: each was open once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::binding::{MemoryReplayStore, ReplayStore};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::{self, Cookie, Credential, Header};
use tower_jwt_auth::forward::ForwardClaims;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, JwtAuth, KeySet, TokenCache, Verifier, providers};

use crate::support::verdict;

/// The handler's `Cache-Control`, and what becomes of it.
async fn caching(auth: JwtAuth<Value>, request: Request<()>, said: &'static str) -> String {
    let service = auth.layer(service_fn(move |_: Request<()>| async move {
        Ok::<_, Infallible>(Response::builder().header(CACHE_CONTROL, said).body(()).expect("a response"))
    }));
    let response = service.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    response.headers()[CACHE_CONTROL].to_str().expect("ASCII").to_owned()
}

/// RFC 9111 section 3.5 keeps shared caches from `Authorization` alone.
#[tokio::test]
async fn an_answer_to_a_token_in_a_header_of_ones_own_is_kept_out_of_shared_caches() {
    let authority = Authority::new(Algorithm::ES256);
    let auth = || JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let token = authority.token().sign();
    let request = || Request::get("/").header("x-token", &token).body(()).expect("a request");
    let header = auth().extractor(Header::new("x-token").expect("a name"));
    assert_eq!(caching(header, request(), "max-age=60").await, "private, max-age=60");
    let closure = auth().extractor(extract::from_fn(|head| match head.headers.get("x-token") {
        Some(value) => Credential::bearer(value.to_str().unwrap_or_default()).map(Some),
        None => Ok(None),
    }));
    assert_eq!(caching(closure, request(), "max-age=60").await, "private, max-age=60");
    let bearer = Request::get("/").header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    assert_eq!(caching(auth().extractor(extract::BearerHeader::new()), bearer, "max-age=60").await, "max-age=60");
}

#[tokio::test]
async fn no_store_is_not_lost_beside_a_quoted_string() {
    let authority = Authority::new(Algorithm::ES256);
    let token = authority.token().sign();
    for said in ["no-store, private=\"set-cookie\"", "no-cache=\"a, b\", No-Store", "x=\"\\\"\", no-store"] {
        let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").extractor(Cookie::new("access"));
        let request = Request::get("/").header("cookie", format!("access={token}")).body(()).expect("a request");
        let became = caching(auth, request, said).await.to_ascii_lowercase();
        assert!(became.contains("no-store"), "{said} became {became}");
    }
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").extractor(Cookie::new("access"));
    let request = Request::get("/").header("cookie", format!("access={token}")).body(()).expect("a request");
    let became = caching(auth, request, "x=\", no-store, \", public, y=\"open").await;
    assert_eq!(became, "private, x=\", no-store, \"");
}

/// lighttpd and Apache 2.2 hand a CGI variable `HTTP_X_USER_ID` on for all of these.
#[tokio::test]
async fn names_that_become_the_same_variable_are_removed() {
    let authority = Authority::new(Algorithm::ES256);
    let forward = ForwardClaims::new().subject("x-user-id").expect("a name");
    let service = ServiceBuilder::new()
        .layer(JwtAuth::<Value>::new(authority.trusted()).expect("valid"))
        .layer(forward)
        .service(service_fn(async |request: Request<()>| {
            let mut response = Response::new(());
            *response.headers_mut() = request.into_parts().0.headers;
            Ok::<_, Infallible>(response)
        }));
    let token = authority.token().claim("sub", "alice").sign();
    for spoofed in ["x.user.id", "x~user~id", "X-User.Id", "x!user_id", "x-user'id"] {
        let request = Request::get("/").header("authorization", format!("Bearer {token}")).header(spoofed, "admin");
        let response = service.clone().oneshot(request.body(()).expect("a request")).await.expect("infallible");
        assert_eq!(response.headers()["x-user-id"], "alice");
        assert!(!response.headers().contains_key(spoofed), "{spoofed}");
    }
}

/// Where a closure found the token in the query, it cannot be removed there.
#[tokio::test]
async fn a_token_that_is_in_no_header_is_not_said_to_be_stripped() {
    let authority = Authority::new(Algorithm::ES256);
    let from_query = extract::from_fn(|head| match head.uri.query().and_then(|query| query.strip_prefix("t=")) {
        Some(token) => Credential::bearer(token).map(Some),
        None => Ok(None),
    });
    let service = ServiceBuilder::new()
        .layer(JwtAuth::<Value>::new(authority.trusted()).expect("valid").extractor(from_query))
        .layer(ForwardClaims::new().strip_token())
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let request = Request::get(format!("/?t={}", authority.token().sign())).body(()).expect("a request");
    assert_eq!(service.oneshot(request).await.expect("infallible").status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// Everybody can name an environment, a branch or a workflow.
#[test]
fn a_rule_that_names_nobody_does_not_open_a_shared_issuer() {
    let build = |issuer: Issuer, claim: &'static str, value: &str| {
        Verifier::<Value>::new(issuer.audience("a").require_claim_value(claim, [value])).map(drop)
    };
    let keys = || Authority::new(Algorithm::RS256).key_set();
    let github = || providers::github_actions().with_keys(keys());
    let gitlab = || providers::gitlab("gitlab.com").expect("a host").with_keys(keys());
    for (claim, value) in [("environment", "production"), ("ref", "refs/heads/main"), ("event_name", "push")] {
        assert!(build(github(), claim, value).is_err(), "{claim}");
    }
    assert!(build(gitlab(), "ref", "main").is_err());
    // An address that nobody has verified is anybody's.
    for (claim, value) in [("azp", "client"), ("email", "alice@example.com")] {
        assert!(build(providers::google().with_keys(keys()), claim, value).is_err(), "{claim}");
    }
    assert!(build(providers::entra_multi_tenant().with_keys(keys()), "azp", "client").is_err());
    for claim in ["sub", "repository", "repository_id", "repository_owner", "repository_owner_id"] {
        assert!(build(github(), claim, "x").is_ok(), "{claim}");
    }
    for claim in ["sub", "project_path", "project_id", "namespace_path", "namespace_id"] {
        assert!(build(gitlab(), claim, "x").is_ok(), "{claim}");
    }
    for claim in ["sub", "hd"] {
        assert!(build(providers::google().with_keys(keys()), claim, "x").is_ok(), "{claim}");
    }
    // Beside one that names somebody, it is welcome.
    let both = github().audience("a").require_claim_value("environment", ["production"]);
    assert!(Verifier::<Value>::new(both.require_claim_value("repository", ["o/r"])).is_ok());
    // A shared issuer of one's own: whatever one says.
    let own = Issuer::new("https://own.test", keys()).shared();
    assert!(build(own, "group", "x").is_ok());
}

/// JWT-SVID section 2.3.
#[tokio::test]
async fn a_jwt_svid_is_of_no_other_type() {
    let authority = Authority::new(Algorithm::ES256).for_audience("spiffe://example.org/api");
    let provider = providers::spiffe("example.org", "https://spire.example.org/bundle").expect("a trust domain");
    let issuer = provider.with_keys(authority.key_set()).audience("spiffe://example.org/api");
    let verifier = Verifier::new(issuer).expect("valid");
    let svid = || authority.token().claim("sub", "spiffe://example.org/web");
    for typ in ["JWT", "JOSE"] {
        assert_eq!(verdict(&verifier, &svid().header("typ", typ).sign()).await, Ok(()));
    }
    assert_eq!(verdict(&verifier, &svid().without_header("typ").sign()).await, Ok(()));
    assert_eq!(verdict(&verifier, &svid().header("typ", "at+jwt").sign()).await, Err(Kind::WrongType));
}

/// A trusted name and its resolver, which counts other names and never answers for them.
fn resolver_that_hangs_on_strangers(tenant: Arc<Authority>, strangers: Arc<AtomicUsize>) -> IssuerResolver {
    IssuerResolver::new(move |iss: String| {
        let issuer = (iss == tenant.name()).then(|| tenant.trusted());
        strangers.fetch_add(usize::from(issuer.is_none()), Ordering::Relaxed);
        async move {
            match issuer {
                Some(issuer) => Ok(Some(issuer)),
                None => std::future::pending().await,
            }
        }
    })
}

#[tokio::test]
async fn invented_issuers_do_not_keep_known_tenants_from_being_asked_about_again() {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let tenant = Arc::new(Authority::new(Algorithm::ES256).with_clock(clock.clone()));
    let strangers = Arc::<AtomicUsize>::default();
    let resolver = resolver_that_hangs_on_strangers(Arc::clone(&tenant), Arc::clone(&strangers));
    let verifier = Verifier::<Value>::builder().resolver(resolver).clock(clock.clone()).build().expect("valid");
    let token = tenant.token().expires_in(99_999).sign();
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    let flood: Vec<_> = (0..64)
        .map(|n| {
            let (verifier, token) = (verifier.clone(), tenant.token().claim("iss", format!("https://{n}.evil")).sign());
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    while strangers.load(Ordering::Relaxed) < 64 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(600));
    assert_eq!(verdict(&verifier, &token).await, Ok(()), "64 forged tokens shut out every tenant");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

/// As a database does that compares names without their case.
#[tokio::test]
async fn a_resolver_that_takes_two_names_for_one_gives_no_tenants_place_away() {
    let tenant = Arc::new(Authority::new(Algorithm::ES256).named("https://tenant.test"));
    let asked = Arc::<AtomicUsize>::default();
    let (tenants, count) = (Arc::clone(&tenant), Arc::clone(&asked));
    let resolver = IssuerResolver::new(move |iss: String| {
        count.fetch_add(1, Ordering::Relaxed);
        let issuer = iss.eq_ignore_ascii_case(tenants.name()).then(|| tenants.trusted());
        async { Ok(issuer) }
    });
    let verifier = Verifier::<Value>::builder().resolver(resolver.capacity(1)).build().expect("valid");
    let token = tenant.token().sign();
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    let forged = tenant.token().claim("iss", "https://TENANT.test").unsigned().sign();
    assert_eq!(verdict(&verifier, &forged).await, Err(Kind::InvalidIssuer));
    assert_eq!(verdict(&verifier, &forged).await, Err(Kind::InvalidIssuer));
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "a forged name pushed the tenant out, or was asked about again");
}

#[tokio::test]
async fn a_kid_that_two_issuers_share_leads_to_the_key_of_the_tokens_own() {
    let [one, other] = ["https://one.test", "https://other.test"].map(|name| {
        let authority = Authority::new(Algorithm::ES256).named(name);
        let mut jwks: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
        jwks["keys"][0]["kid"] = json!("shared");
        (Issuer::new(name, KeySet::jwk_set(jwks.to_string()).expect("a set")).audience("test-audience"), authority)
    });
    let cache = TokenCache::new(10);
    let builder = Verifier::<Value>::builder().trust(one.0).trust(other.0).cache(cache);
    let verifier = builder.build().expect("valid");
    for (signer, stranger) in [(&one.1, &other.1), (&other.1, &one.1)] {
        let token = signer.token().header("kid", "shared");
        assert_eq!(verdict(&verifier, &token.sign()).await, Ok(()));
        let forged = signer.token().header("kid", "shared").claim("iss", stranger.name());
        assert_eq!(verdict(&verifier, &forged.sign()).await, Err(Kind::InvalidSignature));
    }
}

#[tokio::test]
async fn an_answer_from_before_an_issuer_was_forgotten_is_not_kept() {
    let tenant = Arc::new(Authority::new(Algorithm::ES256));
    let is_trusted = Arc::new(AtomicBool::new(true));
    let (asked, answers) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let resolver = {
        let (tenant, is_trusted) = (Arc::clone(&tenant), Arc::clone(&is_trusted));
        let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
        IssuerResolver::new(move |_| {
            // What the database says now, and what takes time to arrive.
            let issuer = is_trusted.load(Ordering::Relaxed).then(|| tenant.trusted());
            let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
            async move {
                asked.notify_one();
                if issuer.is_some() {
                    answers.notified().await;
                }
                Ok(issuer)
            }
        })
    };
    let verifier = Verifier::<Value>::builder().resolver(resolver).build().expect("valid");
    let token = tenant.token().sign();
    let early = {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verdict(&verifier, &token).await })
    };
    asked.notified().await;
    is_trusted.store(false, Ordering::Relaxed);
    verifier.forget_issuer(tenant.name());
    answers.notify_one();
    assert_eq!(early.await.expect("no panic"), Ok(()), "it came before");
    assert_eq!(verdict(&verifier, &token).await, Err(Kind::InvalidIssuer), "withdrawn, and told so");
}

#[tokio::test]
async fn a_verdict_on_an_issuer_that_was_forgotten_is_not_remembered() {
    let tenant = Arc::new(Authority::new(Algorithm::ES256));
    for is_nameless in [true, false] {
        let is_trusted = Arc::new(AtomicBool::new(true));
        let keys = tenant.key_set();
        let resolver = {
            let (tenant, is_trusted) = (Arc::clone(&tenant), Arc::clone(&is_trusted));
            IssuerResolver::new(move |_| {
                // Or one whose first name is also that of an issuer in the list.
                let issuer = if is_nameless {
                    Issuer::danger_any_issuer(keys.clone())
                } else {
                    Issuer::new("https://fixed.test", keys.clone()).alias(tenant.name())
                };
                let issuer = issuer.audience(tenant.audience());
                let answer = is_trusted.load(Ordering::Relaxed).then_some(issuer);
                async move { Ok(answer) }
            })
        };
        let fixed = Authority::new(Algorithm::ES256).named("https://fixed.test");
        let builder = Verifier::<Value>::builder().trust(fixed.trusted()).resolver(resolver);
        let verifier = builder.cache(TokenCache::new(10)).build().expect("valid");
        let token = tenant.token().sign();
        for _ in 0..2 {
            assert_eq!(verdict(&verifier, &token).await, Ok(()));
        }
        is_trusted.store(false, Ordering::Relaxed);
        verifier.forget_issuer(tenant.name());
        assert_eq!(verdict(&verifier, &token).await, Err(Kind::InvalidIssuer), "nameless: {is_nameless}");
    }
}

#[tokio::test]
async fn a_record_of_proofs_by_default_is_not_full_from_the_start() {
    use tower_jwt_auth::binding::Dpop;
    use tower_jwt_auth::testing::DpopClient;

    fn default<T: Default + ReplayStore>() -> T {
        T::default()
    }
    let (authority, client) = (Authority::new(Algorithm::ES256), DpopClient::new(Algorithm::ES256));
    let dpop = Dpop::new("https://a.test").expect("a URL").replay_store(default::<MemoryReplayStore>());
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").dpop(dpop);
    let token = authority.token().claim("cnf", json!({"jkt": client.thumbprint()})).sign();
    let proof = client.proof("GET", "https://a.test/", &token).sign();
    let request = Request::get("/").header("authorization", format!("DPoP {token}")).header("dpop", proof);
    let service = auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let response = service.oneshot(request.body(()).expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

/// A proof that lies 30 s ahead is good for 330 s and no second less.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_used_proof_stays_on_the_server_for_as_long_as_it_could_pass() {
    use crate::redis_server::RedisServer;
    use tower_jwt_auth::binding::{Dpop, RedisReplayStore};
    use tower_jwt_auth::testing::DpopClient;

    let (authority, client, server) =
        (Authority::new(Algorithm::ES256), DpopClient::new(Algorithm::ES256), RedisServer::start());
    let store = RedisReplayStore::new(server.redis());
    let dpop = Dpop::new("https://a.test").expect("a URL").replay_store(store);
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").dpop(dpop);
    let token = authority.token().claim("cnf", json!({"jkt": client.thumbprint()})).sign();
    let proof = client.proof("GET", "https://a.test/", &token).sign();
    let request = Request::get("/").header("authorization", format!("DPoP {token}")).header("dpop", proof);
    let service = auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));

    // Not at the very start of a second, where nothing is rounded off.
    let (seconds, micros): (u64, u64) = loop {
        let (seconds, micros) = server.ask(&["TIME"]);
        if (100_000..800_000).contains(&micros) {
            break (seconds, micros);
        }
    };
    let response = service.oneshot(request.body(()).expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    let of_client = keys.iter().find(|key| !key.ends_with("counts")).expect("a set");
    let entries: Vec<(Vec<u8>, u64)> = server.ask(&["ZRANGE", of_client, "0", "-1", "WITHSCORES"]);
    // It leaves when the server's clock, in whole seconds, reaches its score.
    let leaves = entries[0].1 * 1_000_000;
    assert!(leaves >= (seconds + 330) * 1_000_000 + micros, "it leaves before 330 s have passed");
}
