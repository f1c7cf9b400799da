//! Protobuf pages as prost decodes them, by the public `metrics.proto` of Prometheus' client model:
//! an implementation of the wire format that we did not write.

use std::collections::BTreeMap;

use meterline_exposition::{Block, Format, Translator};
use prost::Message;

use crate::{hostile, scenarios};

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A gauge, which has the value only, or a counter.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Span {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

fn decoded(mut page: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).expect("a message"));
    }
    families
}

fn labels(pairs: &[LabelPair]) -> BTreeMap<String, String> {
    let pairs = pairs.iter().cloned();
    pairs
        .map(|pair| {
            (
                pair.name.unwrap_or_default(),
                pair.value.unwrap_or_default(),
            )
        })
        .collect()
}

fn same(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| a.to_bits() == b.to_bits())
}

#[test]
fn hostile_pages_hold_what_the_families_say() {
    for (options, snapshot) in hostile::samples(500) {
        let mut translator = Translator::new(options);
        let families = translator.translate(&snapshot);
        let mut page = Vec::new();
        Format::Protobuf.encode(&families, &mut page);
        let decoded = decoded(&page);
        assert_eq!(decoded.len(), families.iter().count());
        for (read, family) in decoded.iter().zip(families.iter()) {
            assert_eq!(read.name.as_deref(), Some(family.name()));
            assert_eq!(read.help.as_deref().unwrap_or_default(), family.help());
            let mut metrics = read.metric.iter();
            for block in family.blocks() {
                compare(&block, &mut metrics);
            }
            assert_eq!(metrics.next(), None);
        }
    }
}

fn compare<'a>(block: &Block<'_>, metrics: &mut impl Iterator<Item = &'a Metric>) {
    let mut next = || metrics.next().expect("a message for every point");
    let meant = |labels: meterline_exposition::Labels<'_>| {
        let labels = labels.iter();
        labels
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    match block {
        Block::Numbers(block) => {
            for row in block.iter() {
                let read = next();
                assert_eq!(labels(&read.label), meant(row.labels));
                let number = read
                    .counter
                    .as_ref()
                    .or(read.gauge.as_ref())
                    .expect("a number");
                assert!(same(number.value, row.value.as_f64()), "{read:?}");
            }
        }
        Block::Histograms(block) => {
            for row in block.iter() {
                let read = next();
                assert_eq!(labels(&read.label), meant(row.labels));
                let read = read.histogram.as_ref().expect("a histogram");
                assert!(same(read.sum, row.sum().as_f64()), "{read:?}");
                if !read.bucket.is_empty() {
                    let shown = read.bucket.iter().map(|b| (b.bound, b.count));
                    let meant = row.buckets().map(|b| (Some(b.bound), Some(b.count)));
                    assert!(shown.eq(meant), "{read:?}");
                }
                assert!(read.schema.is_some() || !read.bucket.is_empty(), "{read:?}");
                let length = |spans: &[Span]| spans.iter().filter_map(|s| s.length).sum::<u32>();
                assert_eq!(
                    length(&read.positive_span) as usize,
                    read.positive_delta.len()
                );
                assert_eq!(
                    length(&read.negative_span) as usize,
                    read.negative_delta.len()
                );
            }
        }
        _ => unreachable!("a block of a kind this test does not know"),
    }
}

/// Trap 28: the specification's example, a scale that is too fine, one that is too coarse, and one
/// without a recording.
#[test]
fn trap_28_native_histograms() {
    let scenario = scenarios::named("exponential_histograms");
    let page = crate::build::page(Format::Protobuf, &scenario.options, &scenario.snapshot);
    let decoded = decoded(&page);
    let histogram = |name: &str| {
        let family = decoded
            .iter()
            .find(|family| family.name.as_deref() == Some(name));
        let metric = &family.expect("it is there").metric[0];
        metric.histogram.clone().expect("a histogram")
    };
    let span = |offset, length| Span {
        offset: Some(offset),
        length: Some(length),
    };
    let worked = histogram("worked");
    assert_eq!(worked.schema, Some(0));
    assert_eq!(worked.positive_span, [span(4, 1), span(2, 3)]);
    assert_eq!(worked.positive_delta, [10, 10, -15, -3]);
    assert_eq!(worked.zero_threshold, Some(1e-128));
    assert_eq!((worked.count, worked.bucket.len()), (Some(37), 0));
    let created = worked.created.expect("it began");
    assert_eq!(
        (created.seconds, created.nanos),
        (1_600_000_000, 250_000_000)
    );

    let both = histogram("both_seconds");
    assert_eq!((both.positive_delta.len(), both.bucket.len()), (4, 3));

    let fine = histogram("fine");
    assert_eq!((fine.schema, fine.count), (Some(8), Some(30)));
    // Of scale 10, indices 0 to 4: four of scale 8's first bucket, and one of its second.
    assert_eq!(fine.positive_span, [span(1, 2)]);
    assert_eq!(fine.positive_delta, [10, -5]);

    let coarse = histogram("coarse");
    assert_eq!((coarse.schema, coarse.count), (None, Some(8)));
    assert!(!coarse.bucket.is_empty());

    let empty = histogram("empty");
    assert_eq!(empty.positive_span, [span(0, 0)]);
    assert_eq!(empty.count, Some(0));
}
