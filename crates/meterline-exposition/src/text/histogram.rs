use meterline_sdk::Number;

use super::{
    Dialect, Head, Style, extend, is_total, write_exemplar, write_line_end, write_time_end,
};
use crate::exemplar::in_bucket;
use crate::families::{Family, HistogramBlock, HistogramRow};
use crate::number::write_number;
use crate::page::Page;

/// The beginnings of a histogram's lines.
struct Heads {
    bucket: Head,
    sum: Head,
    count: Head,
    created: Head,
}

/// Writes the points of a histogram.
pub(super) fn write(
    family: &Family<'_>,
    block: &HistogramBlock<'_>,
    style: Style,
    page: &mut Page<'_>,
) {
    let name = family.name();
    let heads = Heads {
        bucket: Head::new(name, "_bucket"),
        sum: Head::new(name, "_sum"),
        count: Head::new(name, "_count"),
        created: Head::new(name, "_created"),
    };
    for row in block.iter() {
        write_row(&heads, &row, style, page.out);
        page.may_end_chunk();
    }
}

fn write_row(heads: &Heads, row: &HistogramRow<'_>, style: Style, out: &mut Vec<u8>) {
    let openmetrics = style.dialect == Dialect::OpenMetrics;
    let labels = row.labels.as_str();
    let head = out.len();
    heads.bucket.open(out, labels);
    extend(out, &["le=\""]);
    let head = head..out.len();
    let exemplars = openmetrics.then(|| row.exemplars());
    let (mut after, mut count, mut negative) = (f64::NEG_INFINITY, 0, false);
    for (i, bucket) in row.buckets().enumerate() {
        if i > 0 {
            out.extend_from_within(head.clone());
        }
        let le = if openmetrics {
            bucket.canonical_le
        } else {
            bucket.le
        };
        extend(out, &[le, "\"} "]);
        write_number(out, Number::U64(bucket.count));
        let exemplars = exemplars.clone().into_iter().flatten();
        if let Some(exemplar) = in_bucket(exemplars, after, bucket.bound) {
            write_exemplar(out, exemplar, style.naming);
        }
        out.push(b'\n');
        negative |= bucket.bound < 0.0;
        (after, count) = (bucket.bound, bucket.count);
    }
    // OpenMetrics: a sum that may fall is no sum, and without a sum there is no count.
    if !openmetrics || (!negative && is_total(row.sum())) {
        heads.sum.write(out, labels);
        write_line_end(out, row.sum());
        heads.count.write(out, labels);
        write_line_end(out, Number::U64(count));
    }
    if let Some(start) = row.start().filter(|_| style.created) {
        heads.created.write(out, labels);
        write_time_end(out, start);
    }
}
