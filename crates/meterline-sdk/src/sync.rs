//! The atomics that recording and expiry rest on. They come from here so that `tests/model` can put
//! those of a model checker in their place, and check this very code.

pub(crate) use std::hint;
pub(crate) use std::sync::atomic;
pub(crate) use std::thread;
