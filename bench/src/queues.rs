//! Both queues side by side: throughput and latency for 1, 16 and 64 callers, in process and through
//! HTTP, also with many jobs waiting.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use osapi::queue::nats::{NatsOptions, NatsQueue, Part};
use osapi::queue::sqlite::SqliteQueue;
use osapi::queue::{Claim, Outcome, QueueError, QueueOptions, SharedQueue, Target};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xtask::NatsServer;
use xtask::tools::Tool;

use crate::queue::{directory, new_job, register};
use crate::report::{Limit, Report, Table, milliseconds, per_second};
use crate::server::{Server, build};

/// Callers, and how many jobs they share.
const CALLERS: [(usize, usize); 3] = [(1, 1_500), (16, 12_000), (64, 24_000)];
const ROUNDS: usize = 3;
const BACKLOG: usize = 200_000;
/// Jobs in one request of those that make the backlog.
const BATCH: usize = 1_000;
/// As many as the callers of the most.
const SLOTS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    JetStream,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::JetStream => "JetStream",
        }
    }
}

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Queues",
        "Both queues on this machine, durable as each promises it: SQLite with `synchronous=FULL`; \
         JetStream with file storage and its default sync, one nats-server of the same machine. In \
         process: each caller submits a job, claims one and finishes it, over and over; records and \
         results included. Pick-up is from acceptance to the claim that returns the job, end to end \
         from acceptance until its result is recorded. The medians of three rounds, each with a new \
         queue; with 200,000 jobs that wait for another host, of one. Through HTTP, once each, one after \
         the other on one server: `osapi bench jobs` against a release build of `osapi up` with 64 \
         slots, all jobs submitted as fast as they are acknowledged, so that pick-up has the wait for \
         a slot in it.",
    );
    let mut engines = vec![Engine::Sqlite];
    match Tool::NatsServer.find() {
        Ok(_) => engines.push(Engine::JetStream),
        Err(why) => eprintln!("    JetStream is left out: {why}; run `cargo xtask setup`"),
    }
    let runtime = Runtime::new().expect("threads can be started");
    for &engine in &engines {
        let mut table = Table::new(&format!("{}, in process", engine.name()));
        for (callers, jobs) in CALLERS {
            let rounds = (0..ROUNDS).map(|_| {
                let place = Place::new(engine, &runtime);
                runtime.block_on(place.measure(callers, jobs))
            });
            let middle = Figures::middle(rounds.collect());
            table.values(&many(callers), &middle.rows());
            if engine == Engine::JetStream && callers == 64 {
                let what = "queue over JetStream, enqueue + claim + finish, 64 callers";
                report.budget(what, middle.rate, Limit::AtLeast(5_000.0), per_second);
            }
        }
        let place = Place::new(engine, &runtime);
        let filled = runtime.block_on(place.fill());
        let (callers, jobs) = CALLERS[2];
        let figures = runtime.block_on(place.measure(callers, jobs));
        table.values("64 callers, 200,000 waiting", &figures.rows());
        report.table(table);
        let mut table = Table::new(&format!("{}, batches of 1,000", engine.name()));
        table.single("jobs/s accepted", per_second(filled));
        report.table(table);
    }
    let program = build();
    for engine in engines {
        let mut table = Table::new(&format!("{}, through HTTP", engine.name()));
        let place = Http::start(&program, engine);
        for (callers, jobs) in CALLERS {
            table.values(&many(callers), &place.measure(callers, jobs).rows());
        }
        place.fill();
        let (callers, jobs) = CALLERS[2];
        let figures = place.measure(callers, jobs);
        table.values("64 callers, 200,000 waiting", &figures.rows());
        report.table(table);
    }
}

fn many(callers: usize) -> String {
    format!("{callers} caller{}", if callers == 1 { "" } else { "s" })
}

/// What is measured, in jobs per second and milliseconds.
struct Figures {
    rate: f64,
    enqueue: [f64; 2],
    pick_up: f64,
    end_to_end: [f64; 2],
}

impl Figures {
    fn rows(&self) -> [(&'static str, String); 6] {
        [
            ("jobs/s from submission to end", per_second(self.rate)),
            ("enqueue p50", milliseconds(self.enqueue[0])),
            ("enqueue p99", milliseconds(self.enqueue[1])),
            ("pick-up p95", milliseconds(self.pick_up)),
            ("end to end p50", milliseconds(self.end_to_end[0])),
            ("end to end p99", milliseconds(self.end_to_end[1])),
        ]
    }

    /// The round with the middle rate.
    fn middle(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let middle = rounds.len() / 2;
        rounds.swap_remove(middle)
    }
}

/// A queue of its own, gone when dropped.
struct Place {
    queue: SharedQueue,
    _directory: TempDir,
    _broker: Option<NatsServer>,
}

impl Place {
    fn new(engine: Engine, runtime: &Runtime) -> Self {
        let directory = directory();
        let options = QueueOptions::default();
        let (queue, broker): (SharedQueue, _) = match engine {
            Engine::Sqlite => {
                let path = directory.path().join("queue.db");
                let opened = SqliteQueue::open(&path, options, None);
                (Arc::new(opened.expect("a new database opens")), None)
            }
            Engine::JetStream => {
                let broker = NatsServer::start_on(directory.path());
                let nats = NatsOptions {
                    url: broker.url(),
                    ..NatsOptions::default()
                };
                let opened = runtime.block_on(NatsQueue::open(nats, options, Part::Whole));
                (
                    Arc::new(opened.expect("the streams can be made")),
                    Some(broker),
                )
            }
        };
        let registered = runtime.block_on(register(&*queue));
        registered.expect("the queue takes a worker");
        Self {
            queue,
            _directory: directory,
            _broker: broker,
        }
    }

    /// Adds jobs that wait for another host; how many were accepted per second.
    async fn fill(&self) -> f64 {
        let begun = Instant::now();
        for _ in 0..BACKLOG / BATCH {
            let mut job = new_job();
            job.target = Target::Host("elsewhere".to_owned());
            let accepted = self.queue.enqueue(vec![job; BATCH]).await;
            assert_eq!(accepted.expect("the queue has room").len(), BATCH);
        }
        BACKLOG as f64 / begun.elapsed().as_secs_f64()
    }

    async fn measure(&self, callers: usize, jobs: usize) -> Figures {
        let before = self.completed().await;
        let begun = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(work(self.queue.clone(), jobs / callers)))
            .collect();
        let mut times = Times::default();
        for task in tasks {
            let worked = task.await.expect("a caller does not panic");
            times.add(worked.expect("the queue works"));
        }
        let elapsed = begun.elapsed();
        let done = (jobs / callers * callers) as u64;
        assert_eq!(
            self.completed().await - before,
            done,
            "each job is finished once"
        );
        times.figures(done as f64 / elapsed.as_secs_f64())
    }

    async fn completed(&self) -> u64 {
        let stats = self.queue.stats().await.expect("the queue can be read");
        stats.jobs.completed
    }
}

#[derive(Default)]
struct Times {
    enqueue: Vec<Duration>,
    pick_up: Vec<Duration>,
    end_to_end: Vec<Duration>,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.enqueue.extend(other.enqueue);
        self.pick_up.extend(other.pick_up);
        self.end_to_end.extend(other.end_to_end);
    }

    fn figures(mut self, rate: f64) -> Figures {
        let all = [&mut self.enqueue, &mut self.pick_up, &mut self.end_to_end];
        all.into_iter().for_each(|times| times.sort_unstable());
        // Nearest rank, as `osapi bench jobs` has it.
        let at = |times: &[Duration], percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times[rank].as_secs_f64() * 1e3
        };
        Figures {
            rate,
            enqueue: [at(&self.enqueue, 50), at(&self.enqueue, 99)],
            pick_up: at(&self.pick_up, 95),
            end_to_end: [at(&self.end_to_end, 50), at(&self.end_to_end, 99)],
        }
    }
}

/// One caller.
async fn work(queue: SharedQueue, jobs: usize) -> Result<Times, QueueError> {
    let mut times = Times::default();
    for _ in 0..jobs {
        let begun = Instant::now();
        queue.enqueue(vec![new_job()]).await?;
        times.enqueue.push(begun.elapsed());
        let claim = Claim {
            worker: "bench".to_owned(),
            hostname: "bench".to_owned(),
            slots: 1,
            wait: Duration::from_secs(10),
        };
        let leases = queue.claim(claim).await?;
        assert_eq!(leases.len(), 1, "there is a job for everyone");
        for lease in leases {
            let claimed = Instant::now();
            let outcome = Outcome::Completed(json!({"hostname": "bench"}));
            queue.finish(lease.token, outcome).await?;
            times.pick_up.push(lease.waited);
            times.end_to_end.push(lease.waited + claimed.elapsed());
        }
    }
    Ok(times)
}

/// A running `osapi up`.
struct Http<'p> {
    program: &'p Path,
    url: String,
    _server: Server,
    _directory: TempDir,
    _broker: Option<NatsServer>,
}

impl<'p> Http<'p> {
    fn start(program: &'p Path, engine: Engine) -> Self {
        let directory = directory();
        let mut settings = vec![format!("worker.slots={SLOTS}")];
        let broker = (engine == Engine::JetStream).then(|| {
            let broker = NatsServer::start_on(&directory.path().join("broker"));
            settings.push("queue.backend=nats".to_owned());
            settings.push(format!("queue.nats.url={}", broker.url()));
            broker
        });
        let mut server = Server::start_with(program, directory.path(), &settings);
        let address = server.address(directory.path());
        Self {
            program,
            url: format!("http://{address}"),
            _server: server,
            _directory: directory,
            _broker: broker,
        }
    }

    /// What `osapi bench jobs` says.
    fn measure(&self, callers: usize, jobs: usize) -> Figures {
        let (callers, jobs) = (callers.to_string(), jobs.to_string());
        let said = Command::new(self.program)
            .args(["bench", "jobs", "--json", "--server", &self.url])
            .args(["--callers", &callers, "--jobs", &jobs])
            .stderr(Stdio::inherit())
            .output()
            .expect("osapi runs");
        let report: Value = serde_json::from_slice(&said.stdout).expect("the report is JSON");
        assert_eq!(report["not_completed"], 0, "{report}");
        let figure = |what: &str, which: &str| {
            let found = report[what][which].as_f64();
            found.expect("the report has each figure")
        };
        Figures {
            rate: report["ended_per_second"].as_f64().expect("a rate"),
            enqueue: [figure("enqueue_ms", "p50"), figure("enqueue_ms", "p99")],
            pick_up: figure("pick_up_ms", "p95"),
            end_to_end: [
                figure("end_to_end_ms", "p50"),
                figure("end_to_end_ms", "p99"),
            ],
        }
    }

    /// Adds jobs that wait for another host.
    fn fill(&self) {
        let address = self.url.trim_start_matches("http://").parse();
        let mut connection = crate::client::Connection::open(address.expect("an address"))
            .expect("the server listens");
        let job = json!({
            "operation": {"type": "node.hostname.get", "data": {}}, "target_hostname": "elsewhere",
        });
        let body = json!({"jobs": vec![job; BATCH]}).to_string();
        let request = format!(
            "POST /job/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for _ in 0..BACKLOG / BATCH {
            let answer = connection.ask(request.as_bytes());
            assert_eq!(answer.expect("the server answers").status, 201);
        }
    }
}
