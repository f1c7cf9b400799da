//! `osapi bench http`: requests to one path.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use http::Method;
use indicatif::ProgressBar;
use serde::Serialize;
use url::Url;

use super::super::args::BenchHttpArgs;
use super::super::client::{self, Client, Fault};
use super::{Failure, Percentiles, millis, progress};

/// What was measured.
#[derive(Serialize)]
pub(super) struct Report {
    url: String,
    requests: u64,
    callers: u16,
    /// Complete answers per second.
    per_second: f64,
    /// How many answers had each status.
    statuses: BTreeMap<u16, u64>,
    /// Requests that got no complete answer.
    unanswered: u64,
    /// Of all bodies, as they came.
    bytes: u64,
    /// From the request to the end of its answer, in milliseconds.
    answer_ms: Percentiles,
}

impl Report {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let statuses = self.statuses.iter();
        let mut outcomes: Vec<_> = statuses
            .map(|(status, n)| format!("{n} x {status}"))
            .collect();
        if self.unanswered > 0 {
            outcomes.push(format!("{} without an answer", self.unanswered));
        }
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{}: {} requests, {} callers: {:.0} answers/s, {} bytes; {}",
            self.url,
            self.requests,
            self.callers,
            self.per_second,
            self.bytes,
            outcomes.join(", ")
        )?;
        Ok(writeln!(out, "answer      {}", self.answer_ms.line())?)
    }
}

/// What one caller saw.
#[derive(Default)]
struct Seen {
    times: Vec<f64>,
    statuses: BTreeMap<u16, u64>,
    unanswered: u64,
    bytes: u64,
}

pub(super) async fn run(
    client: &Client,
    server: &Url,
    args: &BenchHttpArgs,
) -> Result<Report, Failure> {
    let url = server
        .join(&args.path)
        .map_err(|error| Failure::Other(error.to_string()))?;
    // A server that is not there, or refuses, is said at once and not counted.
    client::accepted(client.reach(client.to(Method::GET, url.clone())).await?).await?;
    let bar = progress::bar(args.requests);
    bar.set_message("asking");
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let callers = (0..args.callers).map(|_| ask(client, &url, args, &next, &bar));
    let all = join_all(callers).await;
    let took = begun.elapsed();
    bar.finish_and_clear();

    let mut seen = Seen::default();
    for one in all {
        seen.times.extend(one.times);
        seen.unanswered += one.unanswered;
        seen.bytes += one.bytes;
        for (status, times) in one.statuses {
            *seen.statuses.entry(status).or_default() += times;
        }
    }
    Ok(Report {
        url: client::shown(&url),
        requests: args.requests,
        callers: args.callers,
        per_second: seen.times.len() as f64 / took.as_secs_f64(),
        statuses: seen.statuses,
        unanswered: seen.unanswered,
        bytes: seen.bytes,
        answer_ms: Percentiles::of(seen.times),
    })
}

/// One caller: a request, its whole answer, the next one.
async fn ask(
    client: &Client,
    url: &Url,
    args: &BenchHttpArgs,
    next: &AtomicU64,
    bar: &ProgressBar,
) -> Seen {
    let mut seen = Seen::default();
    while next.fetch_add(1, Ordering::Relaxed) < args.requests {
        let asked = Instant::now();
        let answer = async {
            let response = client.to(Method::GET, url.clone()).send().await?;
            let status = response.status().as_u16();
            Ok::<_, Fault>((status, response.bytes().await?.len() as u64))
        };
        match answer.await {
            Ok((status, bytes)) => {
                seen.times.push(millis(asked.elapsed()));
                *seen.statuses.entry(status).or_default() += 1;
                seen.bytes += bytes;
            }
            Err(_) => seen.unanswered += 1,
        }
        bar.inc(1);
    }
    seen
}
