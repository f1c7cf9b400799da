//! Points of any kind as something that can be added up and compared.

use std::collections::BTreeMap;
use std::time::SystemTime;

use meterline_sdk::{Attributes, Data, ExponentialPoint, HistogramPoint, Metric, Number, Snapshot};
use opentelemetry::Value;

use super::metric;

/// Which series of an instrument, in order of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bare,
    Id(i64),
    Overflow,
}

impl Key {
    fn of(attributes: &Attributes) -> Self {
        match attributes.first().map(|first| &first.value) {
            None => Self::Bare,
            Some(Value::I64(id)) => Self::Id(*id),
            Some(_) => Self::Overflow,
        }
    }
}

/// What a point counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Amount {
    pub(crate) sum: f64,
    /// Of values, by bucket; of exponential ones at scale 0, whatever scale they have.
    pub(crate) buckets: BTreeMap<i32, u64>,
    pub(crate) min_max: Option<(f64, f64)>,
    pub(crate) scale: Option<i8>,
}

impl Amount {
    fn number(sum: Number) -> Self {
        Self {
            sum: sum.as_f64(),
            ..Self::default()
        }
    }

    fn explicit(point: HistogramPoint<'_>) -> Self {
        let counts = (0..).zip(point.counts.iter().copied());
        Self {
            sum: point.sum.as_f64(),
            buckets: counts.filter(|(_, count)| *count > 0).collect(),
            min_max: point
                .min_max
                .map(|(low, high)| (low.as_f64(), high.as_f64())),
            scale: None,
        }
    }

    fn exponential(point: ExponentialPoint<'_>) -> Self {
        assert!(point.scale >= 0, "values are near to each other");
        let mut buckets = BTreeMap::new();
        for (index, count) in (point.positive.offset..).zip(point.positive.counts) {
            *buckets.entry(index >> point.scale).or_insert(0) += count;
        }
        buckets.retain(|_, count| *count > 0);
        Self {
            sum: point.sum.as_f64(),
            buckets,
            min_max: point
                .min_max
                .map(|(low, high)| (low.as_f64(), high.as_f64())),
            scale: Some(point.scale),
        }
    }

    fn is_nothing(&self) -> bool {
        self.buckets.is_empty() && self.sum == 0.0
    }

    /// Both together; extremes are known only if both are, and the scale is at most that of the
    /// coarser one.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        self.min_max = match (self.min_max, other.min_max) {
            _ if self.is_nothing() => other.min_max,
            (known, _) if other.is_nothing() => known,
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            _ => None,
        };
        self.sum += other.sum;
        for (index, count) in &other.buckets {
            *self.buckets.entry(*index).or_insert(0) += count;
        }
        self.scale = self.scale.into_iter().chain(other.scale).min();
        self
    }

    pub(crate) fn total<'a>(amounts: impl IntoIterator<Item = &'a Self>) -> Self {
        amounts.into_iter().fold(Self::default(), Self::plus)
    }

    /// The same but for the scale, which may be coarser.
    pub(crate) fn assert_holds(&self, parts: &Self, what: &str) {
        assert!(self.scale <= parts.scale, "{what}: {self:?} of {parts:?}");
        let parts = Self {
            scale: self.scale,
            ..parts.clone()
        };
        assert_eq!(*self, parts, "{what}");
    }

    /// Whether this may follow the other one in a total that only grows.
    pub(crate) fn is_no_less_than(&self, before: &Self) -> bool {
        let holds = |(index, count)| self.buckets.get(index).is_some_and(|now| now >= count);
        self.sum >= before.sum && self.scale <= before.scale && before.buckets.iter().all(holds)
    }
}

/// The points of an instrument, with the start of their series.
pub(crate) type Points = BTreeMap<Key, (SystemTime, Amount)>;

pub(crate) fn points(snapshot: &Snapshot, name: &str) -> Points {
    let Some(metric) = metric(snapshot, name) else {
        return Points::new();
    };
    let amounts = amounts(metric);
    assert_eq!(amounts.len(), metric.series.len());
    let series = metric.series.iter();
    let points = series.map(|series| (Key::of(series.attributes()), series.start()));
    let keys: Vec<Key> = points.clone().map(|(key, _)| key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "{name}: {keys:?}");
    points
        .zip(amounts)
        .map(|((key, start), amount)| (key, (start, amount)))
        .collect()
}

fn amounts(metric: &Metric) -> Vec<Amount> {
    match &metric.data {
        Data::Sum { values, .. } | Data::Gauge(values) => {
            values.iter().copied().map(Amount::number).collect()
        }
        Data::Histogram(points) => points.iter().map(Amount::explicit).collect(),
        Data::ExponentialHistogram(points) => points.iter().map(Amount::exponential).collect(),
        other => panic!("{other:?}"),
    }
}
