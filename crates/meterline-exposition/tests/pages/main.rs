//! Whole pages: against golden files, and against parsers we did not write.

mod build;
mod golden;
mod hostile;
mod json;
mod scenarios;
mod with_prometheus;
mod with_promtool;
mod with_python;
