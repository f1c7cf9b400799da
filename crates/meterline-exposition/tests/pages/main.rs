//! Whole pages: against golden files, and against parsers we did not write.

mod agreement;
mod build;
mod fields;
mod golden;
mod hostile;
mod json;
mod round_trip;
mod scenarios;
mod strict;
mod with_prometheus;
mod with_promtool;
mod with_python;
