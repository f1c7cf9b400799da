//! Beside the modules they test, and not in them: `tests/model` includes those.

mod histogram;
mod lines;
mod stripe;
mod sum;
