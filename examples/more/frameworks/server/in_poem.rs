//! An endpoint of poem, behind the adapter that the example has for others to copy.

#[path = "../poem.rs"]
#[expect(dead_code, reason = "of the example, only the adapter is wanted here")]
mod example;

use std::error::Error;

use poem::listener::TcpAcceptor;
use poem::web::{Path, RemoteAddr};
use poem::{EndpointExt as _, Request, Route, Server, handler, post};
use tokio::net::TcpListener;

use crate::{Layers, Maker, PATH};
use example::TowerLayer;

/// Also asks for what only poem knows of a request: the adapter must not lose it.
#[handler]
fn handle(request: &Request, Path(method): Path<String>, remote: &RemoteAddr) -> String {
    assert!(PATH.ends_with(&method) && remote.as_socket_addr().is_some_and(|address| address.ip().is_loopback()));
    crate::handle(request.extensions())
}

pub(crate) async fn serve(listener: TcpListener, layers: Layers<Maker>) -> Result<(), Box<dyn Error>> {
    let path = PATH.replace("Check", ":method");
    let app = Route::new().at(path, post(handle).with(TowerLayer(layers)));
    Ok(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(app).await?)
}
