//! Spans beside the metrics: the official tracer provider, with the resource of the metrics, exporting to the same
//! collector over the same transport.
//!
//! The provider works with whatever makes spans: the OpenTelemetry API, or `tracing` through `tracing-opentelemetry`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = meterline::TelemetryConfig::default();
//! config.otlp.endpoint = Some("http://localhost:4318".to_owned());
//! config.traces.enabled = true;
//! if let Some(traces) = meterline::Traces::start(&config)? {
//!     opentelemetry::global::set_tracer_provider(traces.provider().clone());
//!     // ... and at the end of the program, before the metrics' own shutdown:
//!     traces.shutdown(std::time::Duration::from_secs(5)).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The sampler and the batches are the SDK's, set by `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`,
//! `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BSP_MAX_QUEUE_SIZE` and `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`. A collector that cannot be
//! reached delays nobody: the queue of ended spans is bounded, and those beyond it are dropped.

mod exporter;
mod options;

use std::time::Duration;

use meterline_otlp::{Exporter, ExporterError};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use crate::config::TelemetryConfig;
use crate::telemetry::resource;

/// The tracer provider of a program, and what delivers its spans.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// The collector's address cannot be used.
    #[error("traces: {0}")]
    Endpoint(ExporterError),
    /// A header cannot be sent.
    #[error("traces: {0}")]
    Header(ExporterError),
    /// A certificate or key cannot be used.
    #[error("traces: {0}")]
    Certificate(ExporterError),
    /// Requests are sent by tokio.
    #[error("traces.enabled is set: start traces inside a tokio runtime")]
    NoRuntime,
}

/// Not every span could be delivered before the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not every span was delivered: {0}")]
pub struct TracesShutdownError(String);

fn exporter(config: &TelemetryConfig) -> Result<Option<Exporter>, TracesError> {
    if !config.traces.enabled {
        return Ok(None);
    }
    Ok(Some(Exporter::new(options::of(config))?))
}

/// The resource of the metrics, as the official SDK takes it.
fn attributes(config: &TelemetryConfig) -> Vec<KeyValue> {
    resource(config).attributes().iter().cloned().collect()
}

impl From<ExporterError> for TracesError {
    fn from(error: ExporterError) -> Self {
        match error {
            ExporterError::Header { .. } => Self::Header(error),
            ExporterError::Certificate { .. } => Self::Certificate(error),
            _ => Self::Endpoint(error),
        }
    }
}

impl Traces {
    /// Whether what is configured can work, if spans are on: that there is such a URL, such headers and certificates.
    /// Connects nowhere.
    ///
    /// # Errors
    /// See [`TracesError`].
    pub fn check(config: &TelemetryConfig) -> Result<(), TracesError> {
        exporter(config).map(drop)
    }

    /// Sets up what the configuration asks for: nothing, if spans are off.
    ///
    /// # Errors
    /// See [`TracesError`].
    pub fn start(config: &TelemetryConfig) -> Result<Option<Self>, TracesError> {
        let Some(exporter) = exporter(config)? else {
            return Ok(None);
        };
        let runtime = Handle::try_current().map_err(|_| TracesError::NoRuntime)?;
        let exporter = exporter::Spans::new(exporter, config.otlp.export_timeout, runtime);
        let resource = Resource::builder_empty().with_attributes(attributes(config));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self { provider }))
    }

    /// The provider: make it the global one, or give a tracer of it to `tracing-opentelemetry`.
    #[must_use]
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Delivers the spans that have ended, within this time, and records no more.
    ///
    /// # Errors
    /// If the time did not suffice, or the collector did not take them.
    pub async fn shutdown(&self, within: Duration) -> Result<(), TracesShutdownError> {
        let provider = self.provider.clone();
        let stop = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        // The SDK keeps its own time; this is for when it does not get to look at it.
        let stopped = tokio::time::timeout(within + Duration::from_millis(500), stop).await;
        match stopped {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(TracesShutdownError(error.to_string())),
            Ok(Err(error)) => Err(TracesShutdownError(error.to_string())),
            Err(late) => Err(TracesShutdownError(late.to_string())),
        }
    }
}
