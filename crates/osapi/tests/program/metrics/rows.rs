//! Every row of the catalogue on the pages of real processes that did real work, and nothing else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use osapi::metrics::catalogue::{self, Kind, Metric, Owner, Process};
use reqwest::Method;
use serde_json::json;

use super::exposed::{exposed, labels};
use super::page::{Family, Page, scrape};
use crate::support::{self, DEADLINE, Server, job, start, up, worker};

const QUICK: [&str; 4] = ["--set", "queue.lease=1s", "--set", "queue.retry.base=10ms"];

/// The contract: name, type, labels, and who exposes it. Kept apart from the catalogue, so that a
/// change of a row is a decision about what dashboards rely on.
const RELIED_ON: &[(&str, &str, &str, Process)] = &[
    (
        "http_server_active_requests",
        "gauge",
        "http_request_method url_scheme",
        Process::Api,
    ),
    (
        "http_server_request_total",
        "counter",
        "http_request_method http_response_status_code http_route",
        Process::Api,
    ),
    (
        "http_server_request_duration_seconds",
        "histogram",
        HTTP,
        Process::Api,
    ),
    (
        "http_server_request_body_size_bytes",
        "histogram",
        HTTP,
        Process::Api,
    ),
    (
        "http_server_response_body_size_bytes",
        "histogram",
        HTTP,
        Process::Api,
    ),
    (
        "osapi_jobs_created_total",
        "counter",
        "operation",
        Process::Api,
    ),
    (
        "osapi_jobs_completed_total",
        "counter",
        "operation status",
        Process::Both,
    ),
    (
        "osapi_job_duration_seconds",
        "histogram",
        "operation status",
        Process::Worker,
    ),
    (
        "osapi_job_wait_seconds",
        "histogram",
        "operation",
        Process::Worker,
    ),
    ("osapi_jobs_active", "gauge", "operation", Process::Worker),
    (
        "osapi_job_retries_total",
        "counter",
        "operation",
        Process::Worker,
    ),
    (
        "osapi_jobs_rescued_total",
        "counter",
        "operation",
        Process::Both,
    ),
    (
        "osapi_job_late_results_total",
        "counter",
        "operation",
        Process::Worker,
    ),
    ("osapi_jobs_queued", "gauge", "state", Process::Api),
    (
        "osapi_jobs_oldest_waiting_seconds",
        "gauge",
        "",
        Process::Api,
    ),
    ("osapi_workers_connected", "gauge", "state", Process::Api),
    (
        "osapi_worker_jobs_processed_total",
        "counter",
        "status worker",
        Process::Worker,
    ),
    (
        "osapi_worker_slots",
        "gauge",
        "state worker",
        Process::Worker,
    ),
    (
        "osapi_worker_heartbeat_age_seconds",
        "gauge",
        "worker",
        Process::Api,
    ),
    ("osapi_component_up", "gauge", "", Process::Both),
    ("osapi_subsystem_up", "gauge", "subsystem", Process::Both),
    (
        "osapi_build_info",
        "gauge",
        "revision rustc version",
        Process::Both,
    ),
    ("process_cpu_seconds_total", "counter", "", Process::Both),
    ("process_resident_memory_bytes", "gauge", "", Process::Both),
    ("process_virtual_memory_bytes", "gauge", "", Process::Both),
    ("process_open_fds", "gauge", "", Process::Both),
    ("process_max_fds", "gauge", "", Process::Both),
    ("process_threads", "gauge", "", Process::Both),
    ("process_start_time_seconds", "gauge", "", Process::Both),
    ("tokio_workers", "gauge", "", Process::Both),
    ("tokio_alive_tasks", "gauge", "", Process::Both),
    ("tokio_global_queue_depth", "gauge", "", Process::Both),
    (
        "tokio_worker_busy_seconds_total",
        "counter",
        "",
        Process::Both,
    ),
    (
        "meterline_scrape_duration_seconds",
        "histogram",
        "",
        Process::Both,
    ),
    ("meterline_scrape_size_bytes", "gauge", "", Process::Both),
    ("meterline_collections_total", "counter", "", Process::Both),
    (
        "meterline_collection_time_seconds_total",
        "counter",
        "",
        Process::Both,
    ),
    ("meterline_series", "gauge", "", Process::Both),
    (
        "meterline_series_overflowed_total",
        "counter",
        "",
        Process::Both,
    ),
    (
        "meterline_points_dropped_total",
        "counter",
        "reason",
        Process::Both,
    ),
    (
        "meterline_otlp_exports_total",
        "counter",
        "outcome",
        Process::Both,
    ),
];
const HTTP: &str = "error_type http_request_method http_response_status_code http_route \
                    network_protocol_version url_scheme";

#[test]
fn the_catalogue_holds_what_dashboards_rely_on() {
    for (name, kind, wanted, from) in RELIED_ON {
        let row = catalogue::ALL.iter().find(|row| exposed(row).name == *name);
        let row = row.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(exposed(row).kind, *kind, "{name}");
        let have: Vec<_> = labels(row).into_iter().collect();
        assert_eq!(have.join(" "), *wanted, "{name}");
        assert_eq!(row.from, *from, "{name}");
    }
}

/// Work that touches everything a process without others' help can touch.
async fn work(api: &Server) {
    for data in [
        json!({"seconds": 0}),
        json!({"seconds": 0, "fail_attempts": 1}),
    ] {
        let id = api.submit("sleep", data).await;
        api.wait(&id, &["completed"]).await;
    }
    let mut waiting = job("sleep", json!({"seconds": 0}));
    waiting["target_hostname"] = json!("nobody");
    let (_, accepted) = api.post("/job", &waiting).await;
    let path = format!("/job/{}", accepted["job_id"].as_str().unwrap());
    // A stream that the client does not wait for is a request cancelled.
    let mut events = api
        .request(Method::GET, &format!("{path}/events"))
        .send()
        .await
        .unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    drop(events);
    let deleted = api.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
}

/// The page once it has everything that only comes in a while: readings of the queue, and a request
/// whose client went away. If that takes too long, what there is then.
async fn complete(server: &Server, rows: &[&Metric]) -> Page {
    let since = Instant::now();
    loop {
        let page = scrape(server).await;
        let there = |row: &&Metric| {
            let family = page.families.get(&exposed(row).name);
            family.is_some_and(|family| seen(family) == labels(row))
        };
        if rows.iter().all(there) || since.elapsed() > DEADLINE {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The labels a family's series have between them, but for those of scopes and buckets.
fn seen(family: &Family) -> BTreeSet<String> {
    let keys = family
        .samples
        .iter()
        .flat_map(|sample| sample.labels.keys());
    keys.filter(|key| !key.starts_with("otel_scope_") && *key != "le")
        .cloned()
        .collect()
}

/// The scope a row's instrument belongs to.
fn scope(row: &Metric) -> &'static str {
    match row.owner {
        Owner::Osapi => "osapi",
        Owner::Http => "meterline-http",
        Owner::Meterline => "meterline",
    }
}

/// Holds a page against rows: each is there as the catalogue says, and nothing else is.
fn holds(page: &Page, rows: &[&Metric]) {
    let mut known = BTreeSet::from(["target_info".to_owned()]);
    for row in rows {
        let wanted = exposed(row);
        let family = page.families.get(&wanted.name);
        let family = family.unwrap_or_else(|| panic!("{} is not on the page", wanted.name));
        assert_eq!(family.kind, wanted.kind, "{}", wanted.name);
        assert_eq!(family.help, wanted.help, "{}", wanted.name);
        assert!(!family.samples.is_empty(), "{}", wanted.name);
        assert_eq!(seen(family), labels(row), "{}", wanted.name);
        for sample in &family.samples {
            assert_eq!(
                sample.labels["otel_scope_name"],
                scope(row),
                "{}",
                wanted.name
            );
            assert!(
                sample.value.is_finite(),
                "{} is {}",
                wanted.name,
                sample.value
            );
        }
        if let Kind::Histogram(bounds) = row.kind {
            let mut shown: Vec<f64> = family
                .samples
                .iter()
                .filter_map(|sample| sample.labels.get("le")?.parse().ok())
                .collect();
            shown.sort_by(f64::total_cmp);
            shown.dedup();
            assert_eq!(shown.pop(), Some(f64::INFINITY), "{}", wanted.name);
            assert_eq!(shown, bounds, "{}", wanted.name);
        }
        known.insert(wanted.name);
    }
    for name in page.families.keys() {
        assert!(known.contains(name), "{name} is not in the catalogue");
    }
}

fn rows_of(process: Process) -> Vec<&'static Metric> {
    let rows = catalogue::ALL.iter();
    rows.filter(|row| process == Process::Both || row.from == Process::Both || row.from == process)
        .collect()
}

#[tokio::test]
async fn one_process_exposes_every_row() {
    let mut killed = up(&QUICK);
    let id = killed.submit("sleep", json!({"seconds": 0.5})).await;
    killed.wait(&id, &["processing"]).await;
    killed.kill();
    let dir = killed.dir.to_str().unwrap().to_owned();
    let mut args = vec!["up", "--listen", "127.0.0.1:0", "--data-dir", &dir];
    args.extend(QUICK);
    let server = start(&args, &killed.dir);
    server.wait(&id, &["completed"]).await;
    work(&server).await;
    let rows = rows_of(Process::Both);
    holds(&complete(&server, &rows).await, &rows);
}

#[tokio::test]
async fn two_processes_expose_each_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["--set", "debug=true"];
    args.extend(QUICK);
    let api = support::api(dir.path(), &args);
    let mut lost = worker(dir.path(), "lost", &args);
    let id = api.submit("sleep", json!({"seconds": 0.5})).await;
    api.wait(&id, &["processing"]).await;
    lost.kill();
    let worker = worker(dir.path(), "w", &args);
    api.wait(&id, &["completed"]).await;
    work(&api).await;
    // Whichever process comes first takes back what a vanished worker held.
    let rescued = exposed(&catalogue::JOBS_RESCUED).name;
    let mut total = 0.0;
    for (server, process) in [(&api, Process::Api), (&worker, Process::Worker)] {
        let mut rows = rows_of(process);
        let page = scrape(server).await;
        if !page.families.contains_key(&rescued) {
            rows.retain(|row| exposed(row).name != rescued);
        }
        total += page.sum(&rescued, &[]);
        holds(&complete(server, &rows).await, &rows);
    }
    assert_eq!(total, 1.0);
}

mod with_nats {
    use xtask::NatsServer;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn over_a_broker_both_processes_expose_its_rows() {
        let broker = tokio::task::spawn_blocking(NatsServer::start)
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("queue.nats.url={}", broker.url());
        let args = [
            "--set",
            "debug=true",
            "--set",
            "queue.backend=nats",
            "--set",
            &url,
        ];
        let (api, worker) = (
            support::api(dir.path(), &args),
            worker(dir.path(), "w", &args),
        );
        let rows: Vec<_> = catalogue::NATS.iter().collect();
        for server in [&api, &worker] {
            let page = complete(server, &rows).await;
            for row in &rows {
                let wanted = exposed(row);
                let family = page.families.get(&wanted.name);
                let family = family.unwrap_or_else(|| panic!("no {} on the page", wanted.name));
                assert_eq!((&*family.kind, &family.help), (wanted.kind, &wanted.help));
                assert_eq!(seen(family), labels(row), "{}", wanted.name);
            }
        }
    }
}
