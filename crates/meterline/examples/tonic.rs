//! A tonic service, measured by its gRPC status, with `/metrics` on the same port.
//!
//!     cargo run -p meterline --example tonic
//!     grpcurl -plaintext 127.0.0.1:3000 grpc.health.v1.Health/Check
//!     curl http://127.0.0.1:3000/metrics | grep rpc_grpc
//!
//! (Without reflection grpcurl wants `-proto health.proto`.) gRPC answers HTTP 200 whatever happens, so requests also
//! carry `rpc_grpc_status_code` (0 is OK), and those that failed by the service's fault `error_type`. The route is the service's,
//! `/grpc.health.v1.Health/{*rest}`: what a client calls cannot make a series.

use meterline::Telemetry;
use tonic::service::Routes;
use tonic_health::ServingStatus;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env()?;

    let (health_reporter, health_service) = tonic_health::server::health_reporter();
    health_reporter
        .set_service_status("shop", ServingStatus::Serving)
        .await;
    let app = Routes::new(health_service)
        .into_axum_router()
        .layer(telemetry.http_layer())
        .merge(telemetry.routes());
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    telemetry.shutdown().await?;
    Ok(())
}
