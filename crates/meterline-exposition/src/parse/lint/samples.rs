//! Series that are there twice, and histograms that contradict themselves, in the formats whose
//! grammar lets them pass.

use super::super::series::{Identity, Seen};
use super::super::{Family, Page, Sample, Suffix, Syntax, Type, Value};
use super::{Finding, Lint, finding};

pub(super) fn lint(page: &Page<'_>, family: &Family<'_>, found: &mut Vec<Finding>) {
    // OpenMetrics forbids all of this itself.
    if page.syntax == Syntax::OpenMetrics {
        return;
    }
    duplicates(page, family, found);
    match family.kind {
        Type::Histogram | Type::GaugeHistogram => histograms(page, family, found),
        Type::Summary => summaries(family, found),
        _ => {}
    }
}

fn duplicates(page: &Page<'_>, family: &Family<'_>, found: &mut Vec<Finding>) {
    let identity = Identity {
        labels: &page.labels,
        series: true,
        without: None,
    };
    let mut seen = Seen::default();
    for (index, sample) in family.samples.iter().enumerate() {
        let before = seen.replace(identity, &family.samples, index);
        let twice =
            before.is_some_and(|before| family.samples[before].timestamp == sample.timestamp);
        if twice {
            let why = "this series is there twice; scrapers keep one value of the two";
            found.push(finding(Lint::DuplicateSeries, family, sample.offset, why));
            return;
        }
    }
}

/// The first thing wrong with histograms whose samples stand together; others are left alone.
fn histograms(page: &Page<'_>, family: &Family<'_>, found: &mut Vec<Finding>) {
    let identity = Identity {
        labels: &page.labels,
        series: false,
        without: None,
    };
    let mut say = |sample: &Sample<'_>, why: String| {
        found.push(finding(Lint::BrokenHistogram, family, sample.offset, why));
    };
    let together = |one: &Sample<'_>, other: &Sample<'_>| {
        one.timestamp == other.timestamp && identity.same(one, other)
    };
    for point in family.samples.chunk_by(together) {
        if let Some((sample, why)) = broken(point) {
            return say(sample, why);
        }
    }
}

fn broken<'s, 'a>(point: &'s [Sample<'a>]) -> Option<(&'s Sample<'a>, String)> {
    let mut last: Option<(f64, f64)> = None;
    let mut count = None;
    let mut native = false;
    for sample in point {
        let value = match &sample.value {
            Value::Number(value) => *value,
            Value::Native(_) => {
                native = true;
                continue;
            }
        };
        match (sample.suffix, sample.bound) {
            (Suffix::Bucket, Some(bound)) => {
                let wrong = last.and_then(|(before, held)| {
                    if bound <= before {
                        return Some("the buckets are not in ascending order of le");
                    }
                    (value < held).then_some(
                        "a bucket holds less than the one below it; buckets are cumulative",
                    )
                });
                if let Some(wrong) = wrong {
                    return Some((sample, wrong.to_owned()));
                }
                last = Some((bound, value));
            }
            (Suffix::Bucket, None) => {
                return Some((
                    sample,
                    "the bucket has no label le, so that scrapers drop it".to_owned(),
                ));
            }
            (Suffix::None, _) => {
                return Some((
                    sample,
                    "a histogram has _bucket, _sum and _count, and no sample of its own name"
                        .to_owned(),
                ));
            }
            (Suffix::Count | Suffix::GaugeCount, _) => count = Some((sample, value)),
            _ => {}
        }
    }
    let first = &point[0];
    match (last, count) {
        (Some((f64::INFINITY, all)), Some((sample, count))) if all != count => Some((
            sample,
            format!("its count {count} is not that of the bucket +Inf, {all}"),
        )),
        (Some((f64::INFINITY, _)), _) => None,
        // A native histogram has its count and sum alone.
        (None, _) if native => None,
        _ => Some((
            first,
            "the histogram has no bucket le=\"+Inf\"; add it, or quantiles cannot be computed"
                .to_owned(),
        )),
    }
}

fn summaries(family: &Family<'_>, found: &mut Vec<Finding>) {
    let outside = |sample: &&Sample<'_>| {
        let quantile = sample.bound;
        quantile.is_some_and(|quantile| !(0.0..=1.0).contains(&quantile))
    };
    if let Some(sample) = family.samples.iter().find(outside) {
        let why = "a quantile is not between 0 and 1";
        found.push(finding(Lint::Label, family, sample.offset, why));
    }
}
