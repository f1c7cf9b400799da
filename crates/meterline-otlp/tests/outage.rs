//! An hour without a collector, in simulated time: the clock, the network and the receiver are
//! the test's own.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meterline_otlp::{
    Compression, Dial, Encoder, Exporter, ExporterOptions, Outcome, Protocol, Push, PushHandle,
    PushOptions, Stream,
};
use meterline_sdk::{MeterProvider, ReaderOptions, TemporalityPreference};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, MeterProvider as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric, number_data_point};
use prost::Message;
use tokio::sync::Mutex;

const MINUTE: Duration = Duration::from_mins(1);
const SERIES: i64 = 10_000;

/// What the other side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Connections are refused.
    Refused,
    /// Connections are never made.
    Silent,
    /// There is an answer, and it is 503.
    Busy,
}

/// A collector at the end of a network of pipes.
#[derive(Clone)]
struct Collector {
    protocol: Protocol,
    weather: Arc<Mutex<Weather>>,
    points: Arc<Mutex<Vec<NumberDataPoint>>>,
    dialled: Arc<AtomicU64>,
}

impl Collector {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            weather: Arc::new(Mutex::new(Weather::Fine)),
            points: Arc::default(),
            dialled: Arc::default(),
        }
    }

    fn dial(&self) -> Dial {
        let this = self.clone();
        Arc::new(move |_| {
            let this = this.clone();
            this.dialled.fetch_add(1, SeqCst);
            Box::pin(async move {
                let weather = *this.weather.lock().await;
                match weather {
                    Weather::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
                    Weather::Silent => std::future::pending().await,
                    Weather::Fine | Weather::Busy => Ok(this.connect()),
                }
            })
        })
    }

    fn connect(self) -> Box<dyn Stream> {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (protocol, theirs) = (self.protocol, TokioIo::new(theirs));
        let service = service_fn(move |request| self.clone().answer(request));
        match protocol {
            Protocol::HttpProtobuf => {
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(theirs, service));
            }
            Protocol::Grpc => {
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(serving.serve_connection(theirs, service));
            }
        }
        Box::new(ours)
    }

    /// An answer without a message.
    fn say(&self, fine: bool) -> Response<BoxBody<Bytes, Infallible>> {
        if self.protocol == Protocol::Grpc {
            // OK and an empty message in its frame, or UNAVAILABLE.
            let status = if fine { "0" } else { "14" };
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(status),
            )]);
            let body = Full::new(Bytes::from_static(&[0; 5]));
            let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
            return Response::new(body.boxed());
        }
        let mut response = Response::new(Full::default().boxed());
        if !fine {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
        let mut body = request.into_body().collect().await?.to_bytes();
        let weather = *self.weather.lock().await;
        match weather {
            Weather::Fine => {}
            Weather::Busy => return Ok(self.say(false)),
            // A connection from better days, dead without anybody knowing.
            Weather::Refused | Weather::Silent => std::future::pending().await,
        }
        if self.protocol == Protocol::Grpc {
            body.advance(5);
        }
        let request = ExportMetricsServiceRequest::decode(body).expect("it is well formed");
        let scopes = request
            .resource_metrics
            .into_iter()
            .flat_map(|r| r.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        for metric in metrics {
            let Some(metric::Data::Sum(sum)) = metric.data else {
                panic!("there are only counters");
            };
            self.points.lock().await.extend(sum.data_points);
        }
        Ok(self.say(true))
    }

    async fn take(&self) -> Vec<NumberDataPoint> {
        std::mem::take(&mut *self.points.lock().await)
    }
}

struct Service {
    counter: Counter<u64>,
    handle: PushHandle,
    exports: Arc<AtomicU64>,
    collector: Collector,
}

fn service(protocol: Protocol, temporality: TemporalityPreference) -> Service {
    let collector = Collector::new(protocol);
    let provider = MeterProvider::builder()
        .with_cardinality_limit(20_000)
        .build();
    let counter = provider.meter("m").u64_counter("c").build();
    let mut reading = ReaderOptions::default();
    reading.temporality = temporality;
    let reader = provider.reader(reading);
    let mut options = ExporterOptions::http("http://collector/v1/metrics");
    options.protocol = protocol;
    options.compression = Compression::None;
    let exporter = Exporter::with_dial(options, collector.dial()).expect("the options are fine");
    let exports = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&exports);
    let mut options = PushOptions::default();
    options.on_export = Box::new(move |_| {
        told.fetch_add(1, SeqCst);
    });
    let collect = Box::new(move || reader.collect());
    let (push, handle) = Push::new(collect, Encoder::default(), exporter, options);
    tokio::spawn(push.run());
    Service {
        counter,
        handle,
        exports,
        collector,
    }
}

impl Service {
    /// One to each series.
    fn record(&self) {
        for id in 0..SERIES {
            self.counter.add(1, &[KeyValue::new("id", id)]);
        }
    }

    /// Records once a minute for an hour; returns how much memory came on top after its first half.
    async fn hour(&self) -> i64 {
        let mut before = 0;
        for minute in 0..60 {
            self.record();
            tokio::time::sleep(MINUTE).await;
            if minute == 30 {
                before = resident();
            }
        }
        resident() - before
    }
}

/// The memory this process holds, in bytes.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<i64>().ok());
    4096 * pages.expect("the second number is that of resident pages")
}

fn value(point: &NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        ref other => panic!("{other:?}"),
    }
}

/// Each kind of outage takes an hour; memory stays flat, and after it the values are right.
async fn outage(protocol: Protocol, temporality: TemporalityPreference) {
    let service = service(protocol, temporality);
    service.record();
    service
        .handle
        .force_flush()
        .await
        .expect("the weather is fine");
    service.collector.take().await;
    let mut total = SERIES;
    for weather in [Weather::Refused, Weather::Silent, Weather::Busy] {
        *service.collector.weather.lock().await = weather;
        let exports = service.exports.load(SeqCst);
        let grown = service.hour().await;
        total += 60 * SERIES;
        // The collections of half an hour would be some 13 MB.
        assert!(grown < 4 << 20, "{grown} bytes more while {weather:?}");
        assert_eq!(service.collector.take().await, []);
        let tried = service.exports.load(SeqCst) - exports;
        assert!(
            (55..=65).contains(&tried),
            "{tried} exports while {weather:?}"
        );

        *service.collector.weather.lock().await = Weather::Fine;
        tokio::time::sleep(2 * MINUTE).await;
        let points = service.collector.take().await;
        if temporality == TemporalityPreference::Cumulative {
            let last = &points[points.len() - usize::try_from(SERIES).expect("small")..];
            assert_eq!(last.iter().map(value).sum::<i64>(), total, "{weather:?}");
        } else {
            // Also with "lowmemory": there are only counters that are not observed.
            assert_eq!(
                points.iter().map(value).sum::<i64>(),
                60 * SERIES,
                "{weather:?}"
            );
        }
    }
    service
        .handle
        .shutdown(MINUTE)
        .await
        .expect("the weather is fine");
    assert_eq!(
        service
            .handle
            .force_flush()
            .await
            .map_err(|e| e.to_string()),
        Err("the push has ended already".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_outage_leaves_cumulative_values_right() {
    outage(Protocol::HttpProtobuf, TemporalityPreference::Cumulative).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_outage_loses_no_delta() {
    outage(Protocol::HttpProtobuf, TemporalityPreference::Delta).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_outage_over_grpc_leaves_cumulative_values_right() {
    outage(Protocol::Grpc, TemporalityPreference::Cumulative).await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_outage_over_grpc_loses_nothing_with_low_memory() {
    outage(Protocol::Grpc, TemporalityPreference::LowMemory).await;
}

#[tokio::test(start_paused = true)]
async fn many_processes_started_at_once_do_not_push_at_once() {
    let mut first = Vec::new();
    for _ in 0..20 {
        let service = service(Protocol::HttpProtobuf, TemporalityPreference::Cumulative);
        service.record();
        let began = tokio::time::Instant::now();
        while service.exports.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        first.push(began.elapsed());
        service
            .handle
            .shutdown(MINUTE)
            .await
            .expect("the weather is fine");
    }
    assert!(
        first
            .iter()
            .all(|wait| *wait <= MINUTE + Duration::from_secs(1)),
        "{first:?}"
    );
    let (least, most) = (first.iter().min(), first.iter().max());
    let spread = most.zip(least).map(|(most, least)| *most - *least);
    assert!(spread > Some(MINUTE / 4), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn while_it_hangs_a_flush_says_so_and_the_end_comes_in_time() {
    let service = service(Protocol::HttpProtobuf, TemporalityPreference::Cumulative);
    service.record();
    *service.collector.weather.lock().await = Weather::Silent;
    let began = tokio::time::Instant::now();
    let flushed = service
        .handle
        .force_flush()
        .await
        .expect_err("nobody answers");
    assert!(
        flushed.to_string().contains(Outcome::Failed.as_str()),
        "{flushed}"
    );
    assert!(began.elapsed() <= Duration::from_secs(31));
    let began = tokio::time::Instant::now();
    service
        .handle
        .shutdown(Duration::from_secs(5))
        .await
        .expect_err("nobody answers");
    assert!(began.elapsed() <= Duration::from_millis(5_200));
    assert!(service.collector.dialled.load(SeqCst) > 1);
}

#[tokio::test(start_paused = true)]
async fn there_may_be_no_limit_to_the_time_of_the_last_export() {
    let service = service(Protocol::HttpProtobuf, TemporalityPreference::Cumulative);
    service.record();
    let delivered = service.handle.shutdown(Duration::MAX).await;
    assert_eq!(delivered, Ok(()));
    let points = service.collector.take().await;
    assert_eq!(points.iter().map(value).sum::<i64>(), SERIES);
}
