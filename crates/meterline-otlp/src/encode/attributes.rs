//! Attributes as `repeated KeyValue` (`common/v1/common.proto`).

use std::collections::HashMap;
use std::sync::Arc;

use meterline_protobuf::Writer;
use meterline_sdk::SeriesList;
use opentelemetry::{Array, KeyValue, Value};

/// The encoded attributes of series, by list of series.
#[derive(Debug, Default)]
pub(super) struct AttributeCache {
    /// By the address of the list, which the entry keeps alive, and the field.
    lists: HashMap<(usize, u32), Encoded>,
}

/// The attributes of all series of a list, in one piece.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Held, so that the address stays its own.
    _series: SeriesList,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    used: bool,
}

impl AttributeCache {
    /// The attributes of these series, encoded as this field of their points.
    pub(super) fn of(&mut self, series: &SeriesList, field: u32) -> &Encoded {
        let key = (series.as_ptr().addr(), field);
        let encoded = self.lists.entry(key);
        let encoded = encoded.or_insert_with(|| Encoded::new(series, field));
        encoded.used = true;
        encoded
    }

    /// Forgets those that nobody asked for since the last time.
    pub(super) fn forget_unused(&mut self) {
        self.lists
            .retain(|_, encoded| std::mem::take(&mut encoded.used));
    }
}

impl Encoded {
    fn new(series: &SeriesList, field: u32) -> Self {
        let mut out = Writer::new();
        let mut ends = Vec::with_capacity(series.len());
        for series in series.iter() {
            key_values(&mut out, field, series.attributes().iter());
            ends.push(out.len());
        }
        let mut bytes = out.into_vec();
        bytes.shrink_to_fit();
        Self {
            _series: Arc::clone(series),
            bytes,
            ends,
            used: true,
        }
    }

    /// One per series.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let attributes = &self.bytes[start..end];
            start = end;
            attributes
        })
    }
}

/// Writes attributes, each as this field.
pub(super) fn key_values<'a>(
    out: &mut Writer,
    field: u32,
    attributes: impl Iterator<Item = &'a KeyValue>,
) {
    for attribute in attributes {
        let message = out.begin(field);
        out.string(1, attribute.key.as_str());
        let value = out.begin(2);
        any_value(out, &attribute.value);
        out.end(value);
        out.end(message);
    }
}

fn any_value(out: &mut Writer, value: &Value) {
    match value {
        Value::String(value) => out.string(1, value.as_str()),
        Value::Bool(value) => out.bool(2, *value),
        Value::I64(value) => out.int64(3, *value),
        Value::F64(value) => out.double(4, *value),
        Value::Array(values) => {
            let message = out.begin(5);
            array(out, values);
            out.end(message);
        }
        // A kind that the API may grow.
        other => out.string(1, &other.as_str()),
    }
}

fn array(out: &mut Writer, values: &Array) {
    fn each<T>(out: &mut Writer, values: &[T], write: impl Fn(&mut Writer, &T)) {
        for value in values {
            let message = out.begin(1);
            write(out, value);
            out.end(message);
        }
    }
    match values {
        Array::Bool(values) => each(out, values, |out, value| out.bool(2, *value)),
        Array::I64(values) => each(out, values, |out, value| out.int64(3, *value)),
        Array::F64(values) => each(out, values, |out, value| out.double(4, *value)),
        Array::String(values) => each(out, values, |out, value| out.string(1, value.as_str())),
        // A kind that the API may grow.
        _ => {}
    }
}
