//! The variables for spans.
//!
//! The general `OTEL_EXPORTER_OTLP_*` variables set keys of `otlp`, which count for spans, too. Where one for metrics
//! has taken such a key, the general one is noted here as the spans' own. One deviation: with `OTEL_TRACES_EXPORTER`
//! unset no spans are exported.

use serde_json::{Map, Value, json};

use super::{MILLIS, Reader, millis, one_of, pairs};

/// A variable for spans, the one for metrics and the general one.
type Variables = [&'static str; 3];

impl Reader<'_> {
    pub(super) fn traces(&mut self) {
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            "traces.protocol",
            "grpc or http/protobuf",
            |given| one_of(given, &["grpc", "http/protobuf"]),
        );
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
            "traces.timeout",
            MILLIS,
            millis,
        );
        self.own(
            [
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            "traces.compression",
            "none or gzip",
            |given| one_of(given, &["none", "gzip"]),
        );
        self.traces_headers();
        self.traces_certificates();
        self.traces_exporter();
    }

    /// Sets a key of spans from the first of these variables that counts for them.
    fn own(
        &mut self,
        variables: Variables,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<Value>,
    ) {
        if let Some(variable) = self.counting(variables) {
            self.first(&[variable], key, allowed, read);
        }
    }

    fn counting(&self, [own, metrics, general]: Variables) -> Option<&'static str> {
        if self.get(own).is_some() {
            return Some(own);
        }
        self.get(metrics).is_some().then_some(general)
    }

    /// Headers often carry credentials, so a bad value is not repeated in the warning.
    fn traces_headers(&mut self) {
        let variable = self.counting([
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ]);
        let Some((variable, given)) = variable.and_then(|v| Some((v, self.get(v)?))) else {
            return;
        };
        match pairs(&given) {
            Some(headers) => self.set("traces.headers", Value::Object(headers), variable),
            None => self.warn(
                variable,
                "it is not a list of key=value pairs separated by commas".to_owned(),
            ),
        }
    }

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
        let Some(source) = files.iter().find_map(|(_, v)| self.counting(*v)) else {
            return;
        };
        // One file of its own makes the whole set its own, with what is general for the others.
        let mut tls = Map::new();
        for (field, [own, _, general]) in files {
            if let Some(given) = self.get(own).or_else(|| self.get(general)) {
                tls.insert(field.to_owned(), json!(given));
            }
        }
        self.set("traces.tls", Value::Object(tls), source);
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
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let read = |given: &str| {
            let url = given.starts_with("http://") || given.starts_with("https://");
            url.then(|| json!(given))
        };
        if self.get(OWN).is_some() {
            return self.first(
                &[OWN],
                "traces.endpoint",
                "a URL with http:// or https://",
                read,
            );
        }
        let last = self.found.set.iter().rfind(|o| o.key == "otlp.endpoint");
        if !wanted || last.is_some_and(|o| !o.value.is_null()) {
            return;
        }
        // The push of metrics was switched off, and their endpoint with it.
        if let Some(base) = self.get(GENERAL).filter(|given| read(given).is_some()) {
            let url = format!("{}/v1/traces", base.trim_end_matches('/'));
            self.set("traces.endpoint", json!(url), GENERAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::config::otel::overrides;

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
