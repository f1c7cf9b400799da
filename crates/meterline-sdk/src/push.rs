//! Those who send a provider's metrics somewhere of their own accord: told when it is flushed or shut
//! down (OpenTelemetry metrics SDK, "Shutdown" and "ForceFlush" of the meter provider).

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Who sends a provider's metrics somewhere, on a schedule of its own: what a periodic exporting
/// reader is to the specification. It has a [`Reader`](crate::Reader), and is made known by
/// [`MeterProvider::add_push`](crate::MeterProvider::add_push).
pub trait Push: Send + Sync {
    /// Sends now what has been recorded until now, and waits for the end, but no longer than
    /// `within`.
    ///
    /// # Errors
    /// If not everything was delivered.
    fn force_flush(&self, within: Duration) -> Result<(), PushError>;

    /// As [`force_flush`](Self::force_flush), and for the last time.
    ///
    /// # Errors
    /// If not everything was delivered. It has ended all the same.
    fn shutdown(&self, within: Duration) -> Result<(), PushError>;
}

/// What became of a flush that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Not everything could be delivered, and why.
    #[error("not all metrics were delivered: {0}")]
    NotDelivered(String),
    /// There was no time to tell what became of it.
    #[error("metrics were not delivered in time")]
    TimedOut,
    /// The provider was shut down before.
    #[error("the meter provider has been shut down already")]
    ShutDown,
}

/// All of a provider's.
#[derive(Default)]
pub(crate) struct Pushes {
    /// Each has a reader, which keeps the provider: so the provider does not keep it.
    known: Mutex<Vec<Weak<dyn Push>>>,
    shut_down: AtomicBool,
}

impl Pushes {
    pub(crate) fn add(&self, push: Weak<dyn Push>) {
        let mut known = self.known.lock();
        known.retain(|push| push.strong_count() > 0);
        known.push(push);
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down.load(SeqCst)
    }

    pub(crate) fn force_flush(&self, within: Duration) -> Result<(), PushError> {
        if self.is_shut_down() {
            return Err(PushError::ShutDown);
        }
        self.tell(within, |push, left| push.force_flush(left))
    }

    pub(crate) fn shutdown(&self, within: Duration) -> Result<(), PushError> {
        if self.shut_down.swap(true, SeqCst) {
            return Err(PushError::ShutDown);
        }
        self.tell(within, |push, left| push.shutdown(left))
    }

    /// Tells each, whatever became of the others; the first failure is the answer.
    fn tell(
        &self,
        within: Duration,
        tell: impl Fn(&dyn Push, Duration) -> Result<(), PushError>,
    ) -> Result<(), PushError> {
        let begun = Instant::now();
        let known = self.known.lock().clone();
        let left = || within.saturating_sub(begun.elapsed());
        let known = known.iter().filter_map(Weak::upgrade);
        known
            .map(|push| tell(&*push, left()))
            .fold(Ok(()), Result::and)
    }
}
