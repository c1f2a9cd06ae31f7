//! Access tokens of a real identity provider, shown to axum, tonic and hyper servers over real sockets.

mod bound;
#[cfg(feature = "remote")]
mod fetched;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use axum::{Router, routing::get};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, service_fn};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::{AuthErrorKind, Issuer, Jwt, JwtAuth, KeySet, RequireScopes, Verifier};

const AUDIENCE: &str = "https://api.example.com/orders";
const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];
const LEEWAY_SECONDS: i64 = 30;

#[tokio::test]
async fn access_tokens_of_a_real_provider_pass_in_every_algorithm_and_bent_ones_are_refused() {
    let provider = provider();
    check_every_algorithm(provider, provider.trusted(&provider.jwks().await)).await;
}

async fn check_every_algorithm(provider: &Provider, trusted: Issuer) {
    let clock = Clock::manual(UnixTime::from_secs(0));
    let verifier = Verifier::builder().trust(trusted).clock(clock.clone());
    let servers = Servers::start(&verifier.build().expect("a valid configuration")).await;

    for alg in ALGORITHMS {
        let orders = TokenRequest { alg, ..TokenRequest::default() };
        let token = provider.token(orders).await;
        let short_lived = provider.token(TokenRequest { ttl: 1, ..orders }).await;
        let for_invoices = provider.token(TokenRequest { path: "invoices", ..orders }).await;
        let write_only = provider.token(TokenRequest { scope: "orders:write", ..orders }).await;
        assert_eq!(header(&token)["alg"], alg);
        assert_eq!(header(&token)["typ"], "at+jwt");

        let now = payload(&token)["iat"].as_i64().expect("a number");
        let end = payload(&short_lived)["exp"].as_i64().expect("a number") + LEEWAY_SECONDS;
        let cases = [
            ("untouched", token.clone(), now, accepted()),
            ("in its last second", short_lived.clone(), end - 1, accepted()),
            ("expired", short_lived, end, refused(AuthErrorKind::Expired)),
            ("another payload", with_payload_of(&token, &write_only), now, refused(AuthErrorKind::InvalidSignature)),
            ("a flipped signature", with_flipped_signature(&token), now, refused(AuthErrorKind::InvalidSignature)),
            ("another audience", for_invoices, now, refused(AuthErrorKind::InvalidAudience)),
            ("too few scopes", write_only, now, insufficient_scope()),
        ];
        for (case, token, now, expected) in cases {
            clock.set(UnixTime::from_secs(now));
            servers.check(&format!("{alg}, {case}"), &token, &expected).await;
        }
    }

    let opaque = provider.opaque_token().await;
    servers.check("an opaque token", &opaque, &refused(AuthErrorKind::MalformedToken)).await;
}

#[tokio::test]
async fn tokens_of_another_provider_are_refused_until_it_is_trusted_as_well() {
    let ours = provider();
    let theirs = &Provider::start();
    let (our_jwks, their_jwks) = (ours.jwks().await, theirs.jwks().await);

    let alone = || Verifier::builder().trust(ours.trusted(&our_jwks));
    let only_ours = Servers::start(&alone().build().expect("a valid configuration")).await;
    let with_their_keys = Verifier::new(ours.trusted(&joined(&our_jwks, &their_jwks)));
    let with_their_keys = Servers::start(&with_their_keys.expect("a valid configuration")).await;
    let both = alone().trust(theirs.trusted(&their_jwks));
    let both = Servers::start(&both.build().expect("a valid configuration")).await;

    for alg in ALGORITHMS {
        let request = TokenRequest { alg, ..TokenRequest::default() };
        let (our_token, their_token) = (ours.token(request).await, theirs.token(request).await);

        only_ours.check(alg, &their_token, &refused(AuthErrorKind::UnknownKey)).await;
        // The signature verifies, and `iss` alone gives the token away.
        with_their_keys.check(alg, &their_token, &refused(AuthErrorKind::InvalidIssuer)).await;
        both.check(alg, &their_token, &accepted()).await;
        both.check(alg, &our_token, &accepted()).await;
    }
}

/// What a client sees of an answer, in both protocols.
struct Expected {
    http: StatusCode,
    grpc: tonic::Code,
    challenge: Option<String>,
}

fn accepted() -> Expected {
    Expected { http: StatusCode::OK, grpc: tonic::Code::Ok, challenge: None }
}

fn refused(kind: AuthErrorKind) -> Expected {
    let challenge = format!(r#"Bearer realm="shop", error="invalid_token", error_description="{}""#, kind.phrase());
    Expected { http: StatusCode::UNAUTHORIZED, grpc: tonic::Code::Unauthenticated, challenge: Some(challenge) }
}

fn insufficient_scope() -> Expected {
    let phrase = AuthErrorKind::InsufficientScope.phrase();
    let challenge = format!(
        r#"Bearer realm="shop", error="insufficient_scope", error_description="{phrase}", scope="orders:read health""#
    );
    Expected { http: StatusCode::FORBIDDEN, grpc: tonic::Code::PermissionDenied, challenge: Some(challenge) }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    client_id: String,
}

impl Claims {
    fn greeting(&self) -> String {
        format!("{} of {}", self.sub, self.client_id)
    }
}

/// The same verifier behind three servers, each on a port of its own.
struct Servers {
    axum: SocketAddr,
    hyper: SocketAddr,
    tonic: SocketAddr,
}

impl Servers {
    async fn start(verifier: &Verifier<Claims>) -> Self {
        let auth = JwtAuth::with(verifier.clone()).realm("shop");
        let guard = RequireScopes::all(["orders:read", "health"]);
        Self {
            axum: serve_axum(auth.clone(), guard.clone()).await,
            hyper: serve_hyper(auth.clone(), guard.clone()).await,
            tonic: serve_tonic(auth, guard).await,
        }
    }

    /// Shows the token to every server at once, and compares each answer.
    async fn check(&self, case: &str, token: &str, expected: &Expected) {
        let check = |server| self.check_on(server, case, token, expected);
        tokio::join!(check("axum"), check("hyper"), check("tonic"));
    }

    async fn check_on(&self, server: &str, case: &str, token: &str, expected: &Expected) {
        match server {
            "axum" => check_http(self.axum, &format!("axum: {case}"), token, expected).await,
            "hyper" => check_http(self.hyper, &format!("hyper: {case}"), token, expected).await,
            _ => check_grpc(self.tonic, &format!("tonic: {case}"), token, expected).await,
        }
    }
}

async fn check_http(server: SocketAddr, case: &str, token: &str, expected: &Expected) {
    let request = Request::get("/orders").header(AUTHORIZATION, format!("Bearer {token}"));
    let response = exchange(server, request.body(String::new()).expect("a valid request")).await;
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().expect("ASCII"));
    assert_eq!(response.status(), expected.http, "{case}");
    assert_eq!(challenge, expected.challenge.as_deref(), "{case}");
    let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().expect("ASCII"));
    let seconds = retry_after.map(|value| value.parse::<u32>().expect("whole seconds"));
    assert_eq!(seconds.is_some_and(|seconds| seconds > 0), expected.http == StatusCode::SERVICE_UNAVAILABLE, "{case}");
    let body = if expected.http.is_success() { "service of service" } else { "" };
    assert_eq!(response.body(), body, "{case}");
}

async fn check_grpc(server: SocketAddr, case: &str, token: &str, expected: &Expected) {
    let channel = Endpoint::try_from(format!("http://{server}")).expect("a valid URI").connect().await;
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    let credential = format!("Bearer {token}").parse().expect("a valid header");
    request.metadata_mut().insert("authorization", credential);
    let answer = HealthClient::new(channel.expect("the server listens")).check(request).await;
    let status = answer.err().unwrap_or_else(|| tonic::Status::ok(""));
    let challenge = status.metadata().get("www-authenticate").map(|value| value.to_str().expect("ASCII"));
    assert_eq!(status.code(), expected.grpc, "{case}: {status}");
    assert_eq!(challenge, expected.challenge.as_deref(), "{case}");
    let may_try_again = status.metadata().contains_key("grpc-retry-pushback-ms");
    assert_eq!(may_try_again, expected.grpc == tonic::Code::Unavailable, "{case}");
}

async fn serve_axum(auth: JwtAuth<Claims>, guard: RequireScopes) -> SocketAddr {
    let handler = get(async |jwt: Jwt<Claims>| jwt.claims().greeting());
    let app = Router::new().route("/orders", handler).layer(guard).layer(auth);
    let (listener, address) = listen().await;
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

async fn serve_hyper(auth: JwtAuth<Claims>, guard: RequireScopes) -> SocketAddr {
    let handler = service_fn(async |request: Request<hyper::body::Incoming>| {
        let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer put it there");
        Ok::<_, Infallible>(Response::new(jwt.claims().greeting()))
    });
    let service = ServiceBuilder::new().layer(auth).layer(guard).service(handler);
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn serve_tonic(auth: JwtAuth<Claims>, guard: RequireScopes) -> SocketAddr {
    let (_, health) = tonic_health::server::health_reporter();
    let router = Server::builder().layer(auth).layer(guard).add_service(health);
    let (listener, address) = listen().await;
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
    let address = listener.local_addr().expect("just bound");
    (listener, address)
}

/// The provider that the tests of this process share.
fn provider() -> &'static Provider {
    static SHARED: OnceLock<Provider> = OnceLock::new();
    SHARED.get_or_init(Provider::start)
}

/// A provider in a process of its own.
///
/// It ends when its standard input closes, and that pipe closes with this process, however it ends; so the shared one,
/// which is never dropped, leaves nothing behind either.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(
            folder.join("node_modules/oidc-provider").exists(),
            "the provider's packages are missing: run `npm ci` in {}",
            folder.display()
        );
        let spawned = Command::new("node")
            .args(["provider.mjs", "--port", "0", "--watch-stdin"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("node is missing: run `apt-get install nodejs npm`"),
            _ => panic!("node does not start: {error}"),
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the provider writes text");
        let issuer = line.strip_prefix("READY ").expect("the provider starts, or says why on standard error");
        Self { child, issuer: issuer.trim_end().to_owned() }
    }

    fn trusted(&self, jwks: &str) -> Issuer {
        let keys = KeySet::jwk_set(jwks).expect("a real provider's keys are usable");
        assert_eq!(keys.skipped(), &[]);
        for_orders(Issuer::new(&self.issuer, keys))
    }

    /// The key set, as the provider serves it.
    async fn jwks(&self) -> String {
        self.send(Request::get("/jwks").body(String::new())).await
    }

    async fn token(&self, request: TokenRequest) -> String {
        let TokenRequest { alg, ttl, path, scope } = request;
        // The form's values are percent-encoded by hand; the scopes have nothing but spaces to encode.
        let resource = format!("https%3A%2F%2Fapi.example.com%2F{path}%3Falg%3D{alg}%26ttl%3D{ttl}");
        let scope = scope.replace(' ', "+");
        self.grant(format!("grant_type=client_credentials&resource={resource}&scope={scope}")).await
    }

    /// What the provider issues for its own use: a token that is no JWT.
    async fn opaque_token(&self) -> String {
        self.grant("grant_type=client_credentials".to_owned()).await
    }

    async fn grant(&self, form: String) -> String {
        let client = BASE64_STANDARD.encode("service:integration-test-secret-0123456789abcdef");
        let request = Request::post("/token")
            .header(AUTHORIZATION, format!("Basic {client}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer: Value = serde_json::from_str(&self.send(request).await).expect("a token response is JSON");
        answer["access_token"].as_str().expect("a token response has a token").to_owned()
    }

    async fn send(&self, request: http::Result<Request<String>>) -> String {
        let address = self.issuer.strip_prefix("http://").and_then(|address| address.parse().ok());
        let response = exchange(address.expect("a loopback address"), request.expect("a valid request")).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", response.body());
        response.into_body()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every test asks of the provider's tokens.
fn for_orders(issuer: Issuer) -> Issuer {
    issuer.audience(AUDIENCE).access_token_profile()
}

#[derive(Clone, Copy)]
struct TokenRequest {
    alg: &'static str,
    /// In seconds.
    ttl: u32,
    path: &'static str,
    scope: &'static str,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self { alg: "RS256", ttl: 3600, path: "orders", scope: "orders:read orders:write health" }
    }
}

/// One request on a connection of its own.
async fn exchange(address: SocketAddr, mut request: Request<String>) -> Response<String> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("no bytes are exchanged yet");
    tokio::spawn(connection);
    request.headers_mut().insert(HOST, address.to_string().parse().expect("an address is a valid header"));
    let (head, body) = sender.send_request(request).await.expect("the server answers").into_parts();
    let body = body.collect().await.expect("the server sends the whole body").to_bytes();
    Response::from_parts(head, String::from_utf8(body.into()).expect("the servers send text"))
}

/// Two key sets as one.
fn joined(one: &str, other: &str) -> String {
    let [mut one, mut other] = [one, other].map(|jwks| serde_json::from_str::<Value>(jwks).expect("a JWK set is JSON"));
    let keys = one["keys"].as_array_mut().expect("a JWK set has keys");
    keys.append(other["keys"].as_array_mut().expect("a JWK set has keys"));
    one.to_string()
}

fn segments(token: &str) -> [&str; 3] {
    let segments: Vec<_> = token.split('.').collect();
    segments.try_into().expect("a JWT has three segments")
}

fn header(token: &str) -> Value {
    decoded(segments(token)[0])
}

pub(crate) fn payload(token: &str) -> Value {
    decoded(segments(token)[1])
}

fn decoded(segment: &str) -> Value {
    let json = BASE64_URL_SAFE_NO_PAD.decode(segment).expect("a segment is base64url");
    serde_json::from_slice(&json).expect("a segment is JSON")
}

/// The claims of one genuine token under the signature of another.
fn with_payload_of(token: &str, other: &str) -> String {
    let [header, _, signature] = segments(token);
    format!("{header}.{}.{signature}", segments(other)[1])
}

fn with_flipped_signature(token: &str) -> String {
    let [header, payload, signature] = segments(token);
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("a segment is base64url");
    signature[0] ^= 1;
    format!("{header}.{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
