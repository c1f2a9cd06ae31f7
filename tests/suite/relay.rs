//! The caller's token on its way to an upstream: where it may go, and where not.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use bench_harness::allocated;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::binding::{Dpop, PeerCertificate, ReplayCheck, ReplayStore, UsedProof};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::{BearerHeader, Header};
use tower_jwt_auth::forward::{CallerToken, RelayError, RelayErrorKind, RelayToken};
use tower_jwt_auth::testing::{Authority, DpopClient};
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, Verifier};

use crate::forward::{AUTHORITY, auth, bearer, token};
use crate::support::Claims;

/// What a handler behind this layer finds in the extensions of a request.
async fn kept(auth: JwtAuth<Claims>, request: Request<()>) -> Option<CallerToken> {
    let service = auth.layer(service_fn(async |request: Request<()>| {
        let mut response = Response::new(());
        *response.extensions_mut() = request.into_parts().0.extensions;
        Ok::<_, Infallible>(response)
    }));
    let response = service.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    response.extensions().get::<CallerToken>().cloned()
}

/// The token of this caller, as a handler gets it.
async fn caller(subject: &str) -> CallerToken {
    let request = bearer(&token(&json!({"sub": subject})), &[]);
    kept(auth().keep_token(), request).await.expect("it was kept")
}

const ORDERS: &str = "https://orders.internal";

fn to_orders() -> RelayToken {
    RelayToken::new().to(ORDERS).expect("an origin")
}

/// What reaches the upstream, or why nothing does.
async fn relay(relay: RelayToken, request: Request<()>) -> Result<Request<()>, RelayErrorKind> {
    let client = relay.layer(service_fn(async |request: Request<()>| Ok::<_, Infallible>(request)));
    client.oneshot(request).await.map_err(|error| error.downcast_ref::<RelayError>().expect("not the client's").kind())
}

fn outgoing(url: &str, caller: impl Into<Option<CallerToken>>) -> Request<()> {
    let request = Request::builder().uri(url);
    let request = match caller.into() {
        Some(caller) => request.extension(caller),
        None => request,
    };
    request.body(()).expect("a request")
}

#[tokio::test]
async fn the_token_goes_to_the_upstream_that_was_named_and_nowhere_else() {
    let alice = token(&json!({"sub": "alice"}));
    let caller = kept(auth().keep_token(), bearer(&alice, &[])).await.expect("it was kept");
    let several =
        || to_orders().to("https://b.example:8443").and_then(|to| to.to("http://127.0.0.1:3000")).expect("origins");
    for url in [
        "https://orders.internal/1",
        "https://ORDERS.internal:443",
        "https://b.example:8443/",
        "http://127.0.0.1:3000/x",
    ] {
        let sent = relay(several(), outgoing(url, caller.clone())).await.expect(url);
        assert_eq!(sent.headers()[AUTHORIZATION], format!("Bearer {alice}"), "{url}");
        assert!(sent.headers()[AUTHORIZATION].is_sensitive());
        assert!(sent.extensions().get::<CallerToken>().is_none(), "taken out");
    }
    for url in [
        "http://orders.internal/",
        "https://orders.internal:8443/",
        "https://orders.internal.evil.example/",
        "https://orders.internal@evil.example/",
        "https://evil.example/?https://orders.internal/",
        "https://b.example/",
        "http://127.0.0.1/",
        "http://localhost:3000/",
        "/relative",
        "orders.internal:443",
    ] {
        let refused = relay(several(), outgoing(url, caller.clone())).await;
        assert_eq!(refused.expect_err(url), RelayErrorKind::ForeignOrigin, "{url}");
    }
    let nowhere = relay(RelayToken::new(), outgoing("https://orders.internal/", caller.clone())).await;
    assert_eq!(nowhere.expect_err("nobody was named"), RelayErrorKind::ForeignOrigin);

    // Where several sites share an address, `Host` says who gets the request.
    for (hosts, goes) in [
        (&["orders.internal"][..], true),
        (&["Orders.Internal:443"], true),
        (&["evil.example"], false),
        (&["orders.internal:8443"], false),
        (&["orders.internal", "evil.example"], false),
        (&[""], false),
    ] {
        let mut request = outgoing("https://orders.internal/", caller.clone());
        for host in hosts {
            request.headers_mut().append(HOST, host.parse().expect("a value"));
        }
        let sent = relay(several(), request).await.map(drop);
        assert_eq!(sent, if goes { Ok(()) } else { Err(RelayErrorKind::ForeignHost) }, "{hosts:?}");
    }
}

/// RFC 9110 section 7.6.1: what is listed in `Connection` goes no further than the next hop.
#[tokio::test]
async fn a_client_cannot_have_the_token_removed_on_its_way() {
    let caller = kept(auth().keep_token(), bearer(&token(&json!({"sub": "alice"})), &[])).await.expect("it was kept");
    for (listed, left) in [("authorization", None), ("close, Authorization", Some("close")), ("close", Some("close"))] {
        let mut request = outgoing("https://orders.internal/", caller.clone());
        request.headers_mut().append("connection", listed.parse().expect("a value"));
        let sent = relay(to_orders(), request).await.expect("sent");
        assert_eq!(sent.headers().get("connection").map(HeaderValue::as_bytes), left.map(str::as_bytes), "{listed}");
        assert!(sent.headers().contains_key(AUTHORIZATION));
    }
}

#[test]
fn an_upstream_over_plain_http_is_named_as_a_danger() {
    for (origin, is_fine) in
        [("https://a.example", true), ("http://[::1]:1", true), ("http://a.example", false), ("http://10.0.0.1", false)]
    {
        assert_eq!(RelayToken::new().to(origin).is_ok(), is_fine, "{origin}");
        assert!(RelayToken::new().danger_to_http(origin).is_ok(), "{origin}");
    }
    let error = RelayToken::new().to("http://a.example").expect_err("in the clear").to_string();
    assert!(error.contains("danger_to_http"), "{error}");
    for wrong in ["a.example", "https://a.example/x", "https://*.example", "ftp://a.example"] {
        assert!(RelayToken::new().to(wrong).is_err() && RelayToken::new().danger_to_http(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_over_plain_http_goes_where_the_danger_was_named() {
    let danger = || RelayToken::new().danger_to_http("http://orders.mesh").expect("an origin");
    let sent = relay(danger(), outgoing("http://orders.mesh/", caller("alice").await)).await.expect("named");
    assert!(sent.headers().contains_key(AUTHORIZATION));
    let refused = relay(danger(), outgoing("https://orders.mesh/", caller("alice").await)).await;
    assert_eq!(refused.expect_err("another scheme"), RelayErrorKind::ForeignOrigin);
}

#[tokio::test]
async fn a_request_without_a_callers_token_passes_as_it_is_or_is_refused() {
    for url in ["https://orders.internal/", "https://elsewhere.example/"] {
        let mut request = outgoing(url, None);
        request.headers_mut().insert(AUTHORIZATION, "Basic dTpw".parse().expect("a value"));
        let sent = relay(to_orders(), request).await.expect("it passes");
        assert_eq!(sent.headers()[AUTHORIZATION], "Basic dTpw", "{url}");
        let refused = relay(to_orders().required(), outgoing(url, None)).await;
        assert_eq!(refused.expect_err("required"), RelayErrorKind::MissingToken, "{url}");
    }
    let sent = relay(to_orders().required(), outgoing(ORDERS, caller("alice").await)).await;
    assert!(sent.expect("there is one").headers().contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn an_authorization_of_the_requests_own_is_never_overwritten() {
    let mut request = outgoing(ORDERS, caller("alice").await);
    request.headers_mut().insert(AUTHORIZATION, "Basic dTpw".parse().expect("a value"));
    assert_eq!(relay(to_orders(), request).await.expect_err("two credentials"), RelayErrorKind::AlreadyAuthorized);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_not_relayed() {
    /// Answers in its own time, so that the request waits.
    struct Slow;
    impl ReplayStore for Slow {
        fn check(&self, _: UsedProof) -> ReplayCheck {
            ReplayCheck::pending(async { Some(true) })
        }
    }
    const URL: &str = "https://gateway.example";
    let client = DpopClient::new(Algorithm::ES256);
    let bound = token(&json!({"sub": "alice", "cnf": {"jkt": client.thumbprint()}}));
    let with_proof = || {
        let proof = client.proof("GET", &format!("{URL}/"), &bound).sign();
        Request::builder().uri("/").header("authorization", format!("DPoP {bound}")).header("dpop", proof).body(())
    };
    let certificate = PeerCertificate::from_der(b"a certificate");
    let pinned = token(&json!({"sub": "alice", "cnf": {"x5t#S256": certificate.thumbprint()}}));
    let mut with_certificate = bearer(&pinned, &[]);
    with_certificate.extensions_mut().insert(certificate);

    let dpop = || Dpop::new(URL).expect("a URL");
    for (auth, request) in [
        (auth().dpop(dpop()).extractor(BearerHeader::new()), with_proof().expect("a request")),
        (auth().dpop(dpop().replay_store(Slow)).extractor(BearerHeader::new()), with_proof().expect("a request")),
        (auth().mtls(), with_certificate),
    ] {
        let caller = kept(auth.keep_token(), request).await.expect("it was kept");
        let refused = relay(to_orders(), outgoing(ORDERS, caller)).await;
        assert_eq!(refused.expect_err("bound"), RelayErrorKind::BoundToken);
    }
    // One that is not bound passes beside them.
    let plain = auth().dpop(dpop()).mtls().keep_token();
    let caller = kept(plain, bearer(&token(&json!({"sub": "alice"})), &[])).await;
    assert!(
        relay(to_orders(), outgoing(ORDERS, caller)).await.expect("not bound").headers().contains_key(AUTHORIZATION)
    );
}

#[tokio::test]
async fn a_token_is_relayed_as_long_as_its_verifier_would_accept_it() {
    let clock = Clock::manual(UnixTime::from_secs(1_000_000));
    let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
    let verifier =
        || Verifier::<Claims>::builder().trust(authority.trusted()).clock(clock.clone()).build().expect("valid");
    let token = authority.token().expires_in(60).claim("sub", "alice").sign();
    let caller = kept(JwtAuth::with(verifier()).keep_token(), bearer(&token, &[])).await.expect("it was kept");
    for (later, expected) in [(89, Ok(())), (1, Err(RelayErrorKind::Expired)), (3600, Err(RelayErrorKind::Expired))] {
        clock.advance(Duration::from_secs(later));
        assert_eq!(relay(to_orders(), outgoing(ORDERS, caller.clone())).await.map(drop), expected, "{later} s later");
        assert_eq!(verifier().verify(&token).await.is_ok(), expected.is_ok(), "as its verifier says");
    }
}

#[tokio::test]
async fn a_token_is_kept_where_that_was_asked_for_and_it_was_verified() {
    // Keys that have to be waited for.
    let keys = AUTHORITY.with(Authority::keys);
    keys.hang();
    keys.forget();
    let later = AUTHORITY.with(|authority| authority.trusted_with(keys.clone()));
    tokio::spawn(async move {
        while keys.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        keys.heal();
    });
    let plain = || JwtAuth::<Claims>::new(AUTHORITY.with(Authority::trusted)).expect("valid");
    let alice = token(&json!({"sub": "alice"}));
    let from = |name: &str, value: String| Request::builder().header(name, value).body(()).expect("a request");
    let sources = [
        (plain(), bearer(&alice, &[])),
        (auth(), from("cookie", format!("access={alice}"))),
        (auth(), from("x-token", alice.clone())),
        (JwtAuth::new(later).expect("valid"), bearer(&alice, &[])),
    ];
    for (auth, request) in sources {
        let caller = kept(auth.keep_token(), request).await.expect("it was kept");
        let sent = relay(to_orders(), outgoing(ORDERS, caller)).await.expect("named");
        assert_eq!(sent.headers()[AUTHORIZATION], format!("Bearer {alice}"));
    }
    assert!(kept(plain(), bearer(&alice, &[])).await.is_none(), "not asked for");

    // One that a layer further out has kept is not of the token, or of the nobody, that a layer further in has let
    // pass.
    for (inner, request) in [
        (plain().extractor(Header::new("x-token").expect("a name")), Some(token(&json!({"sub": "bob"})))),
        (plain().extractor(Header::new("x-token").expect("a name")).optional().keep_token(), None),
    ] {
        let service = ServiceBuilder::new().layer(plain().keep_token()).layer(inner).service(service_fn(
            async |request: Request<()>| {
                assert!(request.extensions().get::<CallerToken>().is_none());
                Ok::<_, Infallible>(Response::new(()))
            },
        ));
        let headers: Vec<_> = request.iter().map(|token| ("x-token", token.as_str())).collect();
        assert_eq!(service.oneshot(bearer(&alice, &headers)).await.expect("infallible").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn nothing_of_a_callers_token_is_shown() {
    let canary = token(&json!({"sub": "CanaryCanary"}));
    let caller = kept(auth().keep_token(), bearer(&canary, &[])).await.expect("it was kept");
    let client =
        to_orders().layer(service_fn(async |request: Request<()>| Ok::<_, Infallible>(Response::new(request))));
    let mut seen = format!("{caller:?} {client:?}");
    let response = client.clone().oneshot(outgoing(ORDERS, caller.clone())).await.expect("named");
    write!(seen, "{:?}", response.body()).expect("a string");
    let error = client.oneshot(outgoing("https://evil.example", caller)).await.expect_err("foreign");
    write!(seen, "{error} {error:?}").expect("a string");
    assert!(seen.contains("https://orders.internal") && seen.contains("Sensitive"), "{seen}");
    for segment in canary.split('.').chain(["Canary"]) {
        assert!(!seen.contains(segment), "a segment of the token in {seen}");
    }
}

#[test]
fn a_request_without_a_callers_token_costs_no_allocation() {
    let mut client = to_orders().layer(service_fn(|_: Request<()>| std::future::ready(Ok::<_, Infallible>(()))));
    let request = Request::builder().uri("https://elsewhere.example/").extension(7_u8).body(()).expect("a request");
    let mut context = Context::from_waker(Waker::noop());
    let (spent, answer) = allocated(|| {
        let mut future = std::pin::pin!(client.call(request));
        future.as_mut().poll(&mut context)
    });
    assert!(matches!(answer, Poll::Ready(Ok(()))));
    assert_eq!(spent.count, 0);
    assert_eq!(allocated(|| std::hint::black_box(Box::new(7_u8))).0.count, 1, "the counter counts");
}

/// The second hop over a real socket: its layer trusts the same issuer.
async fn upstream() -> String {
    let subject = async |jwt: Jwt<Claims>| jwt.claims().sub.clone();
    let trusted = AUTHORITY.with(Authority::trusted);
    let app =
        Router::new().route("/", axum::routing::get(subject)).layer(JwtAuth::<Claims>::new(trusted).expect("valid"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("just bound"));
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn an_upstream_verifies_the_same_token_from_a_client_of_hyper() {
    let url = upstream().await;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = RelayToken::new().to(&url).expect("loopback").layer(client);
    let send = async |caller: Option<CallerToken>| {
        let (head, ()) = outgoing(&url, caller).into_parts();
        let response = client.clone().oneshot(Request::from_parts(head, Empty::new())).await.expect("an answer");
        let (head, body) = response.into_parts();
        (head.status, body.collect().await.expect("a body").to_bytes())
    };
    assert_eq!(send(Some(caller("alice").await)).await, (StatusCode::OK, "alice".into()));
    assert_eq!(send(None).await, (StatusCode::UNAUTHORIZED, Bytes::new()));

    // The client's own errors come through, with their type.
    let gone = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let (head, ()) = outgoing(&format!("http://{gone}/"), None).into_parts();
    let error = client.clone().oneshot(Request::from_parts(head, Empty::new())).await.expect_err("nobody is there");
    assert!(error.downcast_ref::<hyper_util::client::legacy::Error>().expect("the client's").is_connect());
}

#[tokio::test]
async fn a_grpc_client_relays_where_it_names_its_upstream() {
    use tonic::transport::{Channel, Server};
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    let (_, health) = tonic_health::server::health_reporter();
    let auth = JwtAuth::<Claims>::new(AUTHORITY.with(Authority::trusted)).expect("valid");
    let incoming =
        tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let url = format!("http://{}", incoming.local_addr().expect("just bound"));
    tokio::spawn(Server::builder().layer(auth).add_service(health).serve_with_incoming(incoming));

    let channel = Channel::from_shared(url.clone()).expect("a URL").connect().await.expect("it listens");
    let channel = ServiceBuilder::new().layer(RelayToken::new().to(&url).expect("loopback")).service(channel);
    let ask = async |mut client: HealthClient<_>| {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.extensions_mut().insert(caller("alice").await);
        client.check(request).await.map(drop)
    };
    ask(HealthClient::with_origin(channel.clone(), url.parse().expect("a URL"))).await.expect("relayed");
    let status = ask(HealthClient::new(channel)).await.expect_err("its URL has no host");
    assert!(status.message().contains("not for the origin"), "{status:?}");
}
