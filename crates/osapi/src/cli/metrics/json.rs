//! A page in the shape of `/metrics.json`.

use std::collections::HashMap;

use meterline_exposition::parse::{Family, Label, Page, Sample, Suffix, Type, Value as Read};
use serde_json::{Map, Value, json};

/// The families, with the format they came in.
pub(super) fn page(page: &Page<'_>, name: Option<&str>) -> Value {
    let families = page.families.iter();
    let families = families.filter(|family| name.is_none_or(|name| family.name.contains(name)));
    let families: Vec<_> = families.map(|family| self::family(page, family)).collect();
    json!({ "format": page.syntax.as_str(), "metrics": families })
}

fn family(page: &Page<'_>, family: &Family<'_>) -> Value {
    // Samples of one set of labels and time are one series.
    let mut series: Vec<Map<String, Value>> = Vec::new();
    let mut known: HashMap<(&[Label<'_>], Option<u64>), usize> = HashMap::new();
    for sample in &family.samples {
        let labels = page.labels(sample);
        let key = (labels, sample.timestamp.map(f64::to_bits));
        let at = *known.entry(key).or_insert_with(|| {
            series.push(begun(labels, sample));
            series.len() - 1
        });
        add(&mut series[at], family.kind, sample);
    }
    json!({
        "name": family.name,
        "type": family.kind.as_str(),
        "unit": family.unit.as_deref().unwrap_or_default(),
        "help": family.help.as_deref().unwrap_or_default(),
        "series": series,
    })
}

fn begun(labels: &[Label<'_>], sample: &Sample<'_>) -> Map<String, Value> {
    let labels = labels.iter();
    let labels: Map<_, _> = labels
        .map(|label| (label.name.to_string(), json!(label.value)))
        .collect();
    let mut series = Map::from_iter([("labels".to_owned(), labels.into())]);
    if let Some(timestamp) = sample.timestamp {
        series.insert("timestamp".to_owned(), number(timestamp));
    }
    series
}

fn add(series: &mut Map<String, Value>, kind: Type, sample: &Sample<'_>) {
    let value = match &sample.value {
        Read::Number(value) => number(*value),
        Read::Native(native) => {
            let native = json!({
                "schema": native.schema,
                "zero_threshold": number(native.zero_threshold),
                "zero_count": number(native.zero_count),
                "positive": native.positive.counts.len(),
                "negative": native.negative.counts.len(),
            });
            series.insert("native".to_owned(), native);
            return;
        }
        _ => return,
    };
    let field = match sample.suffix {
        Suffix::Bucket => "buckets",
        Suffix::None if kind == Type::Summary => "quantiles",
        Suffix::Count | Suffix::GaugeCount => "count",
        Suffix::Sum | Suffix::GaugeSum => "sum",
        Suffix::Created => "created",
        _ => "value",
    };
    if matches!(field, "buckets" | "quantiles") {
        let bound = number(sample.bound.unwrap_or(f64::NAN));
        let list = series.entry(field).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!([bound, value]));
        }
    } else {
        series.insert(field.to_owned(), value);
    }
}

/// JSON has no numbers for what is not finite.
fn number(value: f64) -> Value {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ if value.is_nan() => "NaN".into(),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "whole, and far inside an i64"
        )]
        _ if value.fract() == 0.0 && value.abs() < 1e15 => (value as i64).into(),
        _ => value.into(),
    }
}
