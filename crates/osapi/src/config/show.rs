//! How a configuration is told: every key, its value, and where that came from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check;
use super::load::Loaded;
use super::types::Config;

impl Loaded {
    /// One line per key: `key: value  # origin`. Secrets are masked.
    #[must_use]
    pub fn to_text(&self) -> String {
        let rows: Vec<(String, String)> = flattened(&self.config)
            .into_iter()
            .map(|(key, value)| (format!("{key}: {}", masked(&key, &value)), key))
            .collect();
        let width = rows
            .iter()
            .map(|(line, _)| line.chars().count())
            .filter(|width| *width <= 60)
            .max()
            .unwrap_or(0);
        rows.iter()
            .map(|(line, key)| format!("{line:<width$}  # {}\n", self.origin(key)))
            .collect()
    }

    /// `{key: {"value", "origin"}}`. Secrets are masked.
    #[must_use]
    pub fn to_json(&self) -> Value {
        flattened(&self.config)
            .into_iter()
            .map(|(key, value)| {
                let origin = self.origin(&key).to_string();
                let shown = json!({"value": masked(&key, &value), "origin": origin});
                (key, shown)
            })
            .collect()
    }
}

fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(url) if key == "queue.nats.url" => {
            // Credentials stand before the @ of a URL.
            let shown = url
                .rsplit_once('@')
                .map_or_else(|| url.clone(), |(_, host)| format!("***@{host}"));
            shown.into()
        }
        Value::Object(entries) if check::is_secret(key) => entries
            .keys()
            .map(|name| (name.clone(), json!("***")))
            .collect(),
        _ if check::is_secret(key) => json!("***"),
        _ => value.clone(),
    }
}

/// Every key with its value. Sections are opened up; free-form mappings and lists are values.
pub(super) fn flattened(config: &Config) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    let tree = serde_json::to_value(config).unwrap_or_default();
    open(&mut flat, "", tree);
    flat
}

/// Mappings that are values, because their keys are the user's.
pub(super) const FREE_FORM: [&str; 4] = [
    "worker.labels",
    "telemetry.resource",
    "telemetry.otlp.headers",
    "telemetry.traces.headers",
];
/// Mappings that are values, because there is none unless set.
const OPTIONAL: &str = ".tls";

fn open(flat: &mut BTreeMap<String, Value>, key: &str, value: Value) {
    match value {
        Value::Object(entries) if !FREE_FORM.contains(&key) && !key.ends_with(OPTIONAL) => {
            for (name, value) in entries {
                let key = if key.is_empty() {
                    name
                } else {
                    format!("{key}.{name}")
                };
                open(flat, &key, value);
            }
        }
        value => {
            flat.insert(key.to_owned(), value);
        }
    }
}
