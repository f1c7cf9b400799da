use std::borrow::Cow;

use opentelemetry::{Array, Value};
use serde_json::Value as Json;

use crate::number::{Digits, finite};

/// An attribute value as text, by the specification's "AnyValue representation for non-OTLP
/// protocols": strings as they are, numbers and booleans as JSON writes them, arrays as JSON.
pub(super) fn value_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::I64(number) => itoa::Buffer::new().format(*number).to_owned().into(),
        Value::F64(number) => float_text(*number).into(),
        Value::Array(array) => array_text(array).into(),
        other => other.as_str().into_owned().into(),
    }
}

fn float_text(number: f64) -> String {
    match number {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if number.is_nan() => "NaN".to_owned(),
        _ => finite(number, &mut Digits::default()).to_owned(),
    }
}

fn array_text(array: &Array) -> String {
    match array {
        Array::Bool(items) => json_array(items, ToString::to_string),
        Array::I64(items) => json_array(items, ToString::to_string),
        Array::F64(items) => json_array(items, |item| match float_text(*item) {
            // JSON has no such numbers: inside of JSON they are strings.
            text if item.is_finite() => text,
            text => Json::String(text).to_string(),
        }),
        Array::String(items) => json_array(items, |item| Json::from(item.as_str()).to_string()),
        other => other.to_string(),
    }
}

fn json_array<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let items: Vec<_> = items.iter().map(text).collect();
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_their_json_form() {
        for (value, text) in [
            (Value::from("plain \"text\""), "plain \"text\""),
            (true.into(), "true"),
            ((-5_i64).into(), "-5"),
            (2.0.into(), "2"),
            (0.25.into(), "0.25"),
            (f64::NAN.into(), "NaN"),
            (f64::INFINITY.into(), "Infinity"),
            (f64::NEG_INFINITY.into(), "-Infinity"),
            (Value::Array(vec![true, false].into()), "[true,false]"),
            (Value::Array(vec![1_i64, 2].into()), "[1,2]"),
            (Value::Array(vec![1.5, f64::NAN].into()), "[1.5,\"NaN\"]"),
            (
                Value::Array(vec!["a\"b".into(), opentelemetry::StringValue::from("ü")].into()),
                r#"["a\"b","ü"]"#,
            ),
            (Value::Array(Vec::<i64>::new().into()), "[]"),
        ] {
            assert_eq!(value_text(&value), text);
        }
    }
}
