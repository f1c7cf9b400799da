//! What is refused, and how that reads.

use std::path::PathBuf;

use super::{from_env, from_flag, from_yaml};
use crate::config::{ConfigError, Sources};

#[test]
fn refused_values_name_the_place_and_what_is_allowed() {
    let cases = [
        (
            "worker:\n  slots: 0\n",
            2,
            "worker.slots",
            "a whole number from 1 to 1024",
        ),
        (
            "worker:\n  slots: many\n",
            2,
            "worker.slots",
            "a whole number from 1 to 1024",
        ),
        (
            "worker:\n  slots: 1.5\n",
            2,
            "worker.slots",
            "a whole number from 1 to 1024",
        ),
        (
            "worker:\n  slots: [1]\n",
            2,
            "worker.slots",
            "a whole number from 1 to 1024",
        ),
        (
            "worker:\n  slots: -1\n",
            2,
            "worker.slots",
            "a whole number from 1 to 1024",
        ),
        (
            "worker:\n  name: a/b\n",
            2,
            "worker.name",
            "letters, digits",
        ),
        (
            "worker:\n  allow_commands: [uptime, bin/x]\n",
            2,
            "worker.allow_commands",
            "\"bin/x\" is neither the name of a program",
        ),
        (
            "worker:\n  allow_commands: [./x]\n",
            2,
            "worker.allow_commands",
            "nor an absolute path",
        ),
        (
            "worker:\n  allow_commands: [..]\n",
            2,
            "worker.allow_commands",
            "nor an absolute path",
        ),
        (
            "worker:\n  allow_commands: [/usr/../x]\n",
            2,
            "worker.allow_commands",
            "nor an absolute path",
        ),
        (
            "worker:\n  allow_commands: [/bin/]\n",
            2,
            "worker.allow_commands",
            "nor an absolute path",
        ),
        (
            "worker:\n  allow_commands: ['']\n",
            2,
            "worker.allow_commands",
            "nor an absolute path",
        ),
        (
            "worker:\n  labels: [a]\n",
            2,
            "worker.labels",
            "expected a map",
        ),
        (
            "worker:\n  drain_timeout: 30\n",
            2,
            "worker.drain_timeout",
            "with its unit",
        ),
        (
            "log:\n  level: loud\n",
            2,
            "log.level",
            "`error`, `warn`, `info`",
        ),
        ("log:\n  format: xml\n", 2, "log.format", "`text` or `json`"),
        ("debug: perhaps\n", 1, "debug", "true or false"),
        ("api:\n  listen: 8080\n", 2, "api.listen", "HOST:PORT"),
        (
            "api:\n  listen: 300.0.0.1:80\n",
            2,
            "api.listen",
            "HOST:PORT",
        ),
        (
            "api:\n  listen: 127.0.0.1:99999\n",
            2,
            "api.listen",
            "HOST:PORT",
        ),
        (
            "api:\n  listen: 0.0.0.0:8080\n",
            2,
            "api.listen",
            "`api.insecure: true`",
        ),
        (
            "api:\n  max_body_bytes: 1\n",
            2,
            "api.max_body_bytes",
            "from 1024 to 67108864",
        ),
        (
            "queue:\n  lease: 0s\n",
            2,
            "queue.lease",
            "longer than zero",
        ),
        (
            "queue:\n  lease: 100ms\n",
            2,
            "queue.lease",
            "from 1s to 1h",
        ),
        (
            "queue:\n  lease: soon\n",
            2,
            "queue.lease",
            "such as 250ms, 30s or 5m",
        ),
        (
            "queue:\n  max_attempts: 0\n",
            2,
            "queue.max_attempts",
            "from 1 to 1000",
        ),
        (
            "queue:\n  backend: redis\n",
            2,
            "queue.backend",
            "`sqlite` or `nats`",
        ),
        (
            "queue:\n  retry: {base: 10m}\n",
            2,
            "queue.retry.base",
            "longer than `queue.retry.max`",
        ),
        (
            "queue:\n  sqlite: {path: ''}\n",
            2,
            "queue.sqlite.path",
            "text that is not empty",
        ),
        (
            "queue:\n  sqlite: {path: /}\n",
            2,
            "queue.sqlite.path",
            "the path of a file",
        ),
        (
            "telemetry:\n  metrics:\n    path: metrics\n",
            3,
            "telemetry.metrics.path",
            "a path such as /metrics",
        ),
        (
            "telemetry:\n  metrics:\n    path: /{x}\n",
            3,
            "telemetry.metrics.path",
            "a path such as /metrics",
        ),
        (
            "telemetry:\n  metrics:\n    path: /job/metrics\n",
            3,
            "telemetry.metrics.path",
            "/job belongs to the API",
        ),
        (
            "telemetry:\n  metrics:\n    json_path: /metrics\n",
            3,
            "telemetry.metrics.json_path",
            "a path of its own",
        ),
        (
            "telemetry:\n  metrics:\n    listen: 0.0.0.0:9090\n",
            3,
            "telemetry.metrics.listen",
            "`api.insecure: true`",
        ),
        (
            "telemetry:\n  metrics:\n    formats: [text, csv]\n",
            3,
            "telemetry.metrics.formats",
            "`text`, `openmetrics`, `protobuf`",
        ),
        (
            "telemetry:\n  metrics:\n    formats: []\n",
            3,
            "telemetry.metrics.formats",
            "at least one",
        ),
        (
            "telemetry:\n  metrics:\n    namespace: 9lives\n",
            3,
            "telemetry.metrics.namespace",
            "a letter followed by",
        ),
        (
            "telemetry:\n  metrics:\n    cardinality_limit: 0\n",
            3,
            "telemetry.metrics.cardinality_limit",
            "from 1 to",
        ),
        (
            "telemetry:\n  metrics:\n    http:\n      buckets: [x]\n",
            4,
            "telemetry.metrics.http.buckets[0]",
            "expected a number such as 0.25",
        ),
        (
            "telemetry:\n  metrics:\n    http:\n      buckets: [2, 1]\n",
            4,
            "telemetry.metrics.http.buckets",
            "each above the one before",
        ),
        (
            "telemetry:\n  metrics:\n    http:\n      exclude: [health]\n",
            4,
            "telemetry.metrics.http.exclude",
            "expected paths",
        ),
        (
            "telemetry:\n  service_name: ' '\n",
            2,
            "telemetry.service_name",
            "not empty",
        ),
        ("worker: 5\n", 1, "worker", "expected a mapping"),
        ("- a\n- b\n", 1, "the file", "expected a mapping"),
    ];
    for (text, line, key, allowed) in cases {
        let error = from_yaml(text).expect_err(text).to_string();
        assert!(
            error.contains(&format!("osapi.yaml:{line}: `{key}")),
            "{text}{error}"
        );
        assert!(error.contains(allowed), "{text}{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let cases = [
        ("workers:\n  slots: 1\n", 1, "`workers`", "; "),
        (
            "worker:\n  slot: 1\n",
            2,
            "`worker.slot`",
            "did you mean `worker.slots`?",
        ),
        (
            "telemetry:\n  metrics:\n    cardinality: 1\n",
            3,
            "`telemetry.metrics.cardinality`",
            "did you mean `telemetry.metrics.cardinality_limit`?",
        ),
        ("zzz: 1\n", 1, "`zzz`", "`osapi config show` lists"),
        ("worker.slots: 1\n", 1, "`worker.slots`", "unknown key"),
    ];
    for (text, line, key, hint) in cases {
        let error = from_yaml(text).expect_err(text).to_string();
        assert!(
            error.contains(&format!("osapi.yaml:{line}: unknown key {key}")),
            "{error}"
        );
        assert!(error.contains(hint), "{error}");
    }
    let error = from_env(&[("OSAPI_WORKER__SLOT", "1")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "OSAPI_WORKER__SLOT: unknown key `worker.slot`; did you mean `worker.slots`?"
    );
    let error = from_flag("worker.slot=1").unwrap_err().to_string();
    assert_eq!(
        error,
        "--set worker.slot: unknown key `worker.slot`; did you mean `worker.slots`?"
    );
    let error = from_flag("queue.retry=1s").unwrap_err().to_string();
    assert_eq!(
        error,
        "--set queue.retry: `queue.retry`: is a section; set one of its keys: base, max"
    );
    let error = from_flag("worker.slots").unwrap_err().to_string();
    assert_eq!(
        error,
        "--set worker.slots: expected KEY=VALUE such as --set worker.slots=8"
    );
}

#[test]
fn files_that_are_not_configuration() {
    let missing = Sources {
        file: Some(PathBuf::from("/nonexistent/osapi.yaml")),
        ..Sources::default()
    };
    let error = missing.load().unwrap_err().to_string();
    assert!(error.starts_with("cannot read the configuration file /nonexistent/osapi.yaml: "));

    assert_eq!(
        from_yaml("").unwrap().config,
        crate::config::Config::default()
    );
    assert_eq!(
        from_yaml("# nothing\n").unwrap().config,
        crate::config::Config::default()
    );
}

#[test]
fn files_that_are_not_yaml_are_refused_in_an_operators_words() {
    let bomb = format!(
        "a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: &d [{}]\ne: &e [{}]\nf: [{}]\n",
        "x,".repeat(50),
        "*a,".repeat(50),
        "*b,".repeat(50),
        "*c,".repeat(50),
        "*d,".repeat(50),
        "*e,".repeat(50)
    );
    let many = format!("a: [{}]\n", "x,".repeat(300_000));
    let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
    let deeper = format!("a: {}\n", "[".repeat(5_000));
    for (text, line, said) in [
        ("worker: [unclosed\n", 1, "unclosed bracket"),
        (
            "debug: true\ndebug: false\n",
            2,
            "`debug` stands here twice",
        ),
        ("debug: true\n---\ndebug: true\n", 3, "a second document"),
        (
            "debug: true\n  bad: indent\n",
            2,
            "mapping values are not allowed",
        ),
        ("worker:\n\tslots: 1\n", 2, "tabs"),
        ("debug: *other\n", 1, "without an anchor"),
        ("queue: &a\n  retry: *a\n", 2, "within what it refers to"),
        ("worker:\n  <<: 5\n", 2, "`<<` takes a mapping"),
        ("null: 1\n", 1, "expected text"),
        ("? [a]\n: 1\n", 1, "a key has to be text"),
        ("debug: .nan\n", 1, "not a finite number"),
        (&bomb, 4, "too large"),
        (&many, 1, "too large"),
        (&deep, 1, "nested too deeply"),
        (&deeper, 1, "recursion limit"),
    ] {
        let short: String = text.chars().take(40).collect();
        let error = from_yaml(text).expect_err(&short);
        let ConfigError::Syntax { line: at, .. } = &error else {
            panic!("{short}: {error}");
        };
        assert_eq!(*at, line, "{error}");
        let error = error.to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        for advice in [
            "from_str", "Options", "Option<", "{", "budget", "policy", "weak",
        ] {
            assert!(!error.contains(advice), "is for programmers: {error}");
        }
    }
}
