//! A family in one line.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use meterline_exposition::parse::{Family, Page, Suffix, Type, Value};

/// What is shown of a family.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) series: usize,
    pub(super) value: String,
    pub(super) rate: String,
    pub(super) help: String,
}

/// What families add up to, to see how fast they grow.
pub(super) struct Totals(HashMap<String, f64>);

impl Totals {
    pub(super) fn of(page: &Page<'_>) -> Self {
        let totals = page.families.iter();
        Self(
            totals
                .map(|family| (family.name.to_string(), Sums::of(family).total(family.kind)))
                .collect(),
        )
    }
}

/// The rows of families with samples, by name.
pub(super) fn rows(
    page: &Page<'_>,
    name: Option<&str>,
    since: Option<(Duration, &Totals)>,
) -> Vec<Row> {
    let wanted = page.families.iter();
    let wanted = wanted.filter(|family| !family.samples.is_empty());
    let wanted = wanted.filter(|family| name.is_none_or(|name| family.name.contains(name)));
    let mut rows: Vec<Row> = wanted
        .map(|family| {
            let sums = Sums::of(family);
            Row {
                name: family.name.to_string(),
                kind: family.kind,
                series: sums.series,
                value: sums.value(family.kind),
                rate: since.map_or_else(String::new, |since| rate(family, &sums, since)),
                help: family.help.as_deref().unwrap_or_default().to_owned(),
            }
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn rate(family: &Family<'_>, sums: &Sums, (time, totals): (Duration, &Totals)) -> String {
    let grows = matches!(family.kind, Type::Counter | Type::Histogram | Type::Summary);
    let before = totals.0.get(&*family.name);
    let (true, Some(before)) = (grows, before) else {
        return String::new();
    };
    let now = sums.total(family.kind);
    // A total that went down began anew.
    let grown = if now < *before { now } else { now - before };
    format!("{}/s", short(grown / time.as_secs_f64().max(1e-3)))
}

/// A family, all its series together.
#[derive(Default)]
struct Sums {
    series: usize,
    /// Of plain numbers: their sum, the least and the greatest.
    sum: f64,
    range: Option<(f64, f64)>,
    /// Of distributions: what they hold.
    observed: f64,
    observed_sum: f64,
    /// Cumulative counts by the order of their bounds.
    buckets: BTreeMap<u64, (f64, f64)>,
}

impl Sums {
    fn of(family: &Family<'_>) -> Self {
        let mut sums = Self::default();
        for sample in &family.samples {
            let value = match &sample.value {
                Value::Number(value) => *value,
                _ => continue,
            };
            match sample.suffix {
                Suffix::None if family.kind == Type::Summary => {}
                Suffix::None | Suffix::Total | Suffix::Info => {
                    sums.series += 1;
                    sums.sum += value;
                    let (least, greatest) = sums.range.unwrap_or((value, value));
                    sums.range = Some((least.min(value), greatest.max(value)));
                }
                Suffix::Count | Suffix::GaugeCount => {
                    sums.series += 1;
                    sums.observed += value;
                }
                Suffix::Sum | Suffix::GaugeSum => sums.observed_sum += value,
                Suffix::Bucket => {
                    let bound = sample.bound.unwrap_or(f64::INFINITY);
                    let bucket = sums.buckets.entry(ordered(bound)).or_insert((bound, 0.0));
                    bucket.1 += value;
                }
                _ => {}
            }
        }
        sums
    }

    fn total(&self, kind: Type) -> f64 {
        match kind {
            Type::Histogram | Type::GaugeHistogram | Type::Summary => self.observed,
            _ => self.sum,
        }
    }

    fn value(&self, kind: Type) -> String {
        match kind {
            Type::Histogram | Type::GaugeHistogram | Type::Summary => {
                let mut text = format!("{} recorded", short(self.observed));
                if self.observed > 0.0 {
                    text += &format!(", mean {}", short(self.observed_sum / self.observed));
                }
                for (name, rank) in [("p50", 0.5), ("p99", 0.99)] {
                    if let Some(value) = self.quantile(rank) {
                        text += &format!(", {name} {}", short(value));
                    }
                }
                text
            }
            Type::Counter => short(self.sum),
            _ => match self.range {
                Some((least, greatest)) if least != greatest => {
                    format!("{} to {}", short(least), short(greatest))
                }
                _ => short(self.range.map_or(self.sum, |(value, _)| value)),
            },
        }
    }

    /// As `histogram_quantile` estimates it: evenly spread within a bucket.
    fn quantile(&self, rank: f64) -> Option<f64> {
        let (_, all) = *self.buckets.values().next_back()?;
        let wanted = rank * all;
        let (mut below, mut held) = (0.0, 0.0);
        for (bound, count) in self.buckets.values() {
            if *count >= wanted && all > 0.0 {
                // Beyond the last bound nothing is known but that bound.
                if bound.is_infinite() {
                    return (held > 0.0).then_some(below);
                }
                let inside = (wanted - held) / (count - held).max(f64::MIN_POSITIVE);
                let lower = if *bound <= 0.0 { *bound } else { below };
                return Some(lower + (bound - lower) * inside.clamp(0.0, 1.0));
            }
            (below, held) = (*bound, *count);
        }
        None
    }
}

/// Bits that are in the order of the numbers.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// Some four digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == 0.0 || (value.fract() == 0.0 && size < 1e15) {
        return format!("{value}");
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "an exponent between -4 and 15"
    )]
    let places = (3 - size.log10().floor() as i32).clamp(0, 8);
    let text = format!("{value:.*}", usize::try_from(places).unwrap_or_default());
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meterline_exposition::parse::Syntax;

    #[test]
    fn families_in_a_line() {
        let text = "# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2.5\n\
                    # TYPE b gauge\nb{x=\"1\"} -1\nb{x=\"2\"} 0.12345\n\
                    # TYPE c histogram\nc_bucket{le=\"1\"} 5\nc_bucket{le=\"2\"} 10\n\
                    c_bucket{le=\"+Inf\"} 10\nc_sum 12\nc_count 10\n";
        let page = Page::parse(text.as_bytes(), Syntax::Text).unwrap();
        let before = Totals(HashMap::from([
            ("a_total".to_owned(), 1.5),
            ("c".to_owned(), 100.0),
        ]));
        let rows = rows(&page, None, Some((Duration::from_secs(2), &before)));
        let lines: Vec<_> = rows
            .iter()
            .map(|row| (&*row.name, row.series, &*row.value, &*row.rate))
            .collect();
        let expected = [
            ("a_total", 2, "3.5", "1/s"),
            ("b", 2, "-1 to 0.1235", ""),
            ("c", 1, "10 recorded, mean 1.2, p50 1, p99 1.98", "5/s"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1_000_000.0, "1000000"),
            (0.1 + 0.2, "0.3"),
            (1234.5678, "1235"),
            (1e-9, "1.000e-9"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
