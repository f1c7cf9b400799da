use std::sync::LazyLock;

use meterline_sdk::Resource;
use opentelemetry::KeyValue;
use uuid::Uuid;

use crate::config::TelemetryConfig;

/// This process; metrics and traces name the same one.
static INSTANCE: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// The attributes the OpenTelemetry resource specification asks for, and the configured ones.
pub(crate) fn resource(config: &TelemetryConfig) -> Resource {
    let mut attributes = vec![
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.name", "meterline"),
        KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    // Replicas of one service are told apart by it; who gives one has its own way to.
    attributes.push(KeyValue::new("service.instance.id", INSTANCE.to_string()));
    let configured = config.resource.iter();
    attributes.extend(configured.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    attributes.push(KeyValue::new("service.name", config.service_name.clone()));
    Resource::new(&attributes)
}
