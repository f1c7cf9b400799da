//! The variables for spans.
//!
//! The general `OTEL_EXPORTER_OTLP_*` variables set keys of `otlp`, which count for spans, too. Where one for metrics
//! has taken such a key, the general one, or else the default, is noted here as the spans' own, but weakly: what a file
//! says of spans counts more. One deviation: with `OTEL_TRACES_EXPORTER` unset no spans are exported.

use serde_json::{Map, Value, json};

use super::otlp::{
    COMPRESSIONS, GENERAL_ENDPOINT, METRICS_INSECURE, PROTOCOLS, URL, compression, endpoint,
    protocol,
};
use super::{MILLIS, Reader, millis};
use crate::config::OtlpConfig;

/// A variable for spans, the one for metrics and the general one.
type Variables = [&'static str; 3];

impl Reader<'_> {
    pub(super) fn traces(&mut self) {
        let defaults = OtlpConfig::default();
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            "traces.protocol",
            json!(defaults.protocol),
            |reader, variables, key| reader.first(variables, key, PROTOCOLS, protocol),
        );
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            "traces.timeout",
            json!(humantime::format_duration(defaults.timeout).to_string()),
            |reader, variables, key| reader.first(variables, key, MILLIS, millis),
        );
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            "traces.compression",
            json!(defaults.compression),
            |reader, variables, key| reader.first(variables, key, COMPRESSIONS, compression),
        );
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
            "traces.headers",
            json!(defaults.headers),
            Self::read_headers,
        );
        self.traces_certificates();
        self.traces_exporter();
    }

    /// Sets a key of spans by the first of these variables that counts for them. What metrics alone have set is not
    /// theirs: without anything else they have the default.
    fn own(
        &mut self,
        [own, metrics, general]: Variables,
        key: &'static str,
        default: Value,
        read: impl Fn(&mut Self, &[&'static str], &'static str),
    ) {
        // One that was not understood has taken nothing.
        let taken = self.found.set.iter().any(|o| o.variable == metrics);
        let counting = [own, general];
        read(self, if taken { &counting } else { &counting[..1] }, key);
        let last = self.found.set.last().filter(|o| o.key == key);
        if last.is_some_and(|o| o.variable == own) || !taken {
            return;
        }
        if last.is_none() {
            self.set(key, default, metrics);
        }
        self.weaken(key);
    }

    /// One file of its own makes the whole set its own, with what is general for the others.
    fn traces_certificates(&mut self) {
        let files: [(&str, Variables); 3] = [
            (
                "ca",
                [
                    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CERTIFICATE",
                ],
            ),
            (
                "cert",
                [
                    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                ],
            ),
            (
                "key",
                [
                    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
                    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
                    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                ],
            ),
        ];
        const KEY: &str = "traces.tls";
        let first_of = |which: usize| {
            let mut variables = files.iter().map(|(_, variables)| variables[which]);
            variables.find(|variable| self.get(variable).is_some())
        };
        let (own, metrics) = (first_of(0), first_of(1));
        let Some(source) = own.or(metrics) else {
            return;
        };
        let mut tls = Map::new();
        for (field, [own, _, general]) in files {
            if let Some(given) = self.get(own).or_else(|| self.get(general)) {
                tls.insert(field.to_owned(), json!(given));
            }
        }
        self.set(KEY, Value::Object(tls), source);
        if own.is_none() {
            self.weaken(KEY);
        }
    }

    fn traces_exporter(&mut self) {
        const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
        const DISABLED: &str = "OTEL_SDK_DISABLED";
        let exporter = self.get(EXPORTER);
        match exporter.as_deref() {
            Some("otlp") => self.set("traces.enabled", json!(true), EXPORTER),
            Some("none") => self.set("traces.enabled", json!(false), EXPORTER),
            Some(given) => self.warn(EXPORTER, format!("{given:?} is not none or otlp")),
            None => {}
        }
        let disabled = self.get(DISABLED);
        if disabled.is_some_and(|given| given.eq_ignore_ascii_case("true")) {
            self.set("traces.enabled", json!(false), DISABLED);
        }
        self.traces_endpoint(exporter.as_deref() == Some("otlp"));
    }

    fn traces_endpoint(&mut self, wanted: bool) {
        const KEY: &str = "traces.endpoint";
        let set = |key| self.found.set.iter().rfind(|o| o.key == key);
        let own = set("traces.protocol");
        let grpc = own.map_or_else(|| self.is_grpc(), |own| own.value == "grpc");
        let insecure = self.is_insecure("OTEL_EXPORTER_OTLP_TRACES_INSECURE");
        let shared = set("otlp.endpoint").filter(|o| !o.value.is_null());
        let (is_shared, general) = (
            shared.is_some(),
            shared.is_some_and(|o| o.variable == GENERAL_ENDPOINT),
        );
        let read = |given: &str| endpoint(given, grpc, insecure).map(Value::String);
        let variable = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        self.first_or(&variable, KEY, |_| URL.to_owned(), read);
        let has_own = self.found.set.last().is_some_and(|o| o.key == KEY);
        // One without a scheme has got that of metrics, which spans and their headers may not go by.
        let bare = general
            && self
                .get(GENERAL_ENDPOINT)
                .is_some_and(|g| !g.contains("://"));
        let other_scheme = bare && insecure != self.is_insecure(METRICS_INSECURE);
        // Without one to share the push of metrics was switched off, and their endpoint with it.
        let missing = wanted && !is_shared;
        if has_own || !(other_scheme || missing) {
            return;
        }
        let beside = |given: &str| {
            let url = endpoint(given, grpc || other_scheme, insecure)?;
            let url = match grpc {
                true => url,
                false => format!("{}/v1/traces", url.trim_end_matches('/')),
            };
            Some(Value::String(url))
        };
        self.first_or(&[GENERAL_ENDPOINT], KEY, |_| URL.to_owned(), beside);
        self.weaken(KEY);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::config::otel::overrides;
    use crate::config::{OtlpTls, TelemetryConfig};

    fn read(variables: &[(&str, &str)]) -> (BTreeMap<&'static str, Value>, usize) {
        let table: BTreeMap<_, _> = variables.iter().copied().collect();
        let found = overrides(&|name| table.get(name).map(|&value| value.to_owned()));
        let spans = found
            .set
            .into_iter()
            .filter(|o| o.key.starts_with("traces."));
        (
            spans.map(|o| (o.key, o.value)).collect(),
            found.warnings.len(),
        )
    }

    #[test]
    fn every_variable_for_spans_sets_its_key() {
        for (variable, value, key, expected) in [
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://t/x",
                "traces.endpoint",
                json!("http://t/x"),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "grpc",
                "traces.protocol",
                json!("grpc"),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                "1500",
                "traces.timeout",
                json!("1s 500ms"),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "none",
                "traces.compression",
                json!("none"),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "a=b%20c",
                "traces.headers",
                json!({"a": "b c"}),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                "/ca",
                "traces.tls",
                json!({"ca": "/ca"}),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                "/c",
                "traces.tls",
                json!({"cert": "/c"}),
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
                "/k",
                "traces.tls",
                json!({"key": "/k"}),
            ),
            (
                "OTEL_TRACES_EXPORTER",
                "none",
                "traces.enabled",
                json!(false),
            ),
            ("OTEL_SDK_DISABLED", "True", "traces.enabled", json!(false)),
        ] {
            let (set, warnings) = read(&[(variable, value)]);
            assert_eq!((set.len(), warnings), (1, 0), "{variable}: {set:?}");
            assert_eq!(set[key], expected, "{variable}");
        }
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "t:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "secret"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            assert_eq!(
                read(&[(variable, value)]),
                (BTreeMap::new(), 1),
                "{variable}"
            );
        }
    }

    #[test]
    fn what_metrics_took_for_themselves_stays_general_for_spans() {
        assert!(read(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=1")]).0.is_empty());
        let (set, _) = read(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "m=1"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ]);
        assert_eq!(set["traces.headers"], json!({"a": "1"}));
        assert_eq!(set["traces.protocol"], json!("grpc"));
    }

    #[test]
    fn what_is_for_metrics_alone_is_not_given_to_spans() {
        let (set, _) = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "api-key=secret"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "/metrics.key"),
        ]);
        let expected = [
            ("traces.headers", json!({})),
            ("traces.protocol", json!("http/protobuf")),
            ("traces.timeout", json!("10s")),
            ("traces.compression", json!("gzip")),
            ("traces.tls", json!({})),
        ];
        assert_eq!(set, expected.into());
    }

    #[test]
    fn what_makes_no_sense_for_spans_leaves_the_general_variable() {
        let (set, warnings) = read(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
        ]);
        assert_eq!((&set["traces.timeout"], warnings), (&json!("1s"), 1));
    }

    #[test]
    fn over_grpc_a_host_and_port_will_do() {
        for (insecure, expected) in [("true", "http://t:4317"), ("false", "https://t:4317")] {
            let (set, warnings) = read(&[
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "t:4317"),
                ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", insecure),
            ]);
            assert_eq!((&set["traces.endpoint"], warnings), (&json!(expected), 0));
        }
    }

    #[test]
    fn a_general_host_and_port_has_for_spans_the_scheme_of_spans() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let endpoint = |further: &[(&str, &str)]| {
            let (mut set, warnings) = read(&[&[general, grpc][..], further].concat());
            assert_eq!(warnings, 0);
            set.remove("traces.endpoint")
        };
        let all = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        let metrics = ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "true");
        let spans = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true");
        let not_spans = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
        let over_http = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4317");
        for shared in [&[][..], &[all], &[metrics, spans]] {
            assert_eq!(endpoint(shared), None, "{shared:?}");
        }
        for (further, expected) in [
            (&[metrics][..], "https://c:4317"),
            (&[all, not_spans], "https://c:4317"),
            (&[spans], "http://c:4317"),
            (&[metrics, over_http], "https://c:4317/v1/traces"),
            (&[metrics, own], "http://t:4317"),
        ] {
            assert_eq!(endpoint(further), Some(json!(expected)), "{further:?}");
        }
    }

    #[test]
    fn what_is_not_understood_for_metrics_takes_nothing() {
        let (set, warnings) = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "thrift"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "br"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "secret"),
        ]);
        assert_eq!((set, warnings), (BTreeMap::new(), 4));
    }

    #[test]
    fn only_what_is_said_of_spans_overrules_what_was_said_of_them_before() {
        let with = |before: &TelemetryConfig, variables: &[(&str, &str)]| {
            let table: BTreeMap<_, _> = variables.iter().copied().collect();
            let found = overrides(&|name| table.get(name).map(|&value| value.to_owned()));
            let config = before.with(&found).expect("it can be");
            (config.traces.timeout, config.traces.tls)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let tls = |ca: &str| {
            Some(OtlpTls {
                ca: Some(ca.into()),
                ..OtlpTls::default()
            })
        };
        let mut before = TelemetryConfig::default();
        let metrics = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/general"),
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/metrics"),
        ];
        assert_eq!(with(&before, &metrics), (seconds(1), tls("/general")));
        before.traces.timeout = seconds(3);
        before.traces.tls = tls("/file");
        assert_eq!(with(&before, &metrics), (seconds(3), tls("/file")));
        let spans = [
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "4000"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/spans"),
        ];
        let both = [&metrics[..], &spans].concat();
        assert_eq!(with(&before, &both), (seconds(4), tls("/spans")));
    }

    #[test]
    fn spans_have_an_endpoint_without_a_push_of_metrics() {
        let on = ("OTEL_TRACES_EXPORTER", "otlp");
        let no_metrics = ("OTEL_METRICS_EXPORTER", "none");
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        let (set, _) = read(&[on, general]);
        assert_eq!(set, [("traces.enabled", json!(true))].into());
        let (set, _) = read(&[on, general, no_metrics]);
        assert_eq!(set["traces.endpoint"], json!("http://c:4318/v1/traces"));
    }
}
