//! What the cases share: a place for a queue, and short words for what they do with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use osapi::queue::nats::{NatsOptions, NatsQueue, Part};
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{
    Beat, Claim, Enqueued, JobId, JobRecord, Lease, NewJob, Operation, Outcome, QueueOptions,
    Registration, RetryPolicy, SharedQueue, Target,
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;
use xtask::NatsServer;

/// Longest a case waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A place for one queue.
pub(crate) struct Bed {
    place: Place,
    /// Removed with the bed.
    _dir: Option<TempDir>,
    /// Killed with the bed.
    _server: Option<NatsServer>,
    /// The rules it is opened with.
    pub(crate) options: QueueOptions,
}

/// Where a queue is. As text it can be told to another process.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The path of a file.
    Sqlite(String),
    /// A server and a prefix of streams.
    Nats(String, String),
}

impl Bed {
    /// A queue in an SQLite file.
    pub(crate) fn sqlite() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("queue.db").display().to_string();
        Self {
            _dir: Some(dir),
            ..Self::new(Place::Sqlite(path))
        }
    }

    /// A queue in the streams of a NATS server of its own.
    pub(crate) fn nats() -> Self {
        // A process that is to be killed works on its parent's; one of its own would outlive it.
        if let Ok(place) = std::env::var(crate::crash::VICTIM) {
            return Self::new(Place::of(&place));
        }
        // The largest job of the cases, and room for its record.
        let server = NatsServer::start_with("max_payload: 8MB");
        let place = Place::Nats(server.url(), "osapi".to_owned());
        Self {
            _server: Some(server),
            ..Self::new(place)
        }
    }

    fn new(place: Place) -> Self {
        let options = QueueOptions {
            retry: RetryPolicy {
                base: Duration::from_millis(40),
                max: Duration::from_secs(1),
            },
            ..QueueOptions::default()
        };
        Self {
            place,
            _dir: None,
            _server: None,
            options,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Opens the queue, as one more process would.
    pub(crate) async fn open(&self) -> SharedQueue {
        open(&self.place, self.options.clone()).await
    }

    /// The same place with other rules.
    pub(crate) fn with(&mut self, change: impl FnOnce(&mut QueueOptions)) -> &Self {
        change(&mut self.options);
        self
    }
}

impl Place {
    /// Its text, and back.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite {path}"),
            Self::Nats(url, prefix) => format!("nats {url} {prefix}"),
        }
    }

    pub(crate) fn of(text: &str) -> Self {
        let words: Vec<_> = text.splitn(3, ' ').collect();
        match words[..] {
            ["sqlite", path] => Self::Sqlite(path.to_owned()),
            ["nats", url, prefix] => Self::Nats(url.to_owned(), prefix.to_owned()),
            _ => panic!("{text:?} is no place"),
        }
    }

    /// The module its cases are in.
    pub(crate) fn module(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Nats(..) => "with_nats",
        }
    }
}

pub(crate) async fn open(place: &Place, options: QueueOptions) -> SharedQueue {
    match place {
        Place::Sqlite(path) => {
            let path = std::path::Path::new(path);
            Arc::new(SqliteQueue::open(path, options, None).expect("the queue opens"))
        }
        Place::Nats(url, prefix) => {
            let nats = NatsOptions {
                url: url.clone(),
                prefix: prefix.clone(),
                ..NatsOptions::default()
            };
            let opened = NatsQueue::open(nats, options, Part::Whole).await;
            Arc::new(opened.expect("the queue opens"))
        }
    }
}

/// A job that any worker may do; `n` tells it from others.
pub(crate) fn job(n: u64) -> NewJob {
    job_for(Target::Any, n)
}

pub(crate) fn job_for(target: Target, n: u64) -> NewJob {
    NewJob {
        operation: Operation {
            kind: "sleep".to_owned(),
            data: json!({"seconds": n}),
        },
        target,
        idempotency_key: None,
        trace_context: None,
    }
}

pub(crate) fn keyed(n: u64, key: &str) -> NewJob {
    NewJob {
        idempotency_key: Some(key.to_owned()),
        ..job(n)
    }
}

pub(crate) fn failure(error: &str) -> Outcome {
    Outcome::Failed {
        error: error.to_owned(),
        result: None,
        permanent: false,
    }
}

/// What the cases do with a queue, in a word each.
pub(crate) trait Words {
    async fn submit(&self, job: NewJob) -> Enqueued;
    async fn join(&self, worker: &str) -> Uuid;
    async fn take(&self, worker: &str, slots: u32) -> Vec<Lease>;
    async fn take_one(&self, worker: &str) -> Lease;
    async fn beat_of(
        &self,
        worker: &str,
        instance: Uuid,
        leases: &[Lease],
    ) -> osapi::queue::BeatReply;
    async fn record(&self, id: JobId) -> JobRecord;
    /// Runs maintenance until it has rescued an attempt.
    async fn rescue(&self) -> osapi::queue::Rescued;
}

impl Words for SharedQueue {
    async fn submit(&self, job: NewJob) -> Enqueued {
        self.enqueue(vec![job]).await.expect("accepted").remove(0)
    }

    async fn join(&self, worker: &str) -> Uuid {
        let instance = Uuid::now_v7();
        let registration = Registration {
            worker: worker.to_owned(),
            instance,
            hostname: format!("{worker}.host"),
            labels: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
            slots: 4,
        };
        self.register(registration).await.expect("registered");
        instance
    }

    async fn take(&self, worker: &str, slots: u32) -> Vec<Lease> {
        let claim = Claim {
            worker: worker.to_owned(),
            hostname: format!("{worker}.host"),
            slots,
            wait: Duration::ZERO,
        };
        self.claim(claim).await.expect("claimed")
    }

    async fn take_one(&self, worker: &str) -> Lease {
        let claim = Claim {
            worker: worker.to_owned(),
            hostname: format!("{worker}.host"),
            slots: 1,
            wait: DEADLINE,
        };
        self.claim(claim)
            .await
            .expect("claimed")
            .pop()
            .expect("something is due before the deadline")
    }

    async fn beat_of(
        &self,
        worker: &str,
        instance: Uuid,
        leases: &[Lease],
    ) -> osapi::queue::BeatReply {
        let leases = leases.iter().map(|lease| lease.token).collect();
        self.beat(Beat {
            worker: worker.to_owned(),
            instance,
            processed: 0,
            leases,
        })
        .await
        .expect("alive")
    }

    async fn record(&self, id: JobId) -> JobRecord {
        self.get(id).await.expect("known")
    }

    async fn rescue(&self) -> osapi::queue::Rescued {
        let begun = std::time::Instant::now();
        loop {
            if let Some(rescued) = self.maintain().await.expect("maintained").rescued.pop() {
                return rescued;
            }
            assert!(begun.elapsed() < DEADLINE, "no lease expired");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
