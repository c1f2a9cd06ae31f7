//! A salvo server that shows orders to nobody without a good token that grants `orders:read`.
//!
//! ```text
//! cd examples/more
//! cargo run --bin salvo                # port 3000
//! cargo run --bin salvo -- --port 0    # any free port
//! ```
//!
//! It prints `READY` with its address, and curl lines to paste.
//!
//! `.compat()` makes a hoop of a tower layer (salvo's feature `tower-compat`). It is a queue before one task that
//! verifies the tokens of this hoop: put several layers into one `ServiceBuilder`, not one hoop each.

use std::error::Error;
use std::net::Ipv4Addr;

use salvo::conn::tcp::TcpAcceptor;
use salvo::prelude::{Request, Router, Server, TowerLayerCompat as _, handler};
use serde::Deserialize;
use tower::ServiceBuilder;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth, RequireScopes};

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// Never called without a verified token.
#[handler]
fn orders(request: &mut Request) -> String {
    let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer is in front");
    format!("the orders of {}\n", jwt.claims().sub)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port_option();
    // This stands for the identity provider. A service has `Issuer::discover("https://…")?.audience("orders")`.
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("orders");

    // The first layer is the outermost: who it is comes before what they may do.
    let layers = ServiceBuilder::new()
        .layer(JwtAuth::<Claims>::new(authority.trusted())?.realm("orders"))
        .layer(RequireScopes::all(["orders:read"]));
    let router = Router::with_path("orders").hoop(layers.compat()).get(orders);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("READY {url}\n");
    print_curl_lines(&url, &authority);
    Server::new(TcpAcceptor::try_from(listener)?).serve(router).await;
    Ok(())
}

fn print_curl_lines(url: &str, authority: &Authority) {
    let token = || authority.token().claim("scope", "orders:read").expires_in(3600);
    let (valid, expired, tampered) = (token().sign(), token().expires_in(-60).sign(), token().tampered().sign());
    let other = authority.token().claim("scope", "orders:write").expires_in(3600).sign();
    println!("No token: 401\ncurl -i {url}/orders\n");
    println!("A valid token: 200 and the orders\ncurl -i {url}/orders -H 'Authorization: Bearer {valid}'\n");
    println!("An expired token: 401 invalid_token\ncurl -i {url}/orders -H 'Authorization: Bearer {expired}'\n");
    println!("A tampered token: 401 invalid_token\ncurl -i {url}/orders -H 'Authorization: Bearer {tampered}'\n");
    println!("Another scope: 403 insufficient_scope\ncurl -i {url}/orders -H 'Authorization: Bearer {other}'\n");
}

/// The only option: `--port N`.
fn port_option() -> u16 {
    let mut port = 3000;
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
