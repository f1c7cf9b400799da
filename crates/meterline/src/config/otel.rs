//! The `OTEL_*` environment variables as overrides of a [`TelemetryConfig`](super::TelemetryConfig).
//!
//! Read as the OpenTelemetry specification ("Environment Variable Specification", "Metrics SDK",
//! "OTLP exporter") says: an empty variable counts as unset, and a value that makes no sense is
//! reported and ignored. One deviation, because osapi has two ways out: with `OTEL_METRICS_EXPORTER`
//! unset the configured endpoints decide what runs, where the specification would push to localhost.

mod otlp;
mod traces;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::values;

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The keys to set, later ones winning.
    pub set: Vec<Override>,
    /// Values that made no sense, and were ignored.
    pub warnings: Vec<Warning>,
}

/// One key set by one variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Dotted path below `telemetry`, such as `metrics.enabled`.
    pub key: &'static str,
    /// The value as the configuration types read it.
    pub value: Value,
    /// The variable it came from.
    pub variable: &'static str,
    /// Whether it counts only where nothing else sets the key, a file for example: what spans have from a
    /// variable that is not theirs is no reason to overrule what is said of them.
    pub weak: bool,
}

/// A variable that was ignored, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is ignored: {reason}")]
pub struct Warning {
    /// The variable.
    pub variable: &'static str,
    /// What was wrong with its value. Never contains the value of a header.
    pub reason: String,
}

/// Reads every variable the specification defines for metrics, and those for exporting spans, through `lookup`.
///
/// `lookup` is `|name| std::env::var(name).ok()` in a program, and a table in a test.
pub fn overrides(lookup: &dyn Fn(&str) -> Option<String>) -> Overrides {
    let mut reader = Reader {
        lookup,
        found: Overrides::default(),
    };
    reader.resource();
    reader.otlp();
    reader.exporters();
    reader.metrics();
    reader.traces();
    reader.found
}

const HOST: &str = "OTEL_EXPORTER_PROMETHEUS_HOST";
const PORT: &str = "OTEL_EXPORTER_PROMETHEUS_PORT";

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    found: Overrides,
}

impl Reader<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn set(&mut self, key: &'static str, value: Value, variable: &'static str) {
        self.found.set.push(Override {
            key,
            value,
            variable,
            weak: false,
        });
    }

    /// Makes what was set just now weak, if it was this key.
    fn weaken(&mut self, key: &'static str) {
        if let Some(last) = self.found.set.last_mut().filter(|o| o.key == key) {
            last.weak = true;
        }
    }

    /// Says so once, also of a variable that counts for several keys.
    fn warn(&mut self, variable: &'static str, reason: String) {
        if !self.found.warnings.iter().any(|w| w.variable == variable) {
            self.found.warnings.push(Warning { variable, reason });
        }
    }

    /// Sets `key` from the first variable that is set and that `read` understands.
    fn first(
        &mut self,
        variables: &[&'static str],
        key: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<Value>,
    ) {
        let why = |given: &str| format!("{given:?} is not {allowed}");
        self.first_or(variables, key, why, read);
    }

    /// The same; `why` is what to say of a value that is not understood, and that is then ignored.
    fn first_or(
        &mut self,
        variables: &[&'static str],
        key: &'static str,
        why: impl Fn(&str) -> String,
        read: impl Fn(&str) -> Option<Value>,
    ) {
        for variable in variables {
            let Some(given) = self.get(variable) else {
                continue;
            };
            if let Some(value) = read(&given) {
                return self.set(key, value, variable);
            }
            self.warn(variable, why(&given));
        }
    }

    fn resource(&mut self) {
        const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
        if let Some(given) = self.get(ATTRIBUTES) {
            match pairs(&given) {
                Some(mut attributes) => {
                    if let Some(name) = attributes.remove("service.name") {
                        self.set("service_name", name, ATTRIBUTES);
                    }
                    self.set("resource", Value::Object(attributes), ATTRIBUTES);
                }
                None => self.warn(
                    ATTRIBUTES,
                    "it is not a list of key=value pairs, percent-encoded and separated by commas"
                        .to_owned(),
                ),
            }
        }
        self.first(&["OTEL_SERVICE_NAME"], "service_name", "a name", |given| {
            Some(json!(given))
        });
    }

    fn exporters(&mut self) {
        const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
        if let Some(given) = self.get(EXPORTER) {
            let (mut scrape, mut push, mut known) = (false, false, true);
            let names: Vec<&str> = given.split(',').map(str::trim).collect();
            for name in &names {
                match name.to_ascii_lowercase().as_str() {
                    "prometheus" => scrape = true,
                    "otlp" => push = true,
                    "none" if names.len() == 1 => {}
                    _ => known = false,
                }
            }
            if known {
                self.choose(scrape, push, EXPORTER);
            } else {
                self.warn(
                    EXPORTER,
                    format!("{given:?} is not none, or a list of prometheus and otlp"),
                );
            }
        }
        const DISABLED: &str = "OTEL_SDK_DISABLED";
        if let Some(given) = self.get(DISABLED) {
            // The specification: only "true", in any case, is true; everything else is false.
            if given.eq_ignore_ascii_case("true") {
                self.choose(false, false, DISABLED);
            } else if !given.eq_ignore_ascii_case("false") {
                self.warn(DISABLED, format!("{given:?} is not true or false"));
            }
        }
    }

    fn choose(&mut self, scrape: bool, push: bool, variable: &'static str) {
        if scrape {
            self.set("metrics.enabled", json!(true), variable);
            self.own_listener(variable);
        } else if !push {
            self.set("metrics.enabled", json!(false), variable);
        }
        let set = |reader: &Self, key| reader.found.set.iter().any(|o| o.key == key);
        if !push {
            self.set("otlp.endpoint", Value::Null, variable);
            if set(self, "otlp.metrics_endpoint") {
                self.set("otlp.metrics_endpoint", Value::Null, variable);
            }
        } else if !set(self, "otlp.endpoint") && !set(self, "otlp.metrics_endpoint") {
            let port = if self.is_grpc() { 4317 } else { 4318 };
            let endpoint = format!("http://localhost:{port}");
            self.set("otlp.endpoint", json!(endpoint), variable);
        }
    }

    /// The listener the specification gives the Prometheus exporter, localhost:9464 by default.
    fn own_listener(&mut self, variable: &'static str) {
        let mut source = variable;
        let mut host = "localhost".to_owned();
        if let Some(given) = self.get(HOST) {
            let bracketed = if given.contains(':') && !given.starts_with('[') {
                format!("[{given}]")
            } else {
                given.clone()
            };
            if format!("{bracketed}:0")
                .parse::<values::ListenAddr>()
                .is_ok()
            {
                (host, source) = (bracketed, HOST);
            } else {
                self.warn(HOST, format!("{given:?} is not a host name or address"));
            }
        }
        let mut port = 9464;
        if let Some(given) = self.get(PORT) {
            match given.parse::<u16>() {
                Ok(number) => (port, source) = (number, PORT),
                Err(_) => self.warn(PORT, format!("{given:?} is not a port, 0 to 65535")),
            }
        }
        self.set("metrics.listen", json!(format!("{host}:{port}")), source);
    }

    fn metrics(&mut self) {
        self.first(
            &["OTEL_METRICS_EXEMPLAR_FILTER"],
            "metrics.exemplars",
            "always_on, always_off or trace_based",
            |given| match given.to_ascii_lowercase().as_str() {
                "always_on" => Some(json!("always")),
                "always_off" => Some(json!("off")),
                "trace_based" => Some(json!("trace_based")),
                _ => None,
            },
        );
        self.first(
            &["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"],
            "metrics.http.known_methods",
            "a list of method names separated by commas",
            |given| {
                let methods: Vec<&str> = given
                    .split(',')
                    .map(str::trim)
                    .filter(|m| !m.is_empty())
                    .collect();
                let token = |m: &&str| {
                    m.bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
                };
                (!methods.is_empty() && methods.iter().all(token)).then(|| json!(methods))
            },
        );
    }
}

const MILLIS: &str = "a whole number of milliseconds above zero";

fn millis(given: &str) -> Option<Value> {
    let number: u64 = given.parse().ok()?;
    let text = humantime::format_duration(Duration::from_millis(number)).to_string();
    values::parse_duration(&text).map(|_| json!(text))
}

fn one_of(given: &str, allowed: &[&str]) -> Option<Value> {
    let lower = given.to_ascii_lowercase();
    allowed.contains(&lower.as_str()).then(|| json!(lower))
}

/// `key=value` pairs separated by commas, values percent-encoded; `None` if one is malformed.
fn pairs(given: &str) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for pair in given.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        let key = percent_decoded(key.trim())?;
        if key.is_empty() {
            return None;
        }
        map.insert(key, Value::String(percent_decoded(value.trim())?));
    }
    Some(map)
}

fn percent_decoded(given: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(given.len());
    let mut rest = given.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
