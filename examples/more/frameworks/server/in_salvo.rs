//! A route of salvo.

use std::error::Error;

use salvo::conn::tcp::TcpAcceptor;
use salvo::prelude::{Request, Router, Server, TowerLayerCompat as _, handler};
use tokio::net::TcpListener;

use crate::{Layers, Maker, PATH};

#[handler]
fn handle(request: &mut Request) -> String {
    crate::handle(request.extensions())
}

pub(crate) async fn serve(listener: TcpListener, layers: Layers<Maker>) -> Result<(), Box<dyn Error>> {
    let router = Router::with_path(PATH).hoop(layers.compat()).post(handle);
    Server::new(TcpAcceptor::try_from(listener)?).serve(router).await;
    Ok(())
}
