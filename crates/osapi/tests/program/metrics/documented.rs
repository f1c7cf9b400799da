//! `docs/metrics.md` is made from the catalogue. A page that is out of date is repaired, and with
//! `CI` set the test fails.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use osapi::metrics::catalogue::{self, Kind, Metric, Owner, Process};

use super::exposed::{exposed, labels};

const HEAD: &str = "\
# Metrics

<!-- Made from crates/osapi/src/metrics/catalogue.rs by the tests of osapi: edit that, run
`cargo test -p osapi documented`, and commit both. -->

Every metric osapi exposes on `/metrics`, and under the same names on `/metrics.json`. `osapi up` is an
API and a worker in one process and exposes all of them.

- The prefix `osapi` is `telemetry.metrics.namespace`; the OpenTelemetry name is given beside the name
  in Prometheus. Names are shown as `telemetry.metrics.translation: underscores_with_suffixes` makes
  them.
- Every series also has `otel_scope_name`, and `otel_scope_version` where the scope has one, unless
  `telemetry.metrics.scope_labels` is off. `target_info` carries the resource.
- Counters of jobs begin at zero for every operation. Other counters and histograms with labels appear with
  their first measurement.
- Gauges of the queue and the fleet are at most two seconds old. An older reading is left out.
";

const SECTIONS: [(Owner, &str, &str); 3] = [
    (
        Owner::Osapi,
        "Jobs, workers and the queue",
        "A job for all workers is one unit of work for each of them. Created and completed are counted \
         once per unit, duration and processed once per attempt. `osapi_nats_*` are there with `queue.backend: nats`.",
    ),
    (
        Owner::Http,
        "HTTP requests to the API",
        "A request ends with the last byte of its answer. The metrics paths are not counted. \
         `error_type` is there only on failures: the status for 5xx, `panic`, `cancelled` (the client \
         went away) or `body_error`. `http_route` is missing where no route matched, \
         `http_response_status_code` where there was no answer. A method not of the standards is `_OTHER`.",
    ),
    (
        Owner::Meterline,
        "The process and its metrics",
        "From the kernel, the tokio runtime, and the metrics pipeline itself.",
    ),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (owner, title, about) in SECTIONS {
        let all = || catalogue::ALL.iter().chain(catalogue::NATS);
        let rows = || all().filter(|row| row.owner == owner);
        write!(
            page,
            "\n## {title}\n\n{about}\n\n\
             | Prometheus | OpenTelemetry | kind | unit | labels | from | meaning |\n\
             |---|---|---|---|---|---|---|\n"
        )
        .unwrap();
        rows().for_each(|row| page += &line(row));
        page += "\nBuckets:\n\n";
        rows().for_each(|row| page += &buckets(row));
    }
    page
}

fn line(row: &Metric) -> String {
    let shown = exposed(row);
    let or_dash = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    let labels: Vec<_> = labels(row).iter().map(|name| format!("`{name}`")).collect();
    let from = match row.from {
        Process::Api => "api",
        Process::Worker => "worker",
        Process::Both => "both",
    };
    format!(
        "| `{}` | `{}` | {} | {} | {} | {from} | {} |\n",
        shown.name,
        row.name_in("osapi"),
        shown.kind,
        or_dash(shown.unit),
        or_dash(labels.join(", ")),
        shown.help,
    )
}

fn buckets(row: &Metric) -> String {
    let Kind::Histogram(bounds) = row.kind else {
        return String::new();
    };
    let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
    format!("- `{}`: {}\n", exposed(row).name, bounds.join(", "))
}

#[test]
fn the_documentation_is_made_from_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let is = fs::read_to_string(&path).unwrap_or_default();
    let wanted = page();
    if is == wanted {
        return;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "docs/metrics.md is out of date: run `cargo test -p osapi documented` and commit it"
    );
    fs::write(&path, wanted).unwrap();
}

#[test]
fn names_are_distinct_and_help_is_a_sentence() {
    let mut seen = std::collections::BTreeSet::new();
    for row in catalogue::ALL {
        let shown = exposed(row);
        assert!(seen.insert(shown.name.clone()), "{} twice", shown.name);
        assert!(shown.help.ends_with('.'), "{}: {}", shown.name, shown.help);
        assert!(!shown.help.contains('|'), "it would break the table");
        if !shown.unit.is_empty() {
            assert!(shown.name.contains(&shown.unit), "{shown:?}");
        }
    }
}
