use std::collections::VecDeque;
use std::time::Duration;

use meterline_sdk::{Snapshot, Temporality};
use rand::RngExt;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::encode::{Batch, Encoder};
use crate::exporter::{Export, Exporter, LONGEST, Outcome};
use crate::trouble::Trouble;

/// How many flushes may wait; more than one tell each other's story.
const FLUSHES: usize = 16;

/// Collects, encodes and exports on a schedule; made together with a [`PushHandle`].
///
/// Collecting and encoding happen where [`run`](Self::run) is polled: give it a thread of its own, as
/// `meterline` does, or a runtime that can bear some milliseconds.
pub struct Push {
    collect: Box<dyn FnMut() -> Snapshot + Send>,
    encoder: Encoder,
    exporter: Exporter,
    options: PushOptions,
    /// What was not taken yet.
    pending: VecDeque<Batch>,
    trouble: Trouble,
    flushes: mpsc::Receiver<oneshot::Sender<Outcome>>,
    shutdown: oneshot::Receiver<Shutdown>,
}

/// When a [`Push`] exports, and whom it tells.
#[non_exhaustive]
pub struct PushOptions {
    /// From one export to the next; one minute by default. The first one comes at a random moment
    /// within the first interval, so that many processes started at once do not push at once.
    pub interval: Duration,
    /// How long one export may take, with its retries; 30 s by default.
    pub export_timeout: Duration,
    /// Told what became of each export.
    pub on_export: Box<dyn FnMut(&Export) + Send>,
}

/// Tells a [`Push`] what to do. When it is dropped the push ends, without a last export.
#[derive(Debug)]
pub struct PushHandle {
    flushes: mpsc::Sender<oneshot::Sender<Outcome>>,
    shutdown: Mutex<Option<oneshot::Sender<Shutdown>>>,
}

/// The last export, and how long it may take.
#[derive(Debug)]
struct Shutdown {
    until: Instant,
    done: oneshot::Sender<Outcome>,
}

/// An export that was asked for did not deliver everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The collector refused points, or could not be reached; the log says more.
    #[error("not all metrics were delivered: {}", .0.as_str())]
    NotDelivered(Outcome),
    /// There was no time to tell what became of it.
    #[error("metrics were not delivered in time")]
    TimedOut,
    /// The push has ended.
    #[error("the push has ended already")]
    Ended,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(1),
            export_timeout: Duration::from_secs(30),
            on_export: Box::new(|_| {}),
        }
    }
}

impl Push {
    /// A push that begins when it is [run](Self::run).
    #[must_use]
    pub fn new(
        collect: Box<dyn FnMut() -> Snapshot + Send>,
        encoder: Encoder,
        exporter: Exporter,
        options: PushOptions,
    ) -> (Self, PushHandle) {
        let (flush, flushes) = mpsc::channel(FLUSHES);
        let (end, shutdown) = oneshot::channel();
        let push = Self {
            collect,
            encoder,
            exporter,
            options,
            pending: VecDeque::new(),
            trouble: Trouble::default(),
            flushes,
            shutdown,
        };
        let handle = PushHandle {
            flushes: flush,
            shutdown: Mutex::new(Some(end)),
        };
        (push, handle)
    }

    /// Exports until it is told to end, or its handle is gone.
    pub async fn run(mut self) {
        let interval = self.options.interval.min(LONGEST);
        let mut next = Instant::now() + interval.mul_f64(rand::rng().random_range(0.0..=1.0));
        loop {
            let asked = tokio::select! {
                biased;
                shutdown = &mut self.shutdown => return self.end(shutdown.ok()).await,
                flush = self.flushes.recv() => flush,
                () = sleep_until(next) => {
                    let late = Instant::now().saturating_duration_since(next).as_nanos();
                    // Those that were missed are not made up for.
                    let missed = late / interval.as_nanos().max(1);
                    next += interval * u32::try_from(missed + 1).unwrap_or(u32::MAX);
                    None
                }
            };
            let (outcome, shutdown) = self.export_unless_ended().await;
            if let (Some(asked), Some(outcome)) = (asked, outcome) {
                // Who asked may not wait any more.
                let _ = asked.send(outcome);
            }
            if let Some(shutdown) = shutdown {
                return self.end(shutdown).await;
            }
        }
    }

    /// Exports; if it is told to end meanwhile, what is under way gets half of the time there is.
    async fn export_unless_ended(&mut self) -> (Option<Outcome>, Option<Option<Shutdown>>) {
        let Self {
            collect,
            encoder,
            exporter,
            options,
            pending,
            trouble,
            shutdown,
            ..
        } = self;
        let mut export = std::pin::pin!(export(
            &mut **collect,
            encoder,
            exporter,
            pending,
            options.export_timeout
        ));
        let (done, ending) = tokio::select! {
            done = &mut export => (Some(done), None),
            shutdown = shutdown => {
                let shutdown = shutdown.ok();
                let left = |s: &Shutdown| s.until.saturating_duration_since(Instant::now());
                let half = shutdown.as_ref().map_or(Duration::ZERO, left) / 2;
                (timeout(half, export).await.ok(), Some(shutdown))
            }
        };
        if let Some(export) = &done {
            trouble.log(export);
            (options.on_export)(export);
        }
        (done.map(|export| export.outcome), ending)
    }

    /// The last export.
    async fn end(mut self, shutdown: Option<Shutdown>) {
        let Some(Shutdown { until, done }) = shutdown else {
            return;
        };
        let left = until.saturating_duration_since(Instant::now());
        let within = left.min(self.options.export_timeout);
        let last = export(
            &mut *self.collect,
            &mut self.encoder,
            &mut self.exporter,
            &mut self.pending,
            within,
        );
        let last = last.await;
        self.trouble.log(&last);
        (self.options.on_export)(&last);
        // Who asked may not wait any more.
        let _ = done.send(last.outcome);
    }
}

/// What is pending goes first; only when all of it is settled is there a new collection, so that what
/// readers of deltas have handed out is never more than one export.
async fn export(
    collect: &mut (dyn FnMut() -> Snapshot + Send),
    encoder: &mut Encoder,
    exporter: &mut Exporter,
    pending: &mut VecDeque<Batch>,
    within: Duration,
) -> Export {
    let until = Instant::now() + within.min(LONGEST);
    let mut whole = Export::default();
    if !pending.is_empty() {
        whole = exporter.export(pending, within).await;
    }
    if pending.is_empty() {
        let snapshot = collect();
        // Cumulative values are worth nothing once there are newer ones.
        let keep = snapshot
            .metrics
            .iter()
            .any(|metric| metric.temporality != Temporality::Cumulative);
        pending.extend(encoder.encode(&snapshot));
        drop(snapshot);
        let left = until.saturating_duration_since(Instant::now());
        if keep {
            whole.and(exporter.export(pending, left).await);
        } else {
            let mut batches = std::mem::take(pending);
            whole.and(exporter.export(&mut batches, left).await);
        }
    }
    whole
}

impl PushHandle {
    /// Exports now what has been recorded until now.
    ///
    /// # Errors
    /// If not everything was delivered. It takes no longer than the export timeout, or twice that if
    /// one is under way.
    pub async fn force_flush(&self) -> Result<(), FlushError> {
        let (done, flushed) = oneshot::channel();
        let asked = self.flushes.send(done).await;
        asked.map_err(|_| FlushError::Ended)?;
        delivered(flushed.await.map_err(|_| FlushError::Ended)?)
    }

    /// Exports a last time and ends the push, within this time. Called again, it does nothing.
    ///
    /// # Errors
    /// If not everything was delivered.
    pub async fn shutdown(&self, within: Duration) -> Result<(), FlushError> {
        // Before the sender is taken: a panic after that would cost the last export.
        let within = within.min(LONGEST);
        let Some(shutdown) = self.shutdown.lock().await.take() else {
            return Ok(());
        };
        let until = Instant::now() + within;
        let (done, ended) = oneshot::channel();
        let told = shutdown.send(Shutdown { until, done });
        told.map_err(|_| FlushError::Ended)?;
        // A collection can hang in a callback, and hangs the push with it.
        let ended = timeout(within + Duration::from_millis(100), ended).await;
        let outcome = ended.map_err(|_| FlushError::TimedOut)?;
        delivered(outcome.map_err(|_| FlushError::Ended)?)
    }
}

fn delivered(outcome: Outcome) -> Result<(), FlushError> {
    match outcome {
        Outcome::Success => Ok(()),
        outcome => Err(FlushError::NotDelivered(outcome)),
    }
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push")
            .field("exporter", &self.exporter)
            .field("interval", &self.options.interval)
            .field("export_timeout", &self.options.export_timeout)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PushOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushOptions")
            .field("interval", &self.interval)
            .field("export_timeout", &self.export_timeout)
            .finish_non_exhaustive()
    }
}
