//! Wall clocks that are moved by hours, forwards and back, while jobs run.

mod with_faketime {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};
    use xtask::tools::Tool;

    use crate::support::{Server, osapi, spawn, until};

    const LEASE: Duration = Duration::from_secs(2);

    /// A wall clock for processes that are told to look at it. Their other clocks are the system's.
    struct WallClock(PathBuf);

    impl WallClock {
        fn new(dir: &Path) -> Self {
            let clock = Self(dir.join("offset"));
            clock.set("+0");
            clock
        }

        /// Moves it to so much before or after the true time (`+5h`).
        fn set(&self, offset: &str) {
            // Replaced, and not written: nobody reads half of it.
            let new = self.0.with_extension("new");
            std::fs::write(&new, offset).unwrap();
            std::fs::rename(new, &self.0).unwrap();
        }

        fn governs(&self, command: &mut Command) {
            command
                .env("LD_PRELOAD", Tool::Faketime.path())
                .env("FAKETIME_TIMESTAMP_FILE", &self.0)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }

    /// An API and workers on one host whose clock is moved.
    struct Host {
        dir: tempfile::TempDir,
        clock: WallClock,
        queue: Vec<String>,
    }

    impl Host {
        fn new(queue: Vec<String>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = WallClock::new(dir.path());
            Self { dir, clock, queue }
        }

        fn start(&self, role: &str, name: &str, own: &str) -> Server {
            let mut command = osapi(&[role]);
            let beside = self.dir.path().join("queue.db");
            let common = [
                format!("queue.sqlite.path={}", beside.display()),
                format!("queue.lease={}s", LEASE.as_secs()),
                "queue.retry.base=1s".to_owned(),
                format!("worker.name={name}"),
                "telemetry.metrics.enabled=true".to_owned(),
                own.to_owned(),
            ];
            for setting in common.iter().chain(&self.queue) {
                command.args(["--set", setting]);
            }
            self.clock.governs(&mut command);
            let file = self.dir.path().join("osapi.addr");
            spawn(command, self.dir.path(), |said| {
                if let Some((_, line)) = said.split_once("osapi worker: http://") {
                    return Some(line.split_once("/health\n")?.0.parse().unwrap());
                }
                let text = std::fs::read_to_string(&file).ok()?;
                Some(text.strip_suffix('\n')?.parse().unwrap())
            })
        }

        fn api(&self) -> Server {
            self.start("api", "none", "api.listen=127.0.0.1:0")
        }

        fn worker(&self, name: &str) -> Server {
            self.start("worker", name, "telemetry.metrics.listen=127.0.0.1:0")
        }
    }

    /// What the API's clock shows, by the age of a job that was just made: seconds since the epoch.
    async fn shown(api: &Server) -> i64 {
        let (_, job) = api.post("/job", &nobodys()).await;
        let at: jiff::Timestamp = job["created_at"].as_str().unwrap().parse().unwrap();
        at.as_second()
    }

    fn nobodys() -> Value {
        json!({"operation": {"type": "sleep", "data": {"seconds": 0}}, "target_hostname": "nobody"})
    }

    async fn leases_hold_whatever_the_wall_clock_does(host: Host) {
        let (api, mut worker) = (host.api(), host.worker("w1"));
        let other = host.worker("w2");
        until("both are ready", async || {
            let (_, fleet) = api.get("/job/workers").await;
            let workers = fleet["workers"].as_array()?;
            (workers
                .iter()
                .filter(|worker| worker["state"] == "ready")
                .count()
                == 2)
                .then_some(())
        })
        .await;
        let mut long = json!({"operation": {"type": "sleep", "data": {"seconds": 7}}});
        long["target_hostname"] = json!("w1");
        let (_, held) = api.post("/job", &long).await;
        let held = held["job_id"].as_str().unwrap().to_owned();
        api.wait(&held, &["processing"]).await;
        let before = shown(&api).await;
        for (offset, hours) in [("+5h", 5), ("-7h", -7)] {
            host.clock.set(offset);
            let moved = shown(&api).await - before - hours * 3600;
            assert!(moved.abs() < 120, "the clock was not moved: {moved} s");
            tokio::time::sleep(LEASE + Duration::from_millis(500)).await;
            let (_, fleet) = api.get("/job/workers").await;
            for worker in fleet["workers"].as_array().unwrap() {
                assert_eq!(worker["state"], "ready", "at {offset}: {fleet}");
            }
            // The delay before the next attempt is as long as ever, too.
            let begun = Instant::now();
            let again = api
                .submit("sleep", json!({"seconds": 0, "fail_attempts": 1}))
                .await;
            api.wait(&again, &["completed"]).await;
            assert!(begun.elapsed() >= Duration::from_millis(500));
        }
        let record = api.wait(&held, &["completed"]).await;
        assert_eq!(
            record["attempts"], 1,
            "nobody took it for abandoned: {record}"
        );

        // With the clock hours back, a worker that dies is still missed as soon as ever.
        let lost = api.submit("sleep", json!({"seconds": 600})).await;
        let record = api.wait(&lost, &["processing"]).await;
        let (mut victim, rest) = match record["worker"].as_str() {
            Some("w1") => (worker, other),
            _ => (other, std::mem::replace(&mut worker, host.worker("w3"))),
        };
        victim.kill();
        let killed = Instant::now();
        until("it runs elsewhere", async || {
            let (_, record) = api.get(&format!("/job/{lost}")).await;
            let elsewhere = record["attempts"] == 2 && record["status"] == "processing";
            elsewhere.then_some(())
        })
        .await;
        println!(
            "with the clock 7 h back, a dead worker's job ran again after {:?}",
            killed.elapsed()
        );
        drop(rest);
    }

    #[tokio::test]
    async fn leases_of_sqlite_hold_whatever_the_wall_clock_does() {
        leases_hold_whatever_the_wall_clock_does(Host::new(Vec::new())).await;
    }

    /// The broker's own clock stays: it measures leases without looking at it.
    mod with_nats {
        use xtask::NatsServer;

        use super::{Host, leases_hold_whatever_the_wall_clock_does};

        #[tokio::test]
        async fn leases_of_nats_hold_whatever_the_wall_clock_does() {
            let broker = NatsServer::start();
            let url = format!("queue.nats.url={}", broker.url());
            let host = Host::new(vec!["queue.backend=nats".to_owned(), url]);
            leases_hold_whatever_the_wall_clock_does(host).await;
        }
    }
}
