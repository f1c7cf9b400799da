//! What families say that a page should hold, worked out beside the encoders.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use meterline_exposition::{
    Block, Families, HistogramRow, Kind, NumberRow, TranslationOptions, Translator,
};
use meterline_sdk::{Exemplar, Number};

use crate::build::{gauge, metric, snapshot};

pub(crate) type Labels = BTreeMap<String, String>;

/// Samples by name and labels; of buckets with `le`.
pub(crate) type Samples = BTreeMap<(String, Labels), Point>;

/// What stands behind a sample's labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// See [`bits`].
    pub(crate) value: u64,
    pub(crate) exemplar: Option<Example>,
}

impl Point {
    pub(crate) fn bare(value: f64) -> Self {
        Self {
            value: bits(value),
            exemplar: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    pub(crate) labels: Labels,
    pub(crate) value: u64,
    /// As precise as any reader's clock.
    pub(crate) millis: i64,
}

/// Values that are equal on a page: all NaNs are one.
pub(crate) fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64
}

/// What an OpenMetrics page has that others do not.
pub(crate) struct OpenMetrics<'p> {
    /// The types on the page by name, which tell whether a name may be that of a counter.
    pub(crate) types: &'p BTreeMap<String, String>,
    /// What the families were translated by.
    pub(crate) options: &'p TranslationOptions,
}

/// The samples of the page, and of how many points they are. OpenMetrics forbids some.
pub(crate) fn meant(
    families: &Families<'_>,
    openmetrics: Option<&OpenMetrics<'_>>,
) -> (Samples, u64) {
    let mut page = Meant {
        samples: Samples::new(),
        openmetrics,
    };
    let mut points = 0;
    for family in families.iter() {
        let name = family.name();
        let stem = openmetrics.and_then(|page| {
            let stem = name.strip_suffix("_total")?;
            (page.types.get(stem)? == "counter" && family.kind() == Kind::Counter).then_some(stem)
        });
        for block in family.blocks() {
            match block {
                Block::Numbers(block) => {
                    let shown = block.iter().filter(|row| page.number(name, stem, row));
                    points += shown.count() as u64;
                }
                Block::Histograms(block) => {
                    for row in block.iter() {
                        points += 1;
                        page.histogram(name, &row);
                    }
                }
                _ => unreachable!("a block of a kind this test does not know"),
            }
        }
    }
    (page.samples, points)
}

struct Meant<'p> {
    samples: Samples,
    openmetrics: Option<&'p OpenMetrics<'p>>,
}

impl Meant<'_> {
    fn add(&mut self, name: String, labels: Labels, point: Point) {
        assert_eq!(self.samples.insert((name, labels), point), None);
    }

    fn created(&mut self, name: &str, labels: Labels, start: Option<SystemTime>) {
        let shown = self
            .openmetrics
            .is_some_and(|page| page.options.created_timestamps);
        if let Some(start) = start.filter(|_| shown) {
            self.add(
                format!("{name}_created"),
                labels,
                Point::bare(seconds(start)),
            );
        }
    }

    /// A number, unless the page has no room for it; `stem` is the counter's name in OpenMetrics.
    fn number(&mut self, name: &str, stem: Option<&str>, row: &NumberRow<'_>) -> bool {
        let value = row.value.as_f64();
        let mut point = Point::bare(value);
        if let Some((stem, page)) = stem.zip(self.openmetrics) {
            if value.is_nan() || value < 0.0 {
                return false;
            }
            let numbers = row.exemplars().filter(|e| !e.value.as_f64().is_nan());
            let latest = numbers.max_by_key(|e| e.time);
            point.exemplar = latest.map(|exemplar| example(exemplar, page.options));
            self.created(stem, owned(row.labels), row.start());
        }
        self.add(name.to_owned(), owned(row.labels), point);
        true
    }

    fn histogram(&mut self, name: &str, row: &HistogramRow<'_>) {
        let labels = owned(row.labels);
        let (mut count, mut negative) = (Number::U64(0), false);
        let mut below = f64::NEG_INFINITY;
        for bucket in row.buckets() {
            let mut labels = labels.clone();
            let le = match self.openmetrics {
                Some(_) => bucket.canonical_le,
                None => bucket.le,
            };
            let le = labels.insert("le".to_owned(), le.to_owned());
            assert_eq!(le, None, "only buckets have `le`");
            count = Number::U64(bucket.count);
            negative |= bucket.bound < 0.0;
            let mut point = Point::bare(count.as_f64());
            point.exemplar = self.openmetrics.and_then(|page| {
                let latest = latest_in(row, below, bucket.bound)?;
                Some(example(latest, page.options))
            });
            below = bucket.bound;
            self.add(format!("{name}_bucket"), labels, point);
        }
        let sum = row.sum().as_f64();
        if self.openmetrics.is_none() || (!negative && sum >= 0.0) {
            let count = Point::bare(count.as_f64());
            self.add(format!("{name}_count"), labels.clone(), count);
            self.add(format!("{name}_sum"), labels.clone(), Point::bare(sum));
        }
        self.created(name, labels, row.start());
    }
}

/// The latest exemplar of a bucket.
pub(crate) fn latest_in<'a>(
    row: &HistogramRow<'a>,
    below: f64,
    bound: f64,
) -> Option<&'a Exemplar> {
    let inside = row.exemplars().filter(|exemplar| {
        let value = exemplar.value.as_f64();
        value > below && value <= bound
    });
    inside.max_by_key(|exemplar| exemplar.time)
}

/// An exemplar as a page shows it: the span, then the attributes as they would be labels of a series,
/// as far as 128 characters go.
pub(crate) fn example(exemplar: &Exemplar, options: &TranslationOptions) -> Example {
    let mut labels = Labels::new();
    if let Some((trace, span)) = exemplar.span {
        let trace = u128::from_be_bytes(trace.to_bytes());
        let span = u64::from_be_bytes(span.to_bytes());
        labels.insert("trace_id".to_owned(), format!("{trace:032x}"));
        labels.insert("span_id".to_owned(), format!("{span:016x}"));
    }
    let characters = |text: &str| text.chars().count();
    let mut room: usize = 128;
    for (name, value) in &labels {
        room -= characters(name) + characters(value);
    }
    for (name, value) in as_series(exemplar, options) {
        let needed = characters(&name) + characters(&value);
        if needed <= room && !labels.contains_key(&name) {
            room -= needed;
            labels.insert(name, value);
        }
    }
    Example {
        labels,
        value: bits(exemplar.value.as_f64()),
        millis: millis(seconds(exemplar.time)),
    }
}

fn as_series(exemplar: &Exemplar, options: &TranslationOptions) -> Vec<(String, String)> {
    let mut options = options.clone();
    options.scope_labels = false;
    options.target_info = false;
    options.resource_labels.clear();
    let series = [exemplar.filtered_attributes.to_vec()];
    let snapshot = snapshot(&[], vec![metric(["x", "", ""], series, gauge(&[1.0]))]);
    let mut translator = Translator::new(options);
    let families = translator.translate(&snapshot);
    let family = families.iter().next().expect("one family");
    match family.blocks().next() {
        Some(Block::Numbers(block)) => {
            let row = block.iter().next().expect("one series");
            let labels = row.labels.iter();
            labels
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn seconds(time: SystemTime) -> f64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).expect("it is later");
    since_epoch.as_secs_f64()
}

pub(crate) fn owned(labels: meterline_exposition::Labels<'_>) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
