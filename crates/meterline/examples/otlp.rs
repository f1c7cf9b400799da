//! Push by OTLP beside the scrape: the same numbers, two ways out.
//!
//!     docker run --rm -p 4318:4318 otel/opentelemetry-collector    # or any other collector
//!     cargo run -p meterline --example otlp
//!     curl http://127.0.0.1:3000/orders/7
//!
//! Every five seconds the collector receives what the page shows. Without one the program runs as well: the log has a
//! line, and `meterline_otlp_exports_total` counts failures. `Telemetry::from_env` would take all of this from
//! `OTEL_EXPORTER_OTLP_ENDPOINT` and its like.

use std::time::Duration;

use axum::extract::Path;
use axum::{Router, routing::get};
use meterline::Telemetry;
use meterline::config::TelemetryConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(2);
    let mut config = TelemetryConfig::default();
    config.otlp.endpoint = Some(endpoint.unwrap_or_else(|| "http://127.0.0.1:4318".to_owned()));
    config.otlp.interval = Duration::from_secs(5);
    let telemetry = Telemetry::builder()
        .config(config)
        .service_name("shop")
        .build()?;

    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { format!("order {id}\n") }),
        )
        .layer(telemetry.http_layer())
        .merge(telemetry.routes());
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    // Pushes what was recorded since the last time.
    telemetry.shutdown().await?;
    Ok(())
}
