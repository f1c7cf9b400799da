//! The presets of the three origin systems: each goes through its list, point by point, and through the
//! faults of the origin that must not be here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::metrics::page::Page;
use crate::support::{self, Server, osapi, read, spawn, start};

fn preset(name: &str) -> PathBuf {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/presets");
    ops.join(name).canonicalize().unwrap()
}

/// `osapi up` with a preset and nothing else configured.
fn up(name: &str, dir: &Path, environment: &[(&str, &str)]) -> Server {
    let preset = preset(name);
    let data = dir.to_str().unwrap();
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data,
        "--config",
        preset.to_str().unwrap(),
    ];
    let mut command = osapi(&args);
    command.envs(environment.iter().copied());
    let file = dir.join("osapi.addr");
    // One that was killed left its address behind.
    let _ = std::fs::remove_file(&file);
    spawn(command, dir, |_| {
        let text = std::fs::read_to_string(&file).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

async fn page(server: &Server, path: &str) -> Page {
    let answer = server.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Page::parse(answer.text().await.unwrap())
}

/// Asserts the type of a family, its unit's suffix, and which labels its series have.
fn assert_family(page: &Page, name: &str, kind: &str, labels: &[&str]) {
    let family = page.families.get(name);
    let family = family.unwrap_or_else(|| panic!("no {name} on the page:\n{}", page.text));
    assert_eq!(family.kind, kind, "{name}");
    assert!(!family.help.is_empty(), "{name} has no HELP");
    let of_scope = |label: &&String| !label.starts_with("otel_scope_") && *label != "le";
    for sample in &family.samples {
        let is: BTreeSet<_> = sample
            .labels
            .keys()
            .filter(of_scope)
            .map(String::as_str)
            .collect();
        let may: BTreeSet<_> = labels.iter().copied().collect();
        assert!(is.is_subset(&may), "{name} has {is:?}, not only {may:?}");
    }
    let all: BTreeSet<_> = family
        .samples
        .iter()
        .flat_map(|sample| sample.labels.keys())
        .collect();
    for label in labels {
        assert!(
            all.iter().any(|is| is == label),
            "no series of {name} has {label}"
        );
    }
}

fn bounds(page: &Page, histogram: &str) -> BTreeSet<String> {
    let samples = page.families[histogram].samples.iter();
    samples
        .filter_map(|sample| sample.labels.get("le").cloned())
        .collect()
}

/// Requests of all sorts: answered, unmatched, refused, of a method nobody knows.
async fn requests(server: &Server) {
    let id = server.submit("sleep", json!({"seconds": 0})).await;
    server.wait(&id, &["completed"]).await;
    for at in 0..20 {
        let (status, _) = server.get(&format!("/api/v1/models/{at}")).await;
        assert_eq!(status, 404);
    }
    let (status, _) = server
        .post("/job", &json!({"operation": {"type": "nope"}}))
        .await;
    assert_eq!(status, 400);
    let brew = Method::from_bytes(b"BREW").unwrap();
    let answer = server.request(brew, "/job").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

const SECONDS: [&str; 12] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf",
];

fn as_numbers(bounds: &BTreeSet<String>) -> Vec<f64> {
    let mut numbers: Vec<f64> = bounds.iter().map(|bound| bound.parse().unwrap()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

mod osapi_s {
    use super::*;

    fn processes(dir: &Path) -> (Server, Server) {
        let preset = preset("osapi.yaml");
        let path = format!("queue.sqlite.path={}", dir.join("queue.db").display());
        let config = ["--config", preset.to_str().unwrap(), "--set", &path];
        let api = start(
            &[&["api", "--set", "api.listen=127.0.0.1:0"][..], &config].concat(),
            dir,
        );
        let worker = support::worker(dir, "w", &config[..2]);
        (api, worker)
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
        let seen = page(&worker, "/metrics").await;
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
}

mod ollamamax_s {
    use super::*;

    #[tokio::test]
    async fn three_classic_metrics_and_a_page_of_json() {
        let dir = tempfile::tempdir().unwrap();
        let server = up("ollamamax.yaml", dir.path(), &[]);
        requests(&server).await;
        let seen = page(&server, "/metrics").await;
        let labels = ["method", "endpoint", "status"];
        assert_family(&seen, "http_requests_total", "counter", &labels);
        assert_family(&seen, "http_request_duration_seconds", "histogram", &labels);
        assert_family(&seen, "http_requests_in_flight", "gauge", &[]);
        let default = SECONDS.map(|bound| bound.parse::<f64>().unwrap());
        assert_eq!(
            as_numbers(&bounds(&seen, "http_request_duration_seconds")),
            default
        );
        assert!(
            !seen
                .families
                .keys()
                .any(|name| name.starts_with("http_server_"))
        );
        let body = support::until("the database was asked", async || {
            let (status, body) = read(server.request(Method::GET, "/metrics.json")).await;
            assert_eq!(status, 200);
            (body["database"]["queries_total"].as_u64() > Some(0)).then_some(body)
        })
        .await;
        let database = &body["database"];
        assert!(database["connections"].as_u64() >= Some(1), "{body}");
        assert!(database["connections_idle"].is_u64(), "{body}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
        let names = body["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| &metric["name"]);
        assert!(
            names.clone().any(|name| name == "http_requests_total"),
            "{names:?}"
        );
    }

    #[tokio::test]
    async fn its_faults_are_not_here() {
        let dir = tempfile::tempdir().unwrap();
        let server = up("ollamamax.yaml", dir.path(), &[]);
        requests(&server).await;
        for _ in 0..3 {
            page(&server, "/metrics").await;
            read(server.request(Method::GET, "/metrics.json")).await;
        }
        let seen = page(&server, "/metrics").await;
        let of = |labels| seen.sum("http_requests_total", labels);
        assert_eq!(
            of(&[("endpoint", "unmatched"), ("status", "404")]),
            20.0,
            "one series for what is nowhere"
        );
        assert_eq!(of(&[("method", "_OTHER"), ("status", "405")]), 1.0);
        assert_eq!(
            of(&[("endpoint", "/metrics")]) + of(&[("endpoint", "/metrics.json")]),
            0.0
        );
        let raw = seen
            .samples()
            .any(|s| s.labels.values().any(|value| value.contains("models")));
        assert!(!raw, "no raw path is a label");
        assert_eq!(seen.sum("http_requests_in_flight", &[]), 0.0);
    }
}

mod ogx_s {
    use super::*;

    const ON: [(&str, &str); 1] = [("OSAPI_PROMETHEUS_ENABLED", "Yes")];

    #[tokio::test]
    async fn off_it_is_404_and_on_it_is_public() {
        let dir = tempfile::tempdir().unwrap();
        let off = [("OSAPI_PROMETHEUS_ENABLED", "0")];
        let server = up("ogx.yaml", dir.path(), &off);
        let (status, body) = server.get("/v1/metrics").await;
        assert_eq!(status, 404, "{body}");
        drop(server);
        let key = (
            "OSAPI_API__SIGNING_KEY",
            "a-key-that-is-long-enough-for-this-0123456789",
        );
        let server = up("ogx.yaml", dir.path(), &[ON[0], key]);
        let (status, _) = server.get("/job").await;
        assert_eq!(status, 401, "the API asks for a token");
        page(&server, "/v1/metrics").await;
        for path in ["/metrics", "/metrics.json", "/v1/metrics.json"] {
            assert_eq!(server.get(path).await.0, 404, "{path}");
        }
    }

    #[tokio::test]
    async fn its_three_metrics_don_t_count_the_scrape() {
        let dir = tempfile::tempdir().unwrap();
        let server = up("ogx.yaml", dir.path(), &ON);
        requests(&server).await;
        for _ in 0..3 {
            page(&server, "/v1/metrics").await;
        }
        let seen = page(&server, "/v1/metrics").await;
        let labels = ["method", "endpoint", "status"];
        assert_family(&seen, "ogx_requests_total", "counter", &labels);
        assert_family(&seen, "ogx_request_duration_seconds", "histogram", &labels);
        assert_family(&seen, "ogx_requests_in_flight", "gauge", &[]);
        assert_family(&seen, "ogx_jobs_created_total", "counter", &["operation"]);
        assert_eq!(
            seen.sum("ogx_requests_total", &[("endpoint", "/v1/metrics")]),
            0.0
        );
        let buckets = as_numbers(&bounds(&seen, "ogx_request_duration_seconds"));
        assert_eq!(buckets[0], 0.005, "seconds");
        assert_eq!(
            seen.sum(
                "ogx_requests_total",
                &[("method", "POST"), ("endpoint", "/job"), ("status", "201")]
            ),
            1.0
        );
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let server = up("ogx.yaml", dir.path(), &ON);
        let id = server.submit("sleep", json!({"seconds": 30})).await;
        let events = format!("/job/{id}/events");
        let mut stream = server.request(Method::GET, &events).send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());
        drop(stream);
        support::until("the client's going is seen", async || {
            let seen = page(&server, "/v1/metrics").await;
            // It had its status; one that goes before there is any counts as 499.
            let gone = [("endpoint", "/job/{id}/events"), ("status", "200")];
            (seen.sum("ogx_requests_total", &gone) == 1.0).then_some(())
        })
        .await;
        let seen = page(&server, "/v1/metrics").await;
        let failed: Vec<Value> = seen
            .samples()
            .filter(|s| {
                s.labels
                    .get("status")
                    .is_some_and(|status| status.starts_with('5'))
            })
            .map(|s| json!(s.labels))
            .collect();
        assert_eq!(failed, Vec::<Value>::new());
    }
}
