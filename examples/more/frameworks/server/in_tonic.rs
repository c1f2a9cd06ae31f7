//! A gRPC service of tonic.

use std::error::Error;

use tokio::net::TcpListener;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_jwt_auth::rejection::EmptyBody;

use crate::Layers;

struct Checked;

#[tonic::async_trait]
impl Health for Checked {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        crate::handle(request.extensions());
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("the suite asks once"))
    }
}

pub(crate) async fn serve(listener: TcpListener, layers: Layers<EmptyBody>) -> Result<(), Box<dyn Error>> {
    let incoming = TcpIncoming::from(listener);
    Ok(Server::builder().layer(layers).add_service(HealthServer::new(Checked)).serve_with_incoming(incoming).await?)
}
