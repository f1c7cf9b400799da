//! What an HTTP metrics layer adds to a request, without sockets: an axum router is called, and the
//! response's body read to its end.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum_otel_metrics::HttpMetricsLayerBuilder;
use axum_prometheus::PrometheusMetricLayerBuilder;
use http_body_util::BodyExt as _;
use meterline_http::HttpMetricsLayer;
use opentelemetry::global;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk_0_32::metrics::SdkMeterProvider as SdkMeterProvider032;
use prometheus::Registry;
use tower::Service;

use crate::harness::{Contender, Samples, in_threads, interleave, operations_of};
use crate::libraries::{meterline, metrics_rs, official};
use crate::page::{assert_total, total};
use crate::report::{Limit, Report, Table, many, nanoseconds, times};

const ROUNDS: usize = 101;
const REQUESTS: u64 = 4_000;

/// Where contenders stand in the list.
const NO_OP: usize = 1;
const OURS: usize = 2;
const OURS_SIZES: usize = 3;
const PEERS: std::ops::Range<usize> = 4..9;

/// A router to be measured.
struct Server {
    name: &'static str,
    router: Router,
    /// A bare router counts nothing.
    counted: Option<Counted>,
}

/// How a server's page says how many requests there were.
struct Counted {
    sample: &'static str,
    /// How many servers count in this sample.
    servers: u64,
    page: Box<dyn Fn() -> String + Send + Sync>,
}

pub(crate) fn run(report: &mut Report) {
    report.section(
        "HTTP layer",
        "Nanoseconds that a request takes more than through a tower layer that does nothing: an axum \
         router with a route that has a parameter is called, its body of two bytes read to the \
         end; no sockets. Each layer as its documentation shows, into the SDK it is made for (the \
         official one behind opentelemetry-prometheus; bound instruments are on). What each measures \
         differs: ours the duration to the end of the body, active requests, a total and, where \
         said, the sizes of both bodies; tower-otel and axum-otel-metrics duration to the headers, active \
         requests and sizes from headers; opentelemetry-instrumentation-tower the same (its \
         spans are off); axum-prometheus total, duration to the headers and pending requests.",
    );
    let names: Vec<_> = servers().iter().map(|one| one.name.to_owned()).collect();
    let mut overheads = Table::new("Over a no-op layer");
    let mut whole = Table::new("The whole request");
    let mut ours = Vec::new();
    for threads in [1, 2] {
        let column = many(threads);
        let samples = contest(threads);
        whole.column(&column, &names, &samples, OURS, nanoseconds);
        let overhead: Vec<_> = samples
            .iter()
            .map(|one| one.over(&samples[NO_OP]))
            .collect();
        overheads.column(&column, &names[OURS..], &overhead[OURS..], 0, nanoseconds);
        budgets(report, threads, &overhead);
        ours.push(overhead);
    }
    let both = ours[1][OURS].median() / ours[0][OURS].median();
    let what = "HTTP layer, 2 threads against 1";
    report.budget(what, both, Limit::AtMost(1.3), times);
    report.table(overheads);
    report.table(whole);
}

fn budgets(report: &mut Report, threads: usize, overhead: &[Samples]) {
    let peers = PEERS.map(|peer| overhead[peer].median());
    let best = peers.fold(f64::INFINITY, f64::min);
    for (what, who, most) in [
        ("duration, active, total", OURS, 0.3),
        ("with body sizes", OURS_SIZES, 0.5),
    ] {
        let what = format!(
            "HTTP layer ({what}), {}, against the best peer's",
            many(threads)
        );
        let ratio = overhead[who].median() / best;
        report.budget(&what, ratio, Limit::AtMost(most), times);
    }
}

fn contest(threads: usize) -> Vec<Samples> {
    let servers = servers();
    let counted = |one: &Server| {
        let Counted { sample, page, .. } = one.counted.as_ref()?;
        Some(total(&page(), sample).0 as u64)
    };
    let before: Vec<_> = servers.iter().map(counted).collect();
    let mut turns: Vec<Contender<'_>> = Vec::new();
    for one in &servers {
        turns.push(Box::new(|| {
            let taken = in_threads(threads, REQUESTS, &|n| requests(&one.router, n));
            if let Some(counted) = &one.counted {
                (counted.page)();
            }
            taken
        }));
    }
    let samples = interleave(ROUNDS, &mut turns);
    drop(turns);
    for (one, before) in servers.iter().zip(before) {
        let Some(counted) = &one.counted else {
            continue;
        };
        let served = (ROUNDS as u64 + 1) * operations_of(threads, REQUESTS);
        let before = before.expect("it was read before");
        let expected = before + counted.servers * served;
        assert_total(one.name, &(counted.page)(), counted.sample, expected);
    }
    samples
}

/// Sends so many requests, one after the other, as a connection would.
fn requests(router: &Router, n: u64) {
    let mut service = router.clone();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..n {
        let request = Request::get("/jobs/17").body(Body::empty());
        let answer = service.call(request.expect("it is a request"));
        let read = async {
            let response = answer.await.expect("a router does not fail");
            assert_eq!(response.status(), 200);
            let mut body = response.into_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                let frame = frame.expect("the body does not fail");
                bytes += frame.data_ref().map_or(0, |data| data.len());
            }
            bytes
        };
        assert_eq!(pin!(read).poll(&mut context), Poll::Ready(2));
    }
}

fn servers() -> Vec<Server> {
    let plain = |name, router| Server {
        name,
        router,
        counted: None,
    };
    vec![
        plain("floor: bare router", routes()),
        plain(
            "floor: no-op layer",
            routes().layer(tower::layer::layer_fn(NoOp)),
        ),
        ours("**meterline-http**", false),
        ours("**meterline-http**, with body sizes", true),
        axum_prometheus("axum-prometheus", false),
        axum_prometheus("axum-prometheus, with body sizes", true),
        axum_otel_metrics(),
        tower_otel(),
        instrumentation_tower(),
    ]
}

fn routes() -> Router {
    Router::new()
        .route("/jobs/{id}", get(|| async { "ok" }))
        .route("/other", get(|| async { "other" }))
}

fn ours(name: &'static str, sizes: bool) -> Server {
    let provider = meterline::provider(2_000);
    let layer = HttpMetricsLayer::builder()
        .meter_provider(&provider)
        .exclude(["/metrics", "/metrics.json"])
        .body_sizes(sizes)
        .build()
        .expect("the defaults are valid");
    let page = move || {
        let mut page = Vec::new();
        (meterline::exposition(provider.clone()).page)(&mut page);
        String::from_utf8(page).expect("pages are UTF-8")
    };
    Server {
        name,
        router: routes().layer(layer),
        counted: Some(Counted {
            sample: "http_server_request_duration_seconds_count",
            servers: 1,
            page: Box::new(page),
        }),
    }
}

/// It records through the process's recorder, so both of its servers count in the same series.
fn axum_prometheus(name: &'static str, sizes: bool) -> Server {
    let handle = metrics_rs::installed();
    let layer = PrometheusMetricLayerBuilder::new()
        .enable_response_body_size(sizes)
        .build();
    let page = move || {
        handle.run_upkeep();
        handle.render()
    };
    Server {
        name,
        router: routes().layer(layer),
        counted: Some(Counted {
            sample: "axum_http_requests_total",
            servers: 2,
            page: Box::new(page),
        }),
    }
}

/// It is made for the SDK one release back.
fn axum_otel_metrics() -> Server {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus_0_32::exporter().with_registry(registry.clone());
    let exporter = exporter.build().expect("a fresh registry takes it");
    let provider = SdkMeterProvider032::builder().with_reader(exporter).build();
    let layer = HttpMetricsLayerBuilder::new()
        .with_provider(provider.clone())
        .build();
    let router = routes().layer(layer);
    through_official("axum-otel-metrics", router, provider, registry)
}

fn tower_otel() -> Server {
    let (provider, registry) = official_provider();
    let layer = tower_otel::metrics::HttpLayer::server(&provider.meter("bench"));
    let router = routes().layer(layer);
    through_official("tower-otel", router, provider, registry)
}

/// It takes the global meter and tracer.
fn instrumentation_tower() -> Server {
    let (provider, registry) = official_provider();
    global::set_meter_provider(provider.clone());
    let layer = LayerBuilder::builder().with_tracing(false).build();
    let router = routes().layer(layer.expect("the defaults are valid"));
    through_official(
        "opentelemetry-instrumentation-tower",
        router,
        provider,
        registry,
    )
}

fn official_provider() -> (SdkMeterProvider, Registry) {
    let (provider, mut registries) = official::provider(1, None);
    let registry = registries.pop().expect("it has one reader");
    (provider, registry)
}

/// A provider shuts down when its last clone is dropped, so the page keeps one.
fn through_official<P: Send + Sync + 'static>(
    name: &'static str,
    router: Router,
    provider: P,
    registry: Registry,
) -> Server {
    let page = move || {
        let _alive = &provider;
        let mut page = Vec::new();
        official::encode(&registry, &mut page);
        String::from_utf8(page).expect("pages are UTF-8")
    };
    Server {
        name,
        router,
        counted: Some(Counted {
            sample: "http_server_request_duration_seconds_count",
            servers: 1,
            page: Box::new(page),
        }),
    }
}

/// A layer that hands on what it gets.
#[derive(Clone)]
struct NoOp<S>(S);

impl<S: Service<R>, R> Service<R> for NoOp<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
