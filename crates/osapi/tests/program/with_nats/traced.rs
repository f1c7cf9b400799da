//! One trace from a request through the broker to the worker.

use serde_json::{Value, json};
use xtask::NatsServer;

use super::{Site, fleet};
use crate::support::{job, read, until};
use crate::traces::{CALLER, Collector, TRACE, hex, traceparent};

#[tokio::test]
async fn a_job_carries_its_trace_through_the_broker() {
    let collector = Collector::default();
    let endpoint = format!("telemetry.traces.endpoint={}", collector.start().await);
    let settings = [
        "telemetry.traces.enabled=true",
        "telemetry.traces.compression=none",
        endpoint.as_str(),
    ];
    let broker = NatsServer::start();
    let site = Site::with(broker.url(), &settings);
    let api = site.api("api");
    let mut waiting = job("sleep", json!({"seconds": 0}));
    waiting["target_hostname"] = json!("w");
    let request = api.request(reqwest::Method::POST, "/job").json(&waiting);
    let request = request
        .header("traceparent", traceparent())
        .header("tracestate", "vendor=x");
    let (status, accepted): (_, Value) = read(request).await;
    assert_eq!(status, 201, "{accepted}");
    let id = accepted["job_id"].as_str().unwrap();

    // On the broker, for whoever looks.
    let client = async_nats::connect(broker.url()).await.unwrap();
    let work = async_nats::jetstream::new(client)
        .get_stream("osapi_work")
        .await
        .unwrap();
    let subject = format!("osapi.work.h-w.{id}");
    let message = work
        .get_last_raw_message_by_subject(&subject)
        .await
        .unwrap();
    let carried = message
        .headers
        .get("traceparent")
        .unwrap()
        .as_str()
        .to_owned();
    assert!(
        carried.starts_with(&format!("00-{TRACE}-")) && !carried.contains(CALLER),
        "{carried}"
    );
    assert_eq!(
        message.headers.get("tracestate").unwrap().as_str(),
        "vendor=x"
    );

    let _worker = site.worker("w");
    fleet(&api, 1).await;
    api.wait(id, &["completed"]).await;
    let (request, attempt) = until("both spans are exported", async || {
        let spans = collector.spans();
        let of_trace = |span: &&_| -> bool { trace_of(span) == TRACE };
        let ours: Vec<_> = spans.iter().filter(of_trace).collect();
        let child = ours
            .iter()
            .find(|span| hex(&span.parent_span_id) != CALLER)?;
        let parent = ours
            .iter()
            .find(|span| hex(&span.parent_span_id) == CALLER)?;
        Some((hex(&parent.span_id), hex(&child.parent_span_id)))
    })
    .await;
    assert_eq!(
        attempt, request,
        "the worker's span is below that of the request"
    );
    assert!(carried.contains(&request));
}

fn trace_of(span: &opentelemetry_proto::tonic::trace::v1::Span) -> String {
    hex(&span.trace_id)
}
