//! What `src/sync.rs` is in the library.

pub(crate) use loom::hint;
pub(crate) use loom::sync::atomic;

pub(crate) mod thread {
    use std::num::NonZeroUsize;

    pub(crate) use loom::thread::yield_now;

    /// The fewest that a cell grows stripes for, wherever the model runs.
    #[allow(clippy::unnecessary_wraps, reason = "as in std")]
    pub(crate) fn available_parallelism() -> std::io::Result<NonZeroUsize> {
        Ok(const { NonZeroUsize::new(2).unwrap() })
    }
}

macro_rules! of_each_thread {
    ($($(#[$meta:meta])* static $name:ident: $of:ty = const { $init:expr };)*) => {
        loom::thread_local! { $($(#[$meta])* static $name: $of = $init;)* }
    };
}
pub(crate) use of_each_thread;

loom::lazy_static! {
    /// Begins anew in each execution. Who has which number is no matter of the model.
    pub(crate) static ref THREADS: std::sync::atomic::AtomicUsize =
        std::sync::atomic::AtomicUsize::new(0);
}

/// What is set is seen by who sees that it is, as with the real one; where it lies is no matter of the
/// model.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: atomic::AtomicBool,
    setting: loom::sync::Mutex<()>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            is_set: atomic::AtomicBool::new(false),
            setting: loom::sync::Mutex::new(()),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let is_set = self.is_set.load(atomic::Ordering::Acquire);
        is_set.then(|| self.value.get().expect("it is set"))
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _setting = self.setting.lock().expect("nobody panics");
        let value = self.value.get_or_init(make);
        self.is_set.store(true, atomic::Ordering::Release);
        value
    }
}
