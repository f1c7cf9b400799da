//! What is checked of a family while it is read.

use std::borrow::Cow;
use std::ops::Range;

use super::super::cursor::quoted;
use super::super::series::{Identity, Seen};
use super::super::text::take_bound;
use super::super::{Family, Label, Rule, Sample, Stop, Suffix, Type};
use super::point::Point;
use super::takes_exemplars;

/// The suffixes that samples of a type have.
pub(super) fn suffixes(kind: Type) -> &'static [Suffix] {
    use Suffix::{Bucket, Count, Created, GaugeCount, GaugeSum, Info, None, Sum, Total};
    match kind {
        Type::Counter => &[Total, Created],
        Type::Summary => &[None, Count, Sum, Created],
        Type::Histogram => &[Count, Sum, Bucket, Created],
        Type::GaugeHistogram => &[GaugeCount, GaugeSum, Bucket],
        Type::Info => &[Info],
        Type::Gauge | Type::StateSet | Type::Unknown => &[None],
    }
}

/// A line of metadata.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Where it begins.
    pub(super) begin: usize,
    /// Where what it says begins.
    pub(super) at: usize,
    /// HELP, TYPE or UNIT.
    pub(super) keyword: &'a str,
}

/// The state of the family that is being read.
#[derive(Default)]
pub(super) struct Current {
    /// Every series; its last sample.
    series: Seen,
    /// Every metric: samples that differ in suffix and bound alone.
    metrics: Seen,
    /// The sample before.
    last: Option<usize>,
    /// The samples of one metric and time.
    point: Option<Point>,
}

impl Current {
    /// Takes a line of metadata in.
    pub(super) fn describe<'a>(
        &mut self,
        family: &mut Family<'a>,
        line: Line<'_>,
        help: Option<Cow<'a, str>>,
        word: &'a str,
    ) -> Result<(), Stop> {
        let Line { begin, at, keyword } = line;
        let name = quoted(&family.name);
        if self.last.is_some() {
            let why = format!("{keyword} comes after samples of {name}; move it before them");
            return Err(Stop::new(begin, Rule::Metadata, why));
        }
        let twice = match keyword {
            "HELP" => std::mem::replace(&mut family.help, help).is_some(),
            "UNIT" => family.unit.replace(Cow::Borrowed(word)).is_some(),
            _ => {
                family.kind = kind(word, at)?;
                std::mem::replace(&mut family.typed, true)
            }
        };
        if twice {
            let why = format!("there is a second {keyword} for {name}; keep one");
            return Err(Stop::new(begin, Rule::Metadata, why));
        }
        Ok(())
    }

    /// Checks the sample that was just added to the family.
    pub(super) fn add(&mut self, family: &Family<'_>, labels: &[Label<'_>]) -> Result<(), Stop> {
        let index = family.samples.len() - 1;
        let sample = &family.samples[index];
        check_value(family, sample, labels)?;
        let metric = Identity {
            labels,
            series: false,
            without: (family.kind == Type::StateSet).then_some(&*family.name),
        };
        let last = self.last.map(|last| &family.samples[last]);
        let info = family.kind == Type::Info;
        let same = last.is_some_and(|last| info || metric.same(last, sample));
        if !info {
            let before = self.metrics.replace(metric, &family.samples, index);
            if before.is_some() && !same {
                let why = "samples with these labels stood further up; move the samples of one series together";
                return stop(sample, Rule::Grouping, why);
            }
        }
        if same && let Some(last) = last {
            check_time(last, sample, info)?;
        }
        let series = Identity {
            labels,
            series: true,
            without: None,
        };
        let before = self.series.replace(series, &family.samples, index);
        if before.is_some() && sample.timestamp.is_none() {
            let why =
                "this series has a sample already; a series has one, or several with timestamps";
            return stop(sample, Rule::Duplicate, why);
        }
        let goes_on = same && last.is_some_and(|last| last.timestamp == sample.timestamp);
        if !goes_on && let Some(point) = self.point.take() {
            point.finish()?;
        }
        if matches!(family.kind, Type::Histogram | Type::GaugeHistogram) {
            let point = self.point.get_or_insert_with(|| Point::new(sample));
            point.add(sample)?;
        }
        self.last = Some(index);
        Ok(())
    }

    /// Checks what needs all of the family.
    pub(super) fn finish(self, family: &Family<'_>) -> Result<(), Stop> {
        if let Some(point) = self.point {
            point.finish()?;
        }
        let unit = family.unit.as_deref().unwrap_or_default();
        if unit.is_empty() {
            return Ok(());
        }
        let begin = family.offset as usize;
        if matches!(family.kind, Type::Info | Type::StateSet) {
            let why = format!("a family of type {} has no unit; remove UNIT", family.kind);
            return Err(Stop::new(begin, Rule::Unit, why));
        }
        let rest = family.name.strip_suffix(unit);
        if rest.is_none_or(|rest| !rest.ends_with('_')) {
            let (name, unit) = (quoted(&family.name), quoted(unit));
            let why = format!(
                "the name {name} does not end with _ and its unit {unit}; rename it, or remove UNIT"
            );
            return Err(Stop::new(begin, Rule::Unit, why));
        }
        Ok(())
    }
}

fn kind(word: &str, at: usize) -> Result<Type, Stop> {
    Ok(match word {
        "counter" => Type::Counter,
        "gauge" => Type::Gauge,
        "histogram" => Type::Histogram,
        "gaugehistogram" => Type::GaugeHistogram,
        "stateset" => Type::StateSet,
        "info" => Type::Info,
        "summary" => Type::Summary,
        "unknown" => Type::Unknown,
        _ => {
            let word = quoted(word);
            let why = format!(
                "{word} is not a type; use counter, gauge, histogram, gaugehistogram, stateset, info, summary or unknown"
            );
            return Err(Stop::new(at, Rule::Type, why));
        }
    })
}

/// The bound of a bucket or quantile, taken out of the labels.
pub(super) fn bound<'a>(
    family: &Family<'a>,
    suffix: Suffix,
    begin: usize,
    all: &mut Vec<Label<'a>>,
    own: &mut Range<u32>,
) -> Result<Option<f64>, Stop> {
    let name = match (family.kind, suffix) {
        (Type::Histogram | Type::GaugeHistogram, Suffix::Bucket) => "le",
        (Type::Summary, Suffix::None) => "quantile",
        _ => return Ok(None),
    };
    let given = all[own.start as usize..].iter();
    let given = given
        .filter(|label| label.name == name)
        .map(|label| label.value.to_string())
        .next();
    let bound = take_bound(all, own, name, begin)?;
    let wrong = match bound {
        None => format!("label {name} is missing; it is what tells the samples apart"),
        Some(bound) if bound.is_nan() => format!("{name} is NaN; it has to be a number"),
        Some(f64::INFINITY) if given.as_deref() != Some("+Inf") => {
            "infinity is written le=\"+Inf\"".to_owned()
        }
        Some(bound) if name == "quantile" && !(0.0..=1.0).contains(&bound) => {
            format!("quantile {bound} is not between 0 and 1")
        }
        bound => return Ok(bound),
    };
    Err(Stop::new(begin, Rule::Bound, wrong))
}

fn check_time(last: &Sample<'_>, sample: &Sample<'_>, info: bool) -> Result<(), Stop> {
    match (last.timestamp, sample.timestamp) {
        (None, None) => Ok(()),
        (Some(before), Some(now)) if info || before <= now => Ok(()),
        (Some(_), Some(_)) => {
            let why = "the timestamp is before that of the sample above; order them by time";
            stop(sample, Rule::Timestamp, why)
        }
        _ => {
            let why =
                "some samples of this series have timestamps and some have not; give all or none";
            stop(sample, Rule::Timestamp, why)
        }
    }
}

fn check_value(family: &Family<'_>, sample: &Sample<'_>, labels: &[Label<'_>]) -> Result<(), Stop> {
    use Suffix::{Bucket, Count, GaugeCount, GaugeSum, None, Sum, Total};
    let (kind, suffix) = (family.kind, sample.suffix);
    let value = sample.value.number().unwrap_or_default();
    let whole = value.is_finite() && value.fract() == 0.0;
    let own = &labels[sample.labels.start as usize..sample.labels.end as usize];
    let wrong = match (kind, suffix) {
        (Type::StateSet, _) if !own.iter().any(|label| label.name == family.name) => {
            "the state is missing: a stateset has a label of its own name"
        }
        (Type::StateSet, _) if value != 0.0 && value != 1.0 => "a state is 0 or 1",
        (Type::Info, _) if value != 1.0 => "the value of info is 1",
        (_, Bucket | Count | GaugeCount) if !whole => "a count is a whole number",
        (Type::Summary, None) if value < 0.0 => "a quantile cannot be negative",
        (_, Total | Sum | GaugeSum) if value.is_nan() => "a total or sum cannot be NaN",
        (_, Total | Sum | Count | Bucket | GaugeCount) if value < 0.0 => {
            "a total, sum or count cannot be negative"
        }
        _ => return check_exemplar(kind, sample),
    };
    stop(sample, Rule::Range, format!("{wrong}, and this is {value}"))
}

fn check_exemplar(kind: Type, sample: &Sample<'_>) -> Result<(), Stop> {
    let Some(exemplar) = &sample.exemplar else {
        return Ok(());
    };
    if !takes_exemplars(kind, sample.suffix) {
        let why = "only _total of counters and _bucket of histograms have exemplars; remove it";
        return stop(sample, Rule::Exemplar, why);
    }
    if let Some(bound) = sample.bound
        && (exemplar.value > bound || exemplar.value.is_nan())
    {
        let value = exemplar.value;
        let why = format!("the exemplar {value} is not in its bucket, which ends at {bound}");
        return stop(sample, Rule::Exemplar, why);
    }
    Ok(())
}

pub(super) fn stop<T>(sample: &Sample<'_>, rule: Rule, why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::new(sample.offset as usize, rule, why))
}
