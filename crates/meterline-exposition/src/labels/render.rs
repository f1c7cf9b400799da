use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use meterline_sdk::{Attributes, Resource};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::value::value_text;
use crate::escape::escape_into;
use crate::escaping::is_legacy;
use crate::families::Kind;
use crate::name::Naming;
use crate::options::TranslationOptions;

const SCOPE_NAME: &str = "otel_scope_name";
const SCOPE_VERSION: &str = "otel_scope_version";
const SCOPE_SCHEMA_URL: &str = "otel_scope_schema_url";
const SCOPE_PREFIX: &str = "otel_scope_";

/// The label of a histogram's buckets.
const BUCKET_BOUND: &str = "le";

/// One attribute on its way to being a label, or a part of one.
#[derive(Debug)]
struct Label<'a> {
    name: Arc<str>,
    /// The key it came from: values that end up in one label are joined in this order.
    key: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// How the attributes of one metric's series become label text; see [`Labels`](super::Labels).
#[derive(Debug)]
pub(crate) struct LabelRules<'a> {
    names: LabelNames,
    /// What every series of the metric carries.
    base: Vec<Label<'a>>,
}

impl<'a> LabelRules<'a> {
    /// The rules for a metric of this kind, with scope and resource labels as the options say.
    pub(crate) fn new(
        options: &TranslationOptions,
        kind: Kind,
        scope: &'a InstrumentationScope,
        resource: &'a Resource,
    ) -> Self {
        let mut rules = Self::bare(options.naming(), kind);
        if options.scope_labels {
            rules.base = scope_labels(&mut rules.names, scope);
        }
        for attribute in resource.attributes().iter() {
            let key = attribute.key.as_str();
            if options.resource_labels.iter().any(|wanted| wanted == key) {
                rules.base.push(rules.names.label(attribute));
            }
        }
        rules
    }

    /// The rules for series that carry nothing but their own attributes.
    pub(crate) fn bare(naming: Naming, kind: Kind) -> Self {
        Self {
            names: LabelNames {
                naming,
                kind,
                known: HashMap::new(),
            },
            base: Vec::new(),
        }
    }

    /// Appends a text line up to the value: `name{labels} `, or `name ` if there are no labels. `head`
    /// is the name, or `{"name"` if it needs quotes, with which the labels share the braces then.
    pub(crate) fn render_line(&mut self, out: &mut String, head: &str, attributes: &Attributes) {
        out.push_str(head);
        let quoted = head.starts_with('{');
        let before = out.len();
        out.push(if quoted { ',' } else { '{' });
        self.render(out, attributes);
        let labels = out.len() > before + 1;
        if !labels {
            out.truncate(before);
        }
        if quoted || labels {
            out.push('}');
        }
        out.push(' ');
    }

    /// Appends the labels of a series with these attributes, without braces.
    pub(crate) fn render(&mut self, out: &mut String, attributes: &Attributes) {
        let own: Vec<_> = attributes.iter().map(|a| self.names.label(a)).collect();
        let mut labels: Vec<&Label<'_>> = self.base.iter().chain(&own).collect();
        labels.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
        let start = out.len();
        for same in labels.chunk_by(|a, b| a.name == b.name) {
            if same.len() == 1 && same[0].value.is_empty() {
                continue;
            }
            if out.len() > start {
                out.push(',');
            }
            write_name(out, &same[0].name);
            out.push_str("=\"");
            for (i, label) in same.iter().enumerate() {
                if i > 0 {
                    out.push(';');
                }
                escape_into(out, &label.value, true);
            }
            out.push('"');
        }
    }
}

fn write_name(out: &mut String, name: &str) {
    if is_legacy(name, false) {
        out.push_str(name);
    } else {
        out.push('"');
        escape_into(out, name, true);
        out.push('"');
    }
}

fn scope_labels<'a>(names: &mut LabelNames, scope: &'a InstrumentationScope) -> Vec<Label<'a>> {
    let own = [
        (SCOPE_NAME, Some(scope.name())),
        (SCOPE_VERSION, scope.version()),
        (SCOPE_SCHEMA_URL, scope.schema_url()),
    ];
    let own = own.map(|(key, value)| Label {
        name: names.of(key),
        key: key.into(),
        value: value.unwrap_or_default().into(),
    });
    let attributes = scope.attributes().map(|attribute| {
        let key = format!("{SCOPE_PREFIX}{}", attribute.key);
        Label {
            name: names.of(&key),
            key: key.into(),
            value: value_text(&attribute.value),
        }
    });
    let reserved = |label: &Label<'_>| own.iter().any(|own| own.name == label.name);
    let mut labels: Vec<_> = attributes.filter(|label| !reserved(label)).collect();
    labels.extend(own.into_iter().filter(|label| !label.value.is_empty()));
    labels
}

/// Label names by key, remembered: the series of a metric share their keys.
#[derive(Debug)]
struct LabelNames {
    naming: Naming,
    kind: Kind,
    known: HashMap<String, Arc<str>>,
}

impl LabelNames {
    fn label<'a>(&mut self, attribute: &'a KeyValue) -> Label<'a> {
        let key = attribute.key.as_str();
        Label {
            name: self.of(key),
            key: key.into(),
            value: value_text(&attribute.value),
        }
    }

    fn of(&mut self, key: &str) -> Arc<str> {
        if let Some(name) = self.known.get(key) {
            return Arc::clone(name);
        }
        let mut name = self.naming.label(key);
        if self.kind == Kind::Histogram && name == BUCKET_BOUND {
            name.insert_str(0, "exported_");
        }
        let name: Arc<str> = name.into();
        self.known.insert(key.to_owned(), Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests;
