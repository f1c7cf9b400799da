use std::collections::HashMap;

use serde_json::{Value, json};

use super::overrides;
use crate::config::TelemetryConfig;

fn read(variables: &[(&str, &str)]) -> (HashMap<&'static str, (Value, &'static str)>, Vec<String>) {
    let table: HashMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let found = overrides(&|name| table.get(name).cloned());
    // What is the spans' own has tests of its own.
    let set = found.set.into_iter();
    let set = set
        .filter(|o| !o.key.starts_with("traces."))
        .map(|o| (o.key, (o.value, o.variable)))
        .collect();
    let warnings = found.warnings.iter().map(ToString::to_string).collect();
    (set, warnings)
}

#[test]
fn every_variable_sets_its_key() {
    let cases = [
        ("OTEL_SERVICE_NAME", "shop", "service_name", json!("shop")),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a%20b,deployment.environment.name=prod",
            "resource",
            json!({"team": "a b", "deployment.environment.name": "prod"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4318",
            "otlp.endpoint",
            json!("http://c:4318"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "https://c/v1/metrics",
            "otlp.metrics_endpoint",
            json!("https://c/v1/metrics"),
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "otlp.protocol",
            json!("grpc"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            "http/protobuf",
            "otlp.protocol",
            json!("http/protobuf"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "2500",
            "otlp.timeout",
            json!("2s 500ms"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "100",
            "otlp.timeout",
            json!("100ms"),
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "none",
            "otlp.compression",
            json!("none"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
            "GZIP",
            "otlp.compression",
            json!("gzip"),
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=b,c=d%2C",
            "otlp.headers",
            json!({"a": "b", "c": "d,"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "a=b",
            "otlp.headers",
            json!({"a": "b"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/ca.pem",
            "otlp.tls",
            json!({"ca": "/ca.pem"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
            "/ca.pem",
            "otlp.tls",
            json!({"ca": "/ca.pem"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "/cert.pem",
            "otlp.tls",
            json!({"cert": "/cert.pem"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            "/cert.pem",
            "otlp.tls",
            json!({"cert": "/cert.pem"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "/key.pem",
            "otlp.tls",
            json!({"key": "/key.pem"}),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
            "/key.pem",
            "otlp.tls",
            json!({"key": "/key.pem"}),
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "60000",
            "otlp.interval",
            json!("1m"),
        ),
        (
            "OTEL_METRIC_EXPORT_TIMEOUT",
            "1000",
            "otlp.export_timeout",
            json!("1s"),
        ),
        (
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "always_on",
            "metrics.exemplars",
            json!("always"),
        ),
        (
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "ALWAYS_OFF",
            "metrics.exemplars",
            json!("off"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "LowMemory",
            "otlp.temporality",
            json!("lowmemory"),
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
            "otlp.histogram_aggregation",
            json!("base2_exponential_bucket_histogram"),
        ),
        (
            "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
            "GET, POST,PURGE",
            "metrics.http.known_methods",
            json!(["GET", "POST", "PURGE"]),
        ),
    ];
    for (variable, given, key, expected) in cases {
        let (set, warnings) = read(&[(variable, given)]);
        assert_eq!(
            set.get(key),
            Some(&(expected.clone(), variable)),
            "{variable}={given}"
        );
        assert_eq!(set.len(), 1, "{variable} sets one key: {set:?}");
        assert!(warnings.is_empty(), "{warnings:?}");

        let mut tree = serde_json::to_value(TelemetryConfig::default()).unwrap();
        *tree
            .pointer_mut(&format!("/{}", key.replace('.', "/")))
            .unwrap() = expected;
        serde_json::from_value::<TelemetryConfig>(tree)
            .unwrap_or_else(|error| panic!("{variable} gives a value its key refuses: {error}"));
    }
}

#[test]
fn bad_values_warn_and_are_ignored() {
    for (variable, given) in [
        ("OTEL_RESOURCE_ATTRIBUTES", "no-equals-sign"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=b"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://me:hush@c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "thrift"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "ten"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "=a"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "sum",
        ),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "1s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
        ("OTEL_METRICS_EXPORTER", "statsd"),
        ("OTEL_METRICS_EXPORTER", "none,otlp"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,BAD METHOD"),
    ] {
        let (set, warnings) = read(&[(variable, given)]);
        assert!(set.is_empty(), "{variable}={given} set {set:?}");
        assert_eq!(warnings.len(), 1, "{variable}={given}");
        assert!(
            warnings[0].starts_with(&format!("{variable} is ignored: ")),
            "{}",
            warnings[0]
        );
    }
}

#[test]
fn a_warning_never_shows_a_header() {
    let (_, warnings) = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "api-key:s3cret")]);
    assert_eq!(warnings.len(), 1);
    assert!(!warnings[0].contains("s3cret"), "{}", warnings[0]);
}

#[test]
fn empty_counts_as_unset() {
    let (set, warnings) = read(&[("OTEL_SERVICE_NAME", ""), ("OTEL_METRICS_EXPORTER", "  ")]);
    assert!(set.is_empty() && warnings.is_empty());
}

/// Of a pair: its name; what is general, what is for metrics, and what makes no sense; the key, and a member of it;
/// and what the first two come to.
type Pair = (
    &'static str,
    [&'static str; 3],
    [&'static str; 2],
    [&'static str; 2],
);

const PAIRS: [Pair; 7] = [
    (
        "PROTOCOL",
        ["http/protobuf", "grpc", "carrier pigeon"],
        ["otlp.protocol", ""],
        ["http/protobuf", "grpc"],
    ),
    (
        "TIMEOUT",
        ["1000", "2000", "0"],
        ["otlp.timeout", ""],
        ["1s", "2s"],
    ),
    (
        "COMPRESSION",
        ["none", "gzip", "br"],
        ["otlp.compression", ""],
        ["none", "gzip"],
    ),
    (
        "HEADERS",
        ["a=1", "a=2", "a"],
        ["otlp.headers", "/a"],
        ["1", "2"],
    ),
    (
        "CERTIFICATE",
        ["/1", "/2", ""],
        ["otlp.tls", "/ca"],
        ["/1", "/2"],
    ),
    (
        "CLIENT_CERTIFICATE",
        ["/1", "/2", ""],
        ["otlp.tls", "/cert"],
        ["/1", "/2"],
    ),
    (
        "CLIENT_KEY",
        ["/1", "/2", ""],
        ["otlp.tls", "/key"],
        ["/1", "/2"],
    ),
];

#[test]
fn of_each_pair_that_for_metrics_wins_if_it_makes_sense() {
    for (name, [general, metrics, nonsense], [key, member], [of_general, of_metrics]) in PAIRS {
        let variables = [
            format!("OTEL_EXPORTER_OTLP_{name}"),
            format!("OTEL_EXPORTER_OTLP_METRICS_{name}"),
        ];
        let value = |general: &str, metrics: &str| {
            let (set, warnings) = read(&[(&variables[0], general), (&variables[1], metrics)]);
            let (value, _) = set.get(key).unwrap_or_else(|| panic!("{name}: {set:?}"));
            let value = value.pointer(member).and_then(Value::as_str);
            (value.map(str::to_owned), warnings)
        };
        let (wins, warnings) = value(general, metrics);
        assert_eq!(wins.as_deref(), Some(of_metrics), "{name}");
        assert_eq!(warnings, [""; 0]);
        let (wins, warnings) = value(general, nonsense);
        let unset = "nonsense is as good as unset";
        assert_eq!(wins.as_deref(), Some(of_general), "{name}: {unset}");
        let named = |warning: &String| warning.starts_with(&variables[1]);
        assert!(warnings.iter().all(named), "{warnings:?}");
        assert_eq!(warnings.is_empty(), nonsense.is_empty(), "{name}");
    }
}

#[test]
fn the_signal_specific_variable_wins() {
    let (set, _) = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics"),
        ("OTEL_SERVICE_NAME", "wins"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=loses,a=b"),
    ]);
    assert_eq!(set["otlp.endpoint"].0, json!("http://general"));
    assert_eq!(set["otlp.metrics_endpoint"].0, json!("http://metrics"));
    assert_eq!(set["service_name"].0, json!("wins"));
    assert_eq!(set["resource"].0, json!({"a": "b"}));
}

#[test]
fn exporters_switch_scrape_and_push() {
    let (set, _) = read(&[("OTEL_METRICS_EXPORTER", "prometheus")]);
    assert_eq!(set["metrics.enabled"].0, json!(true));
    assert_eq!(set["metrics.listen"].0, json!("localhost:9464"));
    assert_eq!(set["otlp.endpoint"].0, Value::Null);

    let (set, _) = read(&[("OTEL_METRICS_EXPORTER", "otlp")]);
    assert_eq!(set["otlp.endpoint"].0, json!("http://localhost:4318"));
    assert!(!set.contains_key("metrics.enabled"));

    let (set, _) = read(&[
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "::1"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9999"),
    ]);
    assert_eq!(set["metrics.enabled"].0, json!(true));
    assert_eq!(
        set["metrics.listen"],
        (json!("[::1]:9999"), "OTEL_EXPORTER_PROMETHEUS_PORT")
    );
    assert_eq!(set["otlp.endpoint"].0, json!("http://c"));

    for off in [
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_SDK_DISABLED", "TRUE"),
    ] {
        let (set, _) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), off]);
        assert_eq!(set["metrics.enabled"].0, json!(false));
        assert_eq!(set["otlp.endpoint"], (Value::Null, off.0));
    }

    let (set, warnings) = read(&[
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000"),
    ]);
    assert_eq!(set["metrics.listen"].0, json!("localhost:9464"));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn over_grpc_a_host_and_port_will_do() {
    for (insecure, expected) in [
        (None, "https://c:4317"),
        (Some("false"), "https://c:4317"),
        (Some("TRUE"), "http://c:4317"),
    ] {
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
        ];
        variables.extend(insecure.map(|given| ("OTEL_EXPORTER_OTLP_INSECURE", given)));
        let (set, warnings) = read(&variables);
        assert_eq!(set["otlp.endpoint"].0, json!(expected), "{warnings:?}");
    }
    // A scheme wins over what is said apart.
    let (set, _) = read(&[
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "false"),
    ]);
    assert_eq!(set["otlp.metrics_endpoint"].0, json!("http://c:4317"));
}

#[test]
fn otlp_without_an_endpoint_is_the_collector_of_this_host() {
    let (set, _) = read(&[
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    assert_eq!(set["otlp.endpoint"].0, json!("http://localhost:4317"));
    let (set, _) = read(&[
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c"),
    ]);
    assert_eq!(set["otlp.metrics_endpoint"].0, Value::Null);
}
