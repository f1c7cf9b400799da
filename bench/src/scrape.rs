//! A whole scrape over loopback: from the first byte of the request to the last of the answer.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use meterline::config::MetricsConfig;
use meterline::{Telemetry, TelemetryConfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::client::Connection;
use crate::harness::{Contender, Samples, interleave, timed};
use crate::libraries::{self, Exposition, count, metrics_rs, official, prometheus_client, tikv};
use crate::page::{assert_total, total};
use crate::report::{Limit, Report, Table, milliseconds, times};

const SERIES: usize = 100_000;
const ROUNDS: usize = 15;
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Scrape over HTTP",
        "Milliseconds for `GET /metrics` of 100,000 counter series over a kept loopback \
         connection, not compressed: collected, translated, encoded, sent and read. The peers' \
         numbers are for encoding alone, without a server. The floor is axum sending the \
         same bytes, ready made.",
    );
    let runtime = Runtime::new().expect("threads can be started");
    let telemetry = telemetry(&runtime);
    let server = serve(&runtime, telemetry.routes());
    let page = asserted_page(server);
    let floor_page = Bytes::from(page);
    let length = floor_page.len();
    let ready_made = get(move || async move { floor_page.clone() });
    let floor = serve(&runtime, Router::new().route("/metrics", ready_made));

    let (names, samples) = contest(server, floor, length);
    let mut table = Table::new("100,000 counters");
    table.column("ms", &names, &samples, 0, milliseconds);
    report.table(table);
    let best = samples[2..].iter().map(Samples::median);
    let best = best.fold(f64::INFINITY, f64::min);
    let what = "whole scrape over HTTP, 100,000 counter series, against the best peer's encoding";
    let ratio = samples[0].median() / best;
    report.budget(what, ratio, Limit::AtMost(0.2), times);
    let what = "whole scrape over HTTP, 100,000 counter series";
    let ours = samples[0].median();
    report.budget(what, ours, Limit::AtMost(10.0), milliseconds);
}

fn contest(server: SocketAddr, floor: SocketAddr, length: usize) -> (Vec<String>, Vec<Samples>) {
    let mut peers: Vec<Exposition> = vec![
        official::counters(SERIES),
        tikv::counters(SERIES),
        prometheus_client::counters(SERIES),
        metrics_rs::counters(SERIES),
    ];
    let ours = format!("{}, over HTTP", libraries::meterline::NAME);
    let mut names = vec![ours, "floor: the same bytes, ready made".to_owned()];
    names.extend(peers.iter().map(|peer| format!("{}, encoding", peer.name)));

    let mut turns: Vec<Contender<'_>> = Vec::new();
    for to in [server, floor] {
        let mut connection = Connection::open(to).expect("the server listens");
        turns.push(Box::new(move || {
            timed(|| {
                let answer = connection.ask(REQUEST).expect("the server answers");
                assert_eq!(answer.status, 200);
                // The process's own metrics vary by some digits.
                assert!(answer.body.len().abs_diff(length) < 10_000);
            })
        }));
    }
    for peer in &mut peers {
        let mut page = Vec::new();
        turns.push(Box::new(move || {
            page.clear();
            timed(|| (peer.page)(&mut page))
        }));
    }
    (names, interleave(ROUNDS, &mut turns))
}

fn telemetry(runtime: &Runtime) -> Telemetry {
    let config = TelemetryConfig {
        metrics: MetricsConfig {
            cardinality_limit: SERIES,
            ..MetricsConfig::default()
        },
        ..TelemetryConfig::default()
    };
    let _inside = runtime.enter();
    let telemetry = Telemetry::builder().config(config).global(false).build();
    let telemetry = telemetry.expect("the configuration is valid");
    libraries::otel::fill_counters(&telemetry.meter("bench"), SERIES);
    telemetry
}

fn serve(runtime: &Runtime, router: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

/// A page with every series on it.
fn asserted_page(server: SocketAddr) -> Vec<u8> {
    let mut connection = Connection::open(server).expect("the server listens");
    let answer = connection.ask(REQUEST).expect("the server answers");
    let page = std::str::from_utf8(answer.body).expect("pages are UTF-8");
    let expected = (0..SERIES).map(count).sum();
    assert_total("meterline", page, "counter_total", expected);
    assert_eq!(total(page, "counter_total").1, SERIES);
    answer.body.to_vec()
}
