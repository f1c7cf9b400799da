use meterline_sdk::Number;

use crate::escape::escape_into;
use crate::families::{Block, Families, Family, HistogramBlock, NumberBlock};
use crate::number::write_number;

/// The Content-Type of [`encode_text`].
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// More than any number takes.
const NUMBER_BYTES: usize = 24;

/// Appends the families in the Prometheus text format 0.0.4 ("Exposition formats", text-based
/// format). No timestamps, created timestamps or exemplars: the format has no room for the latter
/// two, and the OpenTelemetry specification advises against the first.
pub fn encode_text(families: &Families<'_>, out: &mut Vec<u8>) {
    for family in families.iter() {
        write_header(&family, out);
        for block in family.blocks() {
            match block {
                Block::Numbers(block) => write_numbers(&block, out),
                Block::Histograms(block) => write_histograms(family.name(), &block, out),
            }
        }
    }
}

fn write_header(family: &Family<'_>, out: &mut Vec<u8>) {
    let mut header = String::new();
    if !family.help().is_empty() {
        header.extend(["# HELP ", family.name(), " "]);
        escape_into(&mut header, family.help(), false);
        header.push('\n');
    }
    header.extend(["# TYPE ", family.name(), " ", family.kind().as_str(), "\n"]);
    out.extend_from_slice(header.as_bytes());
}

fn write_numbers(block: &NumberBlock<'_>, out: &mut Vec<u8>) {
    out.reserve(block.bytes() + block.len() * NUMBER_BYTES);
    block.lines().for_each(|(line, number)| {
        out.extend_from_slice(line);
        write_line_end(out, number);
    });
}

fn write_histograms(name: &str, block: &HistogramBlock<'_>, out: &mut Vec<u8>) {
    for (labels, point) in block.iter() {
        let labels = labels.as_str();
        let head = out.len();
        extend(out, &[name, "_bucket{", labels]);
        if !labels.is_empty() {
            out.push(b',');
        }
        extend(out, &["le=\""]);
        let head = head..out.len();
        let mut count = 0;
        for (i, bucket) in block.buckets(point).enumerate() {
            if i > 0 {
                out.extend_from_within(head.clone());
            }
            extend(out, &[bucket.le, "\"} "]);
            write_line_end(out, Number::U64(bucket.count));
            count = bucket.count;
        }
        write_sample(out, name, "_sum", labels, point.sum);
        write_sample(out, name, "_count", labels, Number::U64(count));
    }
}

fn write_sample(out: &mut Vec<u8>, name: &str, suffix: &str, labels: &str, number: Number) {
    if labels.is_empty() {
        extend(out, &[name, suffix, " "]);
    } else {
        extend(out, &[name, suffix, "{", labels, "} "]);
    }
    write_line_end(out, number);
}

fn write_line_end(out: &mut Vec<u8>, number: Number) {
    write_number(out, number);
    out.push(b'\n');
}

fn extend(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}
