//! Tower layer that measures HTTP servers through the OpenTelemetry metrics API.
