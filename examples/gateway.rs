//! A gateway without a framework: it verifies the token at the door, tells the service behind it whose it is, and
//! passes everything else on.
//!
//! ```text
//! cargo run --example gateway                                      # a free port, and an upstream in the same process
//! cargo run --example gateway -- --relay                           # the upstream gets the token too, and verifies it
//! cargo run --example gateway -- --port 3000 --upstream http://127.0.0.1:8080
//! ```
//!
//! It prints `READY`, its address and a token that is good for an hour (start it again for another), and then curl
//! lines to paste.
//!
//! - `X-User-Id` and `X-Scopes` come from the token, and never from the client.
//! - The token stays here, or under `--relay` goes to the upstream, and to no other host.
//! - Bodies are streamed, both ways. What concerns one connection alone is not passed on (RFC 9110 §7.6.1), so there
//!   are no websockets.
//! - An upstream that is away is answered with 502.
//!
//! The upstream is spoken to over plain http. For https give the client a connector of hyper-rustls.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::forward::{ForwardClaims, RelayToken, RelayTokenService};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AnyJwt, ConfigError, JwtAuth};

type BoxError = Box<dyn Error + Send + Sync>;

/// To the upstream, with the caller's token where it is relayed.
type Upstream = RelayTokenService<Client<HttpConnector, Incoming>>;

/// What concerns one connection alone, whether `Connection` names it or not (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a client says of the way to here. `Host` is the upstream's own again.
const OF_THE_WAY: [HeaderName; 5] = [
    header::HOST,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let names = values.flat_map(|value| value.split(|&byte| byte == b','));
    let listed: Vec<_> = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The first thing that happens to a request: what is set later cannot be removed by a `Connection` of the client's.
fn as_it_goes_on(mut request: Request<Incoming>) -> Request<Incoming> {
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    for name in &OF_THE_WAY {
        headers.remove(name);
    }
    headers.append(header::VIA, HeaderValue::from_static("1.1 gateway"));
    request
}

/// Sends a request on, and streams the answer back. Scheme and host are the upstream's, whatever the client asked for.
async fn proxy(
    client: Upstream,
    origin: Arc<Uri>,
    mut request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>, Infallible> {
    let answer = |status| {
        let mut response = Response::new(UnsyncBoxBody::default());
        *response.status_mut() = status;
        Ok(response)
    };
    let mut parts = Uri::clone(&origin).into_parts();
    parts.path_and_query = request.uri().path_and_query().cloned();
    let Ok(uri) = Uri::from_parts(parts) else { return answer(StatusCode::BAD_REQUEST) };
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_11;
    match client.oneshot(request).await {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            Ok(response.map(BodyExt::boxed_unsync))
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("upstream: {error}{cause}");
            answer(StatusCode::BAD_GATEWAY)
        }
    }
}

/// The upstream, unless there is another: it answers what it was told.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let told = json!({
        "path": request.uri().to_string(),
        "user": header("x-user-id"),
        "scopes": header("x-scopes"),
        "headers": request.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(),
        // Under `--relay`: whose token it is, as the upstream itself has found.
        "token_subject": AnyJwt::from_extensions(request.extensions()).and_then(AnyJwt::subject),
    });
    let body = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    let mut response = Response::new(Full::from(format!("{told:#}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-body-bytes", body.into());
    Ok(response)
}

async fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, for example: some are free again when connections end.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        // Without a timer, who connects and says nothing is waited for without end.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}

/// Starts the upstream, which verifies tokens itself where they are relayed.
async fn start_upstream(authority: &Authority, relay: bool) -> Result<Uri, Box<dyn Error>> {
    let auth = relay.then(|| JwtAuth::<IgnoredAny>::new(authority.trusted())).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    tokio::spawn(serve(listener, ServiceBuilder::new().option_layer(auth).service(service_fn(tell))));
    Ok(url)
}

/// The client of the upstream: the layer sees to it that a token goes nowhere else.
fn client(origin: &Uri, relay: bool) -> Result<Upstream, ConfigError> {
    let mut token = RelayToken::new();
    if relay {
        token = token.to(&origin.to_string())?.required();
    }
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    Ok(ServiceBuilder::new().layer(token).service(Client::builder(TokioExecutor::new()).build(connector)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments();

    // This stands for the identity provider, as in the example `hyper`. Both hops are `shop`: an upstream takes a
    // relayed token as it is, so its audience must name it too.
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("shop");
    let origin = match options.upstream {
        Some(origin) => origin,
        None => start_upstream(&authority, options.relay).await?,
    };
    let client = client(&origin, options.relay).unwrap_or_else(|error| usage(&error.to_string()));

    let auth = JwtAuth::<IgnoredAny>::new(authority.trusted())?.realm("shop");
    // The client's own header goes in any case. Under `--relay` the layer around the client sets it anew.
    let forward = ForwardClaims::new().subject("x-user-id")?.scopes("x-scopes")?.strip_token();
    let origin = Arc::new(origin);
    let gateway = ServiceBuilder::new()
        .map_request(as_it_goes_on)
        .layer(if options.relay { auth.keep_token() } else { auth })
        .layer(forward)
        .service(service_fn(move |request| proxy(client.clone(), Arc::clone(&origin), request)));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .map_err(|error| format!("port {}: {error}; without `--port` it takes a free one", options.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    let token = authority.token().claim("sub", "alice").claim("scope", "orders:read").expires_in(3600).sign();
    println!("READY {url} {token}\n");
    let bearer = format!("-H 'Authorization: Bearer {token}'");
    println!("What the upstream is told\ncurl -i {url}/orders?page=2 {bearer}\n");
    println!(
        "What a client says of itself does not get through\ncurl -i {url}/orders {bearer} -H 'X-User-Id: admin'\n"
    );
    println!("No token: 401, and the upstream hears nothing of it\ncurl -i {url}/orders -H 'X-User-Id: admin'\n");
    serve(listener, gateway).await;
    Ok(())
}

struct Options {
    port: u16,
    upstream: Option<Uri>,
    relay: bool,
}

impl Options {
    fn from_arguments() -> Self {
        let mut options = Self { port: 0, upstream: None, relay: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            match option.as_str() {
                "--relay" => options.relay = true,
                "--port" => match arguments.next().map(|value| value.parse()) {
                    Some(Ok(port)) => options.port = port,
                    _ => usage("--port: it needs a number from 0 (a free port) to 65535"),
                },
                "--upstream" => match arguments.next().map(|value| value.parse::<Uri>()) {
                    Some(Ok(url)) if url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none() => {
                        options.upstream = Some(url);
                    }
                    _ => usage("--upstream: it needs a URL like `http://127.0.0.1:8080`, without a path"),
                },
                _ => usage(&format!("{option}: the options are `--port N`, `--upstream URL` and `--relay`")),
            }
        }
        options
    }
}

fn usage(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}
