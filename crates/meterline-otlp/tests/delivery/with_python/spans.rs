//! Requests of spans, which come from elsewhere, are delivered like those of metrics.

use bytes::Bytes;
use meterline_otlp::{Batch, Exporter, Outcome, Signal};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;
use xtask::OtlpReceiver;

use super::{BOTH, ENOUGH, Transport, run};

/// A request with these spans.
fn batch(names: &[&str]) -> Batch {
    let spans = names.iter().map(|name| Span {
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        name: (*name).to_owned(),
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans {
        spans: spans.collect(),
        ..ScopeSpans::default()
    }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    };
    Batch {
        message: Bytes::from(request.encode_to_vec()),
        points: names.len() as u64,
    }
}

fn exporter(transport: Transport, receiver: &OtlpReceiver) -> Exporter {
    let mut options = transport.options(receiver);
    options.endpoint = options.endpoint.replace("/v1/metrics", "/v1/traces");
    options.signal = Signal::Traces;
    Exporter::new(options).expect("the options are fine")
}

#[test]
fn spans_arrive_and_are_tried_again_and_counted_like_points() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        let mut exporter = exporter(transport, &receiver);
        let unavailable = json!({"how": "status", "code": 503, "grpc": "UNAVAILABLE"});
        receiver.behave(
            &[unavailable, json!({"how": "drop"})],
            json!({"how": "accept"}),
        );
        let mut batches = [batch(&["a", "b"])].into();
        let sent = run(exporter.export(&mut batches, ENOUGH));
        assert_eq!((sent.outcome, sent.accepted), (Outcome::Success, 2));
        assert_eq!(sent.requests, 3, "{sent:?}");
        let received = receiver.take();
        let names: Vec<_> = received.spans().map(|span| &span["name"]).collect();
        assert_eq!(names, ["a", "b"], "{transport:?}");
        assert!(
            received
                .spans()
                .all(|span| span["trace_id"] == "07".repeat(16))
        );

        let partial = json!({"how": "partial", "rejected": 1, "message": "too many"});
        receiver.behave(&[partial], json!({"how": "accept"}));
        let mut batches = [batch(&["a", "b", "c"])].into();
        let sent = run(exporter.export(&mut batches, ENOUGH));
        assert_eq!(sent.outcome, Outcome::PartialSuccess);
        assert_eq!(
            (sent.accepted, sent.rejected, &*sent.message),
            (2, 1, "too many")
        );
        receiver.take();
    }
}
