//! `osapi bench`: load against a running server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};

use super::args::{BenchArgs, BenchCommand, BenchJobsArgs};
use super::client::Client;
use super::{Failure, print_json};
use crate::queue::JobRecord;

/// Pause between two looks at a job that has not ended.
const PACE: Duration = Duration::from_millis(50);

pub(super) async fn run(client: Client, args: BenchArgs) -> Result<(), Failure> {
    let (server, json) = (args.server.server, args.server.json);
    let BenchCommand::Jobs(args) = args.command;
    let report = jobs(&client, &server, &args).await?;
    if json {
        return print_json(&report);
    }
    report.print();
    Ok(())
}

/// What was measured. Times in milliseconds.
#[derive(Serialize)]
struct Report {
    jobs: u64,
    callers: u16,
    /// Acknowledged submissions per second.
    enqueued_per_second: f64,
    /// Jobs ended per second, from the first submission to the last end.
    ended_per_second: f64,
    not_completed: u64,
    /// From the request to its answer.
    enqueue_ms: Percentiles,
    /// From acceptance to the start, by the clocks of the API and the worker.
    pick_up_ms: Percentiles,
    /// From acceptance to the end, by the same clocks.
    end_to_end_ms: Percentiles,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Percentiles {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        // Nearest rank.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(rank).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p95: at(95),
            p99: at(99),
        }
    }
}

async fn jobs(client: &Client, server: &Url, args: &BenchJobsArgs) -> Result<Report, Failure> {
    let bar = ProgressBar::new(2 * args.jobs);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}% {msg}") {
        bar.set_style(style);
    }
    bar.set_message("submitting");
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let callers = (0..args.callers).map(|_| submit(client, server, args, &next, &bar));
    let submitted: Vec<_> = try_join_all(callers).await?.into_iter().flatten().collect();
    let submitting = begun.elapsed();
    bar.set_message("waiting for them to end");
    let waiting = submitted
        .chunks(submitted.len().div_ceil(args.callers.into()).max(1))
        .map(|mine| ends(client, server, mine, &bar));
    let records: Vec<_> = try_join_all(waiting).await?.into_iter().flatten().collect();
    let all = begun.elapsed();
    bar.finish_and_clear();

    let enqueue = submitted.iter().map(|(_, took)| millis(*took)).collect();
    let since = |record: &JobRecord, until: Option<Timestamp>| {
        until.map(|until| until.duration_since(record.created_at).as_secs_f64() * 1e3)
    };
    let started = records.iter().filter_map(|r| since(r, r.started_at));
    let ended = records.iter().filter_map(|r| since(r, r.finished_at));
    let completed = |record: &&JobRecord| record.error.is_none() && record.result.is_some();
    Ok(Report {
        jobs: args.jobs,
        callers: args.callers,
        enqueued_per_second: args.jobs as f64 / submitting.as_secs_f64(),
        ended_per_second: args.jobs as f64 / all.as_secs_f64(),
        not_completed: args.jobs - records.iter().filter(completed).count() as u64,
        enqueue_ms: Percentiles::of(enqueue),
        pick_up_ms: Percentiles::of(started.collect()),
        end_to_end_ms: Percentiles::of(ended.collect()),
    })
}

/// One caller: the ids of its jobs, and how long each acknowledgement took.
async fn submit(
    client: &Client,
    server: &Url,
    args: &BenchJobsArgs,
    next: &AtomicU64,
    bar: &ProgressBar,
) -> Result<Vec<(String, Duration)>, Failure> {
    let body = json!({
        "operation": {"type": args.operation, "data": args.data},
        "target_hostname": "_any",
    });
    let mut mine = Vec::new();
    while next.fetch_add(1, Ordering::Relaxed) < args.jobs {
        let asked = Instant::now();
        let request = client.request(Method::POST, server, &["job"]).json(&body);
        let accepted: Value = client.json(request).await?;
        let id = accepted["job_id"].as_str().unwrap_or_default();
        mine.push((id.to_owned(), asked.elapsed()));
        bar.inc(1);
    }
    Ok(mine)
}

/// Waits for jobs to end, one after the other.
async fn ends(
    client: &Client,
    server: &Url,
    jobs: &[(String, Duration)],
    bar: &ProgressBar,
) -> Result<Vec<JobRecord>, Failure> {
    let mut records = Vec::with_capacity(jobs.len());
    for (id, _) in jobs {
        records.push(loop {
            let request = client.request(Method::GET, server, &["job", id]);
            let record: JobRecord = client.json(request).await?;
            if record.status.is_final() {
                break record;
            }
            tokio::time::sleep(PACE).await;
        });
        bar.inc(1);
    }
    Ok(records)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    fn print(&self) {
        println!(
            "{} jobs, {} callers: {:.0} enqueued/s, {:.0} ended/s, {} not completed",
            self.jobs,
            self.callers,
            self.enqueued_per_second,
            self.ended_per_second,
            self.not_completed
        );
        for (what, times) in [
            ("enqueue", &self.enqueue_ms),
            ("pick-up", &self.pick_up_ms),
            ("end to end", &self.end_to_end_ms),
        ] {
            println!(
                "{what:<11} p50 {:.1} ms   p95 {:.1} ms   p99 {:.1} ms",
                times.p50, times.p95, times.p99
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times = Percentiles::of((1..=100).rev().map(f64::from).collect());
        assert_eq!((times.p50, times.p95, times.p99), (50.0, 95.0, 99.0));
        let one = Percentiles::of(vec![7.0]);
        assert_eq!((one.p50, one.p99), (7.0, 7.0));
        assert_eq!(Percentiles::of(Vec::new()).p50, 0.0);
    }
}
