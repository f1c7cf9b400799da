//! Headers that are lists with qualities, read leniently: what makes no sense is passed over.

use std::borrow::Cow;

/// Thousandths.
pub(super) type Quality = u16;

/// The quality of what does not state one.
pub(super) const WHOLE: Quality = 1000;

/// The elements of a list, without the empty ones.
pub(super) fn elements(header: &str) -> impl Iterator<Item = &str> {
    let elements = split(header, b',').map(str::trim);
    elements.filter(|element| !element.is_empty())
}

/// What stands before the first semicolon, and the parameters after it, values without quotes.
pub(super) fn parameters(element: &str) -> (&str, impl Iterator<Item = (&str, String)>) {
    let mut parts = split(element, b';').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let parameters = parts.filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim_end(), unquoted(value.trim_start()).into_owned()))
    });
    (first, parameters)
}

/// Reads `0` to `1` with at most three digits after the point.
pub(super) fn quality(text: &str) -> Option<Quality> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > 3 || !digits(fraction) {
        return None;
    }
    let thousandths: Quality = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(WHOLE),
        _ => None,
    }
}

/// Splits at a separator that is not between quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && byte == b'\\' && !escaped;
            byte == separator && !quoted
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

fn unquoted(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.into();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn qualities() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("0.1234", None),
            ("1.001", None),
            ("2", None),
            ("-0.5", None),
            ("+1", None),
            (".5", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(quality(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_hide_separators() {
        let listed: Vec<_> = elements(r#" a;x="1,2;\"3" , ,b"#).collect();
        assert_eq!(listed, [r#"a;x="1,2;\"3""#, "b"]);
        let (first, parameters) = parameters(listed[0]);
        assert_eq!(first, "a");
        let parameters: Vec<_> = parameters.collect();
        assert_eq!(parameters, [("x", "1,2;\"3".to_owned())]);
    }

    proptest! {
        #[test]
        fn anything_is_read(header in "[a-z/*=;,\" \\\\0-9.é]{0,60}") {
            for element in elements(&header) {
                prop_assert!(parameters(element).1.count() <= element.len());
            }
        }
    }
}
