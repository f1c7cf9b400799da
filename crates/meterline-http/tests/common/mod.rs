//! A real server over loopback, measured by the layer, and read out through the official SDK.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes it and uses its part of it"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use meterline_http::{HttpMetricsBuilder, HttpMetricsLayer};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

pub const DURATION: &str = "http.server.request.duration";
pub const ACTIVE: &str = "http.server.active_requests";
pub const TOTAL: &str = "http.server.request";
pub const REQUEST_SIZE: &str = "http.server.request.body.size";
pub const RESPONSE_SIZE: &str = "http.server.response.body.size";

/// One point, whatever its kind was.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// Observations of a histogram; the value of anything else.
    pub count: i64,
    pub sum: f64,
    pub bounds: Vec<f64>,
}

impl Point {
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// The attributes as `k=v` in the order of keys.
    pub fn attributes(&self) -> String {
        let pairs: Vec<_> = self
            .attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs.join(" ")
    }
}

/// The official SDK with a memory to read from.
pub struct Readout {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Readout {
    pub fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        Self {
            provider: SdkMeterProvider::builder().with_reader(reader).build(),
            exporter,
        }
    }

    /// A builder whose layer records here and knows axum's routes, however the crate was built.
    pub fn builder(&self) -> HttpMetricsBuilder {
        let builder = HttpMetricsLayer::builder().meter_provider(&self.provider);
        #[cfg(not(feature = "axum"))]
        let builder = builder.route(|request| {
            let matched = request.extensions().get::<axum::extract::MatchedPath>()?;
            Some(std::borrow::Cow::Borrowed(matched.as_str()))
        });
        builder
    }

    pub fn layer(&self) -> HttpMetricsLayer {
        self.builder().build().unwrap()
    }

    /// Every point there is now.
    pub fn points(&self) -> Vec<Point> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut points = Vec::new();
        for resource in self.exporter.get_finished_metrics().unwrap() {
            for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
                points.extend(metric_points(metric.name(), metric.data()));
            }
        }
        points
    }

    pub fn named(&self, name: &str) -> Vec<Point> {
        self.points()
            .into_iter()
            .filter(|point| point.name == name)
            .collect()
    }

    /// All values of a metric together.
    pub fn count(&self, name: &str) -> i64 {
        self.named(name).iter().map(|point| point.count).sum()
    }

    /// Waits for the server's side of a request to end, then returns the only series it may have made.
    pub async fn only_request(&self) -> Point {
        self.wait_for(1).await;
        let mut durations = self.named(DURATION);
        assert_eq!(durations.len(), 1, "{durations:#?}");
        durations.remove(0)
    }

    /// Waits until so many requests were recorded, and checks that all instruments agree about it and nothing is
    /// left in progress.
    pub async fn wait_for(&self, requests: i64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.count(TOTAL) < requests || self.count(ACTIVE) != 0 {
            assert!(
                Instant::now() < deadline,
                "still waiting for {requests}: {:#?}",
                self.points()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for name in [DURATION, TOTAL, REQUEST_SIZE, RESPONSE_SIZE] {
            let count = self.count(name);
            assert!(
                count == requests,
                "{name}: {count} instead of {requests}: {:#?}",
                self.points()
            );
        }
    }

    /// Waits until a request is being served.
    pub async fn wait_for_active(&self, requests: i64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.count(ACTIVE) != requests {
            assert!(
                Instant::now() < deadline,
                "never {requests} active: {:#?}",
                self.points()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn metric_points(name: &str, data: &AggregatedMetrics) -> Vec<Point> {
    match data {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| {
                new_point(
                    name,
                    point.attributes(),
                    point.value().cast_signed(),
                    point.value() as f64,
                    Vec::new(),
                )
            })
            .collect(),
        AggregatedMetrics::I64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| {
                new_point(
                    name,
                    point.attributes(),
                    point.value(),
                    point.value() as f64,
                    Vec::new(),
                )
            })
            .collect(),
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| {
                new_point(
                    name,
                    point.attributes(),
                    point.count().cast_signed(),
                    point.sum(),
                    point.bounds().collect(),
                )
            })
            .collect(),
        AggregatedMetrics::U64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| {
                let bounds = point.bounds().collect();
                new_point(
                    name,
                    point.attributes(),
                    point.count().cast_signed(),
                    point.sum() as f64,
                    bounds,
                )
            })
            .collect(),
        other => panic!("{name}: no instrument of the layer makes {other:?}"),
    }
}

fn new_point<'a>(
    name: &str,
    attributes: impl Iterator<Item = &'a opentelemetry::KeyValue>,
    count: i64,
    sum: f64,
    bounds: Vec<f64>,
) -> Point {
    let attributes = attributes
        .map(|pair| (pair.key.to_string(), pair.value.to_string()))
        .collect();
    Point {
        name: name.to_owned(),
        attributes,
        count,
        sum,
        bounds,
    }
}

/// Serves a router on a free port, until the test's runtime ends.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves a plain tower service with hyper, HTTP/1 and HTTP/2.
pub async fn serve_hyper<S, B>(service: S) -> SocketAddr
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                // A failed connection is what some tests want.
                drop(
                    builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    });
    address
}

/// Sends bytes and reads until the server closes.
pub async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    let mut response = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}

/// A request without a body over HTTP/1.1, on its own connection.
pub async fn send(address: SocketAddr, method: &str, target: &str) -> String {
    raw(
        address,
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
    )
    .await
}

/// A POST with a body over HTTP/1.1, on its own connection.
pub async fn post(address: SocketAddr, target: &str, body: &str) -> String {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    raw(address, format!("{head}\r\n{body}")).await
}

/// An HTTP/2 connection with prior knowledge.
pub async fn http2<B>(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A request over HTTP/2 and its whole body.
pub async fn send_http2(address: SocketAddr, request: Request<Empty<Bytes>>) -> Response<Bytes> {
    let response = http2(address).await.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// A response body of one piece.
pub fn full(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}
