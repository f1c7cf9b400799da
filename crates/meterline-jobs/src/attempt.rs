//! The one record of each attempt: made once, whatever becomes of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

use crate::operation::Operation;
use crate::status::{AttemptStatus, UnitStatus};
use crate::worker::WorkerMetrics;

/// An attempt that runs: on the gauge of active ones from [`JobMetrics::start`](crate::JobMetrics::start) until
/// [`stop`](Self::stop) or its end, and recorded once, by the first of:
///
/// | end | recorded as `status` | and |
/// |---|---|---|
/// | [`finish`](Self::finish) with `Completed` or `Failed` | that | the unit as completed |
/// | `finish` with `Retried` | `retried` | a retry |
/// | `finish` with `Cancelled` | `cancelled` | whoever cancelled counts the unit: it may have been waiting |
/// | a panic | `failed` | whether the unit is tried again is decided elsewhere |
/// | a drop | `cancelled`, or as [`on_drop`](Self::on_drop) says | |
/// | [`abandon`](Self::abandon) | not at all | a late result |
///
/// A panic is told from a drop by unwinding: the guard must live in the function, or `async` block, that panics.
#[must_use = "an attempt that is dropped has ended"]
pub struct Attempt {
    operation: Arc<Operation>,
    worker: Option<WorkerMetrics>,
    /// Kept for exemplars, and only if its span is sampled.
    context: Option<Context>,
    begun: Instant,
    took: Option<Duration>,
    on_drop: Option<AttemptStatus>,
    recorded: bool,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Attempt");
        debug.field("begun", &self.begun).field("took", &self.took);
        debug.finish_non_exhaustive()
    }
}

impl Attempt {
    pub(crate) fn begin(operation: Arc<Operation>, waited: Duration) -> Self {
        operation.wait.record(waited.as_secs_f64());
        operation.active.add(1);
        Self {
            operation,
            worker: None,
            context: sampled_context(),
            took: None,
            on_drop: Some(AttemptStatus::Cancelled),
            recorded: false,
            begun: Instant::now(),
        }
    }

    /// Counts the attempt as this worker's when it ends.
    pub fn by(mut self, worker: &WorkerMetrics) -> Self {
        self.worker = Some(worker.clone());
        self
    }

    /// As what the attempt is recorded if it is dropped unfinished; `None` for not at all, where a dropped attempt is
    /// given back and begins anew elsewhere. A panic is recorded all the same.
    pub fn on_drop(mut self, status: Option<AttemptStatus>) -> Self {
        self.on_drop = status;
        self
    }

    /// Stops the clock and takes the attempt off the gauge: the work is done, what it came to is yet to be seen, when
    /// a queue has taken the result, say. Returns how long the attempt ran. Only the first call counts.
    pub fn stop(&mut self) -> Duration {
        if let Some(took) = self.took {
            return took;
        }
        let took = self.begun.elapsed();
        self.took = Some(took);
        self.operation.active.add(-1);
        took
    }

    /// Ends it, and the unit with it if that is what the status says.
    pub fn finish(mut self, status: AttemptStatus) {
        self.record(status);
        let _attached = self.context.take().map(Context::attach);
        match status {
            AttemptStatus::Completed => self.operation.completed(UnitStatus::Completed).add(1),
            AttemptStatus::Failed => self.operation.completed(UnitStatus::Failed).add(1),
            AttemptStatus::Retried => self.operation.retries.add(1),
            AttemptStatus::Cancelled => {}
        }
    }

    /// Ends it as one that lost its lease: whoever runs the unit now records it, and of this attempt only is counted
    /// that what it came to was dropped.
    pub fn abandon(mut self) {
        self.stop();
        self.recorded = true;
        let _attached = self.context.take().map(Context::attach);
        self.operation.late_results.add(1);
    }

    fn record(&mut self, status: AttemptStatus) {
        if std::mem::replace(&mut self.recorded, true) {
            return;
        }
        let took = self.stop();
        let _attached = self.context.clone().map(Context::attach);
        let duration = self.operation.duration(status);
        duration.record(took.as_secs_f64());
        if let Some(worker) = &self.worker {
            worker.processed(status);
        }
    }
}

/// Dropped before anybody said how it ended.
impl Drop for Attempt {
    fn drop(&mut self) {
        self.stop();
        let status = if std::thread::panicking() {
            Some(AttemptStatus::Failed)
        } else {
            self.on_drop
        };
        if let Some(status) = status {
            self.record(status);
        }
    }
}

fn sampled_context() -> Option<Context> {
    Context::map_current(|context| {
        let sampled = context.has_active_span() && context.span().span_context().is_sampled();
        sampled.then(|| context.clone())
    })
}
