//! OpenTelemetry metric snapshots as Prometheus exposition formats and JSON.
//!
//! One direction, in two steps: a [`Translator`] turns a [`Snapshot`](meterline_sdk::Snapshot)
//! into [`Families`] (Prometheus names, label texts and values, all borrowed), and an encoder
//! writes the families as bytes. Translation knows every rule of the OpenTelemetry specification's
//! "Prometheus and OpenMetrics Compatibility" page; encoders know only their own syntax, so every
//! format shows the same families.
//!
//! ```
//! use meterline_exposition::{Format, TranslationOptions, Translator};
//!
//! # let snapshot = meterline_sdk::Snapshot {
//! #     time: std::time::SystemTime::now(), resource: Default::default(), metrics: Vec::new() };
//! let mut translator = Translator::new(TranslationOptions::default());
//! let families = translator.translate(&snapshot);
//! let mut page = Vec::new();
//! Format::Text.encode(&families, &mut page);
//! ```
//!
//! What cannot be exposed never fails the page: it is joined, renamed or dropped by rule, logged
//! once, and counted in [`Dropped`]. The rules stand where they are applied: metric names in
//! [`TranslationStrategy`], labels in [`Labels`], conflicts in [`DropReason`].

#![forbid(unsafe_code)]

mod dropped;
mod escape;
mod escaping;
mod exemplar;
mod families;
mod filter;
mod format;
mod json;
mod labels;
mod name;
mod negotiation;
mod number;
mod options;
mod page;
pub mod parse;
mod protobuf;
mod text;
mod translate;
mod unit;

pub use dropped::{DropReason, Dropped};
pub use escaping::{Escaping, UnknownEscaping};
pub use families::{
    Block, Bucket, Families, Family, HistogramBlock, HistogramRow, Kind, NumberBlock, NumberRow,
};
pub use filter::NameFilter;
pub use format::Format;
pub use json::encode_json;
pub use labels::Labels;
pub use negotiation::{Coding, Exposition};
pub use options::{TranslationOptions, TranslationStrategy, UnknownStrategy};
pub use translate::Translator;
