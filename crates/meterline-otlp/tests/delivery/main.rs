//! Exports to a receiver whose protocol nobody here wrote.

mod with_python;
