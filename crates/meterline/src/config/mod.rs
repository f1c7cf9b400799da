//! What can be configured about telemetry, with every default.
//!
//! The types here are plain serde structs: read them from any format, or start from
//! [`TelemetryConfig::default`] and set fields. Unknown keys are refused, and so are values that
//! cannot work (a zero limit, a path without its slash). The standard `OTEL_*` variables become a
//! list of overrides by [`otel::overrides`], a pure function, so that a program with more layers of
//! its own can put them where they belong and still tell where a value came from.

mod metrics;
pub mod otel;
mod otlp;
mod traces;
pub mod values;
mod views;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::metrics::{
    Auth, Convention, Exemplars, Format, HttpConfig, MetricsConfig, TlsFiles, Translation,
};
pub use self::otlp::{
    Compression, HistogramAggregation, OtlpConfig, OtlpError, OtlpProtocol, OtlpTls, Temporality,
};
pub use self::traces::TracesConfig;
pub use self::values::ListenAddr;
pub use self::views::{AttributeFilter, ViewAggregation, ViewConfig, ViewKind};

/// Everything about telemetry: who reports, what is offered to scrapers, what is pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The resource attribute `service.name`. Unless set, `unknown_service:` and the program's name,
    /// as the resource conventions ask.
    #[serde(deserialize_with = "values::text")]
    pub service_name: String,
    /// Further resource attributes, by name.
    pub resource: BTreeMap<String, String>,
    /// Recording and the scrape endpoints.
    pub metrics: MetricsConfig,
    /// Push to an OTLP collector.
    pub otlp: OtlpConfig,
    /// Spans, for programs that set them up (feature `traces`).
    pub traces: TracesConfig,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            service_name: unknown_service(),
            resource: BTreeMap::new(),
            metrics: MetricsConfig::default(),
            otlp: OtlpConfig::default(),
            traces: TracesConfig::default(),
        }
    }
}

impl TelemetryConfig {
    /// This configuration with what the environment overrides; what is weak, only where there is nothing
    /// yet.
    ///
    /// # Errors
    /// If an override names a key that does not exist or has a value it cannot have.
    pub fn with(&self, overrides: &otel::Overrides) -> Result<Self, serde_json::Error> {
        let mut config = serde_json::to_value(self)?;
        for otel::Override {
            key, value, weak, ..
        } in &overrides.set
        {
            let mut place = &mut config;
            for part in key.split('.') {
                if !place.is_object() {
                    *place = Value::Object(serde_json::Map::new());
                }
                place = &mut place[part];
            }
            if !weak || place.is_null() {
                *place = value.clone();
            }
        }
        serde_json::from_value(config)
    }
}

fn unknown_service() -> String {
    let program = std::env::current_exe().ok();
    let program = program
        .as_deref()
        .and_then(std::path::Path::file_name)
        .unwrap_or_default();
    format!("unknown_service:{}", program.display())
}
