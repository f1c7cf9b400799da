//! The names that expressions speak of.

use meterline::TelemetryConfig;
use meterline::config::{Convention, Translation};

use crate::metrics::catalogue::{self, Owner};

/// The metrics as a configuration names them.
#[derive(Clone, Debug)]
pub struct Metrics {
    namespace: String,
}

/// A configuration under which metrics have other names or labels than rules and dashboards use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rules and dashboards are written for {key}: {needed}")]
pub struct Unsupported {
    key: &'static str,
    needed: &'static str,
}

impl Default for Metrics {
    /// The names of the default configuration.
    fn default() -> Self {
        Self {
            namespace: "osapi".to_owned(),
        }
    }
}

impl Metrics {
    /// The names this configuration gives.
    ///
    /// # Errors
    /// If it translates names otherwise than by default, or leaves the semantic conventions' names for
    /// HTTP out.
    pub fn of(config: &TelemetryConfig) -> Result<Self, Unsupported> {
        if config.metrics.translation != Translation::UnderscoresWithSuffixes {
            return Err(Unsupported {
                key: "telemetry.metrics.translation",
                needed: "underscores_with_suffixes",
            });
        }
        if config.metrics.http.convention == Convention::Classic {
            return Err(Unsupported {
                key: "telemetry.metrics.http.convention",
                needed: "semconv or both",
            });
        }
        Ok(Self {
            namespace: config.metrics.namespace.clone(),
        })
    }

    /// A text that speaks of osapi's metrics by their default names, with theirs instead.
    pub(super) fn named(&self, text: &str) -> String {
        if self.namespace == "osapi" {
            return text.to_owned();
        }
        let own = catalogue::ALL
            .iter()
            .chain(catalogue::NATS)
            .filter(|row| row.owner == Owner::Osapi);
        let mut own: Vec<_> = own
            .map(|row| {
                (
                    prometheus(&row.name_in("osapi")),
                    prometheus(&row.name_in(&self.namespace)),
                )
            })
            .collect();
        // The longest first: some names begin as others do.
        own.sort_by_key(|(default, _)| std::cmp::Reverse(default.len()));
        own.iter().fold(text.to_owned(), |text, (default, ours)| {
            text.replace(default, ours)
        })
    }
}

/// The part of a Prometheus name that stands before unit and suffix.
fn prometheus(name: &str) -> String {
    name.replace('.', "_")
}
