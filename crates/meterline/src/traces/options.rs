//! Where spans go: as `traces` says, and where it says nothing as `otlp` does.

use meterline_otlp::{Compression, ExporterOptions, Signal, TlsOptions};

use crate::config::{self, OtlpProtocol, OtlpTls, TelemetryConfig};

const PATH: &str = "/v1/traces";

pub(super) fn of(config: &TelemetryConfig) -> ExporterOptions {
    let (own, otlp) = (&config.traces, &config.otlp);
    let protocol = own.protocol.unwrap_or(otlp.protocol);
    let endpoint = match (&own.endpoint, &otlp.endpoint) {
        (Some(endpoint), _) => for_spans(endpoint),
        (None, Some(endpoint)) => beside_metrics(endpoint),
        // The collector of this host, as the specification has it.
        (None, None) if protocol == OtlpProtocol::Grpc => "http://localhost:4317".to_owned(),
        (None, None) => beside_metrics("http://localhost:4318"),
    };
    let mut options = match protocol {
        OtlpProtocol::Grpc => ExporterOptions::grpc(endpoint),
        OtlpProtocol::HttpProtobuf => ExporterOptions::http(endpoint),
    };
    options.signal = Signal::Traces;
    options.timeout = own.timeout.unwrap_or(otlp.timeout);
    options.compression = match own.compression.unwrap_or(otlp.compression) {
        config::Compression::None => Compression::None,
        config::Compression::Gzip => Compression::Gzip,
    };
    let headers = own.headers.as_ref().unwrap_or(&otlp.headers);
    options.headers = headers.clone().into_iter().collect();
    options.tls = own
        .tls
        .as_ref()
        .or(otlp.tls.as_ref())
        .map(tls)
        .unwrap_or_default();
    options
}

/// An endpoint of the spans' own is used as it is; a bare host gets the path of the specification.
fn for_spans(endpoint: &str) -> String {
    match endpoint.parse::<http::Uri>() {
        Ok(uri) if uri.path() == "/" => format!("{}{PATH}", endpoint.trim_end_matches('/')),
        _ => endpoint.to_owned(),
    }
}

/// The collector's endpoint is a base for all signals.
fn beside_metrics(endpoint: &str) -> String {
    format!("{}{PATH}", endpoint.trim_end_matches('/'))
}

fn tls(files: &OtlpTls) -> TlsOptions {
    let mut options = TlsOptions::default();
    options.ca.clone_from(&files.ca);
    options.cert.clone_from(&files.cert);
    options.key.clone_from(&files.key);
    options
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meterline_otlp::Protocol;

    use super::*;

    fn endpoint(otlp: Option<&str>, own: Option<&str>) -> String {
        let mut config = TelemetryConfig::default();
        config.otlp.endpoint = otlp.map(str::to_owned);
        config.traces.endpoint = own.map(str::to_owned);
        of(&config).endpoint
    }

    #[test]
    fn spans_go_beside_the_metrics_or_where_they_are_told() {
        for (otlp, own, expected) in [
            (Some("http://c:4318"), None, "http://c:4318/v1/traces"),
            (Some("http://c:4318/"), None, "http://c:4318/v1/traces"),
            (Some("http://c/base/"), None, "http://c/base/v1/traces"),
            (
                Some("http://c:4318"),
                Some("http://t/spans"),
                "http://t/spans",
            ),
            (None, Some("http://t:4318"), "http://t:4318/v1/traces"),
            (None, None, "http://localhost:4318/v1/traces"),
        ] {
            assert_eq!(endpoint(otlp, own), expected);
        }
    }

    #[test]
    fn what_is_not_said_of_spans_is_as_for_metrics() {
        let mut config = TelemetryConfig::default();
        config.otlp.endpoint = Some("http://c:4317".to_owned());
        config.otlp.protocol = OtlpProtocol::Grpc;
        config.otlp.headers = [("a".to_owned(), "1".to_owned())].into();
        config.otlp.timeout = Duration::from_secs(3);
        let options = of(&config);
        assert_eq!(options.protocol, Protocol::Grpc);
        assert_eq!(options.headers, [("a".to_owned(), "1".to_owned())]);
        assert_eq!(options.timeout, Duration::from_secs(3));
        assert_eq!(options.compression, Compression::Gzip);
        config.traces.protocol = Some(OtlpProtocol::HttpProtobuf);
        config.traces.headers = Some(Default::default());
        config.traces.timeout = Some(Duration::from_secs(1));
        config.traces.compression = Some(config::Compression::None);
        let options = of(&config);
        assert_eq!(options.protocol, Protocol::HttpProtobuf);
        assert_eq!(
            (options.headers.len(), options.timeout),
            (0, Duration::from_secs(1))
        );
        assert_eq!(options.compression, Compression::None);
    }
}
