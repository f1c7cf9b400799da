//! A job, followed until it ends.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use indicatif::ProgressBar;
use serde::Deserialize;
use url::Url;

use super::super::client::{self, Client};
use super::super::page::visible;
use super::super::table::Cell;
use super::super::{Failure, progress};
use crate::queue::{JobId, JobRecord, JobState, Target};

/// A connection that breaks off is made anew for so long: that is enough for a server to be restarted.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// An event larger than this is not read to its end.
const LARGEST: usize = 16 << 20;

/// Why a stream of events gave no end of the job.
enum Broken {
    /// The connection ended, or the server is away; another may do better.
    Connection(String),
    /// The server, or whoever reads what we print, wants no more of it.
    Final(Failure),
}

/// Follows a job behind a line of progress; returns its last record.
pub(super) async fn quietly(
    client: &Client,
    server: &Url,
    id: JobId,
) -> Result<JobRecord, Failure> {
    let line = progress::line();
    let record = follow(client, server, id, &line, |_| Ok(())).await;
    line.finish_and_clear();
    record.map_err(|failure| match failure {
        // Whoever submitted it has not seen its id yet.
        Failure::Other(why) if !why.contains(&id.to_string()) => Failure::Other(format!(
            "job {id} was accepted, but cannot be followed: {why}"
        )),
        other => other,
    })
}

/// Prints each change of a job, one line each.
pub(super) async fn aloud(
    client: &Client,
    server: &Url,
    id: JobId,
    json: bool,
) -> Result<JobRecord, Failure> {
    let line = progress::line();
    let record = follow(client, server, id, &line, |record| {
        line.suspend(|| change(record, json))
    })
    .await;
    line.finish_and_clear();
    record
}

fn change(record: &JobRecord, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        let line = serde_json::to_string(record).map_err(io::Error::from)?;
        return Ok(writeln!(out, "{line}")?);
    }
    let worker = visible(record.worker.as_deref().unwrap_or("-"));
    let error = visible(record.error.as_deref().unwrap_or_default());
    let status = Cell::from(record.status).painted();
    let line = format!(
        "{status} attempts={} worker={worker} {error}",
        record.attempts
    );
    Ok(writeln!(out, "{}", line.trim_end())?)
}

/// What the line of progress says of a job.
fn told(record: &JobRecord) -> String {
    visible(&plainly(record))
}

fn plainly(record: &JobRecord) -> String {
    let (kind, status) = (&record.operation.kind, record.status);
    if let Some(responses) = &record.responses {
        let ended = responses.values().filter(|unit| unit.status.is_final());
        return format!(
            "{kind} {status}, {} of {} workers done",
            ended.count(),
            responses.len()
        );
    }
    match (status, &record.worker) {
        (JobState::Submitted, _) => match &record.target_hostname {
            Target::Any => format!("{kind} {status}, waits for a worker"),
            Target::Host(host) => format!("{kind} {status}, waits for {host}"),
            Target::All => format!("{kind} {status}"),
        },
        (JobState::Processing, Some(worker)) => {
            format!("{kind} {status} on {worker}, attempt {}", record.attempts)
        }
        (JobState::Retrying, _) => {
            let why = record.error.as_deref().unwrap_or_default();
            format!("{kind} {status} after attempt {}: {why}", record.attempts)
        }
        _ => format!("{kind} {status}"),
    }
}

/// Calls back for each change of a job until it ends; returns its last record.
async fn follow(
    client: &Client,
    server: &Url,
    id: JobId,
    line: &ProgressBar,
    mut changed: impl FnMut(&JobRecord) -> Result<(), Failure>,
) -> Result<JobRecord, Failure> {
    let mut last: Option<JobRecord> = None;
    // Since when there is no stream. A job may be silent for as long as it likes.
    let mut away: Option<Instant> = None;
    loop {
        let each = |record: JobRecord| {
            // A new stream begins with a record.
            away = None;
            line.set_message(told(&record));
            // The last stream may have shown it already.
            if last.as_ref() != Some(&record) {
                changed(&record)?;
                last = Some(record);
            }
            Ok(())
        };
        let why = match stream(client, server, id, each).await {
            Ok(()) => "the server ended the stream".to_owned(),
            Err(Broken::Connection(why)) => why,
            Err(Broken::Final(failure)) => return Err(failure),
        };
        if let Some(record) = last.as_ref().filter(|record| record.status.is_final()) {
            return Ok(record.clone());
        }
        // What never worked will hardly come to work.
        if last.is_none() || away.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(lost(id, &why));
        }
        line.set_message("the connection broke off, trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

fn lost(id: JobId, why: &str) -> Failure {
    Failure::Other(format!(
        "lost sight of job {id}: {why}; it goes on, and `osapi job watch {id}` follows it again"
    ))
}

/// One stream of events, each handed on, to its end.
async fn stream(
    client: &Client,
    server: &Url,
    id: JobId,
    mut each: impl FnMut(JobRecord) -> Result<(), Failure>,
) -> Result<(), Broken> {
    let path = ["job", &id.to_string(), "events"];
    let request = client.request(Method::GET, server, &path);
    let response = client.reach(request).await;
    let response =
        response.map_err(|failure| Broken::Connection(failure.message().unwrap_or_default()))?;
    // Too many streams, or a server that ends: both pass.
    let passing = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let mut response = client::accepted(response).await.map_err(|failure| {
        if passing {
            Broken::Connection(failure.message().unwrap_or_default())
        } else {
            Broken::Final(failure)
        }
    })?;
    let mut pending: Vec<u8> = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|fault| Broken::Connection(fault.to_string()))? else {
            return Ok(());
        };
        pending.extend_from_slice(&chunk);
        if pending.len() > LARGEST {
            let why = "an event is too large; is this an osapi server?";
            return Err(Broken::Final(Failure::Other(why.to_owned())));
        }
        // Our server writes one `data:` line per event, and JSON has no raw newlines.
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data: ") {
                each(record(data)?).map_err(Broken::Final)?;
            }
        }
    }
}

/// The record in an event, or what an event that tells of a failure says.
fn record(data: &[u8]) -> Result<JobRecord, Broken> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }

    serde_json::from_slice(data).map_err(|_| {
        Broken::Connection(match serde_json::from_slice(data) {
            Ok(Problem { detail }) => visible(&detail),
            Err(_) => "an event is not as expected; is this an osapi server?".to_owned(),
        })
    })
}
