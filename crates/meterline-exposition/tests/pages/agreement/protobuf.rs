//! Our parser of protobuf reads what prost reads, also of pages that were tampered with.

use meterline_exposition::Format;
use meterline_exposition::parse::{self, NativeBuckets, Page, Rule, Suffix, Syntax, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::build::page;
use crate::hostile;
use crate::meant::bits;
use crate::messages::{
    Exemplar, Histogram, LabelPair, Metric, MetricFamily, Span, Timestamp, decode,
};

type Labels = Vec<(String, String)>;
/// Labels, value and time.
type Example = (Labels, u64, Option<u64>);

/// One sample, by whichever reader.
#[derive(Debug, PartialEq)]
struct Read {
    family: String,
    suffix: Suffix,
    labels: Labels,
    bound: Option<u64>,
    value: u64,
    timestamp: Option<u64>,
    exemplar: Option<Example>,
    native: Option<Native>,
}

#[derive(Debug, PartialEq)]
struct Native {
    schema: i32,
    zero: (u64, u64),
    spans: [Vec<(i32, u32)>; 2],
    counts: [Vec<u64>; 2],
    exemplars: Vec<Example>,
}

/// What our parser makes of a page.
fn ours(page: &[u8]) -> Result<Vec<Read>, parse::Fault> {
    let page = Page::parse(page, Syntax::Protobuf)?;
    let labels = |labels: &[parse::Label<'_>]| {
        let labels = labels.iter();
        labels
            .map(|label| (label.name.to_string(), label.value.to_string()))
            .collect()
    };
    let example = |exemplar: &parse::Exemplar| {
        let time = exemplar.timestamp.map(f64::to_bits);
        (
            labels(page.exemplar_labels(exemplar)),
            bits(exemplar.value),
            time,
        )
    };
    let native = |value: &Value| match value {
        Value::Native(native) => {
            let spans = |side: &NativeBuckets| {
                let spans = side.spans.iter();
                spans.map(|span| (span.offset, span.length)).collect()
            };
            let counts = |side: &NativeBuckets| side.counts.iter().copied().map(bits).collect();
            Some(Native {
                schema: native.schema,
                zero: (bits(native.zero_threshold), bits(native.zero_count)),
                spans: [spans(&native.negative), spans(&native.positive)],
                counts: [counts(&native.negative), counts(&native.positive)],
                exemplars: native.exemplars.iter().map(example).collect(),
            })
        }
        _ => None,
    };
    let samples = page.families.iter().flat_map(|family| {
        let page = &page;
        family.samples.iter().map(move |sample| Read {
            family: family.name.to_string(),
            suffix: sample.suffix,
            labels: labels(page.labels(sample)),
            bound: sample.bound.map(bits),
            value: sample.value.number().map_or(0, bits),
            timestamp: sample.timestamp.map(f64::to_bits),
            exemplar: sample.exemplar.as_deref().map(example),
            native: native(&sample.value),
        })
    });
    Ok(samples.collect())
}

/// What prost's messages say, in the same order.
fn theirs(families: &[MetricFamily]) -> Vec<Read> {
    let mut all = Vec::new();
    for family in families {
        for metric in &family.metric {
            let mut samples = samples(metric, family.kind.unwrap_or_default() == 5);
            for sample in &mut samples {
                sample.family = family.name.clone().unwrap_or_default();
                sample.labels = labels(&metric.label);
                let seconds = metric.timestamp_ms.map(|millis| millis as f64 / 1e3);
                sample.timestamp = seconds.map(f64::to_bits);
            }
            all.append(&mut samples);
        }
    }
    all
}

fn sample(suffix: Suffix, value: f64) -> Read {
    Read {
        family: String::new(),
        suffix,
        labels: Labels::new(),
        bound: None,
        value: bits(value),
        timestamp: None,
        exemplar: None,
        native: None,
    }
}

fn labels(pairs: &[LabelPair]) -> Labels {
    let pairs = pairs.iter().cloned();
    let pairs = pairs.map(|p| (p.name.unwrap_or_default(), p.value.unwrap_or_default()));
    let mut labels: Labels = pairs.collect();
    labels.sort();
    labels
}

fn example(exemplar: &Exemplar) -> Example {
    let time = exemplar.timestamp.map(|time| time.seconds().to_bits());
    let value = exemplar.value.unwrap_or_default();
    (labels(&exemplar.label), bits(value), time)
}

fn created(time: Option<Timestamp>) -> Option<Read> {
    Some(sample(Suffix::Created, time?.seconds()))
}

fn samples(metric: &Metric, gauge: bool) -> Vec<Read> {
    if let Some(number) = metric.gauge.as_ref().or(metric.untyped.as_ref()) {
        return vec![sample(Suffix::None, number.value.unwrap_or_default())];
    }
    if let Some(counter) = &metric.counter {
        let mut total = sample(Suffix::None, counter.value.unwrap_or_default());
        total.exemplar = counter.exemplar.as_ref().map(example);
        return [total]
            .into_iter()
            .chain(created(counter.created))
            .collect();
    }
    if let Some(summary) = &metric.summary {
        let quantiles = summary.quantile.iter().map(|quantile| {
            let mut read = sample(Suffix::None, quantile.value.unwrap_or_default());
            read.bound = Some(bits(quantile.quantile.unwrap_or_default()));
            read
        });
        let sum = sample(Suffix::Sum, summary.sum.unwrap_or_default());
        let count = sample(Suffix::Count, summary.count.unwrap_or_default() as f64);
        let rest = [sum, count].into_iter().chain(created(summary.created));
        return quantiles.chain(rest).collect();
    }
    let histogram = metric.histogram.as_ref();
    histogram.map_or_else(Vec::new, |histogram| of_histogram(histogram, gauge))
}

/// A count that may be either, a float where there is one.
fn either(whole: Option<u64>, float: Option<f64>) -> f64 {
    match float {
        Some(float) if float > 0.0 => float,
        _ => whole.unwrap_or_default() as f64,
    }
}

fn of_histogram(histogram: &Histogram, gauge: bool) -> Vec<Read> {
    let count = either(histogram.count, histogram.count_float);
    let bucket = |bound: f64, count| {
        let mut bucket = sample(Suffix::Bucket, count);
        bucket.bound = Some(bits(bound));
        bucket
    };
    let mut samples: Vec<_> = histogram
        .bucket
        .iter()
        .map(|shown| {
            let count = either(shown.count, shown.count_float);
            let mut read = bucket(shown.bound.unwrap_or_default(), count);
            read.exemplar = shown.exemplar.as_ref().map(example);
            read
        })
        .collect();
    let zero = either(histogram.zero_count, histogram.zero_count_float);
    let threshold = histogram.zero_threshold.unwrap_or_default();
    let spans = !histogram.positive_span.is_empty() || !histogram.negative_span.is_empty();
    let native = histogram
        .schema
        .filter(|_| spans || threshold != 0.0 || zero != 0.0);
    let infinity = Some(bits(f64::INFINITY));
    let complete = samples.last().is_some_and(|last| last.bound == infinity);
    if (native.is_none() || !samples.is_empty()) && !complete {
        samples.push(bucket(f64::INFINITY, count));
    }
    let (counts, sums) = match gauge {
        true => (Suffix::GaugeCount, Suffix::GaugeSum),
        false => (Suffix::Count, Suffix::Sum),
    };
    samples.push(sample(counts, count));
    samples.push(sample(sums, histogram.sum.unwrap_or_default()));
    if let Some(schema) = native {
        let mut read = sample(Suffix::None, 0.0);
        read.value = 0;
        read.native = Some(Native {
            schema,
            zero: (bits(threshold), bits(zero)),
            spans: [
                pairs(&histogram.negative_span),
                pairs(&histogram.positive_span),
            ],
            counts: [
                counted(&histogram.negative_delta, &histogram.negative_count),
                counted(&histogram.positive_delta, &histogram.positive_count),
            ],
            exemplars: histogram.exemplars.iter().map(example).collect(),
        });
        samples.push(read);
    }
    samples.extend(created(histogram.created));
    samples
}

fn pairs(spans: &[Span]) -> Vec<(i32, u32)> {
    let spans = spans.iter();
    spans
        .map(|span| {
            (
                span.offset.unwrap_or_default(),
                span.length.unwrap_or_default(),
            )
        })
        .collect()
}

fn counted(deltas: &[i64], counts: &[f64]) -> Vec<u64> {
    let mut count = 0;
    let whole = deltas.iter().map(|delta| {
        count += delta;
        bits(count as f64)
    });
    counts.iter().copied().map(bits).chain(whole).collect()
}

#[test]
fn pages_are_read_alike() {
    for (options, snapshot) in hostile::samples(700) {
        let page = page(Format::Protobuf, &options, &snapshot);
        let decoded = decode(&page).expect("messages");
        assert_eq!(ours(&page).expect("a valid page"), theirs(&decoded));
    }
}

/// A byte that is another, is not there, or is new.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Remove(Index),
    Insert(Index, u8),
}

/// Why we refuse what prost decodes: what messages hold, and not how they are written. Wire faults
/// are of that kind where they name one of these.
const MEANING: &[&str] = &[
    "has no value",
    "has two values",
    "as the schema has it",
    "a number of 32 bits",
];

/// Our reader is stricter than prost in what it takes a message to say, never laxer, and both read
/// the same where both accept.
#[test]
fn damaged_pages_get_the_same_verdict() {
    let mut runner = TestRunner::deterministic();
    let damage = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        1 => any::<Index>().prop_map(Damage::Remove),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
    ];
    let damages = vec(damage, 1..3);
    let (mut accepted, mut refused) = (0, 0);
    for (options, snapshot) in hostile::samples(400) {
        let whole = page(Format::Protobuf, &options, &snapshot);
        if whole.is_empty() {
            continue;
        }
        for _ in 0..8 {
            let mut page = whole.clone();
            for damage in damages.new_tree(&mut runner).expect("no filters").current() {
                match damage {
                    Damage::Replace(at, byte) => *at.get_mut(&mut page) = byte,
                    Damage::Remove(at) => drop(page.remove(at.index(page.len()))),
                    Damage::Insert(at, byte) => page.insert(at.index(page.len()), byte),
                }
                if page.is_empty() {
                    page.push(0);
                }
            }
            match (ours(&page), decode(&page)) {
                (Ok(ours), Ok(decoded)) => {
                    accepted += 1;
                    assert_eq!(ours, theirs(&decoded), "{page:?}");
                }
                (Ok(_), Err(error)) => panic!("only we accept {page:?}: {error}"),
                (Err(fault), Ok(_)) => {
                    refused += 1;
                    let meaning = MEANING.iter().any(|known| fault.message.contains(known));
                    assert!(
                        fault.rule != Rule::Wire || meaning,
                        "only we refuse {page:?}: {fault}"
                    );
                }
                (Err(_), Err(_)) => refused += 1,
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted}, {refused}");
}
