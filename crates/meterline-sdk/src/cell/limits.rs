//! When a cell grows stripes.

/// How often a cell's only stripe, or a line that several share, may change hands between two readings
/// before who comes next should grow. Each time costs a cache miss.
pub(super) const HANDOVERS: u64 = 4096;

/// How often a thread finds a cell's only stripe taken before it has the cell grow. A cold series
/// that two threads happen to touch at once stays small; a hot one grows within microseconds.
pub(super) const PATIENCE: u32 = 8;

/// How often a recording looks whether a cell's only stripe is free again. Longer than any recording
/// takes, unless its thread is stopped in the middle of it.
pub(super) const LOOKS: usize = 100;

/// More stripes than this cost more to add up than they save.
pub(super) const MOST_STRIPES: usize = 16;
