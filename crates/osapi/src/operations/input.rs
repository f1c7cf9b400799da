//! Readers for numbers in inputs, which say what is allowed when they refuse one.
//!
//! Unlike those of the configuration they take no text: JSON has numbers.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;
use utoipa::PartialSchema;

/// The JSON Schema of an input.
pub(super) fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

/// A whole number from `MIN` to `MAX`, both included.
pub(super) fn whole<'de, D, T, const MIN: u64, const MAX: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let given = Value::deserialize(from)?;
    // 3.0 is whole as well, says JSON Schema; beyond 2^53 a float could mean several.
    let exact = |n: &f64| n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(n);
    let number = given
        .as_u64()
        .or_else(|| given.as_f64().filter(exact).map(|n| n as u64))
        .filter(|n| (MIN..=MAX).contains(n));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format!("expected a whole number from {MIN} to {MAX}")))
}

/// A number of seconds, up to the longest an operation may take.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let longest = super::LONGEST.as_secs_f64();
    let given = Value::deserialize(from)?;
    let seconds = given.as_f64().filter(|s| (0.0..=longest).contains(s));
    seconds.ok_or_else(|| D::Error::custom(format!("expected a number from 0 to {longest}")))
}
