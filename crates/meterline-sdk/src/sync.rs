//! The atomics and locks that recording and expiry rest on, and what else threads have of their own. They come
//! from here so that `tests/model` can put those of a model checker in their place, and check this very
//! code.

pub(crate) use std::hint;
pub(crate) use std::sync::{OnceLock, atomic};
pub(crate) use std::thread;
pub(crate) use std::thread_local as of_each_thread;

/// How many threads have a number.
pub(crate) static THREADS: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
