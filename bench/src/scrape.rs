//! A whole scrape over loopback: from the first byte of the request to the last of the answer.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use meterline::config::MetricsConfig;
use meterline::{Telemetry, TelemetryConfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::bystander;
use crate::client::Connection;
use crate::harness::{Contender, interleave, timed};
use crate::libraries::{
    self, Exposition, count, measured, metrics_rs, official, prometheus_client, tikv,
};
use crate::page::{assert_total, total};
use crate::report::{Limit, Report, Table, bytes, milliseconds, times};

const SERIES: usize = 100_000;
const ROUNDS: usize = 11;
pub(crate) const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// As the endpoint compresses.
const LEVEL: u32 = 1;

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Scrape over HTTP",
        "Milliseconds for `GET /metrics` of 100,000 counter series over a kept loopback connection: \
         collected, translated, encoded, compressed where asked for, sent and read. The peers' pages are made \
         by a handler of the same axum, as their documentation shows; none of them compresses. The first \
         floor is axum sending the same bytes, ready made, the others compress them in one thread and send \
         nothing.",
    );
    let runtime = Runtime::new().expect("threads can be started");
    let telemetry = telemetry(&runtime);
    let server = serve(&runtime, telemetry.routes().merge(bystander::routes()));
    let page = asserted_page(server);
    let ready_made = serve(&runtime, ready_made(&page).merge(bystander::routes()));

    identity(report, &runtime, server, ready_made, page.len());
    compressed(report, server, &page);
    bystander::run(report, server, ready_made);
}

fn identity(
    report: &mut Report,
    runtime: &Runtime,
    server: SocketAddr,
    ready_made: SocketAddr,
    length: usize,
) {
    let peers = [
        official::counters,
        tikv::counters,
        prometheus_client::counters,
        metrics_rs::counters,
        measured::counters,
    ];
    let peers = peers.map(|create| create(SERIES));
    let mut names = vec![
        libraries::meterline::NAME.to_owned(),
        "floor: the same bytes, ready made".to_owned(),
    ];
    names.extend(peers.iter().map(|peer| peer.name.to_owned()));
    let mut turns: Vec<Contender<'_>> = vec![
        asking(server, REQUEST, length),
        asking(ready_made, REQUEST, length),
    ];
    for mut peer in peers {
        let mut page = Vec::new();
        (peer.page)(&mut page);
        let address = serve(runtime, by_handler(peer));
        turns.push(asking(address, REQUEST, page.len()));
    }
    let samples = interleave(ROUNDS, &mut turns);
    let mut table = Table::new("100,000 counters, not compressed");
    table.column("ms", &names, &samples, 0, milliseconds);
    report.table(table);
    let ours = &samples[0];
    let best = samples[2..].iter();
    let best = best.min_by(|a, b| a.median().total_cmp(&b.median()));
    let best = best.expect("there are peers");
    let what = "whole scrape over HTTP, 100,000 counter series, against the best peer's";
    report.budget(what, ours.ratio(best), Limit::AtMost(0.2), times);
    let what = "whole scrape over HTTP, 100,000 counter series, identity";
    report.budget(what, ours.median(), Limit::AtMost(10.0), milliseconds);
}

fn compressed(report: &mut Report, server: SocketAddr, page: &[u8]) {
    let asked = |coding: &str| {
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n\r\n")
    };
    let (gzip, zstd) = (asked("gzip"), asked("zstd"));
    let answer = |request: &str| {
        let mut connection = Connection::open(server).expect("the server listens");
        let answer = connection.ask(request.as_bytes()).expect("it answers");
        answer.body.to_vec()
    };
    let (as_gzip, as_zstd) = (answer(&gzip), answer(&zstd));
    let mut plain = String::new();
    let read = GzDecoder::new(&*as_gzip).read_to_string(&mut plain);
    read.expect("it is gzip");
    assert_series(&plain);
    let plain = zstd::decode_all(&*as_zstd).expect("it is zstd");
    assert_series(std::str::from_utf8(&plain).expect("pages are UTF-8"));

    let mut turns: Vec<Contender<'_>> = vec![
        asking(server, &gzip, as_gzip.len()),
        asking(server, &zstd, as_zstd.len()),
        Box::new(|| {
            timed(|| {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
                encoder.write_all(page).expect("memory takes everything");
                let written = encoder.finish().expect("memory takes everything");
                assert!(written.len() < page.len());
            })
        }),
        Box::new(|| {
            timed(|| {
                let written = zstd::encode_all(page, 1).expect("memory takes everything");
                assert!(written.len() < page.len());
            })
        }),
    ];
    let names = [
        "**meterline**, gzip",
        "**meterline**, zstd",
        "floor: gzip of the same bytes, level 1",
        "floor: zstd of the same bytes, level 1",
    ];
    let samples = interleave(ROUNDS, &mut turns);
    let mut table = Table::new("100,000 counters, compressed");
    table.plain_column("ms", &names.map(str::to_owned), &samples, milliseconds);
    table.single("bytes, not compressed", bytes(page.len() as f64));
    table.single("bytes, gzip", bytes(as_gzip.len() as f64));
    table.single("bytes, zstd", bytes(as_zstd.len() as f64));
    report.table(table);
    let what = "whole scrape over HTTP, 100,000 counter series, gzip";
    report.budget(what, samples[0].median(), Limit::AtMost(30.0), milliseconds);
}

/// Asks over a connection of its own, again and again. `length` is about what there is to read.
fn asking<'a>(to: SocketAddr, request: &'a str, length: usize) -> Contender<'a> {
    let mut connection = Connection::open(to).expect("the server listens");
    Box::new(move || {
        timed(|| {
            let answer = connection.ask(request.as_bytes());
            let answer = answer.expect("the server answers");
            assert_eq!(answer.status, 200);
            // The process's own metrics vary by some digits.
            assert!(answer.body.len().abs_diff(length) < 20_000);
        })
    })
}

/// A peer's page, made where the request is answered.
fn by_handler(peer: Exposition) -> Router {
    let page = Arc::new(Mutex::new(peer.page));
    let handler = move || {
        let page = Arc::clone(&page);
        async move {
            let mut out = Vec::new();
            let mut write = page.lock().expect("no handler panics");
            (*write)(&mut out);
            ([(CONTENT_TYPE, "text/plain; version=0.0.4")], out)
        }
    };
    Router::new().route("/metrics", get(handler))
}

fn ready_made(page: &[u8]) -> Router {
    let page = Bytes::copy_from_slice(page);
    let handler = move || async move { page.clone() };
    Router::new().route("/metrics", get(handler))
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
    let answer = connection.ask(REQUEST.as_bytes());
    let answer = answer.expect("the server answers");
    assert_series(std::str::from_utf8(answer.body).expect("pages are UTF-8"));
    answer.body.to_vec()
}

fn assert_series(page: &str) {
    let expected = (0..SERIES).map(count).sum();
    assert_total("meterline", page, "counter_total", expected);
    assert_eq!(total(page, "counter_total").1, SERIES);
}
