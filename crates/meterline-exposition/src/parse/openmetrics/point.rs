//! The samples of a histogram at one time, which must agree with each other.

use super::super::{Rule, Sample, Stop, Suffix};
use super::family::stop;

pub(super) struct Point {
    /// Where it begins.
    begin: usize,
    /// The last bucket: bound and cumulative count.
    bucket: Option<(f64, f64)>,
    negative_bounds: bool,
    count: Option<f64>,
    sum: bool,
    gauge_sum: Option<f64>,
}

impl Point {
    pub(super) fn new(first: &Sample<'_>) -> Self {
        Self {
            begin: first.offset as usize,
            bucket: None,
            negative_bounds: false,
            count: None,
            sum: false,
            gauge_sum: None,
        }
    }

    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Stop> {
        let value = sample.value.number().unwrap_or_default();
        match sample.suffix {
            Suffix::Bucket => {
                let bound = sample.bound.unwrap_or_default();
                if let Some((before, count)) = self.bucket {
                    if bound <= before {
                        let why = format!(
                            "the bucket ends at {bound}, not after the one above, {before}; order them"
                        );
                        return stop(sample, Rule::Histogram, why);
                    }
                    if value < count {
                        let why = format!(
                            "the bucket holds {value}, less than the one above, {count}; buckets are cumulative"
                        );
                        return stop(sample, Rule::Histogram, why);
                    }
                }
                self.negative_bounds |= bound < 0.0;
                self.bucket = Some((bound, value));
            }
            Suffix::Count | Suffix::GaugeCount => self.count = Some(value),
            Suffix::Sum => self.sum = true,
            Suffix::GaugeSum => self.gauge_sum = Some(value),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Stop> {
        let sum = self.sum || self.gauge_sum.is_some();
        let why = match (self.bucket, self.count) {
            (Some((f64::INFINITY, all)), Some(count)) if all != count => {
                format!("the histogram has count {count}, but its bucket le=\"+Inf\" {all}; they are the same number")
            }
            (Some((f64::INFINITY, _)), None) if sum => {
                "the histogram has a sum but no count; write both or neither".to_owned()
            }
            (Some((f64::INFINITY, _)), Some(_)) if !sum => {
                "the histogram has a count but no sum; write both or neither".to_owned()
            }
            (Some((f64::INFINITY, _)), _) if self.sum && self.negative_bounds => {
                "a histogram with negative buckets has no sum, because it could go down; leave count and sum out".to_owned()
            }
            (Some((f64::INFINITY, _)), _)
                if self.gauge_sum.is_some_and(|sum| sum < 0.0) && !self.negative_bounds =>
            {
                "the sum is negative although no bucket is".to_owned()
            }
            (Some((f64::INFINITY, _)), _) => return Ok(()),
            _ => "the histogram has no bucket le=\"+Inf\"; add it as the last, with the count of all".to_owned(),
        };
        Err(Stop::new(self.begin, Rule::Histogram, why))
    }
}
