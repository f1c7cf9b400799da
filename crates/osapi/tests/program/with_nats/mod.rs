//! API and worker processes that share a NATS broker, and what becomes of jobs when any of them, the
//! network between them or a disk fails. The long forms are run by `cargo xtask chaos`.

mod certificates;
mod cluster;
mod cut_off;
mod fleet;
mod full;
mod killed;
mod let_in;
mod load;
mod network;
mod poison;
mod together;
mod traced;
mod unfit;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Server, osapi, spawn, until};

pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The size of a test that `cargo xtask chaos` runs longer: `short`, unless the variable says otherwise.
pub(crate) fn size(variable: &str, short: u64) -> u64 {
    std::env::var(variable).map_or(short, |text| text.parse().unwrap())
}

/// Processes on one broker, each with a directory of its own, as on a host of its own.
pub(crate) struct Site {
    broker: String,
    settings: Vec<String>,
    pub(crate) dir: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new(broker: String) -> Self {
        Self::with(broker, &[])
    }

    /// One with further settings for all of its processes.
    pub(crate) fn with(broker: String, further: &[&str]) -> Self {
        let mut settings = vec![
            "queue.backend=nats".to_owned(),
            format!("queue.lease={}s", LEASE.as_secs()),
            "queue.max_attempts=50".to_owned(),
            "queue.retry.base=10ms".to_owned(),
            "worker.allow_commands=[/bin/sh]".to_owned(),
            "telemetry.metrics.enabled=true".to_owned(),
        ];
        settings.extend(further.iter().map(|&setting| setting.to_owned()));
        Self {
            broker,
            settings,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn api(&self, name: &str) -> Server {
        let command = self.api_command(name);
        self.spawn(command, name)
    }

    pub(crate) fn worker(&self, name: &str) -> Server {
        self.worker_through(&self.broker, name)
    }

    /// A worker that reaches the broker by another address.
    pub(crate) fn worker_through(&self, broker: &str, name: &str) -> Server {
        let mut command = self.worker_command(name);
        command.args(["--set", &format!("queue.nats.url={broker}")]);
        self.spawn(command, name)
    }

    pub(crate) fn api_command(&self, name: &str) -> Command {
        let mut command = self.command("api", name);
        command.args(["--set", "api.listen=127.0.0.1:0"]);
        command
    }

    pub(crate) fn worker_command(&self, name: &str) -> Command {
        let mut command = self.command("worker", name);
        let own = format!("worker.name={name}");
        command.args([
            "--set",
            &own,
            "--set",
            "telemetry.metrics.listen=127.0.0.1:0",
        ]);
        command
    }

    fn command(&self, role: &str, name: &str) -> Command {
        let mut command = osapi(&[role]);
        let beside = self.dir.path().join(name).join("queue.db");
        let own = [
            format!("queue.nats.url={}", self.broker),
            format!("queue.sqlite.path={}", beside.display()),
        ];
        for setting in self.settings.iter().chain(&own) {
            command.args(["--set", setting]);
        }
        command
    }

    /// Starts one of the above, or what it was made into, and waits until it listens.
    pub(crate) fn spawn(&self, command: Command, name: &str) -> Server {
        let dir = self.dir.path().join(name);
        let file = dir.join("osapi.addr");
        // One that was killed left its address behind.
        let _ = std::fs::remove_file(&file);
        spawn(command, &dir, |said| {
            if let Some((_, line)) = said.split_once("osapi worker: http://") {
                return Some(line.split_once("/health\n")?.0.parse().unwrap());
            }
            let text = std::fs::read_to_string(&file).ok()?;
            Some(text.strip_suffix('\n')?.parse().unwrap())
        })
    }
}

/// Waits until so many workers are ready.
pub(crate) async fn fleet(api: &Server, ready: usize) {
    until("the workers are ready", async || {
        let (_, body) = api.get("/job/workers").await;
        let workers = body["workers"].as_array()?.iter();
        let states = workers.filter(|worker| worker["state"] == "ready");
        (states.count() == ready).then_some(())
    })
    .await;
}

pub(crate) async fn is_ready(server: &Server) -> bool {
    server.get("/health/ready").await.0 == 200
}

/// Waits until it is ready.
pub(crate) async fn ready(server: &Server) {
    until("it is ready", async || is_ready(server).await.then_some(())).await;
}

/// A job that writes a line when it runs, and takes some time then. One write of a line, appended: lines
/// of different jobs don't mix.
pub(crate) fn traced(number: u64, seconds: f64, log: &Path) -> serde_json::Value {
    let script = format!("echo {number} >> {}; sleep {seconds}", log.display());
    serde_json::json!({"program": "/bin/sh", "args": ["-c", script]})
}

/// How often each number was written.
pub(crate) fn executions(log: &Path) -> std::collections::HashMap<u64, u64> {
    let mut times = std::collections::HashMap::new();
    let lines = std::fs::read_to_string(log).unwrap_or_default();
    for line in lines.lines() {
        *times.entry(line.parse().unwrap()).or_default() += 1;
    }
    times
}
