//! What the specification says about single values.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use meterline_otlp::{Encoder, EncoderOptions, OfBoth};
use meterline_sdk::{
    Data, ExponentialBuckets, ExponentialHistograms, ExponentialPoint, Histograms, MeterProvider,
    Number, Snapshot,
};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data as Sent;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use crate::merged;

fn sent(encoder: &mut Encoder, snapshot: &Snapshot) -> Vec<(String, Sent)> {
    let resources = merged(&encoder.encode(snapshot));
    let scopes = resources
        .into_iter()
        .flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics);
    metrics
        .map(|metric| (metric.name, metric.data.expect("it has data")))
        .collect()
}

/// A counter of the SDK, and what is made of its values.
fn with_data(data: Data) -> Snapshot {
    let provider = MeterProvider::default();
    provider.meter("m").u64_counter("c").build().add(1, &[]);
    let mut snapshot = provider.collect();
    snapshot.metrics[0].data = data;
    snapshot
}

#[test]
fn integers_that_otlp_lacks_are_doubles() {
    for (value, expected) in [
        (Number::U64(i64::MAX as u64), Value::AsInt(i64::MAX)),
        (
            Number::U64(1 << 63),
            Value::AsDouble(9_223_372_036_854_775_808.0),
        ),
        (Number::I64(i64::MIN), Value::AsInt(i64::MIN)),
        (Number::F64(f64::INFINITY), Value::AsDouble(f64::INFINITY)),
    ] {
        let sent = sent(
            &mut Encoder::default(),
            &with_data(Data::Gauge(vec![value])),
        );
        let Sent::Gauge(gauge) = &sent[0].1 else {
            panic!("{sent:?}");
        };
        assert_eq!(gauge.data_points[0].value, Some(expected));
    }
}

#[test]
fn of_two_histograms_of_the_same_recordings_one_is_sent() {
    let mut explicit = Histograms::new(Arc::from([1.0]));
    explicit.push([1, 2], Number::F64(5.0), None);
    let mut exponential = ExponentialHistograms::default();
    exponential.push(ExponentialPoint {
        scale: 0,
        zero_count: 0,
        zero_threshold: 0.0,
        positive: ExponentialBuckets {
            offset: -1,
            counts: &[1, 2],
        },
        negative: ExponentialBuckets::default(),
        sum: Number::F64(5.0),
        min_max: None,
    });
    let snapshot = with_data(Data::Both(explicit, exponential));
    for of_both in [OfBoth::Explicit, OfBoth::Exponential] {
        let mut options = EncoderOptions::default();
        options.of_both = of_both;
        let sent = sent(&mut Encoder::new(options), &snapshot);
        assert_eq!(sent.len(), 1);
        let exponential = matches!(sent[0].1, Sent::ExponentialHistogram(_));
        assert_eq!(exponential, of_both == OfBoth::Exponential);
    }
}

#[test]
fn nothing_recorded_is_nothing_to_send() {
    assert_eq!(
        Encoder::default().encode(&MeterProvider::default().collect()),
        []
    );
    let before_the_epoch = Snapshot {
        time: UNIX_EPOCH - std::time::Duration::from_secs(1),
        ..with_data(Data::Gauge(vec![Number::I64(1)]))
    };
    let sent = sent(&mut Encoder::default(), &before_the_epoch);
    let Sent::Gauge(gauge) = &sent[0].1 else {
        panic!("{sent:?}");
    };
    assert_eq!(gauge.data_points[0].time_unix_nano, 0);
}

/// Series that come and go: what is remembered of attributes never gets to the wrong point.
#[test]
fn attributes_follow_their_series() {
    let provider = MeterProvider::default();
    let scope = InstrumentationScope::builder("m").build();
    let counter = provider.meter_with_scope(scope).u64_counter("c").build();
    let mut encoder = Encoder::default();
    for round in 1..=5_u64 {
        for id in 0..round {
            counter.add(
                id + 1,
                &[KeyValue::new("id", i64::try_from(id).expect("small"))],
            );
        }
        let snapshot = provider.collect();
        assert_eq!(
            merged(&encoder.encode(&snapshot)),
            crate::expected::request(&snapshot)
        );
    }
}
