//! A plain hyper service with its own idea of routes.
//!
//!     cargo run -p meterline-http --example hyper_layer
//!     curl http://127.0.0.1:3000/orders/17

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use meterline_http::{HttpMetricsLayer, RequestBody};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tower::{Layer, service_fn};

/// The templates this service serves. A path that fits none has no route: it is the client's invention.
fn route(path: &str) -> Option<&'static str> {
    let mut segments = path.trim_start_matches('/').split('/');
    match (segments.next()?, segments.next(), segments.next()) {
        ("orders", None, None) => Some("/orders"),
        ("orders", Some(_), None) => Some("/orders/{id}"),
        _ => None,
    }
}

async fn serve(
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::default();
    match route(request.uri().path()) {
        Some(route) => *response.body_mut() = Full::from(format!("{route}\n")),
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter.clone()).build())
        .build();
    let metrics = HttpMetricsLayer::builder()
        .meter_provider(&provider)
        .route(|request| route(request.uri().path()).map(Cow::Borrowed))
        .build()?;
    let service = TowerToHyperService::new(metrics.layer(service_fn(serve)));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!(
        "http://{}/orders/17, ctrl-c prints the metrics",
        listener.local_addr()?
    );
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = tokio::signal::ctrl_c() => break,
        };
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
    provider.force_flush()?;
    println!("{:#?}", exporter.get_finished_metrics()?);
    Ok(())
}
