use std::time::SystemTime;

use opentelemetry::{KeyValue, SpanId, TraceId};

use crate::Number;

/// One measurement as it was made: an example of those a point sums up (OpenTelemetry metrics data
/// model, "Exemplars").
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What was measured.
    pub value: Number,
    /// When it was recorded.
    pub time: SystemTime,
    /// The span it was recorded in, unless there was none.
    pub span: Option<(TraceId, SpanId)>,
    /// The attributes it was recorded with that its series does not have, because a view left them
    /// out.
    pub filtered_attributes: Box<[KeyValue]>,
}

/// The exemplars of a metric's points; most points have none, and none costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplars(Vec<(usize, Exemplar)>);

impl Exemplars {
    /// Adds an example of the point at this position; those of one point must come together, and
    /// points in their order.
    ///
    /// # Panics
    /// If `point` comes before that of the last one.
    pub fn push(&mut self, point: usize, exemplar: Exemplar) {
        assert!(self.0.last().is_none_or(|(last, _)| *last <= point));
        self.0.push((point, exemplar));
    }

    /// Whether no point has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of the point at this position, in the order of their buckets where it has fixed ones.
    pub fn of(&self, point: usize) -> impl ExactSizeIterator<Item = &Exemplar> + Clone {
        let from = self.0.partition_point(|(at, _)| *at < point);
        let to = self.0.partition_point(|(at, _)| *at <= point);
        self.0[from..to].iter().map(|(_, exemplar)| exemplar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_has_its_own() {
        let exemplar = |value| Exemplar {
            value: Number::U64(value),
            time: SystemTime::UNIX_EPOCH,
            span: None,
            filtered_attributes: Box::default(),
        };
        let mut exemplars = Exemplars::default();
        for (point, value) in [(1, 10), (1, 11), (4, 40)] {
            exemplars.push(point, exemplar(value));
        }
        let of = |point| exemplars.of(point).map(|e| e.value).collect::<Vec<_>>();
        assert_eq!(of(0), []);
        assert_eq!(of(1), [Number::U64(10), Number::U64(11)]);
        assert_eq!(of(3), []);
        assert_eq!(of(4), [Number::U64(40)]);
        assert_eq!(of(5), []);
    }
}
