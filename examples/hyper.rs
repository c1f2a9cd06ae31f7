//! A hyper service without a framework, for example behind a gateway that passes the `Authorization` header on.
//!
//! ```text
//! cargo run --example hyper                # a free port
//! cargo run --example hyper -- --port 3001
//! ```
//!
//! It prints `READY`, its address, and a token that is good for an hour:
//!
//! ```text
//! curl -i http://127.0.0.1:PORT/ -H 'Authorization: Bearer TOKEN'
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth};

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: String,
    exp: u64,
}

/// Answers the claims. The layer has put them there, or this is never called.
async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer is in front");
    let claims = serde_json::to_vec(jwt.claims()).expect("strings and a number have a JSON form");
    let mut response = Response::new(Full::from(claims));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();

    // This stands for the identity provider. A service has the provider's keys, say `KeySet::jwk_set(text)`, and
    // `Issuer::new(name, keys).audience(this_service)`.
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("orders");
    let auth = JwtAuth::<Claims>::new(authority.trusted())?.realm("orders");
    let service = ServiceBuilder::new().layer(auth).service(service_fn(handle));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("READY http://{} {}", listener.local_addr()?, authority.token().expires_in(3600).sign());
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
        // Without a timer, who connects and says nothing is waited for without end.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}

/// The only option: `--port N`.
fn port_option() -> u16 {
    let mut port = 0;
    let mut options = std::env::args().skip(1);
    while let Some(option) = options.next() {
        if let ("--port", Some(Ok(value))) = (option.as_str(), options.next().map(|value| value.parse())) {
            port = value;
        } else {
            eprintln!("{option}: the only option is `--port N`, with N from 0 (a free port) to 65535");
            std::process::exit(2);
        }
    }
    port
}
