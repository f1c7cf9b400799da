//! Configuration as the program refuses and shows it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{osapi, output, spawn, stderr, stdout};

#[test]
fn a_bad_configuration_ends_with_64_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("osapi.yaml");
    fs::write(&file, "worker:\n  slots: 0\n").unwrap();
    let file = file.to_str().unwrap();
    let data = dir.path().join("data");
    for command in ["up", "api", "worker"] {
        let out = osapi(&[command, "--config", file])
            .env("OSAPI_QUEUE__SQLITE__PATH", data.join("queue.db"))
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(64), "{command}");
        assert_eq!(
            stderr(&out),
            format!(
                "osapi: {file}:2: `worker.slots`: invalid value: integer `0`, expected a whole number from 1 to 1024\n"
            )
        );
        assert_eq!(stdout(&out), "");
        assert!(!data.exists(), "{command} left something behind");
    }
}

#[test]
fn every_source_is_named_when_it_is_wrong() {
    for (args, said) in [
        (
            &["config", "check", "--set", "worker.slots=x"][..],
            "--set worker.slots: `worker.slots`: ",
        ),
        (
            &["config", "check", "--set", "worker.slot=1"],
            "did you mean `worker.slots`?",
        ),
        (
            &["config", "check", "--set", "nonsense"],
            "--set nonsense: expected KEY=VALUE",
        ),
        (&["up", "--listen", "nowhere"], "--listen: `api.listen`: "),
        (&["up", "--listen", "0.0.0.0:0"], "`api.insecure: true`"),
        (
            &["config", "check", "--config", "/no/such.yaml"],
            "/no/such.yaml",
        ),
        (
            &["api", "--set", "queue.nats.prefix=a.b"],
            "letters, digits",
        ),
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(64), "{args:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(said), "{}", stderr(&out));
        assert_eq!(stderr(&out).lines().count(), 1, "{}", stderr(&out));
    }
    let out = osapi(&["config", "check"])
        .env("OSAPI_LOG__LEVEL", "loud")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(64));
    assert!(stderr(&out).starts_with("osapi: OSAPI_LOG__LEVEL: `log.level`: "));
}

#[test]
fn show_tells_values_and_where_they_came_from() {
    let out = osapi(&[
        "config",
        "show",
        "--json",
        "--as",
        "up",
        "--set",
        "worker.slots=9",
        "-v",
    ])
    .env("OSAPI_LOG__FORMAT", "json")
    .env("OTEL_SERVICE_NAME", "shop")
    .env("OSAPI_SERVICE_HOST", "10.0.0.1")
    .env("OSAPI_PORT", "tcp://10.0.0.1:80")
    .output()
    .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let shown: Value = serde_json::from_str(&stdout(&out)).unwrap();
    for (key, value, origin) in [
        ("worker.slots", json!(9), "--set worker.slots"),
        ("log.format", json!("json"), "OSAPI_LOG__FORMAT"),
        ("log.level", json!("debug"), "-v"),
        ("telemetry.service_name", json!("shop"), "OTEL_SERVICE_NAME"),
        ("debug", json!(true), "default of osapi up"),
        ("queue.lease", json!("30s"), "default"),
    ] {
        assert_eq!(
            shown[key],
            json!({"value": value, "origin": origin}),
            "{key}"
        );
    }
    let text = stdout(&output(&["config", "show"]));
    let line = text
        .lines()
        .find(|l| l.starts_with("queue.lease: "))
        .unwrap();
    assert!(
        line.starts_with("queue.lease: \"30s\" ") && line.ends_with("# default"),
        "{line}"
    );
}

/// Every standard variable that can be wrong, with nonsense.
const NONSENSE: [(&str, &str); 23] = [
    ("OTEL_SDK_DISABLED", "yes"),
    ("OTEL_RESOURCE_ATTRIBUTES", "no-equals-sign"),
    ("OTEL_METRICS_EXPORTER", "statsd"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://c"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "thrift"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "ten"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "-1"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "br"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "=s3cret"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "s3cret"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "1s"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both"),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "sum",
    ),
    ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "BAD METHOD"),
];

fn assert_each_is_named_once(said: &str) {
    for (variable, _) in NONSENSE {
        let times = said.matches(&format!("{variable} is ignored: ")).count();
        assert_eq!(times, 1, "{variable}: {said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn bad_otel_variables_are_named_and_ignored_also_at_the_start() {
    let mut command = osapi(&["config", "check"]);
    let out = command.envs(NONSENSE).output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(stdout(&out), "the configuration is fine\n");
    let said = stderr(&out);
    assert!(
        said.lines()
            .all(|line| line.starts_with("osapi: warning: OTEL_"))
    );
    assert_each_is_named_once(&said);

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut command = osapi(&["up", "--listen", "127.0.0.1:0", "--data-dir", data]);
    command.envs(NONSENSE);
    let file = dir.path().join("osapi.addr");
    let server = spawn(command, dir.path(), |_| {
        let text = fs::read_to_string(&file).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    });
    server.signal(rustix::process::Signal::TERM);
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_each_is_named_once(&said);
}
