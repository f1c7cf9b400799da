//! An axum service measured by the layer, its numbers printed every few seconds.
//!
//!     cargo run -p meterline-http --example axum_layer --features axum
//!     curl http://127.0.0.1:3000/hello/world

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use meterline_http::HttpMetricsLayer;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any SDK will do; this is the official one, which keeps what it exports.
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone())
        .with_interval(Duration::from_secs(5))
        .build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();

    let metrics = HttpMetricsLayer::builder()
        .meter_provider(&provider)
        .exclude(["/health"])
        .build()?;
    let app = Router::new()
        .route(
            "/hello/{name}",
            get(|Path(name): Path<String>| async move { format!("Hello, {name}!\n") }),
        )
        .route("/health", get(|| async { "ok" }))
        .layer(metrics);

    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            println!("{:#?}", exporter.get_finished_metrics());
            exporter.reset();
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/hello/world", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    provider.shutdown()?;
    Ok(())
}
