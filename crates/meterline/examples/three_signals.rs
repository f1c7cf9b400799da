//! Metrics by Meterline, traces and logs by the official SDK and its exporters, and one resource for all three.
//!
//!     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p meterline --example three_signals
//!
//! All three go to this collector, over HTTP. The measurement made in the span names it, and so does the log record.

use meterline::Telemetry;
use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use opentelemetry::trace::Tracer;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Public for the test that runs it.
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env()?;
    let provider = telemetry.provider().ok_or("metrics are off")?;

    // What describes this process, `service.instance.id` included, is taken from the metrics, so that
    // all three signals can be joined.
    let described = provider.resource().attributes().iter().cloned();
    let resource = Resource::builder_empty().with_attributes(described).build();

    // The official exporters read the same variables as `from_env`.
    let tracers = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(SpanExporter::builder().with_http().build()?)
        .build();
    let loggers = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(LogExporter::builder().with_http().build()?)
        .build();
    global::set_tracer_provider(tracers.clone());

    let orders = global::meter("shop").u64_counter("shop.orders").build();
    let logger = loggers.logger("shop");
    global::tracer("shop").in_span("order", |_| {
        // Inside a sampled span: the measurement may become an exemplar that leads here.
        orders.add(1, &[KeyValue::new("paid", true)]);
        let mut record = logger.create_log_record();
        record.set_body("an order was paid".into());
        logger.emit(record);
    });

    // The metrics last: what is recorded while the others end is then in the last push. Each waits for its collector,
    // and so blocks this thread; a service would do this on a thread where that is allowed.
    tracers.shutdown()?;
    loggers.shutdown()?;
    telemetry.shutdown().await?;
    println!("one order: a point, a span and a log record, delivered");
    Ok(())
}
