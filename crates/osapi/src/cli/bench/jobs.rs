//! `osapi bench jobs`: jobs from submission to end.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::Method;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::super::args::BenchJobsArgs;
use super::super::client::Client;
use super::{Failure, Percentiles, millis, progress};
use crate::queue::JobRecord;

/// Pause between two looks at a job that has not ended.
const PACE: Duration = Duration::from_millis(50);

/// What was measured. Times in milliseconds.
#[derive(Serialize)]
pub(super) struct Report {
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

impl Report {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{} jobs, {} callers: {:.0} enqueued/s, {:.0} ended/s, {} not completed",
            self.jobs,
            self.callers,
            self.enqueued_per_second,
            self.ended_per_second,
            self.not_completed
        )?;
        for (what, times) in [
            ("enqueue", &self.enqueue_ms),
            ("pick-up", &self.pick_up_ms),
            ("end to end", &self.end_to_end_ms),
        ] {
            writeln!(out, "{what:<11} {}", times.line())?;
        }
        Ok(())
    }
}

/// Jobs that nobody takes would be waited for without end.
async fn ready(client: &Client, server: &Url) -> Result<(), Failure> {
    let request = client.request(Method::GET, server, &["job", "workers"]);
    let fleet: Value = client.json(request).await?;
    let workers = fleet["workers"].as_array();
    if workers.is_some_and(|all| all.iter().any(|worker| worker["state"] == "ready")) {
        return Ok(());
    }
    Err(Failure::Other(
        "no worker is ready, so the jobs would wait for ever; start one with `osapi worker`"
            .to_owned(),
    ))
}

pub(super) async fn run(
    client: &Client,
    server: &Url,
    args: &BenchJobsArgs,
) -> Result<Report, Failure> {
    ready(client, server).await?;
    let bar = progress::bar(2 * args.jobs);
    bar.set_message("submitting");
    let (next, begun) = (AtomicU64::new(0), Instant::now());
    let callers = (0..args.callers).map(|_| submit(client, server, args, &next, &bar));
    let submitted: Vec<_> = try_join_all(callers).await?.into_iter().flatten().collect();
    let submitting = begun.elapsed();
    bar.set_message("waiting");
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
