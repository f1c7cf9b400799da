//! Protobuf pages hold what the families say, decoded by prost.

use std::collections::BTreeMap;

use meterline_exposition::{Block, Format, HistogramRow, TranslationOptions, Translator};

use crate::hostile;
use crate::meant::{Example, Labels, bits, example, latest_in, millis, owned};
use crate::messages::{
    Exemplar, Histogram, LabelPair, Metric, MetricFamily, Span, Timestamp, decode,
};
use crate::scenarios;

fn decoded(page: &[u8]) -> Vec<MetricFamily> {
    decode(page).expect("messages")
}

fn labels(pairs: &[LabelPair]) -> Labels {
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

fn shown(exemplar: &Exemplar) -> Example {
    Example {
        labels: labels(&exemplar.label),
        value: bits(exemplar.value.expect("a value")),
        millis: millis(exemplar.timestamp.as_ref().expect("a time").seconds()),
    }
}

#[test]
fn hostile_pages_hold_what_the_families_say() {
    for (options, snapshot) in hostile::samples(700) {
        let given: usize = snapshot.metrics.iter().map(|m| m.data.len()).sum();
        let target = options.target_info && !snapshot.resource.attributes().is_empty();
        let mut translator = Translator::new(options.clone());
        let families = translator.translate(&snapshot);
        let mut page = Vec::new();
        let left_out = Format::Protobuf.encode(&families, &mut page);
        let decoded = decoded(&page);
        assert_eq!(decoded.len(), families.iter().count());
        for (read, family) in decoded.iter().zip(families.iter()) {
            assert_eq!(read.name.as_deref(), Some(family.name()));
            assert_eq!(read.help.as_deref().unwrap_or_default(), family.help());
            if let Some(unit) = &read.unit {
                assert_eq!(unit, family.unit());
            }
            let mut metrics = read.metric.iter();
            for block in family.blocks() {
                compare(&block, &options, &mut metrics);
            }
            assert_eq!(metrics.next(), None);
        }
        // What is not there was counted.
        let points: usize = decoded.iter().map(|family| family.metric.len()).sum();
        let dropped = families.dropped().and(left_out).total();
        assert_eq!(points as u64 + dropped, given as u64 + u64::from(target));
    }
}

fn compare<'a>(
    block: &Block<'_>,
    options: &TranslationOptions,
    metrics: &mut impl Iterator<Item = &'a Metric>,
) {
    let mut next = || metrics.next().expect("a message for every point");
    match block {
        Block::Numbers(block) => {
            for row in block.iter() {
                let read = next();
                assert_eq!(labels(&read.label), owned(row.labels));
                let number = read
                    .counter
                    .as_ref()
                    .or(read.gauge.as_ref())
                    .expect("a number");
                assert!(same(number.value, row.value.as_f64()), "{read:?}");
                if read.counter.is_some() {
                    let numbers = row.exemplars().filter(|e| !e.value.as_f64().is_nan());
                    let latest = numbers.max_by_key(|e| e.time);
                    let meant = latest.map(|latest| example(latest, options));
                    assert_eq!(number.exemplar.as_ref().map(shown), meant);
                    assert_eq!(number.created.map(Timestamp::time), row.start());
                } else {
                    assert_eq!((&number.exemplar, number.created), (&None, None));
                }
            }
        }
        Block::Histograms(block) => {
            for row in block.iter() {
                let read = next();
                assert_eq!(labels(&read.label), owned(row.labels));
                compare_histogram(read.histogram.as_ref().expect("a histogram"), &row, options);
            }
        }
        _ => unreachable!("a block of a kind this test does not know"),
    }
}

fn compare_histogram(read: &Histogram, row: &HistogramRow<'_>, options: &TranslationOptions) {
    assert!(same(read.sum, row.sum().as_f64()), "{read:?}");
    assert_eq!(read.created.map(Timestamp::time), row.start());
    if !read.bucket.is_empty() {
        let mut below = f64::NEG_INFINITY;
        let meant: Vec<_> = row
            .buckets()
            .map(|bucket| {
                let latest = latest_in(row, below, bucket.bound);
                below = bucket.bound;
                let exemplar = latest.map(|latest| example(latest, options));
                (Some(bucket.bound), Some(bucket.count), exemplar)
            })
            .collect();
        let read = read.bucket.iter();
        let read: Vec<_> = read
            .map(|b| (b.bound, b.count, b.exemplar.as_ref().map(shown)))
            .collect();
        assert_eq!(read, meant);
        assert_eq!(read.last().map(|last| last.0), Some(Some(f64::INFINITY)));
    }
    assert!(read.schema.is_some() || !read.bucket.is_empty(), "{read:?}");
    let Some(schema) = read.schema else {
        assert!(read.exemplars.is_empty() && read.zero_count.is_none());
        return;
    };
    let native = row.native().expect("exponential buckets were recorded");
    assert_eq!(schema, i32::from(native.scale.min(8)));
    assert_eq!(read.zero_count, Some(native.zero_count));
    let merged = u32::from(native.scale.abs_diff(native.scale.min(8))).min(63);
    for (spans, deltas, recorded) in [
        (&read.positive_span, &read.positive_delta, native.positive),
        (&read.negative_span, &read.negative_delta, native.negative),
    ] {
        let mut meant = BTreeMap::new();
        for (at, count) in (i64::from(recorded.offset)..).zip(recorded.counts) {
            let index = ((at >> merged) + 1).min(i64::from(i32::MAX));
            *meant.entry(index).or_insert(0) += i128::from(*count);
        }
        meant.retain(|_, count| *count > 0);
        assert_eq!(populated(spans, deltas), meant);
    }
    let meant = row.exemplars().filter(|e| !e.value.as_f64().is_nan());
    let meant: Vec<_> = meant.map(|exemplar| example(exemplar, options)).collect();
    assert_eq!(read.exemplars.iter().map(shown).collect::<Vec<_>>(), meant);
}

/// The buckets of spans and differences, by index.
fn populated(spans: &[Span], deltas: &[i64]) -> BTreeMap<i64, i128> {
    let (mut index, mut count, mut deltas) = (0, 0, deltas.iter());
    let mut buckets = BTreeMap::new();
    for span in spans {
        index += i64::from(span.offset.unwrap_or_default());
        for _ in 0..span.length.unwrap_or_default() {
            count += i128::from(*deltas.next().expect("a difference per bucket"));
            assert!(count > 0, "empty buckets are left out");
            buckets.insert(index, count);
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
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
