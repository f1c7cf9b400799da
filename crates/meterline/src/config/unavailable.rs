//! What can be configured already but is not there yet.
//!
//! Asking for it is an error rather than silence: who sets `series_ttl` must not wait for series to go.

use serde_json::Value;

use super::TelemetryConfig;

/// Dotted keys below `telemetry` that have to stay at their default; one that ends with a dot is a
/// whole section.
pub const UNAVAILABLE: [&str; 1] = ["traces.enabled"];

/// Whether this value of a key asks for something this version does not have. `default` is what the
/// key is if nobody sets it.
#[must_use]
pub fn is_unavailable(key: &str, value: &Value, default: Option<&Value>) -> bool {
    let listed = UNAVAILABLE
        .iter()
        .any(|known| *known == key || (known.ends_with('.') && key.starts_with(known)));
    listed && default != Some(value)
}

impl TelemetryConfig {
    /// The first key that asks for something this version does not have.
    #[must_use]
    pub fn unavailable(&self) -> Option<String> {
        let tree = |config: &Self| serde_json::to_value(config).unwrap_or_default();
        let (ours, defaults) = (tree(self), tree(&Self::default()));
        first_unavailable("", &ours, &defaults)
    }
}

fn first_unavailable(path: &str, value: &Value, default: &Value) -> Option<String> {
    if is_unavailable(path, value, Some(default)) {
        return Some(path.to_owned());
    }
    let below = |(name, value): (&String, &Value)| {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        first_unavailable(&path, value, default.get(name).unwrap_or(&Value::Null))
    };
    value.as_object()?.iter().find_map(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, Format};

    fn changed(change: impl FnOnce(&mut TelemetryConfig)) -> Option<String> {
        let mut config = TelemetryConfig::default();
        change(&mut config);
        config.unavailable()
    }

    #[test]
    fn the_defaults_and_what_exists_are_available() {
        assert_eq!(changed(|_| {}), None);
        assert_eq!(
            changed(|config| {
                config.metrics.series_ttl = Some(std::time::Duration::from_secs(3600));
            }),
            None
        );
        assert_eq!(
            changed(|config| config.metrics.formats = vec![Format::Protobuf]),
            None
        );
        assert_eq!(
            changed(|config| config.metrics.created_timestamps = true),
            None
        );
        assert_eq!(changed(|config| config.metrics.auth = Auth::Bearer), None);
        assert_eq!(
            changed(|config| config.resource = [("a".into(), "b".into())].into()),
            None
        );
        assert_eq!(
            changed(|config| config.otlp.endpoint = Some("http://localhost:4318".to_owned())),
            None
        );
    }

    #[test]
    fn what_is_not_there_yet_is_named() {
        let found = changed(|config| config.traces.enabled = true);
        assert_eq!(found.as_deref(), Some("traces.enabled"));
    }
}
