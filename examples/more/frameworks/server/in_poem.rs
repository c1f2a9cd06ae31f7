//! An endpoint of poem, behind the adapter that the example has for others to copy.

#[path = "../poem.rs"]
#[expect(dead_code, reason = "of the example, only the adapter is wanted here")]
mod example;

use std::error::Error;

use poem::listener::TcpAcceptor;
use poem::{EndpointExt as _, Request, Route, Server, handler, post};
use tokio::net::TcpListener;

use crate::{Layers, Maker, PATH};
use example::TowerLayer;

#[handler]
fn handle(request: &Request) -> String {
    crate::handle(request.extensions())
}

pub(crate) async fn serve(listener: TcpListener, layers: Layers<Maker>) -> Result<(), Box<dyn Error>> {
    let app = Route::new().at(PATH, post(handle).with(TowerLayer(layers)));
    Ok(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(app).await?)
}
