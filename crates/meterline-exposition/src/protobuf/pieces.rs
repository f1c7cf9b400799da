use meterline_protobuf::Writer;

use super::{DOUBLE_BYTES, field_len, write_time};
use crate::families::{HistogramRow, Kind, NumberRow};
use crate::labels::Labels;

/// What stays the same of the messages of all series of one metric, in one piece of memory, so that
/// encoding does little but copy it.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    /// Of counters and gauges: all of a `Metric` up to the bits of its value, tags and lengths
    /// included.
    pub(crate) fn of_numbers<'a>(kind: Kind, rows: impl Iterator<Item = NumberRow<'a>>) -> Self {
        let mut out = Writer::new();
        let (mut labels, mut number) = (Writer::new(), Writer::new());
        let ends = rows.map(|row| {
            labels.truncate(0);
            write_labels(row.labels, &mut labels);
            number.truncate(0);
            if kind == Kind::Counter
                && let Some(start) = row.start()
            {
                write_time(3, start, &mut number);
            }
            // The tag of a double, field 1.
            number.raw(&[1 << 3 | 1]);
            let value = number.len() + DOUBLE_BYTES;
            let field: u8 = if kind == Kind::Counter { 3 } else { 2 };
            out.raw(&[4 << 3 | 2]);
            out.varint((labels.len() + field_len(value)) as u64);
            out.raw(labels.as_slice());
            out.raw(&[field << 3 | 2]);
            out.varint(value as u64);
            out.raw(number.as_slice());
            out.len()
        });
        let ends = ends.collect();
        Self::new(out, ends)
    }

    /// Of histograms: the labels.
    pub(crate) fn of_histograms<'a>(rows: impl Iterator<Item = HistogramRow<'a>>) -> Self {
        let mut out = Writer::new();
        let ends = rows.map(|row| {
            write_labels(row.labels, &mut out);
            out.len()
        });
        let ends = ends.collect();
        Self::new(out, ends)
    }

    fn new(out: Writer, ends: Vec<usize>) -> Self {
        let mut bytes = out.into_vec();
        bytes.shrink_to_fit();
        Self { bytes, ends }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let piece = &self.bytes[start..end];
            start = end;
            piece
        })
    }
}

/// Writes the `label` fields of a `Metric`.
pub(super) fn write_labels(labels: Labels<'_>, out: &mut Writer) {
    for (name, value) in labels.iter() {
        write_label(&name, &value, out);
    }
}

/// Writes a `LabelPair`, which is field 1 wherever there are labels.
pub(super) fn write_label(name: &str, value: &str, out: &mut Writer) {
    let pair = out.begin(1);
    out.string(1, name);
    out.string(2, value);
    out.end(pair);
}
