//! Length-delimited `io.prometheus.client.MetricFamily` messages, as the public `metrics.proto` of
//! Prometheus' client model defines them. The field numbers stand where the fields are written.

mod native;
mod pieces;

use std::time::{SystemTime, UNIX_EPOCH};

use meterline_protobuf::{Writer, varint_len};
use meterline_sdk::Exemplar;

use crate::dropped::Dropped;
use crate::exemplar::{exemplar_labels, in_bucket};
use crate::families::{
    Block, Families, Family, HistogramBlock, HistogramRow, Kind, NumberBlock, NumberRow,
};
use crate::name::Naming;
use crate::page::Page;
pub(crate) use pieces::Pieces;

/// A double with its tag left out, which the pieces end with.
const DOUBLE_BYTES: usize = 8;

/// Writes the families.
pub(crate) fn write_protobuf(families: &Families<'_>, page: &mut Page<'_>) -> Dropped {
    let naming = families.naming();
    let mut scratch = Writer::new();
    for family in families.iter() {
        scratch.truncate(0);
        write_family(&family, naming, &mut scratch, page);
    }
    Dropped::default()
}

/// The points of a block, as far as their message could not be put together from pieces.
enum Points<'a> {
    Pieces(NumberBlock<'a>, &'a Pieces),
    /// Where they lie in the scratch buffer.
    Written(std::ops::Range<usize>),
}

/// Writes a family: its length has to be known first.
fn write_family(family: &Family<'_>, naming: Naming, scratch: &mut Writer, page: &mut Page<'_>) {
    let kind = match family.kind() {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 4,
    };
    scratch.string(1, family.name());
    if !family.help().is_empty() {
        scratch.string(2, family.help());
    }
    scratch.uint64(3, kind);
    if !family.named_unit().is_empty() {
        scratch.string(5, family.named_unit());
    }
    let header = scratch.len();
    let mut len = header;
    let mut points = Vec::new();
    for block in family.blocks() {
        let from = scratch.len();
        match block {
            Block::Numbers(block) => {
                if let Some(pieces) = block
                    .pieces(family.kind())
                    .filter(|_| !block.has_exemplars())
                {
                    len += shown_bytes(&block, pieces);
                    points.push(Points::Pieces(block, pieces));
                    continue;
                }
                for row in block.iter() {
                    write_number(family.kind(), &row, naming, scratch);
                }
            }
            Block::Histograms(block) => write_histograms(&block, naming, scratch),
        }
        len += scratch.len() - from;
        points.push(Points::Written(from..scratch.len()));
    }
    let mut prefix = Writer::new();
    prefix.varint(len as u64);
    page.reserve(len + prefix.len());
    page.out.extend_from_slice(prefix.as_slice());
    page.out.extend_from_slice(&scratch.as_slice()[..header]);
    for points in points {
        match points {
            Points::Written(range) => {
                page.out.extend_from_slice(&scratch.as_slice()[range]);
                page.may_end_chunk();
            }
            Points::Pieces(block, pieces) => {
                block.with_pieces(pieces).for_each(|(piece, number)| {
                    page.out.extend_from_slice(piece);
                    page.out.extend_from_slice(&number.as_f64().to_le_bytes());
                    page.may_end_chunk();
                });
            }
        }
    }
}

/// How long the messages of all points will be.
fn shown_bytes(block: &NumberBlock<'_>, pieces: &Pieces) -> usize {
    let shown = block.with_pieces(pieces);
    shown.map(|(piece, _)| piece.len() + DOUBLE_BYTES).sum()
}

/// Writes a `Metric` that is a counter or a gauge.
fn write_number(kind: Kind, row: &NumberRow<'_>, naming: Naming, out: &mut Writer) {
    let metric = out.begin_about(4, 128);
    pieces::write_labels(row.labels, out);
    let counter = kind == Kind::Counter;
    let number = out.begin(if counter { 3 } else { 2 });
    out.double(1, row.value.as_f64());
    if counter {
        let numbers = row.exemplars().filter(|e| !e.value.as_f64().is_nan());
        if let Some(exemplar) = numbers.max_by_key(|exemplar| exemplar.time) {
            write_exemplar(2, exemplar, naming, out);
        }
        if let Some(start) = row.start() {
            write_time(3, start, out);
        }
    }
    out.end(number);
    out.end(metric);
}

fn write_histograms(block: &HistogramBlock<'_>, naming: Naming, out: &mut Writer) {
    for (labels, row) in block.with_pieces() {
        let metric = out.begin_about(4, 512);
        out.raw(labels);
        let histogram = out.begin_about(7, 512);
        write_histogram(&row, naming, out);
        out.end(histogram);
        out.end(metric);
    }
}

/// Writes the fields of a `Histogram`. Fixed buckets are left out where exponential ones are all
/// there is, unless those cannot be shown.
fn write_histogram(row: &HistogramRow<'_>, naming: Naming, out: &mut Writer) {
    let native = row
        .native()
        .zip(row.native().as_ref().and_then(native::shown_count));
    let mut count = 0;
    if row.is_fixed() || native.is_none() {
        let exemplars = row.exemplars();
        let mut after = f64::NEG_INFINITY;
        for bucket in row.buckets() {
            let nested = out.begin(3);
            out.uint64(1, bucket.count);
            out.double(2, bucket.bound);
            if let Some(exemplar) = in_bucket(exemplars.clone(), after, bucket.bound) {
                write_exemplar(3, exemplar, naming, out);
            }
            out.end(nested);
            (after, count) = (bucket.bound, bucket.count);
        }
    }
    // Of the same recordings both hold the same number; were it otherwise, one count could not say it.
    let native = native.filter(|(_, all)| !row.is_fixed() || *all == count);
    if let Some((_, all)) = native {
        count = all;
    }
    out.uint64(1, count);
    out.double(2, row.sum().as_f64());
    if let Some(start) = row.start() {
        write_time(15, start, out);
    }
    if let Some((native, _)) = native {
        native::write(&native, out);
        for exemplar in row.exemplars().filter(|e| !e.value.as_f64().is_nan()) {
            write_exemplar(16, exemplar, naming, out);
        }
    }
}

fn write_exemplar(field: u32, exemplar: &Exemplar, naming: Naming, out: &mut Writer) {
    let nested = out.begin(field);
    exemplar_labels(exemplar, naming, |name, value| {
        pieces::write_label(name, value, out);
    });
    out.double(2, exemplar.value.as_f64());
    write_time(3, exemplar.time, out);
    out.end(nested);
}

/// Writes a `google.protobuf.Timestamp`.
fn write_time(field: u32, time: SystemTime, out: &mut Writer) {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanos) = (since_epoch.as_secs(), u64::from(since_epoch.subsec_nanos()));
    let nested = out.begin(field);
    if seconds > 0 {
        out.uint64(1, seconds);
    }
    if nanos > 0 {
        out.uint64(2, nanos);
    }
    out.end(nested);
}

/// How long a field of this many bytes is, with a tag of one byte.
fn field_len(bytes: usize) -> usize {
    1 + varint_len(bytes as u64) + bytes
}
