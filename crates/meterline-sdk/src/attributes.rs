use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use opentelemetry::{Array, KeyValue, Value};

/// A canonical attribute set: sorted by key, each key once (of duplicates the last one given wins).
///
/// Two sets are the same series exactly if they are equal; a hash alone never decides. Clones share
/// the attributes.
#[derive(Clone, Debug, Default)]
pub struct Attributes(Arc<[KeyValue]>);

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
        Self(unique.into())
    }

    /// The set under which everything beyond a cardinality limit is added up.
    pub(crate) fn overflow() -> &'static Self {
        &OVERFLOW
    }
}

static OVERFLOW: LazyLock<Attributes> =
    LazyLock::new(|| Attributes::new(&[KeyValue::new("otel.metric.overflow", true)]));

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
            .map(opentelemetry::StringValue::as_str)
            .cmp(b.iter().map(opentelemetry::StringValue::as_str)),
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

impl Attributes {
    /// Whether `given`, in any order, is this very set. A list with duplicate keys never is: it has
    /// to be made canonical first.
    pub(crate) fn matches(&self, given: &[KeyValue]) -> bool {
        self.matches_in(Order::SORTED, given)
    }

    /// The same, quicker where the order of `given` is this one.
    #[inline]
    pub(crate) fn matches_in(&self, order: Order, given: &[KeyValue]) -> bool {
        if self.len() != given.len() {
            return false;
        }
        let in_order = given.iter().enumerate().all(|(at, theirs)| {
            let ours = self.get(order.position(at));
            ours.is_some_and(|ours| same(ours, theirs))
        });
        in_order || self.matches_reordered(given)
    }

    #[inline(never)]
    fn matches_reordered(&self, given: &[KeyValue]) -> bool {
        // Our keys are unique and as many as theirs: if each of ours is among theirs, they are the
        // same set.
        self.iter()
            .all(|ours| given.iter().any(|theirs| same(ours, theirs)))
    }
}

/// In which order a program gives the attributes of a set: of each of the first 16 its position in
/// the canonical form, in four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order(u64);

impl Order {
    const SORTED: Self = Self(0xfedc_ba98_7654_3210);

    /// That of `given`, which are these attributes.
    pub(crate) fn of(given: &[KeyValue], attributes: &Attributes) -> Self {
        let mut order = Self::SORTED.0;
        for (at, given) in given.iter().enumerate().take(16) {
            let position = attributes.iter().position(|ours| ours.key == given.key);
            // More than 16 have no order; they are found all the same.
            let position = position.unwrap_or(0) as u64 % 16;
            order = order & !(0xf << (4 * at)) | position << (4 * at);
        }
        Self(order)
    }

    #[inline]
    fn position(self, at: usize) -> usize {
        if at < 16 {
            (self.0 >> (4 * at)) as usize & 0xf
        } else {
            at
        }
    }
}

#[inline]
fn same(a: &KeyValue, b: &KeyValue) -> bool {
    same_text(a.key.as_str(), b.key.as_str())
        && match (&a.value, &b.value) {
            (Value::String(a), Value::String(b)) => same_text(a.as_str(), b.as_str()),
            (Value::I64(a), Value::I64(b)) => a == b,
            (a, b) => cmp_values(a, b).is_eq(),
        }
}

/// Most keys, and many values, are constants of the program: the same text at the same address.
#[inline]
fn same_text(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// Whether a key is given more than once, so that the list is not canonical in any order.
pub(crate) fn has_duplicates(given: &[KeyValue]) -> bool {
    given
        .iter()
        .enumerate()
        .any(|(i, a)| given[..i].iter().any(|b| a.key == b.key))
}

/// A hash of an attribute list that does not depend on its order, so that none has to be sorted to
/// be looked up. Of the keys only length, first and last byte count: within an instrument they
/// hardly vary, and equality is checked in full anyway.
pub(crate) fn hash(hasher: &impl BuildHasher, attributes: &[KeyValue]) -> u64 {
    let hash_one = |attribute: &KeyValue| {
        let mut state = hasher.build_hasher();
        state.write_u64(hint(attribute.key.as_str()));
        hash_value(&attribute.value, &mut state);
        state.finish()
    };
    attributes.iter().map(hash_one).fold(0, u64::wrapping_add)
}

/// A hash of an attribute list as it is given, which is quicker to make. Keys do not count at all.
#[inline]
pub(crate) fn hash_as_given(hasher: &impl BuildHasher, attributes: &[KeyValue]) -> u64 {
    let mut state = hasher.build_hasher();
    for attribute in attributes {
        hash_value(&attribute.value, &mut state);
    }
    state.finish()
}

#[inline]
fn hash_value(value: &Value, state: &mut impl Hasher) {
    match value {
        Value::String(value) => state.write(value.as_str().as_bytes()),
        Value::I64(value) => state.write_i64(*value),
        other => hash_other(other, state),
    }
}

fn hint(key: &str) -> u64 {
    match key.as_bytes() {
        [] => 0,
        [only] => u64::from(*only),
        [first, .., last] => (key.len() as u64) << 16 | u64::from(*first) << 8 | u64::from(*last),
    }
}

/// Of those that attributes seldom are.
fn hash_other(value: &Value, state: &mut impl Hasher) {
    match value {
        Value::Bool(value) => state.write_u8(u8::from(*value)),
        Value::F64(value) => state.write_u64(value.to_bits()),
        Value::Array(Array::Bool(values)) => values.hash(state),
        Value::Array(Array::I64(values)) => values.hash(state),
        Value::Array(Array::F64(values)) => {
            for value in values {
                state.write_u64(value.to_bits());
            }
        }
        Value::Array(Array::String(values)) => {
            for value in values {
                state.write(value.as_str().as_bytes());
            }
        }
        // A kind of value that the API may grow: found by equality alone.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&'static str, i64)]) -> Vec<KeyValue> {
        pairs
            .iter()
            .map(|(key, value)| KeyValue::new(*key, *value))
            .collect()
    }

    #[test]
    fn the_canonical_form_is_sorted_and_the_last_duplicate_wins() {
        let canonical = Attributes::new(&set(&[("b", 1), ("a", 2), ("b", 3)]));
        assert_eq!(&*canonical, &set(&[("a", 2), ("b", 3)])[..]);
    }

    #[test]
    fn any_order_matches_and_nothing_else_does() {
        let canonical = Attributes::new(&set(&[("a", 1), ("b", 2)]));
        assert!(canonical.matches(&set(&[("a", 1), ("b", 2)])));
        assert!(canonical.matches(&set(&[("b", 2), ("a", 1)])));
        assert!(!canonical.matches(&set(&[("a", 1)])));
        assert!(!canonical.matches(&set(&[("a", 1), ("b", 3)])));
        assert!(!canonical.matches(&set(&[("a", 1), ("a", 1)])));
        assert!(!canonical.matches(&set(&[("a", 1), ("b", 2), ("b", 2)])));
    }

    #[test]
    fn an_order_is_remembered_and_any_other_matches_too() {
        let names: Vec<String> = (0..20).map(|n| format!("key{n:02}")).collect();
        let named = |at: &usize| KeyValue::new(names[*at].clone(), names[*at].clone());
        for len in [0, 1, 2, 15, 16, 17, 20] {
            let mut order: Vec<usize> = (0..len).rev().collect();
            let given: Vec<KeyValue> = order.iter().map(named).collect();
            let canonical = Attributes::new(&given);
            let remembered = Order::of(&given, &canonical);
            assert!(canonical.matches_in(remembered, &given), "{len}");
            order.rotate_left(len.min(1));
            let mut other: Vec<KeyValue> = order.iter().map(named).collect();
            assert!(canonical.matches_in(remembered, &other), "{len}");
            if let Some(last) = other.last_mut() {
                last.value = Value::from(-1);
                assert!(!canonical.matches_in(remembered, &other), "{len}");
            }
        }
    }

    #[test]
    fn a_value_is_its_type_too() {
        let number = Attributes::new(&[KeyValue::new("a", 200)]);
        assert!(!number.matches(&[KeyValue::new("a", "200")]));
        assert!(!number.matches(&[KeyValue::new("a", 200.0)]));
    }

    #[test]
    fn nan_is_the_same_value_as_itself() {
        let nan = Attributes::new(&[KeyValue::new("a", f64::NAN)]);
        assert!(nan.matches(&[KeyValue::new("a", f64::NAN)]));
    }

    #[test]
    fn order_does_not_change_the_hash() {
        let hasher = foldhash::fast::RandomState::default();
        let (one, two) = (set(&[("a", 1), ("b", 2)]), set(&[("b", 2), ("a", 1)]));
        assert_eq!(hash(&hasher, &one), hash(&hasher, &two));
        assert_ne!(
            hash(&hasher, &one),
            hash(&hasher, &set(&[("a", 1), ("b", 3)]))
        );
        let swapped = set(&[("a", 2), ("b", 1)]);
        assert_ne!(
            hash(&hasher, &one),
            hash(&hasher, &swapped),
            "who has which value counts"
        );
    }
}
