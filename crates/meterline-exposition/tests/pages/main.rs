//! Whole pages: against golden files, and against parsers we did not write.
//!
//! Tests named `trap_N` hold the line where other exporters went wrong: one bad key must not cost a
//! page (1), no type by chance (2), no family (3) or series (4) twice, suffixes once (5), units by one
//! table (6), exponential histograms shown (7), buckets and count of one reading (12), joined label
//! collisions (16), what OpenMetrics demands (25), escapes (26), values that are no strings (27),
//! native histograms (28). Compression (29) and bounded work for callers (31) are tested where pages
//! are served, in `meterline`, and so is the scraper's deadline (30). The others are about recording,
//! instrumenting or deploying (8 to 11, 13 to 15, 17 to 24, 32).

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
