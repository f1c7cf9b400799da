//! `osapi job`: jobs through the API.

mod follow;
mod show;

use std::io::{self, Write};

use http::{HeaderName, Method};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::args::{JobArgs, JobCommand, SubmitArgs};
use super::client::Client;
use super::table::{self, ago};
use super::{Failure, print_json};
use crate::queue::{JobId, JobPage, JobRecord, JobState};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

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
            show::print(&client.json(request).await?, json)
        }
        JobCommand::Watch { id } => {
            let last = follow::aloud(&client, &server, JobId(id), json).await?;
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
        request = request.header(IDEMPOTENCY_KEY, &key);
    }
    let accepted: Accepted = client.json(request).await?;
    if !args.wait {
        return announce(&accepted, json);
    }
    let last = follow::quietly(client, server, accepted.job_id).await?;
    show::print(&last, json)?;
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
                job.id.to_string().into(),
                job.status.into(),
                job.operation.kind.as_str().into(),
                ago(job.created_at).into(),
                job.attempts.to_string().into(),
                job.worker.as_deref().unwrap_or_default().into(),
                job.target_hostname.to_string().into(),
            ]
        })
        .collect();
    let headings = [
        "ID",
        "STATUS",
        "OPERATION",
        "AGE",
        "ATTEMPTS",
        "WORKER",
        "TARGET",
    ];
    table::print(&headings, rows)?;
    Ok(writeln!(
        io::stdout(),
        "{} of {}",
        page.items.len(),
        page.total_items
    )?)
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
        .map(|(name, value)| vec![name.as_str().into(), value.to_string().into()])
        .collect();
    table::print(&["JOBS", ""], rows)
}
