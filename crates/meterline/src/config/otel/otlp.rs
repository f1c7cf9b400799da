//! The variables for the push: of each pair that for metrics alone comes first, and counts.

use meterline_otlp::ExporterOptions;
use serde_json::{Map, Value, json};

use super::{MILLIS, Reader, millis, one_of, pairs};

/// What a URL of a collector may be.
pub(super) const URL: &str = "it is not a URL with http:// or https:// and without credentials";

pub(super) const GENERAL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

pub(super) const METRICS_INSECURE: &str = "OTEL_EXPORTER_OTLP_METRICS_INSECURE";

/// What headers are; a bad value is not repeated, as they often carry credentials.
const HEADERS: &str = "it is not a list of key=value pairs separated by commas";

impl Reader<'_> {
    pub(super) fn otlp(&mut self) {
        self.first(
            &[
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            "otlp.protocol",
            PROTOCOLS,
            protocol,
        );
        self.endpoints();
        self.first(
            &[
                "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            "otlp.timeout",
            MILLIS,
            millis,
        );
        self.first(
            &[
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            "otlp.compression",
            COMPRESSIONS,
            compression,
        );
        self.read_headers(
            &[
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
            "otlp.headers",
        );
        self.certificates();
        self.points();
    }

    /// What points are like, and when they are sent.
    fn points(&mut self) {
        self.first(
            &["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
            "otlp.temporality",
            "cumulative, delta or lowmemory",
            |given| one_of(given, &["cumulative", "delta", "lowmemory"]),
        );
        const HISTOGRAMS: [&str; 2] = [
            "explicit_bucket_histogram",
            "base2_exponential_bucket_histogram",
        ];
        self.first(
            &["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"],
            "otlp.histogram_aggregation",
            &HISTOGRAMS.join(" or "),
            |given| one_of(given, &HISTOGRAMS),
        );
        self.first(
            &["OTEL_METRIC_EXPORT_INTERVAL"],
            "otlp.interval",
            MILLIS,
            millis,
        );
        self.first(
            &["OTEL_METRIC_EXPORT_TIMEOUT"],
            "otlp.export_timeout",
            MILLIS,
            millis,
        );
    }

    fn endpoints(&mut self) {
        let grpc = self.is_grpc();
        let insecure = self.is_insecure(METRICS_INSECURE);
        for (variable, key) in [
            (GENERAL_ENDPOINT, "otlp.endpoint"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                "otlp.metrics_endpoint",
            ),
        ] {
            let read = |given: &str| endpoint(given, grpc, insecure).map(Value::String);
            self.first_or(&[variable], key, |_| URL.to_owned(), read);
        }
    }

    /// Whether a gRPC endpoint without a scheme is one without TLS; the signal's own variable wins.
    pub(super) fn is_insecure(&self, own: &str) -> bool {
        let given = self
            .get(own)
            .or_else(|| self.get("OTEL_EXPORTER_OTLP_INSECURE"));
        given.is_some_and(|given| given.eq_ignore_ascii_case("true"))
    }

    pub(super) fn is_grpc(&self) -> bool {
        let mut set = self.found.set.iter();
        set.any(|o| o.key == "otlp.protocol" && o.value == "grpc")
    }

    pub(super) fn read_headers(&mut self, variables: &[&'static str], key: &'static str) {
        let read = |given: &str| pairs(given).map(Value::Object);
        self.first_or(variables, key, |_| HEADERS.to_owned(), read);
    }

    fn certificates(&mut self) {
        let files: [(&str, [&'static str; 2]); 3] = [
            (
                "ca",
                [
                    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CERTIFICATE",
                ],
            ),
            (
                "cert",
                [
                    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                ],
            ),
            (
                "key",
                [
                    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
                    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                ],
            ),
        ];
        let mut tls = Map::new();
        let mut source = None;
        for (field, variables) in files {
            let mut set = variables.iter();
            let first = set.find_map(|variable| Some((*variable, self.get(variable)?)));
            if let Some((variable, given)) = first {
                tls.insert(field.to_owned(), json!(given));
                source.get_or_insert(variable);
            }
        }
        if let Some(variable) = source {
            self.set("otlp.tls", Value::Object(tls), variable);
        }
    }
}

/// A collector's URL; over gRPC a host and port will do, and whether they are secure is said apart.
pub(super) fn endpoint(given: &str, grpc: bool, insecure: bool) -> Option<String> {
    let url = match (grpc && !given.contains("://"), insecure) {
        (true, true) => format!("http://{given}"),
        (true, false) => format!("https://{given}"),
        (false, _) => given.to_owned(),
    };
    ExporterOptions::http(&*url).check().ok()?;
    Some(url)
}

pub(super) const PROTOCOLS: &str = "grpc or http/protobuf";

pub(super) fn protocol(given: &str) -> Option<Value> {
    one_of(given, &["grpc", "http/protobuf"])
}

pub(super) const COMPRESSIONS: &str = "none or gzip";

pub(super) fn compression(given: &str) -> Option<Value> {
    one_of(given, &["none", "gzip"])
}
