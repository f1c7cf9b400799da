//! `kill -9` under load: every acknowledged job ends, once in the records, and every execution is
//! accounted for by an attempt.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::metrics::page::{Implied, scrape};
use crate::support::{self, DEADLINE, Server, client, start, until, worker};

const ROUNDS: usize = 3;
/// Jobs to be acknowledged between two kills.
const PER_ROUND: usize = 60;
const LEASE: Duration = Duration::from_secs(2);
const SETTINGS: [&str; 8] = [
    "--set",
    "queue.lease=2s",
    "--set",
    "queue.max_attempts=20",
    "--set",
    "queue.retry.base=10ms",
    "--set",
    "worker.allow_commands=[/bin/sh]",
];

/// Clients that submit jobs as fast as they are acknowledged, whatever becomes of the server. Each
/// job writes a line when it runs.
struct Load {
    clients: Vec<JoinHandle<Vec<(String, u64)>>>,
    target: Arc<parking_lot::Mutex<String>>,
    acknowledged: Arc<std::sync::atomic::AtomicUsize>,
    stop: Arc<AtomicBool>,
    log: PathBuf,
}

impl Load {
    fn start(server: &Server, log: PathBuf) -> Self {
        let mut load = Self {
            clients: Vec::new(),
            target: Arc::new(parking_lot::Mutex::new(server.url("/job"))),
            acknowledged: Arc::default(),
            stop: Arc::default(),
            log,
        };
        let number = Arc::new(std::sync::atomic::AtomicU64::new(0));
        for _ in 0..4 {
            let (target, stop) = (Arc::clone(&load.target), Arc::clone(&load.stop));
            let (acknowledged, number) = (Arc::clone(&load.acknowledged), Arc::clone(&number));
            let log = load.log.clone();
            let http = client();
            load.clients.push(tokio::spawn(async move {
                let mut mine = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let n = number.fetch_add(1, Ordering::SeqCst);
                    let target = target.lock().clone();
                    if let Some(id) = submit(&http, &target, &log, n).await {
                        mine.push((id, n));
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                mine
            }));
        }
        load
    }

    /// Waits for so many acknowledgements more.
    async fn goes_on(&self) {
        let before = self.acknowledged.load(Ordering::SeqCst);
        until("jobs are acknowledged", async || {
            let now = self.acknowledged.load(Ordering::SeqCst);
            (now >= before + PER_ROUND).then_some(())
        })
        .await;
    }

    async fn acknowledged(self) -> Vec<(String, u64)> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await.unwrap());
        }
        all
    }
}

/// Submits a job; its id if that was acknowledged.
async fn submit(http: &Client, target: &str, log: &Path, number: u64) -> Option<String> {
    // One write of a line, appended: lines of different jobs don't mix.
    let script = format!("sleep 0.02; echo {number} >> {}", log.display());
    let data = json!({"program": "/bin/sh", "args": ["-c", script]});
    let job = support::job("command.exec", data);
    let answer = http.post(target).json(&job).send().await.ok()?;
    // Only 503 is a refusal in order; a connection cut off is no answer.
    let status = answer.status();
    assert!(status == 201 || status == 503, "{status}");
    let body: Value = answer.json().await.ok()?;
    Some(body["job_id"].as_str()?.to_owned())
}

/// How often each job ran.
fn executions(log: &Path) -> HashMap<u64, u64> {
    let mut times = HashMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        *times.entry(line.parse().unwrap()).or_default() += 1;
    }
    times
}

fn events<'a>(record: &'a Value, kind: &str) -> Vec<&'a Value> {
    let timeline = record["timeline"].as_array().unwrap().iter();
    timeline.filter(|event| event["event"] == kind).collect()
}

/// Every acknowledged job is completed, once, and ran at least once and no more often than it has
/// attempts. Returns how many attempts were lost.
async fn all_ended_once(server: &Server, jobs: &[(String, u64)], log: &Path) -> u64 {
    let mut lost = 0;
    for (id, number) in jobs {
        let record = server.wait(id, &["completed", "failed", "cancelled"]).await;
        assert_eq!(record["status"], "completed", "{record}");
        assert_eq!(events(&record, "completed").len(), 1, "{record}");
        let started = events(&record, "started").len() as u64;
        let rescued = events(&record, "rescued").len() as u64;
        assert_eq!(record["attempts"], started, "{record}");
        assert_eq!(
            started,
            rescued + 1,
            "each attempt but the last was lost: {record}"
        );
        let ran = executions(log).get(number).copied().unwrap_or(0);
        assert!((1..=started).contains(&ran), "it ran {ran} times: {record}");
        lost += rescued;
    }
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_under_load_loses_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let api = support::api(dir.path(), &SETTINGS);
    let load = Load::start(&api, dir.path().join("ran"));
    for round in 0..ROUNDS {
        let mut victim = worker(dir.path(), &format!("w{round}"), &SETTINGS);
        load.goes_on().await;
        until("it runs jobs", async || {
            let (_, status) = api.get("/job/status").await;
            (status["processing"].as_u64() > Some(0)).then_some(())
        })
        .await;
        victim.kill();
    }
    let log = load.log.clone();
    let jobs = load.acknowledged().await;
    let _last = worker(dir.path(), "last", &SETTINGS);
    let lost = all_ended_once(&api, &jobs, &log).await;
    assert!(lost > 0, "no kill hit a running job");
    let (_, status) = api.get("/job/status").await;
    assert_eq!(status["completed"], status["total"], "{status}");
    assert!(
        status["total"].as_u64() >= Some(jobs.len() as u64),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_process_killed_under_load_loses_no_job() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut args = vec![
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    args.extend(SETTINGS);
    let mut server = start(&args, &data);
    let load = Load::start(&server, dir.path().join("ran"));
    for _ in 0..ROUNDS {
        load.goes_on().await;
        server.kill();
        server = start(&args, &data);
        *load.target.lock() = server.url("/job");
    }
    let log = load.log.clone();
    let jobs = load.acknowledged().await;
    assert!(jobs.len() >= ROUNDS * PER_ROUND);
    let lost = all_ended_once(&server, &jobs, &log).await;
    assert!(lost > 0, "no kill hit a running job");
    // Jobs stored whose acknowledgement was cut off are jobs all the same.
    until("those nobody waits for end too", async || {
        let (_, status) = server.get("/job/status").await;
        (status["completed"] == status["total"]).then_some(())
    })
    .await;
    let (_, page) = server.get("/job?limit=1").await;
    assert!(
        page["total_items"].as_u64() >= Some(jobs.len() as u64),
        "{page}"
    );
}

#[tokio::test]
async fn the_job_of_a_killed_worker_runs_again_within_the_lease_and_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let api = support::api(dir.path(), &SETTINGS);
    let mut victim = worker(dir.path(), "victim", &SETTINGS);
    let id = api.submit("sleep", json!({"seconds": 600})).await;
    api.wait(&id, &["processing"]).await;
    let _other = worker(dir.path(), "other", &SETTINGS);
    victim.kill();
    let killed = Instant::now();
    // The one bound in time that is promised.
    let record = loop {
        let (_, record) = api.get(&format!("/job/{id}")).await;
        if record["worker"] == "other" {
            break record;
        }
        assert!(
            killed.elapsed() < LEASE + Duration::from_secs(5),
            "{record}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&record["status"], &record["attempts"]),
        (&json!("processing"), &json!(2))
    );
    let (_, fleet) = api.get("/job/workers").await;
    let states: Vec<_> = fleet["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (&w["worker"], &w["state"]))
        .collect();
    assert!(
        states.contains(&(&json!("victim"), &json!("lost"))),
        "{fleet}"
    );
    let deleted = api
        .request(Method::DELETE, &format!("/job/{id}"))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 204);
}

#[tokio::test]
async fn the_last_attempt_of_a_killed_worker_is_counted_as_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["debug=true", "queue.lease=1s", "queue.max_attempts=1"].map(|key| ["--set", key]);
    let args = args.concat();
    let api = support::api(dir.path(), &args);
    let mut victim = worker(dir.path(), "victim", &args);
    let id = api.submit("sleep", json!({"seconds": 600})).await;
    api.wait(&id, &["processing"]).await;
    victim.kill();
    api.wait(&id, &["failed"]).await;
    let expected: [Implied; 8] = [
        ("osapi_jobs_created_total", &[], 1.0),
        ("osapi_jobs_rescued_total", &[("operation", "sleep")], 1.0),
        ("osapi_jobs_completed_total", &[("status", "failed")], 1.0),
        ("osapi_jobs_completed_total", &[], 1.0),
        ("osapi_jobs_queued", &[("state", "dlq")], 1.0),
        ("osapi_jobs_queued", &[], 1.0),
        ("osapi_workers_connected", &[("state", "lost")], 1.0),
        ("osapi_workers_connected", &[], 1.0),
    ];
    let mut last = Vec::new();
    let since = Instant::now();
    while since.elapsed() < DEADLINE {
        let page = scrape(&api).await;
        last = expected
            .map(|(name, labels, _)| page.sum(name, labels))
            .to_vec();
        if last == expected.map(|(_, _, value)| value) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{last:?}, not {expected:?}");
}
