//! Exemplars: from a bucket of a histogram to the trace of one request in it.
//!
//!     cargo run -p meterline --example exemplars
//!     curl http://127.0.0.1:3000/orders/7
//!     curl -H 'Accept: application/openmetrics-text' http://127.0.0.1:3000/metrics | grep trace_id
//!
//! Lines of `http_server_request_duration_seconds_bucket` end with `# {trace_id="..",span_id=".."} value time`.
//! Text 0.0.4, which curl gets unasked, has no exemplars; Prometheus asks for a format that does, and keeps them with
//! `--enable-feature=exemplar-storage`.

use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::{Router, routing::get};
use meterline::Telemetry;
use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = Telemetry::from_env()?;
    // A real service gives it an exporter, and takes a layer that also reads `traceparent`.
    let tracer = SdkTracerProvider::default().tracer("shop");
    let traced = from_fn(move |request: Request, next: Next| {
        let span = tracer.start("request");
        next.run(request)
            .with_context(Context::current_with_span(span))
    });

    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { format!("order {id}\n") }),
        )
        .layer(telemetry.http_layer())
        .layer(traced) // outside the metrics, so that its span is current in them
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
