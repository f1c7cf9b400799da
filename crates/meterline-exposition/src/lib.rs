//! OpenTelemetry metric snapshots as Prometheus exposition formats and JSON.
