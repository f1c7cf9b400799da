//! Why a configuration was refused. Each reads as one line that names the place and what is allowed.

use std::path::PathBuf;

use super::origin::Origin;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{}:{line}: not valid YAML: {message}", path.display())]
    Syntax {
        /// As given.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What the parser said.
        message: String,
    },
    /// No such key.
    #[error("{origin}: unknown key `{key}`{}", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// Dotted path.
        key: String,
        /// Who set it.
        origin: Origin,
        /// A key it may be meant to be.
        nearest: Option<String>,
    },
    /// The value does not fit the key.
    #[error("{origin}: `{key}`: {message}")]
    BadValue {
        /// Dotted path.
        key: String,
        /// Who set it.
        origin: Origin,
        /// What was given and what is allowed.
        message: String,
    },
    /// A flag that is not `KEY=VALUE`.
    #[error("--set {given}: expected KEY=VALUE such as --set worker.slots=8")]
    BadFlag {
        /// As given, up to where a value would start.
        given: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `osapi config show` lists the keys there are".to_owned(),
        |key| format!("; did you mean `{key}`?"),
    )
}
