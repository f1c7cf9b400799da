//! What others notice of scrapes: the latency of a handler that does next to nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

use crate::client::Connection;
use crate::harness::{Contender, interleave};
use crate::report::{Limit, Report, Table, milliseconds, times};
use crate::scrape;

const PERIOD: Duration = Duration::from_millis(100);
const MEASURED: Duration = Duration::from_secs(3);
/// How often the light handler is asked, whether or not the last answer came: a request that has to wait counts
/// from when it should have been sent, or a server that stops would look like few slow requests.
const STEP: Duration = Duration::from_millis(1);
const ROUNDS: usize = 5;
const REQUEST: &[u8] = b"GET /light HTTP/1.1\r\nHost: localhost\r\n\r\n";
const GZIP: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";

/// The handler that is watched.
pub(crate) fn routes() -> Router {
    Router::new().route("/light", get(|| async { "ok" }))
}

pub(crate) fn run(report: &mut Report, server: SocketAddr, ready_made: SocketAddr) {
    let mut turns: Vec<Contender<'_>> = vec![
        Box::new(|| beside(server, Some(scrape::REQUEST))),
        Box::new(|| beside(ready_made, Some(scrape::REQUEST))),
        Box::new(|| beside(server, Some(GZIP))),
        Box::new(|| beside(server, None)),
    ];
    let names = [
        "**meterline**, 100,000 series scraped ten times a second",
        "the same bytes, ready made, ten times a second",
        "**meterline**, gzip, ten times a second",
        "nobody scrapes",
    ];
    let samples = interleave(ROUNDS, &mut turns);
    let mut table = Table::new("A light handler beside scrapes: 99 of 100 requests take at most");
    table.column("ms", &names.map(str::to_owned), &samples, 0, milliseconds);
    report.table(table);
    let what = "p99 of a light handler beside 10 scrapes/s, against the same bytes, ready made";
    let ratio = samples[0].ratio(&samples[1]);
    report.budget(what, ratio, Limit::AtMost(1.5), times);
}

/// The 99th percentile of a request every millisecond, in milliseconds, while somebody scrapes.
fn beside(server: SocketAddr, scraped: Option<&str>) -> f64 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraper = scraped.map(|request| scope.spawn(|| scrape(server, request, &done)));
        let slow = asked(server);
        done.store(true, Ordering::Relaxed);
        if let Some(scraper) = scraper {
            let scrapes = scraper.join().expect("every scrape is answered");
            // Ten times a second, or at least half as often where the machine is too slow.
            assert!(scrapes >= 15, "only {scrapes} scrapes");
        }
        slow
    })
}

fn asked(server: SocketAddr) -> f64 {
    let mut connection = Connection::open(server).expect("the server listens");
    let (begun, mut taken) = (Instant::now(), Vec::new());
    let mut due = begun;
    while begun.elapsed() < MEASURED {
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        let sent = if early.is_zero() { due } else { Instant::now() };
        due += STEP;
        let answer = connection.ask(REQUEST).expect("the server answers");
        assert_eq!((answer.status, answer.body), (200, &b"ok"[..]));
        taken.push(sent.elapsed());
    }
    taken.sort_unstable();
    taken[taken.len() * 99 / 100].as_secs_f64() * 1e3
}

/// Scrapes at a steady rate, or as fast as the machine can; how often.
fn scrape(server: SocketAddr, request: &str, done: &AtomicBool) -> usize {
    let mut connection = Connection::open(server).expect("the server listens");
    let (mut next, mut scrapes) = (Instant::now(), 0);
    while !done.load(Ordering::Relaxed) {
        let answer = connection.ask(request.as_bytes());
        assert_eq!(answer.expect("the server answers").status, 200);
        scrapes += 1;
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    scrapes
}
