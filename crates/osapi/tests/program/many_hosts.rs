//! API and worker processes that share a broker, and what they do when any of them dies.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::NatsServer;

use crate::metrics::page::scrape;
use crate::support::{Server, client, job, osapi, output, read, spawn, until};

const LEASE: Duration = Duration::from_secs(2);

/// What all processes of one installation are told.
fn settings(broker: &str, dir: &Path) -> Vec<String> {
    [
        "queue.backend=nats".to_owned(),
        format!("queue.nats.url={broker}"),
        format!("queue.lease={}s", LEASE.as_secs()),
        "queue.max_attempts=50".to_owned(),
        "queue.retry.base=10ms".to_owned(),
        "worker.allow_commands=[/bin/sh]".to_owned(),
        "telemetry.metrics.enabled=true".to_owned(),
        format!("queue.sqlite.path={}", dir.join("queue.db").display()),
    ]
    .into()
}

/// Processes on one broker, each with a directory of its own, as on a host of its own.
struct Site {
    broker: NatsServer,
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            broker: NatsServer::start(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self, name: &str, own: &[String]) -> Server {
        let dir = self.dir.path().join(name);
        let mut all = settings(&self.broker.url(), &dir);
        all.extend_from_slice(own);
        let mut command = osapi(&[if name.starts_with("api") {
            "api"
        } else {
            "worker"
        }]);
        for setting in &all {
            command.args(["--set", setting]);
        }
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

    fn api(&self, name: &str) -> Server {
        self.start(name, &["api.listen=127.0.0.1:0".to_owned()])
    }

    fn worker(&self, name: &str) -> Server {
        let own = [
            format!("worker.name={name}"),
            "telemetry.metrics.listen=127.0.0.1:0".to_owned(),
        ];
        self.start(name, &own)
    }
}

async fn fleet(api: &Server, ready: usize) {
    until("the workers are ready", async || {
        let (_, body) = api.get("/job/workers").await;
        let workers = body["workers"].as_array()?.iter();
        let states = workers.filter(|worker| worker["state"] == "ready");
        (states.count() == ready).then_some(())
    })
    .await;
}

async fn is_ready(server: &Server) -> bool {
    server.get("/health/ready").await.0 == 200
}

/// A small number that differs from call to call, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64, Marsaglia 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

mod with_nats {
    use super::*;

    #[tokio::test]
    async fn processes_on_one_broker_work_as_one() {
        let site = Site::new();
        let (one, two) = (site.api("api-1"), site.api("api-2"));
        let workers = [site.worker("w1"), site.worker("w2")];
        fleet(&one, 2).await;

        let id = one.submit("node.hostname.get", json!({})).await;
        assert_eq!(two.wait(&id, &["completed"]).await["attempts"], 1);
        let all = json!({"operation": {"type": "node.uptime.get"}, "target_hostname": "_all"});
        let (status, body) = two.post("/job", &all).await;
        assert_eq!(status, 201, "{body}");
        let record = one
            .wait(body["job_id"].as_str().unwrap(), &["completed"])
            .await;
        let responses = record["responses"].as_object().unwrap();
        assert_eq!(responses.keys().collect::<Vec<_>>(), ["w1", "w2"]);

        let (status, body) = one.get("/health/status").await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["nats"]["connected"], true, "{body}");
        assert_eq!(body["jobs"]["completed"], 2, "{body}");
        assert_eq!(body["database"]["backend"], "nats", "{body}");
        for server in [&one, &workers[0]] {
            assert!(is_ready(server).await);
            let page = scrape(server).await;
            assert_eq!(page.sum("osapi_nats_connected", &[]), 1.0);
            assert!(!page.families.contains_key("osapi_database_size_bytes"));
        }
        let url = format!("http://{}", one.address);
        let measured = tokio::task::spawn_blocking(move || {
            output(&["bench", "jobs", "--server", &url, "--jobs", "40", "--json"])
        });
        let measured = measured.await.unwrap();
        let report: Value = serde_json::from_slice(&measured.stdout).unwrap();
        assert_eq!(report["not_completed"], 0, "{report}");
        assert!(report["end_to_end_ms"]["p99"].as_f64() > report["pick_up_ms"]["p50"].as_f64());
        let drained = one.post("/worker/w1/drain", &json!({})).await;
        assert_eq!(drained.0, 200, "{}", drained.1);
        until("the worker drains", async || {
            let (_, body) = two.get("/job/workers").await;
            (body["workers"][0]["state"] == "draining").then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_broker_that_is_away_is_waited_for() {
        let site = Site::new();
        let (api, worker) = (site.api("api"), site.worker("w"));
        fleet(&api, 1).await;
        let running = api.submit("sleep", json!({"seconds": 1})).await;
        api.wait(&running, &["processing"]).await;
        site.broker.kill();
        for server in [&api, &worker] {
            until("it is not ready", async || {
                (!is_ready(server).await).then_some(())
            })
            .await;
            assert_eq!(server.get("/health").await.0, 200, "it lives");
        }
        let begun = Instant::now();
        let request = client().post(api.url("/job"));
        let refused = request.json(&job("sleep", json!({"seconds": 0}))).send();
        let refused = refused.await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        assert!(begun.elapsed() < Duration::from_secs(5), "at once");
        // The job ends meanwhile, and is reported when there is somebody to report to.
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.broker.restart();
        for server in [&api, &worker] {
            until("it is ready again", async || {
                is_ready(server).await.then_some(())
            })
            .await;
        }
        let record = api.wait(&running, &["completed"]).await;
        assert_eq!(record["worker"], "w", "{record}");
        let next = api.submit("node.hostname.get", json!({})).await;
        api.wait(&next, &["completed"]).await;
        let page = scrape(&api).await;
        assert!(page.sum("osapi_nats_reconnects_total", &[]) >= 1.0);
    }

    #[tokio::test]
    async fn a_dead_workers_job_runs_elsewhere_within_the_lease() {
        let site = Site::new();
        let api = site.api("api");
        let mut first = site.worker("w1");
        fleet(&api, 1).await;
        let id = api.submit("sleep", json!({"seconds": 3})).await;
        api.wait(&id, &["processing"]).await;
        let second = site.worker("w2");
        fleet(&api, 2).await;
        first.kill();
        let died = Instant::now();
        until("the job runs on the other worker", async || {
            let (_, record) = api.get(&format!("/job/{id}")).await;
            let elsewhere = record["status"] == "processing" && record["worker"] == "w2";
            elsewhere.then_some(())
        })
        .await;
        let took = died.elapsed();
        println!("a dead worker's job ran again after {took:?}, with a lease of {LEASE:?}");
        let record = api.wait(&id, &["completed"]).await;
        assert_eq!(record["attempts"], 2, "{record}");
        drop(second);
    }

    /// `cargo xtask chaos` makes more kills than the run of all tests does.
    #[tokio::test]
    async fn nothing_acknowledged_is_lost_whoever_is_killed() {
        let kills = std::env::var("OSAPI_CHAOS_KILLS");
        let kills = kills.map_or(8, |text| text.parse::<u64>().unwrap());
        let site = Site::new();
        let mut apis = [site.api("api-1"), site.api("api-2")];
        let mut workers = ["w1", "w2", "w3"].map(|name| site.worker(name));
        fleet(&apis[0], 3).await;
        let log = site.dir.path().join("executions");
        let mut dice = Dice(0x5eed);
        let mut acknowledged = Vec::new();
        for kill in 0..kills {
            acknowledged.extend(submit_some(&apis, &log, kill).await);
            match dice.roll(6) {
                0 => {
                    site.broker.kill();
                    site.broker.restart();
                }
                1 | 2 => {
                    let n = dice.roll(2) as usize;
                    apis[n].kill();
                    apis[n] = site.api(["api-1", "api-2"][n]);
                }
                _ => {
                    let n = dice.roll(3) as usize;
                    workers[n].kill();
                    workers[n] = site.worker(["w1", "w2", "w3"][n]);
                }
            }
        }
        for api in &apis {
            until("it is ready", async || is_ready(api).await.then_some(())).await;
        }
        assert!(
            acknowledged.len() as u64 >= kills * 5,
            "{}",
            acknowledged.len()
        );
        let ran = {
            for (id, _) in &acknowledged {
                apis[0].wait(id, &["completed"]).await;
            }
            executions(&log)
        };
        let mut attempts = 0;
        for (id, number) in &acknowledged {
            let (_, record) = apis[1].get(&format!("/job/{id}")).await;
            let ends = record["timeline"].as_array().unwrap().iter();
            let ends = ends.filter(|event| event["event"] == "completed").count();
            assert_eq!(ends, 1, "{record}");
            let begun = record["attempts"].as_u64().unwrap();
            let times = ran.get(number).copied().unwrap_or(0);
            assert!((1..=begun).contains(&times), "{times} of {begun}: {record}");
            attempts += begun;
        }
        println!(
            "{kills} kills, {} acknowledged jobs, none lost, {attempts} attempts",
            acknowledged.len()
        );
    }

    /// Submits jobs to both APIs; the ids of those that were acknowledged, with their numbers.
    async fn submit_some(apis: &[Server; 2], log: &Path, round: u64) -> Vec<(String, u64)> {
        let http = client();
        let jobs = (0..20).map(|n| {
            let (api, number) = (&apis[n % 2], round * 100 + n as u64);
            let script = format!("sleep 0.02; echo {number} >> {}", log.display());
            let data = json!({"program": "/bin/sh", "args": ["-c", script]});
            let request = http.post(api.url("/job")).json(&job("command.exec", data));
            async move {
                let (status, body): (_, Value) = read(request).await;
                assert!(status == 201 || status == 503, "{status} {body}");
                Some((body["job_id"].as_str()?.to_owned(), number))
            }
        });
        futures_util::future::join_all(jobs)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    fn executions(log: &Path) -> HashMap<u64, u64> {
        let mut times = HashMap::new();
        for line in std::fs::read_to_string(log).unwrap().lines() {
            *times.entry(line.parse().unwrap()).or_default() += 1;
        }
        times
    }
}
