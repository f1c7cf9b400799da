//! Metrics by Meterline, traces and logs by the official SDK, and one resource for all three.
//!
//!     cargo run -p meterline --example three_signals
//!     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p meterline --example three_signals
//!
//! The first has its metrics on a page only; the second pushes the same numbers, too.

use meterline::Telemetry;
use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env()?;
    let provider = telemetry.provider().ok_or("metrics are off")?;

    // What describes this process, `service.instance.id` included, is taken from the metrics, so that
    // all three signals can be joined.
    let described = provider.resource().attributes().iter().cloned();
    let resource = Resource::builder_empty().with_attributes(described).build();

    // A real service gives these an exporter of opentelemetry-otlp instead.
    let (spans, logs) = (
        InMemorySpanExporter::default(),
        InMemoryLogExporter::default(),
    );
    let tracers = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_simple_exporter(spans.clone())
        .build();
    let loggers = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_simple_exporter(logs.clone())
        .build();

    let orders = global::meter("shop").u64_counter("shop.orders").build();
    let logger = loggers.logger("shop");
    tracers.tracer("shop").in_span("order", |_| {
        // Inside a sampled span: the measurement may become an exemplar that leads here.
        orders.add(1, &[KeyValue::new("paid", true)]);
        let mut record = logger.create_log_record();
        record.set_body("an order was paid".into());
        logger.emit(record);
    });

    println!(
        "{} span, {} log record",
        spans.get_finished_spans()?.len(),
        logs.get_emitted_logs()?.len()
    );
    for metric in provider.collect().metrics {
        println!("{}: {:?}", metric.descriptor.name, metric.data);
    }
    // Traces and logs first: that they could not be delivered may still be counted.
    tracers.shutdown()?;
    loggers.shutdown()?;
    telemetry.shutdown().await?;
    Ok(())
}
