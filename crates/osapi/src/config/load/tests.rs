use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Loaded, Sources};
use crate::config::{ConfigError, show};

mod refusals;

/// Every key that can be changed in this version: its name, a value in YAML, and as JSON afterwards.
fn every_key() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("debug", "true", json!(true)),
        ("log.level", "trace", json!("trace")),
        ("log.format", "json", json!("json")),
        ("api.listen", "'[::1]:0'", json!("[::1]:0")),
        ("api.insecure", "true", json!(true)),
        ("api.max_body_bytes", "2048", json!(2048)),
        ("queue.sqlite.path", "/tmp/x/q.db", json!("/tmp/x/q.db")),
        (
            "api.signing_key",
            "wJ3nq0Vx8RzF5tK1yB7mC2dL9gH4sP6a",
            json!("***"),
        ),
        ("api.signing_key_file", "/key", json!("/key")),
        (
            "api.tls",
            "{cert: /c, key: /k}",
            json!({"cert": "/c", "key": "/k"}),
        ),
        ("telemetry.metrics.auth", "bearer", json!("bearer")),
        (
            "telemetry.metrics.tls",
            "{cert: /c, key: /k}",
            json!({"cert": "/c", "key": "/k"}),
        ),
        ("queue.backend", "nats", json!("nats")),
        ("queue.nats.url", "nats://n:4222", json!("nats://n:4222")),
        ("queue.nats.credentials", "/c", json!("/c")),
        ("queue.nats.prefix", "x", json!("x")),
        ("queue.nats.replicas", "3", json!(3)),
        (
            "queue.nats.tls",
            "{ca: /a, cert: /c, key: /k}",
            json!({"ca": "/a", "cert": "/c", "key": "/k"}),
        ),
        ("queue.lease", "5s", json!("5s")),
        ("queue.max_attempts", "1", json!(1)),
        ("queue.retry.base", "250ms", json!("250ms")),
        ("queue.retry.max", "1h", json!("1h")),
        ("queue.max_waiting", "10", json!(10)),
        ("queue.start_timeout", "10m", json!("10m")),
        ("queue.retention", "7d", json!("7days")),
        ("worker.name", "w1.example", json!("w1.example")),
        ("worker.slots", "8", json!(8)),
        ("worker.drain_timeout", "1s", json!("1s")),
        (
            "worker.labels",
            "{rack: a, zone: b}",
            json!({"rack": "a", "zone": "b"}),
        ),
        (
            "worker.allow_commands",
            "[/bin/echo, uptime]",
            json!(["/bin/echo", "uptime"]),
        ),
        ("telemetry.service_name", "shop", json!("shop")),
        ("telemetry.resource", "{team: x}", json!({"team": "x"})),
        ("telemetry.metrics.enabled", "true", json!(true)),
        (
            "telemetry.metrics.path",
            "/v1/metrics",
            json!("/v1/metrics"),
        ),
        ("telemetry.metrics.json_path", "null", json!(null)),
        (
            "telemetry.metrics.listen",
            "127.0.0.1:9090",
            json!("127.0.0.1:9090"),
        ),
        ("telemetry.metrics.namespace", "acme", json!("acme")),
        (
            "telemetry.metrics.formats",
            "[openmetrics]",
            json!(["openmetrics"]),
        ),
        ("telemetry.metrics.created_timestamps", "true", json!(true)),
        (
            "telemetry.metrics.translation",
            "underscores_without_suffixes",
            json!("underscores_without_suffixes"),
        ),
        ("telemetry.metrics.scope_labels", "false", json!(false)),
        ("telemetry.metrics.target_info", "false", json!(false)),
        (
            "telemetry.metrics.resource_labels",
            "[team]",
            json!(["team"]),
        ),
        ("telemetry.metrics.cardinality_limit", "100", json!(100)),
        ("telemetry.metrics.exemplars", "'off'", json!("off")),
        ("telemetry.metrics.max_concurrent_scrapes", "2", json!(2)),
        (
            "telemetry.metrics.views",
            "[{instrument: x.*, attributes: {drop: [a]}, buckets: [1]}, {instrument: y, drop: true}]",
            json!([
                {"instrument": "x.*", "attributes": {"drop": ["a"]}, "buckets": [1.0]},
                {"instrument": "y", "drop": true},
            ]),
        ),
        ("telemetry.metrics.scrape_timeout", "3s", json!("3s")),
        ("telemetry.metrics.http.convention", "both", json!("both")),
        ("telemetry.metrics.http.classic_prefix", "ogx", json!("ogx")),
        (
            "telemetry.metrics.http.buckets",
            "[0.1, 2]",
            json!([0.1, 2.0]),
        ),
        ("telemetry.metrics.series_ttl", "2h", json!("2h")),
        ("telemetry.metrics.callback_deadline", "2s", json!("2s")),
        ("telemetry.metrics.callback_window", "1s", json!("1s")),
        (
            "telemetry.metrics.http.exclude",
            "[/health]",
            json!(["/health"]),
        ),
        ("telemetry.metrics.http.body_sizes", "false", json!(false)),
        (
            "telemetry.metrics.http.known_methods",
            "[GET, PURGE]",
            json!(["GET", "PURGE"]),
        ),
        ("telemetry.metrics.process", "false", json!(false)),
        ("telemetry.metrics.tokio", "false", json!(false)),
        (
            "telemetry.otlp.endpoint",
            "http://c:4318",
            json!("http://c:4318"),
        ),
        (
            "telemetry.otlp.metrics_endpoint",
            "http://c/m",
            json!("http://c/m"),
        ),
        ("telemetry.otlp.protocol", "grpc", json!("grpc")),
        ("telemetry.otlp.interval", "1s", json!("1s")),
        ("telemetry.otlp.timeout", "1s", json!("1s")),
        ("telemetry.otlp.export_timeout", "1s", json!("1s")),
        (
            "telemetry.otlp.tls",
            "{ca: /c, cert: /d, key: /e}",
            json!({"ca": "/c", "cert": "/d", "key": "/e"}),
        ),
        ("telemetry.otlp.temporality", "delta", json!("delta")),
        ("telemetry.otlp.compression", "none", json!("none")),
        (
            "telemetry.otlp.headers",
            "{key: hush}",
            json!({"key": "hush"}),
        ),
        (
            "telemetry.otlp.histogram_aggregation",
            "base2_exponential_bucket_histogram",
            json!("base2_exponential_bucket_histogram"),
        ),
        ("telemetry.traces.enabled", "on", json!(true)),
        (
            "telemetry.traces.endpoint",
            "http://t/v1/traces",
            json!("http://t/v1/traces"),
        ),
        ("telemetry.traces.protocol", "grpc", json!("grpc")),
        ("telemetry.traces.timeout", "3s", json!("3s")),
        ("telemetry.traces.compression", "none", json!("none")),
        ("telemetry.traces.headers", "{a: b}", json!({"a": "b"})),
        (
            "telemetry.traces.tls",
            "{ca: /c, cert: /d, key: /e}",
            json!({"ca": "/c", "cert": "/d", "key": "/e"}),
        ),
    ]
}

/// What a key cannot be set without.
fn companion(key: &str) -> Vec<(&'static str, &'static str, String)> {
    let needed = match key {
        "telemetry.metrics.auth" => ("api.signing_key_file", "/key"),
        "telemetry.metrics.tls" => ("telemetry.metrics.listen", "127.0.0.1:9090"),
        _ => return Vec::new(),
    };
    vec![("--companion", needed.0, needed.1.to_owned())]
}

struct Yaml {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn yaml(text: &str) -> Yaml {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("osapi.yaml");
    std::fs::write(&path, text).unwrap();
    Yaml { _dir: dir, path }
}

fn from_yaml(text: &str) -> Result<Loaded, ConfigError> {
    let file = yaml(text);
    Sources {
        file: Some(file.path.clone()),
        ..Sources::default()
    }
    .load()
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    Sources {
        environment: variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        ..Sources::default()
    }
    .load()
}

fn from_flag(given: &str) -> Result<Loaded, ConfigError> {
    Sources {
        set: vec![given.to_owned()],
        ..Sources::default()
    }
    .load()
}

/// A key and its value as nested YAML, with the line the key is on.
fn nested(key: &str, value: &str) -> (String, u64) {
    let parts: Vec<&str> = key.split('.').collect();
    let mut text = String::new();
    for (depth, part) in parts.iter().enumerate() {
        text += &"  ".repeat(depth);
        text += part;
        text += if depth + 1 == parts.len() {
            ": "
        } else {
            ":\n"
        };
    }
    (text + value + "\n", parts.len() as u64)
}

fn variable(key: &str) -> String {
    format!("OSAPI_{}", key.replace('.', "__").to_uppercase())
}

/// A YAML value as one would type it without YAML.
fn plain(value: &str) -> String {
    value.trim_matches('\'').to_owned()
}

fn value(loaded: &Loaded, key: &str) -> Value {
    show::flattened(&loaded.config)[key].clone()
}

/// The same list of text or numbers as `a,b`, and the same mapping as `a=b,c=d`.
fn short(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) if !items.iter().any(Value::is_object) => Some(
            items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
        ),
        Value::Object(entries) => Some(
            entries
                .iter()
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap()))
                .collect::<Vec<_>>()
                .join(","),
        ),
        _ => None,
    }
}

#[test]
fn the_tables_name_every_key() {
    let loaded = Sources::default().load().unwrap();
    let mut known: Vec<String> = show::flattened(&loaded.config).into_keys().collect();
    let mut listed: Vec<String> = every_key().iter().map(|row| row.0.to_owned()).collect();
    known.sort();
    listed.sort();
    listed.dedup();
    assert_eq!(known, listed);
}

#[test]
fn every_key_is_set_by_file_variable_and_flag() {
    for (key, given, expected) in every_key() {
        let default = value(&Sources::default().load().unwrap(), key);
        assert_ne!(default, expected, "{key}: the test sets the default");

        let (text, line) = nested(key, given);
        let file = yaml(&text);
        let with_companion = Sources {
            flags: companion(key),
            ..Sources::default()
        };
        let loaded = Sources {
            file: Some(file.path.clone()),
            ..with_companion.clone()
        }
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value(&loaded, key), expected, "{key} by file");
        let place = format!("{}:{line}", file.path.display());
        assert_eq!(loaded.origin(key).to_string(), place);

        let mut texts = vec![plain(given)];
        texts.extend(short(&expected));
        for text in texts {
            let loaded = Sources {
                environment: vec![(variable(key), text.clone())],
                ..with_companion.clone()
            };
            let loaded = loaded.load().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(value(&loaded, key), expected, "{key} by variable {text}");
            assert_eq!(loaded.origin(key).to_string(), variable(key));

            let loaded = Sources {
                set: vec![format!("{key}={text}")],
                ..with_companion.clone()
            };
            let loaded = loaded.load().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(value(&loaded, key), expected, "{key} by flag {text}");
            assert_eq!(loaded.origin(key).to_string(), format!("--set {key}"));
        }
    }
}

#[test]
fn otel_variables_count_and_bad_ones_warn() {
    let loaded = from_env(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "nonsense"),
        ("OTEL_SERVICE_NAME", "shop"),
    ])
    .unwrap();
    assert_eq!(loaded.config.telemetry.service_name, "shop");
    assert_eq!(
        loaded.origin("telemetry.service_name").to_string(),
        "OTEL_SERVICE_NAME"
    );
    let endpoint = loaded.config.telemetry.otlp.endpoint.as_deref();
    assert_eq!(endpoint, Some("http://collector:4318"));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(
        loaded
            .warnings
            .iter()
            .any(|w| w.starts_with("OTEL_METRIC_EXPORT_INTERVAL is ignored"))
    );
}

#[test]
fn an_endpoint_of_ours_wins_over_that_of_otel_for_metrics() {
    let for_metrics = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/v1/metrics");
    let otlp = |environment: &[(&str, &str)]| from_env(environment).unwrap().config.telemetry.otlp;
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general");
    let both = otlp(&[for_metrics, general]);
    assert_eq!(both.metrics_endpoint.as_deref(), Some(for_metrics.1));
    let ours = ("OSAPI_TELEMETRY__OTLP__ENDPOINT", "http://ours");
    let won = otlp(&[for_metrics, general, ours]);
    assert_eq!(
        (won.endpoint.as_deref(), won.metrics_endpoint),
        (Some(ours.1), None)
    );
    let off = otlp(&[for_metrics, ("OSAPI_TELEMETRY__OTLP__ENDPOINT", "null")]);
    assert!(!off.is_enabled());
    let own = ("OSAPI_TELEMETRY__OTLP__METRICS_ENDPOINT", "http://own/");
    let both = otlp(&[for_metrics, ours, own]);
    assert_eq!(both.metrics_endpoint.as_deref(), Some(own.1));
}

#[test]
fn later_layers_win() {
    let file = yaml("telemetry:\n  service_name: file\n  resource: {a: file, b: file}\n");
    let mut sources = Sources {
        file: Some(file.path.clone()),
        ..Sources::default()
    };
    let name = |s: &Sources| s.load().unwrap().config.telemetry.service_name;
    assert_eq!(name(&sources), "file");
    let mut add = |n: &str, v: &str| sources.environment.push((n.to_owned(), v.to_owned()));
    add("OTEL_SERVICE_NAME", "otel");
    add("OTEL_RESOURCE_ATTRIBUTES", "b=otel,c=otel");
    assert_eq!(name(&sources), "otel");
    sources
        .environment
        .push(("OSAPI_TELEMETRY__SERVICE_NAME".to_owned(), "env".to_owned()));
    assert_eq!(name(&sources), "env");
    sources.set.push("telemetry.service_name=set".to_owned());
    sources
        .set
        .push("telemetry.resource.service.tier=gold".to_owned());
    assert_eq!(name(&sources), "set");
    sources
        .flags
        .push(("--name", "telemetry.service_name", "flag".to_owned()));
    assert_eq!(name(&sources), "flag");

    let resource = sources.load().unwrap().config.telemetry.resource;
    let pairs: Vec<(&str, &str)> = resource.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        pairs,
        [
            ("a", "file"),
            ("b", "otel"),
            ("c", "otel"),
            ("service.tier", "gold")
        ]
    );
}

#[test]
fn a_commands_defaults_are_the_lowest_layer() {
    let sources = Sources {
        command: Some(("up", &[("debug", "true")])),
        ..Sources::default()
    };
    let loaded = sources.load().unwrap();
    assert!(loaded.config.metrics_enabled());
    assert_eq!(loaded.origin("debug").to_string(), "default of osapi up");

    let off = Sources {
        set: vec!["telemetry.metrics.enabled=false".to_owned()],
        ..sources
    };
    assert!(!off.load().unwrap().config.metrics_enabled());
}

#[test]
fn the_short_name_switches_metrics() {
    for (given, expected) in [
        ("1", true),
        ("TRUE", true),
        ("Yes", true),
        ("on", true),
        ("0", false),
        ("off", false),
    ] {
        let loaded = from_env(&[("OSAPI_PROMETHEUS_ENABLED", given)]).unwrap();
        assert_eq!(loaded.config.metrics_enabled(), expected, "{given}");
    }
    let both = from_env(&[
        ("OSAPI_TELEMETRY__METRICS__ENABLED", "false"),
        ("OSAPI_PROMETHEUS_ENABLED", "true"),
    ])
    .unwrap();
    assert!(!both.config.metrics_enabled(), "the long name wins");
    let error = from_env(&[("OSAPI_PROMETHEUS_ENABLED", "maybe")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("OSAPI_PROMETHEUS_ENABLED: `telemetry.metrics.enabled`")
    );
}

#[test]
fn what_kubernetes_injects_is_ignored() {
    let loaded = from_env(&[
        ("OSAPI_SERVICE_HOST", "10.0.0.1"),
        ("OSAPI_SERVICE_PORT_HTTP", "80"),
        ("OSAPI_PORT", "tcp://10.0.0.1:80"),
        ("OSAPI_PORT_80_TCP_ADDR", "10.0.0.1"),
    ])
    .unwrap();
    assert_eq!(loaded.config, crate::config::Config::default());
}

#[test]
fn what_is_shown_has_origins_and_no_secrets() {
    let file = yaml("worker:\n  slots: 9\n");
    let loaded = Sources {
        file: Some(file.path.clone()),
        set: vec!["debug=yes".to_owned()],
        ..Sources::default()
    }
    .load()
    .unwrap();
    let shown = loaded.to_json();
    assert_eq!(shown["worker.slots"]["value"], json!(9));
    assert_eq!(
        shown["worker.slots"]["origin"],
        json!(format!("{}:2", file.path.display()))
    );
    assert_eq!(
        shown["debug"],
        json!({"value": true, "origin": "--set debug"})
    );
    assert_eq!(
        shown["log.level"],
        json!({"value": "info", "origin": "default"})
    );
    let text = loaded.to_text();
    assert!(
        text.lines()
            .any(|l| l.starts_with("debug: true ") && l.ends_with("# --set debug"))
    );

    let mut secret = loaded;
    secret.config.api.signing_key = serde_json::from_value(json!("hush-hush")).unwrap();
    secret.config.telemetry.otlp.headers = [("api-key".to_owned(), "hush-hush".to_owned())].into();
    secret.config.queue.nats.url = "nats://user:hush-hush@host:4222".to_owned();
    for shown in [
        secret.to_text(),
        secret.to_json().to_string(),
        format!("{:?}", secret.config.api),
    ] {
        assert!(!shown.contains("hush-hush"), "{shown}");
    }
    assert_eq!(
        secret.to_json()["queue.nats.url"]["value"],
        json!("***@host:4222")
    );
}

#[test]
fn a_push_that_cannot_be_is_refused_by_key_and_origin() {
    for (set, said) in [
        ("telemetry.otlp.endpoint=collector:4318", "http://"),
        (
            "telemetry.otlp.endpoint=http://me:hush-hush@c",
            "credentials",
        ),
        ("telemetry.otlp.metrics_endpoint=nowhere", "http://"),
    ] {
        let sources = Sources {
            set: vec![set.to_owned()],
            ..Sources::default()
        };
        let error = sources.load().expect_err(set).to_string();
        let (key, _) = set.split_once('=').unwrap();
        assert!(error.contains(key) && error.contains(said), "{error}");
        assert!(error.contains("--set"), "{error}");
        assert!(!error.contains("hush-hush"), "{error}");
    }
    for (key, value) in [
        ("tls", "{ca: /nowhere/ca.pem}"),
        ("headers", "{a b: hush-hush}"),
    ] {
        let text = format!("telemetry:\n  otlp:\n    endpoint: https://c\n    {key}: {value}\n");
        let error = from_yaml(&text).expect_err(key).to_string();
        assert!(error.contains(&format!("telemetry.otlp.{key}")), "{error}");
        assert!(!error.contains("hush-hush"), "{error}");
    }
}
