//! Configuration as the program refuses and shows it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{osapi, output, stderr, stdout};

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

#[test]
fn a_bad_otel_variable_warns_and_is_ignored() {
    let out = osapi(&["config", "check"])
        .env("OTEL_METRICS_EXPORTER", "statsd")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(stdout(&out), "the configuration is fine\n");
    assert!(stderr(&out).starts_with("osapi: warning: OTEL_METRICS_EXPORTER is ignored: "));
}
