//! Metrics for Rust services: one instrumentation, a Prometheus scrape, JSON and OTLP push.

pub mod config;
