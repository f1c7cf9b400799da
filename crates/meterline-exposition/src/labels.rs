//! Labels: how attributes become them, and how their texts are kept.

mod render;
mod texts;
mod value;

use std::borrow::Cow;

use crate::escape::unescape;

pub(crate) use render::LabelRules;
pub(crate) use texts::Texts;

/// The labels of one series, sorted by name, as the text formats write them: `a="1",b="x\"y"`, and
/// `"c.d"="2"` for names that need quotes.
///
/// How attributes become labels (OpenTelemetry specification, "Prometheus and OpenMetrics
/// Compatibility", metric attributes and instrumentation scope):
///
/// - Unless the strategy keeps them and the escaping says otherwise, characters outside
///   `[a-zA-Z0-9_]` become `_`; a leading digit gets `key_` in front; leading
///   `__`, which Prometheus keeps for itself, becomes `_`.
/// - `le` on a histogram becomes `exported_le`, since the buckets need the name.
/// - Values that are no strings follow "AnyValue representation for non-OTLP protocols": numbers
///   and booleans in their JSON form, arrays as JSON.
/// - Keys that end up with the same name are one label, values joined with `;` in the order of the
///   original keys. Scope and resource labels take part in this.
/// - A label without a value is left out: to Prometheus it is the same as absent, and so two
///   series that differ only in it are duplicates.
/// - The scope's `name`, `version`, `schema_url` and attributes come with `otel_scope_` in front;
///   attributes that would map onto the first three are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a>(&'a str);

impl<'a> Labels<'a> {
    /// Takes text that [`LabelRules`] rendered.
    pub(crate) fn rendered(text: &'a str) -> Self {
        Self(text)
    }

    /// The text between the braces; empty if there are no labels.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Names and unescaped values.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let end = closing_quote(quoted)?;
                    rest = quoted[end..].strip_prefix("\"=\"")?;
                    unescape(&quoted[..end])
                }
                None => {
                    let (name, quoted) = rest.split_once("=\"")?;
                    rest = quoted;
                    name.into()
                }
            };
            let end = closing_quote(rest)?;
            let value = unescape(&rest[..end]);
            rest = rest[end + 1..].strip_prefix(',').unwrap_or_default();
            Some((name, value))
        })
    }
}

/// Where the quoted text ends that begins at the start of `text`.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}
