use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use meterline_sdk::{Attributes, Resource};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::value::value_text;
use crate::escape::escape_into;
use crate::families::Kind;
use crate::name::label_name;
use crate::options::{TranslationOptions, TranslationStrategy};

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
        let mut rules = Self::bare(options.strategy, kind);
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
    pub(crate) fn bare(strategy: TranslationStrategy, kind: Kind) -> Self {
        Self {
            names: LabelNames {
                strategy,
                kind,
                known: HashMap::new(),
            },
            base: Vec::new(),
        }
    }

    /// Appends a text line up to the value: `name{labels} `, or `name ` if there are no labels.
    pub(crate) fn render_line(&mut self, out: &mut String, name: &str, attributes: &Attributes) {
        out.push_str(name);
        let brace = out.len();
        out.push('{');
        self.render(out, attributes);
        if out.len() == brace + 1 {
            out.truncate(brace);
        } else {
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
            out.push_str(&same[0].name);
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

fn scope_labels<'a>(names: &mut LabelNames, scope: &'a InstrumentationScope) -> Vec<Label<'a>> {
    let own = [
        (SCOPE_NAME, Some(scope.name())),
        (SCOPE_VERSION, scope.version()),
        (SCOPE_SCHEMA_URL, scope.schema_url()),
    ];
    let own = own.map(|(name, value)| Label {
        name: name.into(),
        key: name.into(),
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
    let reserved = [SCOPE_NAME, SCOPE_VERSION, SCOPE_SCHEMA_URL];
    let attributes = attributes.filter(|label| !reserved.contains(&&*label.name));
    let mut labels: Vec<_> = attributes.collect();
    labels.extend(own.into_iter().filter(|label| !label.value.is_empty()));
    labels
}

/// Label names by key, remembered: the series of a metric share their keys.
#[derive(Debug)]
struct LabelNames {
    strategy: TranslationStrategy,
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
        let mut name = label_name(self.strategy, key);
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
