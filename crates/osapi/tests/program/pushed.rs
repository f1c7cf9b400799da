//! Pushes of the real program: whom it trusts, what it sends along, and what it says of trouble.

use rustix::process::Signal;
use serde_json::json;

use crate::metrics::page::scrape;
use crate::support::{osapi, spawn, until, up};

mod with_python {
    use xtask::OtlpReceiver;

    use super::*;

    #[tokio::test]
    async fn the_systems_roots_vouch_for_a_collector_and_headers_stay_secret() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut receiver = OtlpReceiver::with_tls(json!({"cert": cert, "key": key}));
        for (protocol, port) in [
            ("http/protobuf", receiver.http()),
            ("grpc", receiver.grpc()),
        ] {
            let data = dir.path().join(protocol.replace('/', "-"));
            let file = data.join("osapi.addr");
            let mut command = osapi(&["up", "--listen", "127.0.0.1:0", "--data-dir"]);
            command.arg(&data);
            // Where the system's store is, to the libraries that read it.
            command.env("SSL_CERT_FILE", &cert);
            command.env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("https://localhost:{port}"),
            );
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
            command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hush%20hush");
            command.env("OTEL_METRIC_EXPORT_INTERVAL", "1000000000");
            let server = spawn(command, &data, |_| {
                let text = std::fs::read_to_string(&file).ok()?;
                text.strip_suffix('\n')?.parse().ok()
            });
            server.signal(Signal::TERM);
            let (code, said) = server.ended();
            assert_eq!(code, Some(0), "{said}");
            assert!(!said.contains("WARN"), "{said}");
            assert!(!said.contains("hush"), "{said}");
            let received = receiver.take();
            assert!(received.points().count() > 0);
            for export in &received.exports {
                assert_eq!(export["headers"]["x-api-key"], "hush hush");
                let transport = if protocol == "grpc" { "grpc" } else { "http" };
                assert_eq!(export["transport"], transport);
            }
        }
    }

    #[tokio::test]
    async fn points_that_are_rejected_are_counted_and_told_of_once() {
        let mut receiver = OtlpReceiver::start();
        let partial = json!({"how": "partial", "rejected": 2, "message": "no room"});
        receiver.behave(&[], partial);
        let endpoint = format!("http://127.0.0.1:{}", receiver.http());
        let endpoint = format!("telemetry.otlp.endpoint={endpoint}");
        let often = "telemetry.otlp.interval=100ms";
        let server = up(&["--set", &endpoint, "--set", often]);
        let exports = "meterline_otlp_exports_total";
        let page = until("some pushes", async || {
            let page = scrape(&server).await;
            let partly = page.sum(exports, &[("outcome", "partial_success")]);
            (partly >= 5.0).then_some(page)
        })
        .await;
        let rejected = [("reason", "otlp_rejected")];
        assert!(page.sum("meterline_points_dropped_total", &rejected) >= 10.0);
        receiver.behave(&[], json!({"how": "accept"}));
        until("a push without a fault", async || {
            let page = scrape(&server).await;
            (page.sum(exports, &[("outcome", "success")]) >= 1.0).then_some(())
        })
        .await;
        server.signal(Signal::TERM);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        let began = "metrics were not all pushed: no room";
        assert_eq!(said.matches(began).count(), 1, "{said}");
        assert_eq!(
            said.matches("metrics are pushed again").count(),
            1,
            "{said}"
        );
    }
}
