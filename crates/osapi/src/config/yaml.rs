//! A YAML document as a tree whose nodes know their lines.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{
    Error as SyntaxProblem, MessageFormatter, Options, Spanned, UserMessageFormatter,
};

/// A node of a YAML document.
pub(super) enum Node {
    /// Null, a boolean, a number, text, or a list of whatever.
    Value(Value),
    /// A mapping, each key with the line it stands on.
    Map(Vec<(String, u64, Node)>),
}

impl Node {
    /// Forgets the lines.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Map(entries) => entries
                .into_iter()
                .map(|(key, _, node)| (key, node.into_value()))
                .collect(),
        }
    }
}

/// What is wrong with a document, and on which line.
pub(super) struct SyntaxError {
    pub(super) line: u64,
    pub(super) message: String,
}

/// Parses one document. An empty one is an empty mapping.
///
/// # Errors
/// When it is not YAML, has a key twice, or is larger or deeper than any configuration.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    // Only `true` and `false` are booleans, so that a name such as `no` stays a name.
    let options: Options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Option<Node>>(text, options) {
        Ok(node) => Ok(node.unwrap_or(Node::Map(Vec::new()))),
        Err(error) => {
            let message = error.without_snippet().render_with_formatter(&Wording);
            Err(SyntaxError {
                line: error.location().map_or(1, |at| at.line()),
                message: message.lines().next().unwrap_or_default().to_owned(),
            })
        }
    }
}

/// The parser's errors for people who write configuration, not programs.
struct Wording;

impl MessageFormatter for Wording {
    fn format_message<'a>(&self, error: &'a SyntaxProblem) -> Cow<'a, str> {
        let plain = match error {
            SyntaxProblem::MultipleDocuments { .. } => {
                "there is a second document; a configuration is one"
            }
            SyntaxProblem::DuplicateMappingKey { key: Some(key), .. } => {
                return format!("`{key}` stands here twice").into();
            }
            SyntaxProblem::DuplicateMappingKey { .. } => "a key stands here twice",
            SyntaxProblem::Budget { breach, .. } => return too_much(breach).into(),
            SyntaxProblem::AliasReplayCounterOverflow { .. }
            | SyntaxProblem::AliasReplayLimitExceeded { .. }
            | SyntaxProblem::AliasExpansionLimitExceeded { .. }
            | SyntaxProblem::AliasReplayStackDepthExceeded { .. } => "too many aliases (`*name`)",
            SyntaxProblem::RecursiveReferencesRequireWeakTypes { .. } => {
                "an alias (`*name`) stands within what it refers to"
            }
            SyntaxProblem::UnknownAnchor { .. } => {
                "an alias (`*name`) without an anchor (`&name`) before it"
            }
            SyntaxProblem::MergeValueNotMapOrSeqOfMaps { .. } => "`<<` takes a mapping",
            SyntaxProblem::NullIntoString { .. } => "expected text instead of null",
            SyntaxProblem::Unexpected { .. } => "a key has to be text",
            SyntaxProblem::NonFiniteFloat { value, .. } => {
                return format!("{value} is not a finite number").into();
            }
            other => return UserMessageFormatter.format_message(other),
        };
        plain.into()
    }
}

/// Which of the parser's limits a document goes beyond.
fn too_much(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Depth { .. } => "nested too deeply for a configuration",
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. } => "too many aliases (`*name`)",
        BudgetBreach::Documents { .. } => "there is more than one document",
        BudgetBreach::SequenceUnbalanced => "a list or mapping is not closed",
        _ => "too large for a configuration",
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, given: bool) -> Result<Node, E> {
        Ok(Node::Value(given.into()))
    }

    fn visit_i64<E: Error>(self, given: i64) -> Result<Node, E> {
        Ok(Node::Value(given.into()))
    }

    fn visit_u64<E: Error>(self, given: u64) -> Result<Node, E> {
        Ok(Node::Value(given.into()))
    }

    fn visit_f64<E: Error>(self, given: f64) -> Result<Node, E> {
        match serde_json::Number::from_f64(given) {
            Some(number) => Ok(Node::Value(number.into())),
            None => Ok(Node::Value(given.to_string().into())),
        }
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<Node, E> {
        Ok(Node::Value(given.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = from.next_element::<Node>()? {
            list.push(node.into_value());
        }
        Ok(Node::Value(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = from.next_entry::<Spanned<String>, Node>()? {
            entries.push((key.value, key.referenced.line(), node));
        }
        Ok(Node::Map(entries))
    }
}
