//! `osapi job`: jobs through the API.

use std::io::{self, Write};

use futures_util::StreamExt;
use http::Method;
use jiff::Timestamp;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::args::{JobArgs, JobCommand, SubmitArgs};
use super::client::Client;
use super::{Failure, print_json, table};
use crate::queue::{JobId, JobPage, JobRecord, JobState};

#[derive(Serialize, Deserialize)]
struct Accepted {
    job_id: JobId,
    status: JobState,
    created_at: Timestamp,
}

pub(super) async fn run(client: Client, args: JobArgs) -> Result<(), Failure> {
    let json = args.server.json;
    let server = args.server.server;
    match args.command {
        JobCommand::Submit(submit) => self::submit(&client, &server, submit, json).await,
        JobCommand::List {
            status,
            limit,
            offset,
        } => {
            let mut query = vec![("limit", limit.to_string()), ("offset", offset.to_string())];
            query.extend(status.map(|status| ("status", status.to_string())));
            list(&client, &server, &query, json).await
        }
        JobCommand::Get { id } => {
            let request = client.request(Method::GET, &server, &["job", &id.to_string()]);
            show(&client.json(request).await?, json)
        }
        JobCommand::Watch { id } => {
            let last = watch(&client, &server, JobId(id), json).await?;
            outcome(&last)
        }
        JobCommand::Retry { id } => {
            let path = ["job", &id.to_string(), "retry"];
            let accepted = client.json(client.request(Method::POST, &server, &path));
            announce(&accepted.await?, json)
        }
        JobCommand::Delete { id } => {
            let request = client.request(Method::DELETE, &server, &["job", &id.to_string()]);
            client.send(request).await?;
            Ok(())
        }
        JobCommand::Status => status(&client, &server, json).await,
    }
}

async fn submit(
    client: &Client,
    server: &Url,
    args: SubmitArgs,
    json: bool,
) -> Result<(), Failure> {
    let body = json!({
        "operation": {"type": args.operation, "data": args.data},
        "target_hostname": args.target,
    });
    let mut request = client.request(Method::POST, server, &["job"]).json(&body);
    if let Some(key) = args.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let accepted: Accepted = client.json(request).await?;
    if !args.wait {
        return announce(&accepted, json);
    }
    let last = follow(client, server, accepted.job_id, |_| Ok(())).await?;
    show(&last, json)?;
    outcome(&last)
}

fn announce(accepted: &Accepted, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(accepted);
    }
    Ok(writeln!(io::stdout(), "{}", accepted.job_id)?)
}

async fn list(
    client: &Client,
    server: &Url,
    query: &[(&str, String)],
    json: bool,
) -> Result<(), Failure> {
    let mut url = server.clone();
    url.query_pairs_mut().extend_pairs(query);
    let page: JobPage = client
        .json(client.request(Method::GET, &url, &["job"]))
        .await?;
    if json {
        return print_json(&page);
    }
    let rows = page
        .items
        .iter()
        .map(|job| {
            vec![
                job.id.to_string(),
                job.status.to_string(),
                job.operation.kind.clone(),
                job.target_hostname.to_string(),
                job.attempts.to_string(),
                job.created_at.to_string(),
                job.worker.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table::print(
        &[
            "ID",
            "STATUS",
            "OPERATION",
            "TARGET",
            "ATTEMPTS",
            "CREATED",
            "WORKER",
        ],
        rows,
    )?;
    Ok(writeln!(
        io::stdout(),
        "{} of {}",
        page.items.len(),
        page.total_items
    )?)
}

fn show(record: &JobRecord, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(record);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "id:        {}", record.id)?;
    writeln!(out, "status:    {}", record.status)?;
    writeln!(out, "operation: {}", record.operation.kind)?;
    writeln!(out, "target:    {}", record.target_hostname)?;
    writeln!(out, "attempts:  {}", record.attempts)?;
    if let Some(worker) = &record.worker {
        writeln!(out, "worker:    {worker}")?;
    }
    if let Some(error) = &record.error {
        writeln!(out, "error:     {error}")?;
    }
    if let Some(result) = &record.result {
        writeln!(out, "result:    {result}")?;
    }
    for (worker, response) in record.responses.iter().flatten() {
        let said = response
            .error
            .clone()
            .or_else(|| response.result.as_ref().map(Value::to_string))
            .unwrap_or_default();
        writeln!(out, "  {worker}: {} {said}", response.status)?;
    }
    for event in &record.timeline {
        let name = serde_json::to_value(event.event).map_err(io::Error::from)?;
        let details = [event.worker.as_deref(), event.message.as_deref()];
        let details: Vec<&str> = details.into_iter().flatten().collect();
        let name = name.as_str().unwrap_or_default();
        writeln!(out, "  {} {name} {}", event.timestamp, details.join(": "))?;
    }
    Ok(())
}

/// Prints each change of a job, one line each.
async fn watch(client: &Client, server: &Url, id: JobId, json: bool) -> Result<JobRecord, Failure> {
    follow(client, server, id, |record| {
        let mut out = io::stdout().lock();
        if json {
            let line = serde_json::to_string(record).map_err(io::Error::from)?;
            return Ok(writeln!(out, "{line}")?);
        }
        let worker = record.worker.as_deref().unwrap_or("-");
        let error = record.error.as_deref().unwrap_or_default();
        let line = format!(
            "{} attempts={} worker={worker} {error}",
            record.status, record.attempts
        );
        Ok(writeln!(out, "{}", line.trim_end())?)
    })
    .await
}

/// Calls back for each change of a job until it ends; returns its last record.
async fn follow(
    client: &Client,
    server: &Url,
    id: JobId,
    mut changed: impl FnMut(&JobRecord) -> Result<(), Failure>,
) -> Result<JobRecord, Failure> {
    let path = ["job", &id.to_string(), "events"];
    let response = client
        .send(client.request(Method::GET, server, &path))
        .await?;
    let mut stream = response.bytes_stream();
    let mut pending: Vec<u8> = Vec::new();
    let mut last = None;
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Failure::Other(format!("the stream broke off: {error}")))?;
        pending.extend_from_slice(&chunk);
        // Our server writes one `data:` line per event, and JSON has no raw newlines.
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            let record: JobRecord = serde_json::from_slice(data)
                .map_err(|_| Failure::Other(String::from_utf8_lossy(data).trim().to_owned()))?;
            changed(&record)?;
            last = Some(record);
        }
    }
    match last {
        Some(record) if record.status.is_final() => Ok(record),
        _ => Err(Failure::Other(format!(
            "the stream ended before job {id} did"
        ))),
    }
}

/// A job that did not complete is a failure of the command that waited for it.
fn outcome(record: &JobRecord) -> Result<(), Failure> {
    match record.status {
        JobState::Completed => Ok(()),
        _ => Err(Failure::Told),
    }
}

async fn status(client: &Client, server: &Url, json: bool) -> Result<(), Failure> {
    let status: serde_json::Map<String, Value> = client
        .json(client.request(Method::GET, server, &["job", "status"]))
        .await?;
    if json {
        return print_json(&status);
    }
    let rows = status
        .iter()
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| vec![name.clone(), value.to_string()])
        .collect();
    table::print(&["JOBS", ""], rows)
}
