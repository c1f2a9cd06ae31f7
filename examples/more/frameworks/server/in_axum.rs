//! A route of axum.

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::{Layers, Maker, PATH};

async fn handle(request: Request) -> String {
    crate::handle(request.extensions())
}

pub(crate) async fn serve(listener: TcpListener, layers: Layers<Maker>) -> Result<(), Box<dyn Error>> {
    Ok(axum::serve(listener, Router::new().route(PATH, post(handle)).layer(layers)).await?)
}
