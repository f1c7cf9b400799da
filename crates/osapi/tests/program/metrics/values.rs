//! Scripted work, and the numbers it implies.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::page::{Implied, Labels, Page, scrape};
use crate::support::{Server, job, read, until, up};

/// Submits a `sleep` and waits for its end.
async fn run(server: &Server, data: Value, end: &str) -> String {
    let id = server.submit("sleep", data).await;
    server.wait(&id, &[end]).await;
    id
}

async fn for_host(server: &Server, host: &str) -> String {
    let mut job = job("sleep", json!({"seconds": 0}));
    job["target_hostname"] = json!(host);
    let (status, accepted) = server.post("/job", &job).await;
    assert_eq!(status, 201, "{accepted}");
    accepted["job_id"].as_str().unwrap().to_owned()
}

async fn delete(server: &Server, id: &str) {
    let answer = read(server.request(Method::DELETE, &format!("/job/{id}"))).await;
    assert_eq!(answer.0, 204, "{answer:?}");
}

/// One unit each unless said otherwise; of `sleep`:
///
/// | what | units | attempts |
/// |---|---|---|
/// | batch of 3 | 3 completed | 3 completed |
/// | single, twice with one key | 1 completed | 1 completed |
/// | fails once | 1 completed | 1 retried, 1 completed |
/// | fails always | 1 failed | 1 retried, 1 failed |
/// | that one again | 1 failed | 1 retried, 1 failed |
/// | for all of 2 workers | 2 completed | 2 completed |
/// | cancelled while waiting | 1 cancelled | none |
/// | cancelled while running | 1 cancelled | 1 cancelled |
/// | still waiting | 1 | none |
async fn script(server: &Server) {
    let host = server.submit("node.hostname.get", json!({})).await;
    server.wait(&host, &["completed"]).await;

    let quick = job("sleep", json!({"seconds": 0}));
    let batch = json!({"jobs": [quick, quick, quick]});
    let (status, accepted) = server.post("/job/batch", &batch).await;
    assert_eq!(status, 201, "{accepted}");
    for job in accepted["jobs"].as_array().unwrap() {
        server
            .wait(job["job_id"].as_str().unwrap(), &["completed"])
            .await;
    }
    for status in [201, 200] {
        let request = server.request(Method::POST, "/job").json(&quick);
        let (is, accepted) = read(request.header("idempotency-key", "once")).await;
        assert_eq!(is, status);
        server
            .wait(accepted["job_id"].as_str().unwrap(), &["completed"])
            .await;
    }
    run(
        server,
        json!({"seconds": 0, "fail_attempts": 1}),
        "completed",
    )
    .await;
    let failed = run(server, json!({"seconds": 0, "fail_attempts": 9}), "failed").await;
    let (status, again) = server
        .post(&format!("/job/{failed}/retry"), &json!({}))
        .await;
    assert_eq!(status, 201, "{again}");
    server
        .wait(again["job_id"].as_str().unwrap(), &["failed"])
        .await;
    let all = for_host(server, "_all").await;
    server.wait(&all, &["completed"]).await;

    let waiting = for_host(server, "nobody").await;
    delete(server, &waiting).await;
    let running = server.submit("sleep", json!({"seconds": 600})).await;
    server.wait(&running, &["processing"]).await;
    until("one attempt runs", async || {
        let page = scrape(server).await;
        let active = page.sum("osapi_jobs_active", &[]);
        let used = page.sum("osapi_worker_slots", &[("state", "used")]);
        (active == 1.0 && used == 1.0).then_some(())
    })
    .await;
    delete(server, &running).await;
    for_host(server, "nobody").await;
}

const SLEEP: (&str, &str) = ("operation", "sleep");

/// What the script implies.
#[rustfmt::skip]
const IMPLIED: &[Implied] = &[
    ("osapi_jobs_created_total", &[SLEEP], 12.0),
    ("osapi_jobs_created_total", &[("operation", "node.hostname.get")], 1.0),
    ("osapi_jobs_completed_total", &[SLEEP, ("status", "completed")], 7.0),
    ("osapi_jobs_completed_total", &[SLEEP, ("status", "failed")], 2.0),
    ("osapi_jobs_completed_total", &[SLEEP, ("status", "cancelled")], 2.0),
    ("osapi_jobs_completed_total", &[], 12.0),
    ("osapi_job_duration_seconds_count", &[SLEEP, ("status", "completed")], 7.0),
    ("osapi_job_duration_seconds_count", &[SLEEP, ("status", "retried")], 3.0),
    ("osapi_job_duration_seconds_count", &[SLEEP, ("status", "failed")], 2.0),
    ("osapi_job_duration_seconds_count", &[SLEEP, ("status", "cancelled")], 1.0),
    ("osapi_job_duration_seconds_count", &[], 14.0),
    ("osapi_job_duration_seconds_bucket", &[SLEEP, ("le", "+Inf")], 13.0),
    ("osapi_job_wait_seconds_count", &[SLEEP], 13.0),
    ("osapi_job_retries_total", &[SLEEP], 3.0),
    ("osapi_jobs_active", &[SLEEP], 0.0),
    ("osapi_jobs_queued", &[("state", "submitted")], 1.0),
    ("osapi_jobs_queued", &[("state", "retrying")], 0.0),
    ("osapi_jobs_queued", &[("state", "processing")], 0.0),
    ("osapi_jobs_queued", &[("state", "dlq")], 1.0),
    ("osapi_workers_connected", &[("state", "ready")], 2.0),
    ("osapi_workers_connected", &[("state", "draining")], 0.0),
    ("osapi_workers_connected", &[("state", "lost")], 0.0),
    ("osapi_worker_jobs_processed_total", &[("status", "completed")], 8.0),
    ("osapi_worker_jobs_processed_total", &[("status", "retried")], 3.0),
    ("osapi_worker_jobs_processed_total", &[("status", "failed")], 2.0),
    ("osapi_worker_jobs_processed_total", &[("status", "cancelled")], 1.0),
    ("osapi_worker_slots", &[("worker", "w"), ("state", "free")], 3.0),
    ("osapi_worker_slots", &[("worker", "w-2"), ("state", "free")], 3.0),
    ("osapi_worker_slots", &[("state", "used")], 0.0),
    ("osapi_component_up", &[], 1.0),
    ("osapi_subsystem_up", &[("subsystem", "queue")], 1.0),
    ("osapi_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ("http_server_active_requests", &[], 0.0),
    ("http_server_request_total", &[("http_route", "/job"), POST, ("http_response_status_code", "201")], 8.0),
    ("http_server_request_total", &[("http_route", "/job"), POST, ("http_response_status_code", "200")], 1.0),
    ("http_server_request_total", &[("http_route", "/job/batch"), POST], 1.0),
    ("http_server_request_total", &[("http_route", "/job/{id}/retry"), POST], 1.0),
    ("http_server_request_total", &[("http_response_status_code", "204")], 2.0),
    ("http_server_request_duration_seconds_count", &[POST], 11.0),
    ("http_server_request_body_size_bytes_count", &[POST], 11.0),
    ("http_server_response_body_size_bytes_count", &[POST], 11.0),
    ("meterline_series_overflowed_total", &[], 0.0),
    ("meterline_points_dropped_total", &[], 0.0),
];
const POST: (&str, &str) = ("http_request_method", "POST");

fn wrong(page: &Page) -> Vec<String> {
    let implied = IMPLIED.iter();
    implied
        .filter_map(|(name, labels, value)| {
            let is = page.sum(name, labels);
            (is != *value).then(|| format!("{name}{labels:?} is {is}, not {value}"))
        })
        .collect()
}

#[tokio::test]
async fn work_implies_exact_numbers_on_both_pages() {
    let server = up(&[
        "--workers",
        "2",
        "--set",
        "worker.name=w",
        "--set",
        "worker.slots=3",
        "--set",
        "queue.max_attempts=2",
        "--set",
        "queue.retry.base=10ms",
    ]);
    script(&server).await;
    // Gauges of the queue follow within two seconds, a worker's news of a cancellation as well.
    let since = std::time::Instant::now();
    let page = loop {
        let page = scrape(&server).await;
        let wrong = wrong(&page);
        if wrong.is_empty() {
            break page;
        }
        assert!(since.elapsed() < crate::support::DEADLINE, "{wrong:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(page.sum("osapi_jobs_oldest_waiting_seconds", &[]) > 0.0);
    let ran = page.sum("osapi_job_duration_seconds_sum", &[("status", "cancelled")]);
    assert!(ran > 0.0 && ran < 600.0, "{ran}");

    let (status, json) = server.get("/metrics.json").await;
    assert_eq!(status, 200);
    json["timestamp"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    let database = &json["database"];
    assert_eq!(database["backend"], "sqlite");
    for key in [
        "connections",
        "connections_idle",
        "queries_total",
        "size_bytes",
    ] {
        assert!(database[key].is_u64(), "{database}");
    }
    assert!(database["queries_total"].as_u64() > Some(20));

    // Nothing happens between the two pages but the passing of time.
    let steady = |name: &str| {
        ["osapi_job", "osapi_worker", "http_server_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            && !name.contains("heartbeat")
            && !name.contains("oldest")
    };
    let text: BTreeMap<_, _> = page
        .samples()
        .filter(|sample| steady(&sample.name))
        .map(|sample| {
            let mut labels = sample.labels.clone();
            if let Some(le) = labels.get_mut("le") {
                *le = bound(le.parse().unwrap());
            }
            ((sample.name.clone(), labels), sample.value)
        })
        .collect();
    let mut same = numbers(&json);
    same.retain(|(name, _), _| steady(name));
    assert_eq!(same.len(), text.len());
    for (series, value) in &text {
        // The JSON reader of this test may be off by one in the last place.
        let difference = (same[series] - value).abs();
        assert!(difference <= value.abs() * 1e-15, "{series:?}");
    }
}

/// A bucket's bound, written one way for both pages.
fn bound(le: f64) -> String {
    le.to_string()
}

/// The JSON page as samples.
fn numbers(page: &Value) -> BTreeMap<(String, Labels), f64> {
    let mut numbers = BTreeMap::new();
    for family in page["metrics"].as_array().unwrap() {
        let name = family["name"].as_str().unwrap();
        for series in family["series"].as_array().unwrap() {
            let labels: Labels = serde_json::from_value(series["labels"].clone()).unwrap();
            let mut add = |suffix: &str, labels: Labels, value: &Value| {
                numbers.insert((format!("{name}{suffix}"), labels), value.as_f64().unwrap());
            };
            if family["type"] != "histogram" {
                add("", labels, &series["value"]);
                continue;
            }
            add("_sum", labels.clone(), &series["sum"]);
            add("_count", labels.clone(), &series["count"]);
            for bucket in series["buckets"].as_array().unwrap() {
                let le = match &bucket[0] {
                    Value::String(infinite) => infinite.parse().unwrap(),
                    number => number.as_f64().unwrap(),
                };
                let mut labels = labels.clone();
                labels.insert("le".to_owned(), bound(le));
                add("_bucket", labels, &bucket[1]);
            }
        }
    }
    numbers
}
