//! DPoP (RFC 9449): every check of section 4.3, the two schemes side by side, nonces, replays, and the answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::binding::{Dpop, DpopNonces, MemoryReplayStore, ReplayCheck, ReplayStore, UsedProof};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::BearerHeader;
use tower_jwt_auth::testing::{Authority, DpopClient, ProofBuilder};
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, Jwt, JwtAuth, RequireScopes, TokenCache, Verifier};

use crate::redaction::Log;
use crate::support::{Claims, ReadChallenge, read_challenge};

const NOW: i64 = 1_700_000_100;
const URL: &str = "https://api.example.com/orders?page=1";

struct World {
    authority: Authority,
    client: DpopClient,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(UnixTime::from_secs(NOW));
        let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
        let client = DpopClient::new(Algorithm::ES256).with_clock(clock.clone());
        Self { authority, client, clock }
    }

    fn verifier(&self) -> Verifier<Claims> {
        let builder = Verifier::builder().trust(self.authority.trusted()).clock(self.clock.clone());
        builder.cache(TokenCache::new(100)).build().expect("valid")
    }

    fn auth(&self, dpop: Dpop) -> JwtAuth<Claims> {
        JwtAuth::with(self.verifier()).realm("shop").dpop(dpop)
    }

    fn token(&self, cnf: &Value) -> String {
        self.authority.token().claim("cnf", cnf).claim("scope", "a").sign()
    }

    fn bound_token(&self) -> String {
        self.token(&json!({"jkt": self.client.thumbprint()}))
    }

    fn proof(&self, token: &str) -> ProofBuilder<'_> {
        self.client.proof("GET", URL, token)
    }
}

fn dpop() -> Dpop {
    Dpop::new("https://api.example.com").expect("a URL")
}

fn request(scheme: &str, token: &str, proofs: &[&str]) -> Request<()> {
    let mut request = Request::builder().uri("/orders?page=1").header("authorization", format!("{scheme} {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    request.body(()).expect("a request")
}

async fn ask(auth: &JwtAuth<Claims>, request: Request<()>) -> Response<()> {
    let service = auth.layer(service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<Jwt<Claims>>().is_some());
        let is_dpop = request.headers()["authorization"].as_bytes().to_ascii_lowercase().starts_with(b"dpop");
        assert!(!is_dpop || request.headers()["dpop"].is_sensitive());
        Ok::<_, Infallible>(Response::new(()))
    }));
    service.oneshot(request).await.expect("infallible")
}

fn kind(response: &Response<()>) -> Option<AuthErrorKind> {
    response.extensions().get::<AuthError>().map(AuthError::kind)
}

fn challenges(headers: &HeaderMap) -> Vec<ReadChallenge> {
    headers.get_all("www-authenticate").iter().map(|value| read_challenge(value.to_str().expect("ASCII"))).collect()
}

/// RFC 9449 section 4.3, check by check.
#[tokio::test]
async fn a_proof_is_judged_in_full() {
    let world = World::new();
    let auth = world.auth(dpop());
    let token = &world.bound_token();
    let proof = || world.proof(token);
    let long = |n: usize| "j".repeat(n);
    let rsa = DpopClient::new(Algorithm::HS256);
    let cases: Vec<(&str, ProofBuilder<'_>, bool)> = vec![
        ("as it should be", proof(), true),
        ("`typ` in capitals", proof().header("typ", "DPoP+JWT"), true),
        ("another `typ`", proof().header("typ", "JWT"), false),
        ("an `application/` that the RFC does not have", proof().header("typ", "application/dpop+jwt"), false),
        ("a symmetric algorithm", rsa.proof("GET", URL, token), false),
        ("`none`", proof().header("alg", "none"), false),
        ("an algorithm that is not allowed", proof().header("alg", "ES512"), false),
        ("another algorithm than the key's", proof().header("alg", "EdDSA"), false),
        ("`crit`", proof().header("crit", ["x"]), false),
        ("a bad signature", proof().tampered(), false),
        ("a private key", proof().jwk_member("d", "AAAA"), false),
        ("an encryption key", proof().jwk_member("use", "enc"), false),
        ("a key that is no point", proof().jwk_member("x", "A".repeat(43)), false),
        ("a key of another type", proof().jwk_member("kty", "RSA"), false),
        ("no key", proof().header("jwk", Value::Null), false),
        ("a key that is no object", proof().header("jwk", "x"), false),
        ("no `jti`", proof().without("jti"), false),
        ("an empty `jti`", proof().claim("jti", ""), false),
        ("a `jti` that is no string", proof().claim("jti", 7), false),
        ("the longest `jti`", proof().claim("jti", long(256)), true),
        ("a longer `jti`", proof().claim("jti", long(257)), false),
        ("another method", proof().claim("htm", "POST"), false),
        ("the method in small letters", proof().claim("htm", "get"), false),
        ("no method", proof().without("htm"), false),
        ("the URL without its query", proof().claim("htu", "https://api.example.com/orders"), true),
        ("the URL in another spelling", proof().claim("htu", "HTTPS://API.example.com:443/%6Frders#x"), true),
        ("another path", proof().claim("htu", "https://api.example.com/orders/1"), false),
        ("another host", proof().claim("htu", "https://evil.example.com/orders"), false),
        ("another scheme", proof().claim("htu", "http://api.example.com/orders"), false),
        ("a path alone", proof().claim("htu", "/orders"), false),
        ("no URL", proof().without("htu"), false),
        ("299 seconds old", proof().claim("iat", NOW - 299), true),
        ("300 seconds old", proof().claim("iat", NOW - 300), false),
        ("30 seconds ahead", proof().claim("iat", NOW + 30), true),
        ("31 seconds ahead", proof().claim("iat", NOW + 31), false),
        ("a time as a string", proof().claim("iat", NOW.to_string()), false),
        ("no time", proof().without("iat"), false),
        ("another token's hash", proof().claim("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"), false),
        ("no hash of the token", proof().without("ath"), false),
        ("a claim of its own", proof().claim("x", 1), true),
    ];
    for (name, proof, passes) in cases {
        let response = ask(&auth, request("DPoP", token, &[&proof.sign()])).await;
        let expected = (!passes).then_some(AuthErrorKind::InvalidDpopProof);
        assert_eq!(kind(&response), expected, "{name}: {:?}", response.extensions().get::<AuthError>());
        if !passes {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{name}");
            let [challenge] = &challenges(response.headers())[..] else { panic!("{name}: one challenge") };
            assert_eq!((challenge.scheme.as_str(), challenge.param("realm")), ("DPoP", Some("shop")), "{name}");
            assert_eq!(challenge.param("error"), Some("invalid_dpop_proof"), "{name}");
            assert_eq!(challenge.param("algs"), Some("RS256 PS256 ES256 ES384 EdDSA"), "{name}");
        }
    }
    let (good, other) = (proof().sign(), proof().sign());
    for (name, proofs) in [
        ("no proof", vec![]),
        ("two proofs", vec![good.as_str(), other.as_str()]),
        ("two in one", vec![&*format!("{good}, {other}").leak()]),
        ("no JWS", vec!["x"]),
        ("an empty one", vec![""]),
        ("four segments", vec![&*format!("{good}.x").leak()]),
    ] {
        assert_eq!(
            kind(&ask(&auth, request("DPoP", token, &proofs)).await),
            Some(AuthErrorKind::InvalidDpopProof),
            "{name}"
        );
    }
    let other = DpopClient::new(Algorithm::ES256).with_clock(world.clock.clone());
    let stolen = other.proof("GET", URL, token).sign();
    assert_eq!(kind(&ask(&auth, request("DPoP", token, &[&stolen])).await), Some(AuthErrorKind::InvalidDpopProof));
    // The scheme is matched in any case.
    assert_eq!(kind(&ask(&auth, request("dpop", token, &[&good])).await), None);
}

#[tokio::test]
async fn every_asymmetric_algorithm_of_the_list_makes_proofs() {
    let world = World::new();
    let lists = [
        (Algorithm::RS256, None),
        (Algorithm::PS256, None),
        (Algorithm::ES384, None),
        (Algorithm::EdDSA, None),
        (Algorithm::RS512, Some(Algorithm::RS512)),
    ];
    for (algorithm, listed) in lists {
        let client = DpopClient::new(algorithm).with_clock(world.clock.clone());
        let token = world.token(&json!({"jkt": client.thumbprint()}));
        let dpop = listed.map_or_else(dpop, |listed| dpop().algorithms([listed]).expect("allowed"));
        let proof = client.proof("GET", URL, &token).sign();
        assert_eq!(kind(&ask(&world.auth(dpop), request("DPoP", &token, &[&proof])).await), None, "{algorithm}");
        if listed.is_some() {
            let response = ask(&world.auth(self::dpop()), request("DPoP", &token, &[&proof])).await;
            assert_eq!(kind(&response), Some(AuthErrorKind::InvalidDpopProof), "{algorithm}");
        }
    }
    assert!(dpop().algorithms([]).is_err());
    assert!(dpop().algorithms([Algorithm::ES256, Algorithm::HS256]).is_err());
}

/// RFC 9449 section 7: a bound token is no bearer token, and the other way round.
#[tokio::test]
async fn a_token_comes_under_the_scheme_that_it_is_made_for() {
    let world = World::new();
    let (bound, bearer) = (world.bound_token(), world.authority.token().sign());
    let both = world.token(&json!({"jkt": world.client.thumbprint(), "x5t#S256": "x"}));
    let (not_checked, unbound) = (Some(AuthErrorKind::BindingNotChecked), "Bearer");
    let none = Some(AuthErrorKind::MissingToken);
    let plain = || JwtAuth::with(world.verifier());
    let cases = [
        ("both schemes", world.auth(dpop()), unbound, &bearer, None),
        ("both schemes", world.auth(dpop()), "DPoP", &bound, None),
        ("both schemes", world.auth(dpop()), unbound, &bound, not_checked),
        ("both schemes", world.auth(dpop()), "DPoP", &bearer, not_checked),
        ("both schemes", world.auth(dpop()), "DPoP", &both, not_checked),
        ("DPoP alone", world.auth(dpop().required()), unbound, &bearer, not_checked),
        ("DPoP alone", world.auth(dpop().required()), unbound, &bound, not_checked),
        ("DPoP alone", world.auth(dpop().required()), "DPoP", &bound, None),
        ("no DPoP", plain(), unbound, &bearer, None),
        ("no DPoP", plain(), unbound, &bound, not_checked),
        ("no DPoP", plain(), "DPoP", &bound, none),
    ];
    for (name, auth, scheme, token, expected) in cases {
        let proof = world.proof(token).sign();
        let response = ask(&auth, request(scheme, token, &[&proof])).await;
        assert_eq!(kind(&response), expected, "{name}, {scheme}");
        if expected == not_checked {
            let [challenge] = &challenges(response.headers())[..] else { panic!("{name}: one challenge") };
            let presented = if name == "DPoP alone" { "DPoP" } else { scheme };
            assert_eq!(
                (challenge.scheme.as_str(), challenge.param("error")),
                (presented, Some("invalid_token")),
                "{name}"
            );
        }
    }
    // For the log: what the token or the client has to change.
    let details = [
        (world.auth(dpop()), unbound, &bound, "comes as `Bearer`"),
        (world.auth(dpop()), "DPoP", &bearer, "comes as `DPoP`, and is not bound"),
        (world.auth(dpop().required()), unbound, &bearer, "DPoP is required"),
        (plain(), unbound, &bound, "see `JwtAuth::dpop`"),
        (world.auth(dpop()), "DPoP", &both, "see `JwtAuth::mtls`"),
        (world.auth(dpop()).mtls(), "DPoP", &both, "another certificate"),
        (
            world.auth(Dpop::new("https://b.example/x").expect("a URL")),
            "DPoP",
            &bound,
            "this service is at [https://b.example/x]",
        ),
    ];
    for (auth, scheme, token, expected) in details {
        let response = ask(&auth, request(scheme, token, &[&world.proof(token).sign()])).await;
        let error = response.extensions().get::<AuthError>().expect("refused");
        assert!(error.detail().is_some_and(|detail| detail.contains(expected)), "{expected}: {error}");
    }
    let upstream = Verifier::builder().trust(world.authority.trusted().danger_binding_checked_upstream());
    let upstream = JwtAuth::with(upstream.clock(world.clock.clone()).build().expect("valid"));
    assert_eq!(kind(&ask(&upstream, request("Bearer", &bound, &[])).await), None);
    assert_eq!(world.verifier().verify(&bound).await.err().map(|error| error.kind()), not_checked);
    let explanation = world.verifier().explain(&bound).await;
    assert!(!explanation.accepted() && explanation.checks().last().is_some_and(|check| check.saw().contains("cnf")));
}

#[tokio::test]
async fn a_dpop_credential_counts_for_nothing_where_dpop_is_not_taken_whatever_its_form() {
    let world = World::new();
    let token = world.bound_token();
    let (missing, malformed) = (Some(AuthErrorKind::MissingToken), Some(AuthErrorKind::MalformedCredential));
    for (token, expected) in [(&*token, None), ("a b", malformed), ("", malformed), ("a,b", malformed)] {
        let proof = world.proof(token).sign();
        let plain = JwtAuth::with(world.verifier());
        for auth in [plain.clone(), plain.extractor(BearerHeader::new())] {
            assert_eq!(kind(&ask(&auth, request("DPoP", token, &[&proof])).await), missing, "{token}");
        }
        for auth in [world.auth(dpop()), world.auth(dpop()).extractor(BearerHeader::new())] {
            assert_eq!(kind(&ask(&auth, request("DPoP", token, &[&proof])).await), expected, "{token}");
        }
    }
}

#[tokio::test]
async fn what_confirms_nothing_that_can_be_checked_is_refused() {
    let world = World::new();
    let jkt = world.client.thumbprint();
    let not_checked = Some(AuthErrorKind::BindingNotChecked);
    for (cnf, expected) in [
        (json!({"jkt": jkt, "jwk": {"kty": "EC"}}), None),
        (json!({"jwk": {"kty": "EC"}}), not_checked),
        (json!({"kid": "x"}), not_checked),
        (json!({"jkt": [jkt]}), not_checked),
        (json!({"jkt": jkt, "x5t#S256": 7}), not_checked),
        (json!({}), not_checked),
        (json!(null), not_checked),
        (json!("x"), not_checked),
    ] {
        let token = world.token(&cnf);
        let response = ask(&world.auth(dpop()), request("DPoP", &token, &[&world.proof(&token).sign()])).await;
        assert_eq!(kind(&response), expected, "{cnf}");
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_told_both_schemes() {
    let world = World::new();
    let nobody = || Request::new(());
    let response = ask(&world.auth(dpop()), nobody()).await;
    let [bearer, dpop_challenge] = &challenges(response.headers())[..] else { panic!("two challenges") };
    assert_eq!((bearer.scheme.as_str(), bearer.params.len()), ("Bearer", 1));
    assert_eq!((dpop_challenge.scheme.as_str(), dpop_challenge.param("error")), ("DPoP", None));
    let response = ask(&world.auth(dpop().required()), nobody()).await;
    let [only] = &challenges(response.headers())[..] else { panic!("one challenge") };
    assert_eq!(only.scheme, "DPoP");
}

#[tokio::test]
async fn refusals_and_guards_answer_in_the_scheme_presented() {
    let world = World::new();
    let token = world.bound_token();
    let service = world.auth(dpop()).layer(
        RequireScopes::all(["b"]).layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())))),
    );
    let response = service.oneshot(request("DPoP", &token, &[&world.proof(&token).sign()])).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let [challenge] = &challenges(response.headers())[..] else { panic!("one challenge") };
    assert_eq!((challenge.scheme.as_str(), challenge.param("scope")), ("DPoP", Some("b")));

    let expired = world.authority.token().expires_in(-60).sign();
    let response = ask(&world.auth(dpop()), request("DPoP", &expired, &[])).await;
    let [challenge] = &challenges(response.headers())[..] else { panic!("one challenge") };
    assert_eq!((challenge.scheme.as_str(), challenge.param("error")), ("DPoP", Some("invalid_token")));

    let mut grpc = request("DPoP", &token, &["x"]);
    *grpc.method_mut() = http::Method::POST;
    grpc.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    let response = ask(&world.auth(dpop()), grpc).await;
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &16.into()));
}

#[tokio::test]
async fn a_proof_is_good_for_one_request_and_a_remembered_token_needs_a_new_one() {
    let world = World::new();
    let auth = world.auth(dpop());
    let token = world.bound_token();
    let proof = world.proof(&token).sign();
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&proof])).await), None);
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&proof])).await), Some(AuthErrorKind::InvalidDpopProof));
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[])).await), Some(AuthErrorKind::InvalidDpopProof));
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&world.proof(&token).sign()])).await), None);
    // Clones of the layer share the record.
    assert_eq!(
        kind(&ask(&auth.clone(), request("DPoP", &token, &[&proof])).await),
        Some(AuthErrorKind::InvalidDpopProof)
    );
}

#[tokio::test]
async fn a_proof_that_is_refused_is_not_used_up() {
    let world = World::new();
    let auth = world.auth(dpop().replay_store(MemoryReplayStore::with_bounds(1, 1)));
    let token = world.bound_token();
    let early = world.proof(&token).claim("iat", NOW + 40).sign();
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&early])).await), Some(AuthErrorKind::InvalidDpopProof));
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&early])).await), None);
    // The record is full, which is our fault.
    let response = ask(&auth, request("DPoP", &token, &[&world.proof(&token).sign()])).await;
    assert_eq!(kind(&response), Some(AuthErrorKind::ReplayStateUnavailable));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
    assert!(challenges(response.headers()).is_empty());
}

/// RFC 9449 section 9.
#[tokio::test]
async fn a_nonce_is_asked_for_and_taken_for_its_time() {
    let world = World::new();
    let secret = [7; 32];
    let with_nonces = || world.auth(dpop().nonces(DpopNonces::with_secret(secret).expect("long enough")));
    let auth = with_nonces();
    let token = world.bound_token();
    let asked = ask(&auth, request("DPoP", &token, &[&world.proof(&token).sign()])).await;
    assert_eq!((asked.status(), kind(&asked)), (StatusCode::UNAUTHORIZED, Some(AuthErrorKind::UseDpopNonce)));
    let [challenge] = &challenges(asked.headers())[..] else { panic!("one challenge") };
    assert_eq!((challenge.scheme.as_str(), challenge.param("error")), ("DPoP", Some("use_dpop_nonce")));
    let nonce = asked.headers()["dpop-nonce"].to_str().expect("ASCII").to_owned();
    let with = |nonce: &str| request("DPoP", &token, &[&world.proof(&token).claim("nonce", nonce).sign()]);
    assert_eq!(kind(&ask(&auth, with(&nonce)).await), None);
    assert_eq!(kind(&ask(&with_nonces(), with(&nonce)).await), None, "another instance with the same secret");
    assert_eq!(kind(&ask(&auth, with("x")).await), Some(AuthErrorKind::UseDpopNonce));
    // A proof that is wrong otherwise is told so first.
    let tampered = world.proof(&token).claim("nonce", &nonce).tampered().sign();
    assert_eq!(kind(&ask(&auth, request("DPoP", &token, &[&tampered])).await), Some(AuthErrorKind::InvalidDpopProof));
    world.clock.set(UnixTime::from_secs(NOW + 599));
    let token = world.bound_token();
    let late = request("DPoP", &token, &[&world.proof(&token).claim("nonce", &nonce).sign()]);
    assert_eq!(kind(&ask(&auth, late).await), None);
    world.clock.set(UnixTime::from_secs(NOW + 600));
    let late = request("DPoP", &token, &[&world.proof(&token).claim("nonce", &nonce).sign()]);
    assert_eq!(kind(&ask(&auth, late).await), Some(AuthErrorKind::UseDpopNonce));
}

/// A record that needs time: until it is let go.
struct Slow {
    open: Arc<tokio::sync::Notify>,
    answer: Option<bool>,
}

impl ReplayStore for Slow {
    fn check(&self, proof: UsedProof) -> ReplayCheck {
        assert_eq!(proof.keep_for(), Duration::from_secs(330));
        let (open, answer) = (Arc::clone(&self.open), self.answer);
        ReplayCheck::pending(async move {
            open.notified().await;
            answer
        })
    }
}

#[tokio::test]
async fn a_record_that_needs_time_holds_no_readiness_and_its_answer_counts() {
    let world = World::new();
    let token = world.bound_token();
    for (answer, expected) in [
        (Some(true), None),
        (Some(false), Some(AuthErrorKind::InvalidDpopProof)),
        (None, Some(AuthErrorKind::ReplayStateUnavailable)),
    ] {
        let open = Arc::new(tokio::sync::Notify::new());
        let mut service = ServiceBuilder::new()
            .layer(world.auth(dpop().replay_store(Slow { open: Arc::clone(&open), answer })))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
        let slow = request("DPoP", &token, &[&world.proof(&token).sign()]);
        let slow = tokio::spawn(service.ready().await.expect("infallible").call(slow));
        tokio::task::yield_now().await;
        let quick = request("Bearer", &world.authority.token().sign(), &[]);
        let quick = service.ready().await.expect("infallible").call(quick).await.expect("infallible");
        assert_eq!(quick.status(), StatusCode::OK);
        open.notify_one();
        let response = slow.await.expect("no panic").expect("infallible");
        assert_eq!(kind(&response), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn nothing_of_a_proof_reaches_the_log_or_an_error() {
    let log = Log::start();
    let world = World::new();
    let auth = world.auth(dpop());
    let token = world.bound_token();
    for proof in [
        world.proof(&token).claim("jti", "CANARY").tampered(),
        world.proof(&token).claim("htu", "CANARY"),
        world.proof(&token).claim("nonce", "CANARY").without("ath"),
        world.proof(&token).header("typ", "CANARY"),
        world.proof(&token).header("jwk", "CANARY"),
    ] {
        let response = ask(&auth, request("DPoP", &token, &[&proof.sign()])).await;
        let error = response.extensions().get::<AuthError>().expect("refused");
        let text = format!("{error} {error:?} {response:?} {auth:?} {:?} {:?}", dpop(), world.client);
        assert!(!text.contains("CANARY"), "{text}");
    }
    assert!(!log.text().contains("CANARY"), "{}", log.text());
}
