//! The atomics that recording and expiry rest on. They come from here so that `tests/model.rs` can put
//! those of a model checker in their place, and check this very code.

pub(crate) use std::sync::atomic;
