//! Whole pages: against golden files, and against parsers we did not write.
//!
//! Tests named `trap_N` hold the line where other exporters went wrong; `docs/traps.md` says where, and
//! which tests of other crates belong to it.

mod agreement;
mod build;
mod decoded;
mod fields;
mod golden;
mod hostile;
mod json;
mod meant;
mod messages;
mod round_trip;
mod scenarios;
mod strict;
mod traps;
mod with_prometheus;
mod with_promtool;
mod with_python;
