//! Configuration: what can be set ([`types`]), from where (`load`), and how it is told (`show`).
//!
//! Layers, each over the one before: defaults, the YAML file, `OTEL_*`, `OSAPI_*`, flags. Every
//! effective value remembers its layer, so an error and `osapi config show` can name the file and
//! line, the variable or the flag.

mod check;
mod error;
mod files;
mod load;
mod origin;
mod show;
pub mod types;
mod yaml;

pub use self::error::ConfigError;
pub use self::load::{Loaded, Sources};
pub use self::origin::Origin;
pub use self::types::{
    ApiConfig, Backend, Config, LogConfig, LogFormat, LogLevel, NatsConfig, QueueConfig,
    RetryConfig, Secret, SqliteConfig, WorkerConfig,
};
