//! The one series that a reader sees instead of those beyond its limit.

use std::sync::Arc;
use std::time::SystemTime;

use super::is_overflow;
use crate::Attributes;
use crate::reader::merge;
use crate::series::{Series, SeriesList, unix_nanos};
use crate::snapshot::{Data, Exemplars, Metric};

pub(super) struct Overflow {
    series: Arc<Series>,
    /// The list with it, made anew when series come or go.
    shown: SeriesList,
    /// The cumulative point it showed last.
    last: Option<Data>,
}

impl Overflow {
    /// One that begins with the first of its parts.
    pub(super) fn new(start: Option<u64>) -> Self {
        Self {
            series: Arc::new(Series::of(
                Attributes::overflow().clone(),
                start.unwrap_or_default(),
            )),
            shown: Arc::new([]),
            last: None,
        }
    }

    /// Makes of cumulative points added up what may follow the one that was shown at `since`.
    pub(super) fn follow(&mut self, sum: &mut Data, keeps_what_ended: bool, since: SystemTime) {
        if let Some(last) = &self.last {
            if keeps_what_ended {
                merge::never_down(sum, last);
            } else if merge::is_down(sum, last) {
                // Some of what was observed is no more, as if all had ended and come back.
                let start = unix_nanos(since).max(self.series.start_nanos() + 1);
                self.series = Arc::new(Series::of(Attributes::overflow().clone(), start));
            }
        }
        self.last = Some(sum.clone());
    }

    /// The metric with those that have places, and this one for the others, which are `sum`.
    pub(super) fn show(&mut self, metric: Metric, folded: &[bool], sum: &Data) -> Metric {
        // By position, but for the overflow series, which has none.
        let series = Arc::clone(&self.series);
        let placed = metric.series.iter().enumerate();
        let placed = placed.filter(|(at, series)| !(folded[*at] || is_overflow(series)));
        let mut shown: Vec<_> = placed.map(|(at, series)| (Some(at), series)).collect();
        let at = shown.partition_point(|(_, known)| known.attributes() < series.attributes());
        shown.insert(at, (None, &series));
        self.list(&shown);
        let (mut data, mut exemplars) = (metric.data.empty(), Exemplars::default());
        for (point, (at, _)) in shown.iter().enumerate() {
            let Some(at) = *at else {
                data.push_from(sum, 0);
                continue;
            };
            data.push_from(&metric.data, at);
            for exemplar in metric.exemplars.of(at) {
                exemplars.push(point, exemplar.clone());
            }
        }
        Metric {
            series: Arc::clone(&self.shown),
            data,
            exemplars,
            ..metric
        }
    }

    /// Keeps the list of last time unless it is another one.
    fn list(&mut self, series: &[(Option<usize>, &Arc<Series>)]) {
        let known = self.shown.iter();
        let is_same = self.shown.len() == series.len()
            && known.zip(series).all(|(a, (_, b))| Arc::ptr_eq(a, b));
        if !is_same {
            let series = series.iter().map(|(_, series)| Arc::clone(series));
            self.shown = series.collect();
        }
    }
}
