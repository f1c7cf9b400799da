//! What arrives is what was recorded.

use std::time::UNIX_EPOCH;

use meterline_otlp::{Compression, Encoder, EncoderOptions, Exporter, Outcome};
use meterline_sdk::{
    Data, Exemplar, ExponentialBuckets, ExponentialOptions, MeterProvider, Number, Resource, View,
    ViewAggregation,
};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue, SpanId, TraceId};
use serde_json::{Value, json};
use xtask::OtlpReceiver;

use super::{BOTH, ENOUGH, Transport, run};

fn recorded() -> MeterProvider {
    let resource = Resource::new(&[KeyValue::new("service.name", "shop")]);
    let finely = View::builder("took_finely")
        .aggregation(ViewAggregation::Exponential(ExponentialOptions::default()));
    let orders = View::builder("orders").drop_attributes(["kind"]);
    let provider = MeterProvider::builder()
        .with_resource(resource)
        .with_view(finely.build().expect("a view"))
        .with_view(orders.build().expect("a view"))
        .build();
    let scope = InstrumentationScope::builder("shop")
        .with_version("1.2")
        .build();
    let meter = provider.meter_with_scope(scope);
    let orders = meter.u64_counter("orders").with_unit("{order}").build();
    let stock = meter.i64_up_down_counter("stock").build();
    let heat = meter.f64_gauge("heat").build();
    let took = meter.f64_histogram("took").with_unit("s").build();
    let finely = meter.f64_histogram("took_finely").with_unit("s").build();
    for id in 0..300_i64 {
        // Every third is recorded in a span, and leaves exemplars.
        let _in_span = (id % 3 == 0).then(|| span(id).attach());
        let attributes = [
            KeyValue::new("id", id),
            KeyValue::new("kind", "näher \"x\""),
        ];
        orders.add(1 + id.unsigned_abs(), &attributes);
        stock.add(-id, &attributes);
        heat.record(0.5 * id as f64, &attributes);
        took.record(0.001 * id as f64, &attributes);
        took.record(7.0, &attributes);
        for value in [-2.0, 0.0, 0.001 * id as f64, 1e9] {
            finely.record(value, &attributes);
        }
    }
    provider
}

/// A context whose span is sampled.
fn span(id: i64) -> Context {
    let id = id.unsigned_abs() + 1;
    let (trace, span) = (TraceId::from(u128::from(id)), SpanId::from(id));
    let state = TraceState::default();
    let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state);
    Context::new().with_remote_span_context(span)
}

fn nanos(time: std::time::SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).expect("now").as_nanos()).expect("now")
}

fn number(number: Number) -> Value {
    match number {
        Number::U64(value) => json!(value),
        Number::I64(value) => json!(value),
        Number::F64(value) => json!(value),
    }
}

fn told(exemplar: &Exemplar) -> Value {
    let (trace, span) = exemplar.span.expect("only those in spans are kept");
    let left_out = exemplar.filtered_attributes.iter();
    let left_out = left_out.map(|pair| (pair.key.to_string(), json!(pair.value.as_str())));
    json!({
        "value": number(exemplar.value),
        "time": nanos(exemplar.time),
        "trace_id": trace.to_string(),
        "span_id": span.to_string(),
        "attributes": left_out.collect::<serde_json::Map<_, _>>(),
    })
}

fn buckets(buckets: ExponentialBuckets<'_>) -> Value {
    json!({"offset": buckets.offset, "counts": buckets.counts})
}

/// The points of a snapshot as the receiver tells of them.
fn expected(snapshot: &meterline_sdk::Snapshot) -> Vec<Value> {
    let mut points = Vec::new();
    for metric in &snapshot.metrics {
        for (index, series) in metric.series.iter().enumerate() {
            let attributes = series.attributes().iter().map(|attribute| {
                let value = match &attribute.value {
                    opentelemetry::Value::I64(value) => json!(value),
                    other => json!(other.as_str()),
                };
                (attribute.key.to_string(), value)
            });
            let mut point = json!({
                "scope": "shop",
                "name": metric.descriptor.name,
                "unit": metric.descriptor.unit,
                "monotonic": false,
                "temporality": 2,
                "attributes": attributes.collect::<serde_json::Map<_, _>>(),
                "start": nanos(series.start()),
                "time": nanos(snapshot.time),
                "exemplars": metric.exemplars.of(index).map(told).collect::<Vec<_>>(),
            });
            match &metric.data {
                Data::Sum { monotonic, values } => {
                    point["kind"] = json!("sum");
                    point["monotonic"] = json!(monotonic);
                    point["value"] = number(values[index]);
                }
                Data::Gauge(values) => {
                    point["kind"] = json!("gauge");
                    point["value"] = number(values[index]);
                    point["start"] = json!(0);
                    point["temporality"] = json!(0);
                }
                Data::Histogram(histograms) => {
                    let histogram = histograms.iter().nth(index).expect("one per series");
                    let (min, max) = histogram.min_max.expect("something was recorded");
                    point["kind"] = json!("histogram");
                    point["count"] = json!(histogram.count());
                    point["sum"] = number(histogram.sum);
                    point["min"] = number(min);
                    point["max"] = number(max);
                    point["counts"] = json!(histogram.counts);
                    point["bounds"] = json!(histograms.bounds().to_vec());
                }
                Data::ExponentialHistogram(histograms) => {
                    let histogram = histograms.iter().nth(index).expect("one per series");
                    let (min, max) = histogram.min_max.expect("something was recorded");
                    point["kind"] = json!("exponential_histogram");
                    point["count"] = json!(histogram.count());
                    point["sum"] = number(histogram.sum);
                    point["min"] = number(min);
                    point["max"] = number(max);
                    point["scale"] = json!(histogram.scale);
                    point["zero_count"] = json!(histogram.zero_count);
                    point["positive"] = buckets(histogram.positive);
                    point["negative"] = buckets(histogram.negative);
                }
                other => panic!("{other:?}"),
            }
            points.push(point);
        }
    }
    points
}

#[test]
fn every_point_arrives_as_it_was_in_however_many_requests() {
    let mut receiver = OtlpReceiver::start();
    let provider = recorded();
    for transport in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let mut options = transport.options(&receiver);
            options.compression = compression;
            options.headers = vec![("X-Api-Key".to_owned(), "hush".to_owned())];
            let mut exporter = Exporter::new(options).expect("the options are fine");
            let mut encoding = EncoderOptions::default();
            encoding.max_points = 500;
            let snapshot = provider.collect();
            let mut batches = Encoder::new(encoding).encode(&snapshot).into();
            let export = run(exporter.export(&mut batches, ENOUGH));
            assert_eq!(export.outcome, Outcome::Success, "{export:?}");
            assert_eq!((export.accepted, export.rejected), (1_500, 0));
            assert_eq!(export.requests, 3);
            assert!(batches.is_empty());

            let received = receiver.take();
            let expected = expected(&snapshot);
            let leads_to_a_span = |point: &&Value| point["exemplars"] != json!([]);
            assert!(expected.iter().filter(leads_to_a_span).count() >= 300);
            assert_eq!(received.points().count(), expected.len());
            for (point, expected) in received.points().zip(&expected) {
                assert_eq!(point, expected, "{transport:?}, {compression:?}");
            }
            for sent in &received.exports {
                assert_eq!(sent["resources"], json!([{"service.name": "shop"}]));
                let headers = &sent["headers"];
                assert_eq!(headers["x-api-key"], "hush");
                let agent = headers["user-agent"].as_str().expect("there is one");
                assert!(
                    agent.starts_with("OTel-OTLP-Exporter-Meterline-Rust/"),
                    "{agent}"
                );
                if transport == Transport::Http {
                    let gzip = compression == Compression::Gzip;
                    let encoding = if gzip { "gzip" } else { "identity" };
                    assert_eq!(sent["encoding"], encoding);
                }
            }
        }
    }
}
