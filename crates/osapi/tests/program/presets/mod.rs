//! The presets of the three origin systems: each goes through its list, point by point, and through the
//! faults of the origin that must not be here. What is no matter of a preset is shown elsewhere: one worker
//! for a job for any, leases, retries and dead letters in `queue_contract`; slots and panicking handlers in
//! `worker`; exact counts in `metrics::values`; refused starts, signals and the order of ending in `life` and
//! `faults`; lost workers and brokers in `many_hosts`; panics of handlers in `meterline-http`'s `endings`;
//! rules and dashboards in `monitoring`.

mod ogx;
mod ollamamax;
mod osapi;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::metrics::page::Page;
use crate::support::{self, Server, spawn};

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
    let mut command = support::osapi(&args);
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

/// The units on the page as OpenMetrics: every family in seconds or bytes says so.
async fn assert_units(server: &Server, path: &str) {
    let ask = server.request(Method::GET, path);
    let ask = ask.header("accept", "application/openmetrics-text;version=1.0.0");
    let text = ask.send().await.unwrap().text().await.unwrap();
    let mut with_units = 0;
    for line in text.lines() {
        let Some(name) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let name = name.split(' ').next().unwrap();
        for unit in ["seconds", "bytes"] {
            if name.ends_with(&format!("_{unit}")) {
                let said = format!("# UNIT {name} {unit}");
                assert!(text.lines().any(|line| line == said), "no {said:?}");
                with_units += 1;
            }
        }
    }
    assert!(with_units > 3, "{text}");
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
