//! A gRPC service behind the layer, and a client that is accepted, unauthenticated and denied.
//!
//! The service is the standard health check, whose code a crate ships: no protoc is needed.
//!
//! ```text
//! cargo run --example tonic                              # server and client, then the end
//! cargo run --example tonic -- --serve --port 50051      # the server alone; without --port, or with 0, a free port
//! ```
//!
//! The server alone prints `READY`, its address, and a token that is good for an hour:
//!
//! ```text
//! grpcurl -plaintext -H 'authorization: Bearer TOKEN' 127.0.0.1:PORT grpc.health.v1.Health/Check
//! ```

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, JwtAuth, RequireScopes};

/// What handlers could read from `request.extensions()` as `Jwt<Claims>`.
#[derive(Deserialize)]
struct Claims {
    #[expect(dead_code, reason = "the health check has no use for it")]
    sub: String,
}

async fn serve(authority: &Authority, incoming: TcpIncoming) -> Result<(), Box<dyn Error>> {
    let (_, health) = tonic_health::server::health_reporter();
    // The first layer is the outermost: who it is comes before what they may do.
    Server::builder()
        .layer(JwtAuth::<Claims>::new(authority.trusted())?)
        .layer(RequireScopes::all(["health"]))
        .add_service(health)
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}

async fn show(client: &mut HealthClient<Channel>, who: &str, token: Option<String>) -> Result<(), Box<dyn Error>> {
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(token) = token {
        let bearer: AsciiMetadataValue = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", bearer);
    }
    match client.check(request).await {
        Ok(response) => println!("{who}: accepted, {}", response.into_inner().status().as_str_name()),
        Err(status) if status.code() == Code::Unauthenticated => {
            println!("{who}: UNAUTHENTICATED, {}", status.message());
        }
        Err(status) if status.code() == Code::PermissionDenied => {
            println!("{who}: PERMISSION_DENIED, {}", status.message());
        }
        Err(status) => return Err(status.into()),
    }
    Ok(())
}

async fn demonstrate(authority: &Authority, url: String) -> Result<(), Box<dyn Error>> {
    let mut client = HealthClient::new(Channel::from_shared(url)?.connect().await?);
    let token = || authority.token().claim("scope", "health");
    show(&mut client, "a token with the scope", Some(token().sign())).await?;
    show(&mut client, "no token", None).await?;
    show(&mut client, "an expired token", Some(token().expires_in(-60).sign())).await?;
    show(&mut client, "a tampered token", Some(token().tampered().sign())).await?;
    show(&mut client, "a token without the scope", Some(authority.token().sign())).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { serve_only, port } = options();
    // This stands for the identity provider. A service has the provider's keys, say `KeySet::jwk_set(text)`, and
    // `Issuer::new(name, keys).audience(this_service)`.
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("health");

    let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let url = format!("http://{}", incoming.local_addr()?);
    if serve_only {
        println!("READY {url} {}", authority.token().claim("scope", "health").expires_in(3600).sign());
        return serve(&authority, incoming).await;
    }
    tokio::select! {
        served = serve(&authority, incoming) => served,
        shown = demonstrate(&authority, url) => shown,
    }
}

struct Options {
    serve_only: bool,
    port: u16,
}

fn options() -> Options {
    let mut found = Options { serve_only: false, port: 0 };
    let mut options = std::env::args().skip(1);
    while let Some(option) = options.next() {
        match option.as_str() {
            "--serve" => found.serve_only = true,
            "--port" => match options.next().map(|value| value.parse()) {
                Some(Ok(port)) => found.port = port,
                _ => refuse("--port takes a number from 0 (a free port) to 65535"),
            },
            _ => refuse(&format!("{option}: the options are `--serve` and `--port N`")),
        }
    }
    found
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}
