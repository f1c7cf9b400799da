use opentelemetry::KeyValue;

use crate::Attributes;

/// What produces the telemetry: `service.name` and further attributes, the same for every metric.
///
/// See the OpenTelemetry resource specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    attributes: Attributes,
    schema_url: Option<String>,
}

impl Resource {
    /// A resource with these attributes; of duplicate keys the last one wins.
    #[must_use]
    pub fn new(attributes: &[KeyValue]) -> Self {
        Self {
            attributes: Attributes::new(attributes),
            schema_url: None,
        }
    }

    /// The same resource, with its schema URL.
    #[must_use]
    pub fn with_schema_url(mut self, schema_url: impl Into<String>) -> Self {
        self.schema_url = Some(schema_url.into());
        self
    }

    /// The attributes, sorted by key.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The schema the attributes follow.
    #[must_use]
    pub fn schema_url(&self) -> Option<&str> {
        self.schema_url.as_deref()
    }
}
