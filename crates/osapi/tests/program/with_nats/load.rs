//! Clients that submit jobs as fast as they are acknowledged, whatever dies meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{executions, traced};
use crate::support::{Server, client, job, until};

/// Acknowledgements between two blows.
const PER_BLOW: u64 = 20;

/// Time between two jobs of one client: what the workers of these tests can keep up with.
const PACE: Duration = Duration::from_millis(60);

/// The clients. Each job writes a line when it runs.
pub(crate) struct Load {
    clients: Vec<JoinHandle<Vec<(String, u64)>>>,
    shared: Arc<Shared>,
}

struct Shared {
    targets: Mutex<Vec<String>>,
    stop: AtomicBool,
    next: AtomicU64,
    acknowledged: AtomicU64,
    /// When the last job was acknowledged, and the longest time without one so far.
    pauses: Mutex<(Instant, Duration)>,
    log: PathBuf,
}

/// What became of the jobs.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) jobs: u64,
    pub(crate) attempts: u64,
    pub(crate) executions: u64,
}

impl Load {
    /// Two clients for each of these APIs.
    pub(crate) fn start(apis: &[Server], log: PathBuf) -> Self {
        let shared = Arc::new(Shared {
            targets: Mutex::new(apis.iter().map(|api| api.url("/job")).collect()),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            pauses: Mutex::new((Instant::now(), Duration::ZERO)),
            log,
        });
        let clients = (0..2 * apis.len()).map(|n| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.submit(n % 2).await })
        });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    /// Tells the clients of an API that was started again where it is now.
    pub(crate) fn moved(&self, which: usize, api: &Server) {
        self.shared.targets.lock()[which] = api.url("/job");
    }

    /// Waits for some more acknowledgements.
    pub(crate) async fn goes_on(&self) {
        let before = self.shared.acknowledged.load(Ordering::SeqCst);
        until("jobs are acknowledged", async || {
            let now = self.shared.acknowledged.load(Ordering::SeqCst);
            (now >= before + PER_BLOW).then_some(())
        })
        .await;
    }

    /// The longest time without an acknowledgement since this was asked last.
    pub(crate) fn longest_pause(&self) -> Duration {
        std::mem::take(&mut self.shared.pauses.lock().1)
    }

    /// Ends the load; every job acknowledged is completed, once in the records, and ran at least once and no
    /// more often than it has attempts.
    pub(crate) async fn all_ended_once(self, api: &Server) -> Ended {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut jobs = Vec::new();
        for client in self.clients {
            jobs.extend(client.await.unwrap());
        }
        let mut ended = Ended::default();
        let mut records = Vec::new();
        for (id, number) in jobs {
            records.push((end_of(api, &id).await, number));
        }
        let ran = executions(&self.shared.log);
        for (record, number) in records {
            let ends = record["timeline"].as_array().unwrap().iter();
            let ends = ends.filter(|event| event["event"] == "completed").count();
            assert_eq!(
                (&record["status"], ends),
                (&"completed".into(), 1),
                "{record}"
            );
            let attempts = record["attempts"].as_u64().unwrap();
            let times = ran.get(&number).copied().unwrap_or(0);
            assert!(
                (1..=attempts).contains(&times),
                "{times} of {attempts}: {record}"
            );
            ended.jobs += 1;
            ended.attempts += attempts;
            ended.executions += times;
        }
        ended
    }
}

impl Shared {
    /// One client: the ids of its jobs and their numbers.
    async fn submit(&self, which: usize) -> Vec<(String, u64)> {
        let http = client();
        let mut mine = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let target = self.targets.lock()[which].clone();
            if let Some(id) = submit(&http, &target, &self.log, number).await {
                mine.push((id, number));
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
                let mut pauses = self.pauses.lock();
                pauses.1 = pauses.1.max(pauses.0.elapsed());
                pauses.0 = Instant::now();
            }
            tokio::time::sleep(PACE).await;
        }
        mine
    }
}

/// The record of a job that has ended. A broker that finds itself again may not answer at once.
async fn end_of(api: &Server, id: &str) -> Value {
    until("the job ends", async || {
        let (status, record) = api.get(&format!("/job/{id}")).await;
        if status == 503 {
            return None;
        }
        assert_eq!(status, 200, "{record}");
        let state = record["status"].as_str()?;
        let ended = ["completed", "failed", "cancelled"].contains(&state);
        ended.then_some(record)
    })
    .await
}

/// Submits a job; its id if that was acknowledged.
async fn submit(http: &reqwest::Client, target: &str, log: &Path, number: u64) -> Option<String> {
    let job = job("command.exec", traced(number, 0.02, log));
    let answer = http.post(target).json(&job).send().await.ok()?;
    // Only 503 is a refusal in order; a connection cut off is no answer.
    let status = answer.status();
    assert!(status == 201 || status == 503, "{status}");
    let body: Value = answer.json().await.ok()?;
    Some(body["job_id"].as_str()?.to_owned())
}
