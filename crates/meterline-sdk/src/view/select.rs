//! Which instruments a view is about.

use opentelemetry::InstrumentationScope;

use crate::InstrumentKind;
use crate::snapshot::Descriptor;

/// What an instrument has to be; whatever is not given may be anything.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pattern: String,
    pub(super) kind: Option<InstrumentKind>,
    pub(super) unit: Option<String>,
    pub(super) meter: Option<String>,
    pub(super) meter_version: Option<String>,
    pub(super) meter_schema_url: Option<String>,
}

impl Selection {
    pub(super) fn new(pattern: String) -> Self {
        Self {
            pattern,
            kind: None,
            unit: None,
            meter: None,
            meter_version: None,
            meter_schema_url: None,
        }
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pattern.is_empty()
    }

    pub(super) fn has_wildcards(&self) -> bool {
        self.pattern.contains(['*', '?'])
    }

    /// Whether it selects this instrument of this meter.
    pub(super) fn selects(&self, instrument: &Descriptor, meter: &InstrumentationScope) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        self.kind.is_none_or(|kind| kind == instrument.kind)
            && is(&self.unit, Some(&instrument.unit))
            && is(&self.meter, Some(meter.name()))
            && is(&self.meter_version, meter.version())
            && is(&self.meter_schema_url, meter.schema_url())
            && matches(self.pattern.as_bytes(), instrument.name.as_bytes())
    }
}

/// Whether a name fits a pattern. Both are ASCII where it counts: other names are refused.
///
/// Only the last `*` is ever tried again, so the time is at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(&name[in_name]) => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((back, taken)) = star else {
                    return false;
                };
                // The star takes one character more.
                star = Some((back, taken + 1));
                at = back + 1;
                in_name = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_are_any_number_of_characters_and_question_marks_one() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "A.B", true),
            ("a.b", "axb", false),
            ("*", "anything", true),
            ("?", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("http.*", "http.", true),
            ("http.*", "http", false),
            ("*.duration", "http.server.duration", true),
            ("*a*b*", "xxaybyyb", true),
            ("*ab", "aab", true),
            ("a**b", "ab", true),
            ("*a", "ab", false),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} on {name}");
        }
    }

    /// The definition, in exponential time.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|n| slowly(rest, &name[n..])),
            ([b'?', rest @ ..], [_, name @ ..]) => slowly(rest, name),
            ([a, rest @ ..], [b, name @ ..]) => a == b && slowly(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_what_their_definition_says(
            pattern in "[ab*?]{0,7}",
            name in "[ab]{0,8}",
        ) {
            let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(pattern, name), slowly(pattern, name));
        }
    }
}
