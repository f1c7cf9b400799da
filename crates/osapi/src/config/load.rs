//! Reading the layers, in order, into one configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use meterline::config::otel;
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::origin::Origin;
use super::types::Config;
use super::yaml::{self, Node};
use super::{check, show};

/// Everywhere a configuration can come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Defaults in which a command differs from the others: its name, then keys and values.
    pub command: Option<(&'static str, &'static [(&'static str, &'static str)])>,
    /// The YAML file.
    pub file: Option<PathBuf>,
    /// The environment, whatever is in it.
    pub environment: Vec<(String, String)>,
    /// `--set` flags, as `KEY=VALUE`.
    pub set: Vec<String>,
    /// Flags with a name of their own: the flag, its key, its value. They win over `--set`.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// Takes the environment of this process.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        self.environment = std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect();
        self
    }

    /// Reads every layer and checks the whole.
    ///
    /// # Errors
    /// The first thing that is wrong; see [`ConfigError`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::new();
        if let Some((command, defaults)) = self.command {
            for (key, value) in defaults {
                layers.set_text(key, value, Origin::Command(command))?;
            }
        }
        if let Some(path) = &self.file {
            layers.read_file(path)?;
        }
        let warnings = layers.read_otel(&self.environment)?;
        layers.read_environment(&self.environment)?;
        for given in &self.set {
            let Some((key, value)) = given.split_once('=') else {
                return Err(ConfigError::BadFlag {
                    given: given.clone(),
                });
            };
            let key = key.trim();
            layers.set_text(key, value, Origin::Flag(format!("--set {key}")))?;
        }
        for (flag, key, value) in &self.flags {
            layers.set_text(key, value, Origin::Flag((*flag).to_owned()))?;
        }
        layers.finish(warnings)
    }
}

/// A checked configuration, and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// `OTEL_*` values that were ignored, each a sentence.
    pub warnings: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// A value that cannot be, and who set it.
    pub(super) fn bad_value(&self, key: &str, message: String) -> ConfigError {
        ConfigError::BadValue {
            key: key.to_owned(),
            origin: self.origin(key),
            message,
        }
    }
}

/// Keys that are null unless set, and lists when they are.
const OPTIONAL_LISTS: [&str; 2] = [
    "telemetry.metrics.http.buckets",
    "telemetry.metrics.http.known_methods",
];

struct Setting {
    value: Value,
    origin: Origin,
}

/// The keys there are, and what the layers read so far set them to.
struct Layers {
    defaults: BTreeMap<String, Value>,
    set: BTreeMap<String, Setting>,
}

impl Layers {
    fn new() -> Self {
        Self {
            defaults: show::flattened(&Config::default()),
            set: BTreeMap::new(),
        }
    }

    fn is_section(&self, key: &str) -> bool {
        let prefix = format!("{key}.");
        self.defaults.keys().any(|known| known.starts_with(&prefix))
    }

    /// The free-form mapping a key is an entry of, and the entry's name.
    fn entry_of<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        key.match_indices('.')
            .map(|(at, _)| (&key[..at], &key[at + 1..]))
            .find(|(map, entry)| {
                !entry.is_empty() && self.defaults.get(*map).is_some_and(Value::is_object)
            })
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        const FOR_METRICS: &str = "telemetry.otlp.metrics_endpoint";
        const FOR_SPANS: &str = "telemetry.traces.endpoint";
        // An endpoint that wins over those of OTEL_ variables wins over that for metrics alone, too.
        let of_otel =
            |origin: &Origin| matches!(origin, Origin::Variable(v) if v.starts_with("OTEL_"));
        if key == "telemetry.otlp.endpoint" && !of_otel(&origin) {
            let named = self.set.get(FOR_METRICS);
            if named.is_some_and(|named| of_otel(&named.origin)) {
                self.set.remove(FOR_METRICS);
            }
            // What spans have got of the general one, with a scheme of their own, goes with it.
            let general = Origin::Variable("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned());
            let named = self.set.get(FOR_SPANS);
            if named.is_some_and(|named| named.origin == general) && !value.is_null() {
                self.set.remove(FOR_SPANS);
            }
        }
        // Free-form mappings of several layers are joined, entry by entry.
        let value = match (value, self.set.remove(key)) {
            (
                Value::Object(new),
                Some(Setting {
                    value: Value::Object(mut old),
                    ..
                }),
            ) if self.defaults.get(key).is_some_and(Value::is_object) => {
                old.extend(new);
                Value::Object(old)
            }
            (value, _) => value,
        };
        self.set.insert(key.to_owned(), Setting { value, origin });
    }

    /// Sets a key from text, reading it as the key's default suggests.
    fn set_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        if let Some(default) = self.defaults.get(key) {
            match parse_text(key, default, text) {
                Some(value) => self.set(key, value, origin),
                None => {
                    return Err(ConfigError::BadValue {
                        key: key.to_owned(),
                        origin,
                        message: "expected a list or mapping, such as a,b or [a, b] or {a: b}"
                            .to_owned(),
                    });
                }
            }
            return Ok(());
        }
        if let Some((map, entry)) = self.entry_of(key) {
            let value = Map::from_iter([(entry.to_owned(), text.into())]);
            self.set(map, Value::Object(value), origin);
            return Ok(());
        }
        Err(self.unknown(key, origin))
    }

    fn unknown(&self, key: &str, origin: Origin) -> ConfigError {
        if self.is_section(key) {
            return ConfigError::BadValue {
                key: key.to_owned(),
                origin,
                message: format!("is a section; set one of its keys: {}", self.children(key)),
            };
        }
        let nearest = check::nearest(key, self.defaults.keys().map(String::as_str));
        ConfigError::UnknownKey {
            key: key.to_owned(),
            origin,
            nearest,
        }
    }

    fn children(&self, section: &str) -> String {
        let prefix = format!("{section}.");
        let mut names: Vec<&str> = self
            .defaults
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(|rest| rest.split('.').next().unwrap_or(rest))
            .collect();
        names.dedup();
        names.join(", ")
    }

    fn read_file(&mut self, path: &PathBuf) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.clone(),
            error,
        })?;
        let document = yaml::parse(&text).map_err(|error| ConfigError::Syntax {
            path: path.clone(),
            line: error.line,
            message: error.message,
        })?;
        self.read_section("", document, path, 1)
    }

    fn read_section(
        &mut self,
        section: &str,
        node: Node,
        path: &PathBuf,
        line: u64,
    ) -> Result<(), ConfigError> {
        let at = |line| Origin::File {
            path: path.clone(),
            line,
        };
        let entries = match node {
            Node::Map(entries) => entries,
            // An empty section, `worker:`, changes nothing.
            Node::Value(Value::Null) => return Ok(()),
            Node::Value(_) => {
                let name = if section.is_empty() {
                    "the file"
                } else {
                    section
                };
                return Err(ConfigError::BadValue {
                    key: name.to_owned(),
                    origin: at(line),
                    message: "expected a mapping of keys to values".to_owned(),
                });
            }
        };
        for (name, line, child) in entries {
            let key = if section.is_empty() {
                name.clone()
            } else {
                format!("{section}.{name}")
            };
            if name.contains('.') {
                return Err(self.unknown(&key, at(line)));
            } else if self.defaults.contains_key(&key) {
                self.set(&key, child.into_value(), at(line));
            } else if self.is_section(&key) {
                self.read_section(&key, child, path, line)?;
            } else {
                return Err(self.unknown(&key, at(line)));
            }
        }
        Ok(())
    }

    fn read_otel(&mut self, environment: &[(String, String)]) -> Result<Vec<String>, ConfigError> {
        let lookup = |name: &str| {
            environment
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let found = otel::overrides(&lookup);
        let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
        for o in found.set {
            let key = format!("telemetry.{}", o.key);
            let origin = Origin::Variable(o.variable.to_owned());
            if !self.defaults.contains_key(&key) {
                return Err(self.unknown(&key, origin));
            }
            if !o.weak || !self.set.contains_key(&key) {
                self.set(&key, o.value, origin);
            }
        }
        Ok(warnings)
    }

    fn read_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        const SHORT: &str = "OSAPI_PROMETHEUS_ENABLED";
        let mut ours: Vec<(&str, &str)> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("OSAPI_"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // A fixed order, so that the same mistake gives the same error; the short name first,
        // because the long one wins.
        ours.sort_by_key(|(name, _)| (*name != SHORT, *name));
        for (name, value) in ours {
            let rest = &name["OSAPI_".len()..];
            // What the clients read is no key; the others Kubernetes sets.
            if matches!(rest, "TOKEN" | "CA")
                || rest.starts_with("SERVICE_")
                || rest.starts_with("PORT")
            {
                continue;
            }
            let key = if name == SHORT {
                "telemetry.metrics.enabled".to_owned()
            } else {
                rest.split("__")
                    .collect::<Vec<_>>()
                    .join(".")
                    .to_lowercase()
            };
            self.set_text(&key, value, Origin::Variable(name.to_owned()))?;
        }
        Ok(())
    }

    fn finish(self, warnings: Vec<String>) -> Result<Loaded, ConfigError> {
        let mut tree = Value::Object(Map::new());
        for (key, setting) in &self.set {
            insert(&mut tree, key, setting.value.clone());
        }
        let config: Config = serde_path_to_error::deserialize(tree)
            .map_err(|error| self.bad_value(&error.path().to_string(), error.inner()))?;
        let origins = self
            .set
            .into_iter()
            .map(|(key, setting)| (key, setting.origin))
            .collect();
        let loaded = Loaded {
            config,
            warnings,
            origins,
        };
        check::whole(&loaded)?;
        Ok(loaded)
    }

    fn bad_value(&self, path: &str, error: &serde_json::Error) -> ConfigError {
        // The path may lead inside a value, such as `telemetry.metrics.formats[1]`.
        let found = self
            .set
            .iter()
            .filter(|(key, _)| path.starts_with(key.as_str()))
            .max_by_key(|(key, _)| key.len());
        let origin = found.map_or(Origin::Default, |(_, setting)| setting.origin.clone());
        let message = if check::is_secret(path) {
            "expected text".to_owned()
        } else {
            error.to_string()
        };
        ConfigError::BadValue {
            key: path.to_owned(),
            origin,
            message,
        }
    }
}

/// Text as the kind of value the default is. Numbers and booleans stay text: their readers take it.
fn parse_text(key: &str, default: &Value, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    let flow = || yaml::parse(trimmed).ok().map(Node::into_value);
    match default {
        Value::Array(_) if trimmed.starts_with('[') => flow(),
        Value::Array(_) => Some(list(trimmed)),
        Value::Object(_) if trimmed.starts_with('{') => flow(),
        Value::Object(_) => pairs(trimmed),
        _ if trimmed == "null" => Some(Value::Null),
        Value::Null if trimmed.is_empty() => Some(Value::Null),
        Value::Null if trimmed.starts_with(['{', '[']) => flow(),
        Value::Null if key.ends_with(".tls") || show::FREE_FORM.contains(&key) => pairs(trimmed),
        Value::Null if OPTIONAL_LISTS.contains(&key) => yaml::parse(&format!("[{trimmed}]"))
            .ok()
            .map(Node::into_value),
        _ => Some(Value::String(text.to_owned())),
    }
}

fn list(text: &str) -> Value {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

fn pairs(text: &str) -> Option<Value> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.trim().to_owned(), value.trim().into()))
        })
        .collect::<Option<Map<String, Value>>>()?;
    Some(Value::Object(entries))
}

fn insert(tree: &mut Value, key: &str, value: Value) {
    let mut at = tree;
    for part in key.split('.') {
        at = &mut at[part];
    }
    *at = value;
}

#[cfg(test)]
mod tests;
