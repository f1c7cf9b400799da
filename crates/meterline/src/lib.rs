//! Metrics for Rust services: instrument once, through the OpenTelemetry metrics API, and let the
//! numbers leave by a Prometheus scrape, as JSON, and by OTLP push, all at once.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = meterline::Telemetry::from_env()?;
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(|| async { "an order" }))
//!     .layer(telemetry.http_layer())
//!     .merge(telemetry.routes()); // /metrics and /metrics.json
//!
//! // Any OpenTelemetry instrument, anywhere in the program:
//! let orders = opentelemetry::global::meter("shop").u64_counter("shop.orders").build();
//! orders.add(1, &[]);
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app).await?;
//! telemetry.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Build [`Telemetry`] before instruments are created: the OpenTelemetry API hands out instruments
//! without effect until a provider is set, and they stay so.

#![forbid(unsafe_code)]
// Says on docs.rs which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bearer;
pub mod config;
pub mod server;
pub mod testing;
pub mod tls;

#[cfg(target_os = "linux")]
mod process;
mod push;
mod routes;
mod runtime;
mod scrape;
mod self_metrics;
mod telemetry;
#[cfg(feature = "traces")]
pub mod traces;

pub use bearer::BearerRefusal;
pub use config::TelemetryConfig;
pub use meterline_http::HttpMetricsLayer;
pub use meterline_otlp::{FlushError, Outcome};
pub use meterline_sdk as sdk;
pub use meterline_sdk::MeterProvider;
pub use telemetry::{BuildError, ShutdownError, Telemetry, TelemetryBuilder};
#[cfg(feature = "traces")]
pub use traces::Traces;

/// The Rust code of the documents, compiled.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../docs/services.md")]
    mod services {}
    #[doc = include_str!("../../../docs/from-axum-prometheus.md")]
    mod from_axum_prometheus {}
    #[doc = include_str!("../../../docs/from-opentelemetry-prometheus.md")]
    mod from_opentelemetry_prometheus {}
}
