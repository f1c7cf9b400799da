use std::io;

use meterline_sdk::Number;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::families::{Block, Families, Family, HistogramBlock, NumberBlock};
use crate::labels::Labels;
use crate::number::non_finite;

/// Writes the families as a JSON array, as their [`Serialize`] implementation describes it.
///
/// # Errors
/// Those of `out`: every value has a JSON form.
pub fn encode_json(families: &Families<'_>, out: impl io::Write) -> io::Result<()> {
    serde_json::to_writer(out, families).map_err(io::Error::from)
}

/// An array with one object per family: `name`, `type`, `unit`, `help` and `series`, of which each
/// has `labels` and either `value` or `count`, `sum` and `buckets` (pairs of upper bound and
/// cumulative count). Names are those of the text format; numbers that are not finite, and so the
/// last bound, are the strings `"NaN"`, `"+Inf"` and `"-Inf"`.
impl Serialize for Families<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(JsonFamily))
    }
}

struct JsonFamily<'a>(Family<'a>);

impl Serialize for JsonFamily<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut family = serializer.serialize_struct("Family", 5)?;
        family.serialize_field("name", self.0.name())?;
        family.serialize_field("type", self.0.kind().as_str())?;
        family.serialize_field("unit", self.0.unit())?;
        family.serialize_field("help", self.0.help())?;
        family.serialize_field("series", &JsonSeries(self.0))?;
        family.end()
    }
}

struct JsonSeries<'a>(Family<'a>);

impl Serialize for JsonSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut series = serializer.serialize_seq(None)?;
        for block in self.0.blocks() {
            match block {
                Block::Numbers(block) => write_numbers(&block, &mut series)?,
                Block::Histograms(block) => write_histograms(&block, &mut series)?,
            }
        }
        series.end()
    }
}

fn write_numbers<S: SerializeSeq>(block: &NumberBlock<'_>, out: &mut S) -> Result<(), S::Error> {
    for row in block.iter() {
        out.serialize_element(&NumberPoint {
            labels: JsonLabels(row.labels),
            value: JsonNumber(row.value),
        })?;
    }
    Ok(())
}

fn write_histograms<S: SerializeSeq>(
    block: &HistogramBlock<'_>,
    out: &mut S,
) -> Result<(), S::Error> {
    for row in block.iter() {
        let buckets: Vec<_> = row.buckets().collect();
        out.serialize_element(&HistogramSeries {
            labels: JsonLabels(row.labels),
            count: buckets.last().map_or(0, |bucket| bucket.count),
            sum: JsonNumber(row.sum()),
            buckets: buckets
                .into_iter()
                .map(|bucket| (JsonNumber(Number::F64(bucket.bound)), bucket.count))
                .collect(),
        })?;
    }
    Ok(())
}

#[derive(serde::Serialize)]
struct NumberPoint<'a> {
    labels: JsonLabels<'a>,
    value: JsonNumber,
}

#[derive(serde::Serialize)]
struct HistogramSeries<'a> {
    labels: JsonLabels<'a>,
    count: u64,
    sum: JsonNumber,
    buckets: Vec<(JsonNumber, u64)>,
}

struct JsonLabels<'a>(Labels<'a>);

impl Serialize for JsonLabels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(&name, &value)?;
        }
        map.end()
    }
}

struct JsonNumber(Number);

impl Serialize for JsonNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::U64(value) => serializer.serialize_u64(value),
            Number::I64(value) => serializer.serialize_i64(value),
            Number::F64(value) => serialize_float(value, serializer),
        }
    }
}

fn serialize_float<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match non_finite(value) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f64(value),
    }
}
