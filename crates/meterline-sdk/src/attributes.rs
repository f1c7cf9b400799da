use std::cmp::Ordering;
use std::ops::Deref;

use opentelemetry::{Array, KeyValue, Value};

/// A canonical attribute set: sorted by key, each key once (of duplicates the last one given wins).
///
/// Two sets are the same series exactly if they are equal; a hash alone never decides.
#[derive(Clone, Debug, Default)]
pub struct Attributes(Box<[KeyValue]>);

impl Attributes {
    /// The canonical form of `given`.
    #[must_use]
    pub fn new(given: &[KeyValue]) -> Self {
        let mut sorted = given.to_vec();
        // Stable, so that of equal keys the last one given stays last, and is the one kept.
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let mut unique: Vec<KeyValue> = Vec::with_capacity(sorted.len());
        for attribute in sorted {
            match unique.last_mut() {
                Some(last) if last.key == attribute.key => *last = attribute,
                _ => unique.push(attribute),
            }
        }
        Self(unique.into_boxed_slice())
    }
}

impl Deref for Attributes {
    type Target = [KeyValue];

    fn deref(&self) -> &[KeyValue] {
        &self.0
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Attributes {}

impl PartialOrd for Attributes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Attributes {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.iter().zip(other.iter());
        pairs
            .map(|(a, b)| {
                a.key
                    .cmp(&b.key)
                    .then_with(|| cmp_values(&a.value, &b.value))
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| self.len().cmp(&other.len()))
    }
}

/// A total order over attribute values: by type, then by value. Floats by their bits' total order,
/// so that a NaN is the same value as itself.
pub(crate) fn cmp_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::F64(a), Value::F64(b)) => a.total_cmp(b),
        (Value::Array(a), Value::Array(b)) => cmp_arrays(a, b),
        _ => value_rank(a).cmp(&value_rank(b)),
    }
}

fn cmp_arrays(a: &Array, b: &Array) -> Ordering {
    match (a, b) {
        (Array::Bool(a), Array::Bool(b)) => a.cmp(b),
        (Array::I64(a), Array::I64(b)) => a.cmp(b),
        (Array::F64(a), Array::F64(b)) => a
            .iter()
            .zip(b)
            .map(|(a, b)| a.total_cmp(b))
            .find(|o| o.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        (Array::String(a), Array::String(b)) => a
            .iter()
            .map(|s| s.as_str())
            .cmp(b.iter().map(|s| s.as_str())),
        _ => array_rank(a).cmp(&array_rank(b)),
    }
}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::I64(_) => 1,
        Value::F64(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        _ => 5,
    }
}

fn array_rank(array: &Array) -> u8 {
    match array {
        Array::Bool(_) => 0,
        Array::I64(_) => 1,
        Array::F64(_) => 2,
        Array::String(_) => 3,
        _ => 4,
    }
}
