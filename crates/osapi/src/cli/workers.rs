//! `osapi workers`: the fleet.

use std::io::{self, Write};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args::{WorkersArgs, WorkersCommand};
use super::client::Client;
use super::page::visible;
use super::table::{self, ago};
use super::{Failure, print_json};
use crate::queue::WorkerInfo;

#[derive(Serialize, Deserialize)]
struct Fleet {
    total: u64,
    workers: Vec<WorkerInfo>,
}

pub(super) async fn run(client: Client, args: WorkersArgs) -> Result<(), Failure> {
    let server = &args.server.server;
    let (name, verb) = match args.command {
        None => {
            let request = client.request(Method::GET, server, &["job", "workers"]);
            return show(&client.json(request).await?, args.server.json);
        }
        Some(WorkersCommand::Drain { name }) => (name, "drain"),
        Some(WorkersCommand::Undrain { name }) => (name, "undrain"),
    };
    let request = client.request(Method::POST, server, &["worker", &name, verb]);
    let told: Value = client.json(request).await?;
    if args.server.json {
        return print_json(&told);
    }
    let state = told["state"].as_str().unwrap_or_default();
    Ok(writeln!(io::stdout(), "{name}: {}", visible(state))?)
}

fn show(fleet: &Fleet, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(fleet);
    }
    let rows = fleet
        .workers
        .iter()
        .map(|worker| {
            vec![
                worker.worker.as_str().into(),
                worker.state.into(),
                format!("{}/{}", worker.active, worker.slots).into(),
                worker.processed.to_string().into(),
                ago(worker.last_heartbeat).into(),
                ago(worker.started_at).into(),
                worker.hostname.as_str().into(),
            ]
        })
        .collect();
    let headings = [
        "WORKER",
        "STATE",
        "SLOTS",
        "PROCESSED",
        "HEARTBEAT",
        "UP",
        "HOST",
    ];
    table::print(&headings, rows)
}
