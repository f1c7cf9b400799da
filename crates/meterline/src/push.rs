//! The push, on a thread and a runtime of its own: one that does not depend on how busy the service
//! is, and one that is there for services without tokio.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use meterline_otlp::{Encoder, Export, Exporter, FlushError, Outcome, PushHandle, PushOptions};
use meterline_sdk::{
    HistogramPreference, MeterProvider, PushError, Reader, ReaderOptions, TemporalityPreference,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use crate::config::{HistogramAggregation, OtlpConfig, Temporality};

/// How long the last export may take.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// A push that runs; it ends when this is dropped.
pub(crate) struct Push {
    handle: Arc<PushHandle>,
}

/// What the pipeline says about its exports.
#[derive(Clone)]
pub(crate) struct ExportMetrics {
    exports: Counter<u64>,
    rejected: Arc<AtomicU64>,
}

impl ExportMetrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let exports = meter
            .u64_counter("meterline.otlp.exports")
            .with_description("Exports by OTLP, each with its retries, by what became of them.")
            .build();
        for outcome in Outcome::ALL {
            exports.add(0, &[KeyValue::new("outcome", outcome.as_str())]);
        }
        Self {
            exports,
            rejected: Arc::default(),
        }
    }

    /// How many points collectors have refused.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    fn record(&self, export: &Export) {
        let outcome = KeyValue::new("outcome", export.outcome.as_str());
        self.exports.add(1, &[outcome]);
        self.rejected.fetch_add(export.rejected, Relaxed);
    }
}

impl Push {
    /// The reader of a push: made before instruments are, so that all of them record what it wants.
    pub(crate) fn reader(config: &OtlpConfig, provider: &MeterProvider) -> Reader {
        let mut options = ReaderOptions::default();
        options.temporality = match config.temporality {
            Temporality::Cumulative => TemporalityPreference::Cumulative,
            Temporality::Delta => TemporalityPreference::Delta,
            Temporality::LowMemory => TemporalityPreference::LowMemory,
        };
        options.histograms = match config.histogram_aggregation {
            HistogramAggregation::ExplicitBucketHistogram => HistogramPreference::Explicit,
            HistogramAggregation::Base2ExponentialBucketHistogram => {
                HistogramPreference::Exponential
            }
        };
        provider.reader(options)
    }

    pub(crate) fn start(
        config: &OtlpConfig,
        exporter: Exporter,
        reader: Reader,
        metrics: ExportMetrics,
    ) -> io::Result<Self> {
        let mut options = PushOptions::default();
        options.interval = config.interval;
        options.export_timeout = config.export_timeout;
        options.on_export = Box::new(move |export| metrics.record(export));
        let collect = Box::new(move || reader.collect());
        let encoder = Encoder::default();
        let (push, handle) = meterline_otlp::Push::new(collect, encoder, exporter, options);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("meterline-otlp".to_owned())
            .spawn(move || {
                runtime.block_on(push.run());
                // A name that is still being looked up does not keep the thread.
                runtime.shutdown_background();
            })?;
        let handle = Arc::new(handle);
        Ok(Self { handle })
    }

    pub(crate) async fn force_flush(&self) -> Result<(), FlushError> {
        self.handle.force_flush().await
    }

    pub(crate) async fn shutdown(&self) -> Result<(), FlushError> {
        self.handle.shutdown(LAST_EXPORT).await
    }
}

/// For those who have the provider and no [`Telemetry`](crate::Telemetry).
impl meterline_sdk::Push for Push {
    fn force_flush(&self, within: Duration) -> Result<(), PushError> {
        let handle = Arc::clone(&self.handle);
        wait(within, async move { handle.force_flush().await })
    }

    fn shutdown(&self, within: Duration) -> Result<(), PushError> {
        let handle = Arc::clone(&self.handle);
        wait(within, async move { handle.shutdown(within).await })
    }
}

/// Waits on this thread, which may be one that runs tasks and so cannot run this one too. When the
/// time is up nothing waits on elsewhere: who flushes once a second, while the collector is away, would
/// have ever more threads.
fn wait(
    within: Duration,
    flush: impl Future<Output = Result<(), FlushError>> + Send + 'static,
) -> Result<(), PushError> {
    let not_started = |error: io::Error| PushError::NotDelivered(error.to_string());
    let (done, flushed) = sync_channel(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(not_started)?;
    let limited = async move {
        let flushed = tokio::time::timeout(within, flush).await;
        flushed.unwrap_or(Err(FlushError::TimedOut))
    };
    thread::Builder::new()
        .name("meterline-flush".to_owned())
        .spawn(move || done.send(runtime.block_on(limited)))
        .map_err(not_started)?;
    match flushed.recv_timeout(within) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(FlushError::Ended)) => Err(PushError::ShutDown),
        Ok(Err(FlushError::TimedOut)) | Err(RecvTimeoutError::Timeout) => Err(PushError::TimedOut),
        Ok(Err(error)) => Err(PushError::NotDelivered(error.to_string())),
        Err(RecvTimeoutError::Disconnected) => Err(PushError::ShutDown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_the_time_is_up_nothing_waits_on() {
        let (held, dropped) = sync_channel::<()>(1);
        let never = async move {
            let _held = held;
            std::future::pending().await
        };
        let waited = wait(Duration::from_millis(1), never);
        assert_eq!(waited, Err(PushError::TimedOut));
        let gone = dropped.recv_timeout(Duration::from_secs(60));
        assert_eq!(gone, Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn there_may_be_no_limit() {
        assert_eq!(wait(Duration::MAX, async { Ok(()) }), Ok(()));
        let ended = wait(Duration::MAX, async { Err(FlushError::Ended) });
        assert_eq!(ended, Err(PushError::ShutDown));
    }
}
