//! Opt-in metrics, OpenTelemetry names, a page for each process.

use super::*;
use crate::support::{output, start, stderr, stdout};

fn api(dir: &Path, args: &[&str]) -> Server {
    let preset = preset("osapi.yaml");
    let path = format!("queue.sqlite.path={}", dir.join("queue.db").display());
    let config = ["--config", preset.to_str().unwrap(), "--set", &path];
    let listen = ["api", "--set", "api.listen=127.0.0.1:0"];
    start(&[&listen[..], &config, args].concat(), dir)
}

fn worker(dir: &Path, name: &str, args: &[&str]) -> Server {
    let preset = preset("osapi.yaml");
    let config = ["--config", preset.to_str().unwrap()];
    support::worker(dir, name, &[&config, args].concat())
}

fn processes(dir: &Path) -> (Server, Server) {
    (api(dir, &[]), worker(dir, "w", &[]))
}

#[tokio::test]
async fn api_and_worker_each_have_their_page() {
    let dir = tempfile::tempdir().unwrap();
    let (api, worker) = processes(dir.path());
    requests(&api).await;
    let (mut on_api, mut on_worker) = (
        page(&api, "/metrics").await,
        page(&worker, "/metrics").await,
    );
    // The gauges of the fleet are read once a second.
    while !on_api.families.contains_key("osapi_workers_connected") {
        on_api = page(&api, "/metrics").await;
    }
    while !on_worker
        .families
        .contains_key("osapi_job_duration_seconds")
    {
        on_worker = page(&worker, "/metrics").await;
    }
    let http = [
        "http_request_method",
        "http_route",
        "http_response_status_code",
    ];
    let of_duration = [&http[..], &["url_scheme", "network_protocol_version"]].concat();
    assert_family(
        &on_api,
        "http_server_request_duration_seconds",
        "histogram",
        &of_duration,
    );
    assert_family(
        &on_api,
        "http_server_active_requests",
        "gauge",
        &["http_request_method", "url_scheme"],
    );
    assert_family(&on_api, "http_server_request_total", "counter", &http);
    assert_family(
        &on_api,
        "osapi_jobs_created_total",
        "counter",
        &["operation"],
    );
    assert_family(&on_api, "osapi_workers_connected", "gauge", &["state"]);
    assert_family(
        &on_worker,
        "osapi_jobs_completed_total",
        "counter",
        &["operation", "status"],
    );
    assert_family(
        &on_worker,
        "osapi_job_duration_seconds",
        "histogram",
        &["operation", "status"],
    );
    assert_family(&on_worker, "osapi_jobs_active", "gauge", &["operation"]);
    assert_family(
        &on_worker,
        "osapi_worker_jobs_processed_total",
        "counter",
        &["worker", "status"],
    );
    for page in [&on_api, &on_worker] {
        assert_family(page, "osapi_component_up", "gauge", &[]);
        assert_family(page, "osapi_subsystem_up", "gauge", &["subsystem"]);
        assert!(page.families.values().all(|family| !family.help.is_empty()));
    }
    assert_units(&api, "/metrics").await;
    assert_units(&worker, "/metrics").await;
    // Unless told otherwise, a worker's page is on a port of its own.
    let preset = preset("osapi.yaml");
    let shown = output(&[
        "config",
        "show",
        "--as",
        "worker",
        "--config",
        preset.to_str().unwrap(),
    ]);
    assert!(
        stdout(&shown).contains("telemetry.metrics.listen: \"127.0.0.1:9091\""),
        "{}{}",
        stdout(&shown),
        stderr(&shown)
    );
}

#[tokio::test]
async fn it_is_opt_in() {
    let dir = tempfile::tempdir().unwrap();
    let off = ["--set", "telemetry.metrics.enabled=false"];
    let (api, worker) = (api(dir.path(), &off), worker(dir.path(), "w", &off));
    for server in [&api, &worker] {
        for path in ["/metrics", "/metrics.json"] {
            assert_eq!(server.get(path).await.0, 404, "{path}");
        }
        assert_eq!(server.get("/health/ready").await.0, 200);
    }
}

#[tokio::test]
async fn a_job_for_anybody_runs_once_however_many_workers_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let (api, first) = processes(dir.path());
    let second = worker(dir.path(), "w2", &[]);
    for _ in 0..10 {
        let id = api.submit("sleep", json!({"seconds": 0})).await;
        api.wait(&id, &["completed"]).await;
    }
    let processed = support::until("both workers count", async || {
        let mut processed = 0.0;
        for (worker, name) in [(&first, "w"), (&second, "w2")] {
            let seen = page(worker, "/metrics").await;
            processed += seen.sum("osapi_worker_jobs_processed_total", &[("worker", name)]);
        }
        (processed >= 10.0).then_some(processed)
    });
    assert_eq!(processed.await, 10.0);
}

#[tokio::test]
async fn its_faults_are_not_here() {
    let dir = tempfile::tempdir().unwrap();
    let (api, worker) = processes(dir.path());
    // A job that fails once is one job, whose attempts can be told apart.
    let data = json!({"seconds": 0, "fail_attempts": 1});
    let id = api.submit("sleep", data).await;
    api.wait(&id, &["completed"]).await;
    // Made-up ports in Host are no label.
    for port in 1000..1010 {
        let host = format!("localhost:{port}");
        let answer = api
            .request(Method::GET, "/health")
            .header("host", host)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 200);
    }
    let seen = support::until("the worker counts its job", async || {
        let seen = page(&worker, "/metrics").await;
        (seen.sum("osapi_jobs_completed_total", &[]) >= 1.0).then_some(seen)
    });
    let seen = seen.await;
    let with = |status| [("operation", "sleep"), ("status", status)];
    assert_eq!(
        seen.sum("osapi_jobs_completed_total", &with("completed")),
        1.0
    );
    assert_eq!(seen.sum("osapi_jobs_completed_total", &with("failed")), 0.0);
    assert_eq!(
        seen.sum("osapi_job_duration_seconds_count", &with("retried")),
        1.0
    );
    assert_eq!(seen.sum("osapi_jobs_active", &[]), 0.0, "no gauge leaks");
    let buckets = as_numbers(&bounds(&seen, "osapi_job_duration_seconds"));
    assert!(
        buckets[0] <= 0.005 && buckets.len() > 10,
        "seconds, not milliseconds: {buckets:?}"
    );
    let seen = page(&api, "/metrics").await;
    let health = seen.families["http_server_request_total"].samples.iter();
    let health = health.filter(|s| s.labels.get("http_route").is_some_and(|r| r == "/health"));
    assert_eq!(health.count(), 1, "one series, whatever clients claim");
}

/// What says that a subsystem is up is asked anew, not frozen at the start.
#[tokio::test]
async fn gauges_of_health_follow_what_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let (api, mut worker) = processes(dir.path());
    let age = [("worker", "w")];
    let seen_from_api = async |wanted: &dyn Fn(&Page) -> bool| {
        support::until("the fleet is as wanted", async || {
            let seen = page(&api, "/metrics").await;
            wanted(&seen).then_some(seen)
        })
        .await
    };
    let ready = |seen: &Page| seen.sum("osapi_workers_connected", &[("state", "ready")]) == 1.0;
    let seen = seen_from_api(&ready).await;
    let name = "osapi_worker_heartbeat_age_seconds";
    assert!(seen.sum(name, &age) < 30.0, "{}", seen.text);
    // One that dies is not ready for ever, and its age grows.
    let before = seen.sum(name, &age);
    worker.kill();
    seen_from_api(&|seen| seen.sum(name, &age) > before + 2.0).await;
}

mod with_nats {
    use xtask::NatsServer;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn over_a_broker_the_connection_is_on_both_pages() {
        let broker = tokio::task::spawn_blocking(NatsServer::start)
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("queue.nats.url={}", broker.url());
        let nats = ["--set", "queue.backend=nats", "--set", &url];
        let (api, worker) = (api(dir.path(), &nats), worker(dir.path(), "w", &nats));
        for server in [&api, &worker] {
            let seen = support::until("the broker is connected", async || {
                let seen = page(server, "/metrics").await;
                (seen.sum("osapi_nats_connected", &[]) == 1.0).then_some(seen)
            });
            let seen = seen.await;
            assert_family(&seen, "osapi_nats_connected", "gauge", &[]);
            assert_family(&seen, "osapi_nats_reconnects_total", "counter", &[]);
            assert_eq!(seen.sum("osapi_nats_reconnects_total", &[]), 0.0);
        }
        // The page for people knows the broker, too.
        let status = api.get("/health/status").await.1;
        assert_eq!(status["nats"]["connected"], true, "{status}");
    }
}
