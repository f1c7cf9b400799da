//! Native histograms: buckets that nobody has to choose, beside those that dashboards know.
//!
//!     cargo run -p meterline --example native_histograms
//!     curl http://127.0.0.1:3000/orders/7
//!     cargo run -- metrics http://127.0.0.1:3000 --name http_server_request_duration --json
//!
//! The last, osapi's scraper, shows `native` beside `buckets`. Prometheus takes native histograms with
//! `scrape_native_histograms: true` (before 3.8: `--enable-feature=native-histograms`), and the others, too, with
//! `always_scrape_classic_histograms: true`. Formats of text show the buckets alone.

use axum::extract::Path;
use axum::{Router, routing::get};
use meterline::Telemetry;
use meterline::config::{TelemetryConfig, ViewAggregation, ViewConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = TelemetryConfig::default();
    config.metrics.views.push(ViewConfig {
        instrument: "http.server.request.duration".to_owned(),
        aggregation: Some(ViewAggregation::Both), // or Exponential, for native ones alone
        ..ViewConfig::default()
    });
    let telemetry = Telemetry::builder().config(config).build()?;

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
    telemetry.shutdown().await?;
    Ok(())
}
