//! Requests over HTTP and gRPC: where tokens are found, what layers and guards answer, and what goes to the next hop.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Debug;

use axum::Router;
use axum::extract::FromRequestParts as _;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::authorize::{Require, StepUp};
use tower_jwt_auth::binding::{
    Dpop, DpopNonces, MemoryReplayStore, PeerCertificate, ReplayCheck, ReplayStore, UsedProof,
};
use tower_jwt_auth::extract::{self, BearerHeader, Cookie, Credential, ExtractToken, Header, Query, WebSocketProtocol};
use tower_jwt_auth::forward::{CallerToken, ForwardClaims, RelayError, RelayToken};
use tower_jwt_auth::metadata::ProtectedResource;
use tower_jwt_auth::rejection::{self, Rejection};
use tower_jwt_auth::testing::{Authority, DpopClient};
use tower_jwt_auth::{
    Algorithm, AuthError, Jwt, JwtAuth, MissingJwt, ProblemJson, RequireScopes, Scoped, Scopes, Verifier,
};

use super::tokens::{Claims, good, tokens};
use super::{CANARY, Seen};

type Reply = Response<Full<Bytes>>;

impl Seen {
    /// Everything of an answer that leaves the service, and what its extensions say of a refusal.
    async fn answer<B>(&self, response: Response<B>)
    where
        B: http_body::Body<Error: Debug>,
    {
        let (head, body) = response.into_parts();
        self.say(head.status);
        self.show(&head.headers);
        for value in head.headers.values() {
            self.say(String::from_utf8_lossy(value.as_bytes()));
        }
        self.show(&head.extensions);
        if let Some(error) = head.extensions.get::<AuthError>() {
            self.fail(error);
        }
        let body = body.collect().await.expect("a body").to_bytes();
        self.say(String::from_utf8_lossy(&body));
        self.inner().answers += 1;
    }
}

async fn hello(_: Request<()>) -> Result<Reply, Infallible> {
    Ok(Response::new(Full::default()))
}

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method("POST").uri("/orders");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).expect("a request")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(super) async fn show(seen: &Seen) {
    let authority = Authority::new(Algorithm::ES256);
    layers(seen, &authority).await;
    sources(seen, &authority).await;
    guards(seen, &authority).await;
    bound(seen, &authority).await;
    forwarded(seen, &authority).await;
    relayed(seen, &authority).await;
    in_axum(seen, &authority).await;
}

async fn layers(seen: &Seen, authority: &Authority) {
    let verifier = Verifier::<Claims>::new(authority.trusted()).expect("valid");
    let plain = JwtAuth::with(verifier.clone()).realm("shop");
    let problem = JwtAuth::with(verifier.clone()).on_reject(ProblemJson);
    let printer = seen.clone();
    let print = move |refused: &Rejection<'_>| {
        printer.show(refused);
        Response::new(Full::<Bytes>::default())
    };
    seen.show(&rejection::from_fn(print.clone()));
    seen.show(&rejection::danger_verbatim(rejection::from_fn(print.clone())));
    seen.show(&plain);
    let plain = plain.layer(service_fn(hello));
    let problem = problem.layer(service_fn(hello));
    let printing = JwtAuth::with(verifier).on_reject(print).layer(service_fn(hello));
    let printable = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").layer(());
    seen.show(&printable);
    for token in &tokens(authority) {
        seen.hide_token(token);
        for content_type in ["text/plain", "application/grpc", "application/grpc-web+proto"] {
            let ask = || request(&[("authorization", &bearer(token)), ("content-type", content_type)]);
            seen.answer(plain.clone().oneshot(ask()).await.expect("infallible")).await;
            seen.answer(problem.clone().oneshot(ask()).await.expect("infallible")).await;
            let future = printing.clone().call(ask());
            seen.show(&future);
            seen.answer(future.await.expect("infallible")).await;
        }
    }
}

/// Where a token may be found, and what holds it then.
async fn sources(seen: &Seen, authority: &Authority) {
    let token = authority.token().tampered().sign();
    let protocol = format!("bearer.{token}");
    let cookie = format!("access={token}");
    let header = || Header::new("x-token").expect("a name");
    let closure = extract::from_fn(|head| match head.headers.get("x-own") {
        Some(value) => Credential::bearer(value.to_str().unwrap_or_default()).map(Some),
        None => Ok(None),
    });
    seen.show(&closure);
    seen.show(&BearerHeader::new());
    seen.show(&Cookie::new("access"));
    seen.show(&header());
    seen.show(&Query::access_token());
    seen.show(&WebSocketProtocol::new());
    let all = BearerHeader::new().or(Cookie::new("access")).or(header()).or(Query::access_token());
    seen.show(&all);
    let all = all.or(WebSocketProtocol::new()).or(closure);
    let mut requests = vec![
        request(&[("authorization", &bearer(&token))]),
        request(&[("authorization", &bearer(CANARY)), ("authorization", &bearer(CANARY))]),
        request(&[("authorization", &bearer(&format!("{CANARY} {CANARY}")))]),
        request(&[("cookie", &cookie)]),
        request(&[("cookie", &cookie), ("sec-fetch-site", "same-origin")]),
        request(&[("cookie", &format!("access={CANARY};access={CANARY}")), ("sec-fetch-site", CANARY)]),
        request(&[("x-token", &token)]),
        request(&[("x-own", &token), ("x-token", &token)]),
        request(&[("x-own", &token)]),
    ];
    let uri = |query: &str| Request::get(format!("/?access_token={query}")).body(()).expect("a request");
    requests.extend([uri(&token), uri(&format!("{CANARY}%zz")), uri(&format!("{CANARY}&access_token={CANARY}"))]);
    let handshake = Request::get("/").header("connection", "upgrade").header("upgrade", "websocket");
    requests.push(handshake.header("sec-websocket-protocol", protocol).body(()).expect("a request"));
    seen.hide_token(&token);
    let mut found = 0;
    for request in requests {
        let (head, ()) = request.into_parts();
        match all.extract(&head) {
            Ok(Some(credential)) => {
                found += 1;
                seen.show(&credential);
            }
            Ok(None) => unreachable!("each has a credential"),
            Err(error) => seen.fail(&error),
        }
        let auth = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").extractor(
            BearerHeader::new()
                .or(Cookie::new("access").or(header()).or(Query::access_token()).or(WebSocketProtocol::new())),
        );
        let response = auth.layer(service_fn(hello)).oneshot(Request::from_parts(head, ())).await;
        seen.answer(response.expect("infallible")).await;
    }
    assert!(found >= 5, "{found}");
    seen.fail(&Credential::bearer(format!("{CANARY} {CANARY}")).expect_err("no token"));
}

async fn guards(seen: &Seen, authority: &Authority) {
    let auth = || JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let scopes = RequireScopes::all(["orders:read"]);
    let require = Require::new(|jwt: &Jwt<Value>| jwt.claims()["email"] == "b");
    let foreign = Require::new(|_: &Jwt<Claims>| true);
    let step_up = StepUp::acr_values(["phr"]).expect("a value");
    seen.show(&scopes);
    seen.show(&require);
    seen.show(&scopes.layer(()));
    let token = good(authority).sign();
    seen.hide_token(&token);
    for content_type in ["text/plain", "application/grpc"] {
        let ask = || request(&[("authorization", &bearer(&token)), ("content-type", content_type)]);
        let hello = || service_fn(hello);
        let guarded = ServiceBuilder::new().layer(auth()).layer(scopes.clone().on_reject(ProblemJson));
        seen.answer(guarded.service(hello()).oneshot(ask()).await.expect("infallible")).await;
        let guarded = ServiceBuilder::new().layer(auth()).layer(require.clone());
        seen.answer(guarded.service(hello()).oneshot(ask()).await.expect("infallible")).await;
        let guarded = ServiceBuilder::new().layer(auth()).layer(foreign.clone());
        seen.answer(guarded.service(hello()).oneshot(ask()).await.expect("infallible")).await;
        let guarded = ServiceBuilder::new().layer(auth()).layer(step_up.clone());
        seen.answer(guarded.service(hello()).oneshot(ask()).await.expect("infallible")).await;
        // Without the layer in front.
        let future = scopes.layer(hello()).call(ask());
        seen.show(&future);
        seen.answer(future.await.expect("infallible")).await;
    }
    let resource = ProtectedResource::new("https://api.example.com").expect("a URL");
    seen.show(&resource);
    seen.show(&resource.layer(()));
}

/// A record of one's own, which prints what it is given.
struct Printing(Seen);

impl ReplayStore for Printing {
    fn check(&self, proof: UsedProof) -> ReplayCheck {
        self.0.show(&proof);
        let (ready, pending) = (ReplayCheck::ready(Some(false)), ReplayCheck::pending(async { None }));
        self.0.show(&ready);
        self.0.show(&pending);
        if self.0.inner().answers.is_multiple_of(2) { ready } else { pending }
    }
}

async fn bound(seen: &Seen, authority: &Authority) {
    let client = DpopClient::new(Algorithm::ES256);
    let nonces = DpopNonces::with_secret(CANARY).expect("long enough");
    let dpop = || Dpop::new("https://api.example.com").expect("a URL");
    seen.show(&nonces);
    seen.show(&dpop().nonces(nonces.clone()));
    seen.show(&MemoryReplayStore::new());
    let certificate = PeerCertificate::from_der(CANARY);
    seen.show(&certificate);
    let token = authority.token().claim("cnf", json!({"jkt": client.thumbprint(), "a": CANARY})).sign();
    let proof = || client.proof("POST", "https://api.example.com/orders", &token).claim("jti", CANARY);
    let proofs = [
        proof().sign(),
        proof().sign(),
        proof().tampered().sign(),
        proof().claim("nonce", CANARY).sign(),
        proof().claim("htm", CANARY).sign(),
        proof().claim("htu", format!("https://{CANARY}")).sign(),
        proof().claim("ath", CANARY).sign(),
        proof().claim("iat", CANARY).sign(),
        proof().header("typ", CANARY).sign(),
        proof().header("alg", CANARY).sign(),
        proof().jwk_member("d", CANARY).sign(),
        proof().jwk_member("x", CANARY).sign(),
        CANARY.to_owned(),
    ];
    for settings in [dpop().nonces(nonces), dpop().replay_store(Printing(seen.clone()))] {
        let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").dpop(settings).mtls();
        let service = auth.layer(service_fn(hello));
        for proof in &proofs {
            seen.hide_token(proof);
            let ask = request(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)]);
            seen.answer(service.clone().oneshot(ask).await.expect("infallible")).await;
        }
        let mut ask = request(&[("authorization", &bearer(&token))]);
        ask.extensions_mut().insert(certificate.clone());
        seen.answer(service.clone().oneshot(ask).await.expect("infallible")).await;
    }
    seen.hide_token(&token);
}

async fn forwarded(seen: &Seen, authority: &Authority) {
    let forward = || {
        ForwardClaims::new().subject("x-user").and_then(|forward| {
            forward.claim("x-email", |jwt: &Jwt<Value>| jwt.claims()["email"].as_str().map(|text| format!("{text}\n")))
        })
    };
    let forward = || forward().expect("names").strip_token();
    seen.show(&forward());
    seen.show(&forward().layer(()));
    let token = good(authority).sign();
    let by_query = JwtAuth::<Claims>::new(authority.trusted()).expect("valid").extractor(Query::access_token());
    // A value that cannot stand in a header, claims of another type, a token that cannot be removed, no layer.
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid");
    let service = ServiceBuilder::new().layer(auth).layer(forward()).service(service_fn(hello));
    let ask = || request(&[("authorization", &bearer(&token))]);
    seen.answer(service.oneshot(ask()).await.expect("infallible")).await;
    let foreign = JwtAuth::<Claims>::new(authority.trusted()).expect("valid");
    let service = ServiceBuilder::new().layer(foreign).layer(forward()).service(service_fn(hello));
    seen.answer(service.oneshot(ask()).await.expect("infallible")).await;
    let strip = ForwardClaims::new().strip_token();
    let service = ServiceBuilder::new().layer(by_query).layer(strip).service(service_fn(hello));
    let uri = format!("/?access_token={token}");
    seen.answer(service.oneshot(Request::get(uri).body(()).expect("a request")).await.expect("infallible")).await;
    seen.answer(forward().layer(service_fn(hello)).oneshot(ask()).await.expect("infallible")).await;
}

async fn relayed(seen: &Seen, authority: &Authority) {
    let auth = JwtAuth::<Value>::new(authority.trusted()).expect("valid").keep_token();
    let (token, printer) = (good(authority).sign(), seen.clone());
    let kept = auth.layer(service_fn(move |request: Request<()>| {
        // What a handler prints of its request's extensions, and hands out.
        printer.show(request.extensions());
        let mut reply = Response::new(Full::<Bytes>::default());
        *reply.extensions_mut() = request.into_parts().0.extensions;
        std::future::ready(Ok::<_, Infallible>(reply))
    }));
    let reply = kept.oneshot(request(&[("authorization", &bearer(&token))])).await.expect("infallible");
    let caller = reply.extensions().get::<CallerToken>().expect("it was kept");
    seen.show(caller);
    let relay = RelayToken::new().to("https://orders.internal").expect("an origin").required();
    seen.show(&relay);
    seen.show(&relay.layer(()));
    let printer = seen.clone();
    let mut client = relay.layer(service_fn(move |request: Request<()>| {
        assert!(request.headers().contains_key("authorization"));
        // The header is marked, so that its `Debug` does not show it.
        printer.show(&request);
        std::future::ready(Ok::<_, Infallible>(()))
    }));
    for (uri, own) in
        [("https://orders.internal/", None), ("https://a.example/", None), ("https://orders.internal/", Some(CANARY))]
    {
        let mut request = Request::get(uri).body(()).expect("a request");
        request.extensions_mut().insert(caller.clone());
        if let Some(own) = own {
            request.headers_mut().insert("authorization", own.parse().expect("a header"));
        }
        let future = client.call(request);
        seen.show(&future);
        if let Err(error) = future.await {
            let error: Box<dyn Error> = error;
            seen.fail(error.downcast_ref::<RelayError>().expect("not the client's"));
        }
    }
}

/// What nobody grants.
struct Nothing;

impl Scopes for Nothing {
    const ALL: &'static [&'static str] = &["nothing"];
}

/// What everybody has.
struct Given;

impl Scopes for Given {
    const ALL: &'static [&'static str] = &[CANARY];
}

async fn in_axum(seen: &Seen, authority: &Authority) {
    let (printer, scoped) = (seen.clone(), seen.clone());
    let app = Router::new()
        .route("/print", get(async move |jwt: Jwt<Value>| printer.show(&jwt)))
        .route("/scoped", get(async move |jwt: Scoped<Given, Value>| scoped.show(&jwt)))
        .route("/nothing", get(async |_: Scoped<Nothing, Value>| "open"))
        .route("/foreign", get(async |_: Jwt<Claims>| "open"))
        .layer(JwtAuth::<Value>::new(authority.trusted()).expect("valid"))
        .route("/bare", get(async |_: Jwt<Value>| "open"));
    let token = good(authority).sign();
    seen.hide_token(&token);
    for path in ["/print", "/scoped", "/nothing", "/foreign", "/bare"] {
        let ask = Request::get(path).header("authorization", bearer(&token)).body(axum::body::Body::empty());
        seen.answer(app.clone().oneshot(ask.expect("a request")).await.expect("infallible")).await;
    }
    let (mut head, ()) = request(&[("authorization", &bearer(CANARY))]).into_parts();
    let missing: MissingJwt = Jwt::<Value>::from_request_parts(&mut head, &()).await.expect_err("no layer");
    seen.show(&missing);
}

impl Seen {
    /// The same proof twice.
    pub(super) async fn use_proof(&self, auth: JwtAuth<Value>, token: &str, proof: &str) {
        let service = auth.layer(service_fn(hello));
        for _ in 0..2 {
            let ask = request(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)]);
            self.answer(service.clone().oneshot(ask).await.expect("infallible")).await;
        }
    }
}
