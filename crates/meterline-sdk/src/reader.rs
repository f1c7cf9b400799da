use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::pipeline::{Collected, Pipeline, Progress};
use crate::recorded::Ended;
use crate::snapshot::{Data, Descriptor, InstrumentKind, Metric, Snapshot};
use limit::{Known, Places};

mod delta;
mod exponential;
mod limit;
mod merge;

/// One of those who read: it sees what all recorded, in the form it asked for. Readers share one
/// store and disturb neither each other nor those who record. See
/// [`MeterProvider::reader`](crate::MeterProvider::reader).
///
/// ```
/// use meterline_sdk::{Data, MeterProvider, Number, ReaderOptions, TemporalityPreference};
/// use opentelemetry::metrics::MeterProvider as _;
///
/// let provider = MeterProvider::default();
/// let mut options = ReaderOptions::default();
/// options.temporality = TemporalityPreference::Delta;
/// let reader = provider.reader(options);
///
/// let orders = provider.meter("shop").u64_counter("orders").build();
/// for added in [2, 3] {
///     orders.add(added, &[]);
///     let values = vec![Number::U64(added)];
///     assert_eq!(reader.collect().metrics[0].data, Data::Sum { monotonic: true, values });
/// }
/// ```
pub struct Reader {
    pipeline: Arc<Pipeline>,
    /// Tells the pipeline which series may expire.
    progress: Arc<Mutex<Progress>>,
    options: ReaderOptions,
    /// Held while collecting: what one collection reports the next one must know of.
    seen: Mutex<Seen>,
}

/// What a [`Reader`] asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// Which values count from the reader's previous collection.
    pub temporality: TemporalityPreference,
    /// Which kind of histogram it sees where no view says.
    pub histograms: HistogramPreference,
    /// How many series of each instrument it sees where no view says (OpenTelemetry metrics SDK,
    /// "Configuring cardinality limits"); `None`, the default, as many as there are. All others are added
    /// up for it under `otel.metric.overflow`, without exemplars; as everywhere, that series and the one
    /// without attributes do not count.
    ///
    /// What is remembered, and so what memory is used, is for the provider to limit
    /// ([`with_cardinality_limit`](crate::MeterProviderBuilder::with_cardinality_limit)); one here that is
    /// not below that changes nothing.
    ///
    /// A series that has a place here keeps it, and one that has none gets none before it ends. When it
    /// does, the overflow series keeps what it counted; of gauges it shows the last in order. Of what
    /// callbacks say it shows what there is, and where that is less than before, it begins anew with a
    /// newer start. It knows the smallest and the largest value if they are known of all it adds up.
    pub cardinality_limit: Option<usize>,
}

/// What histogram instruments are to a reader unless a view says so (OpenTelemetry OTLP metrics
/// exporter, "Additional Configuration", default histogram aggregation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramPreference {
    /// Histograms with explicit buckets.
    #[default]
    Explicit,
    /// Histograms with exponential buckets, with the defaults of
    /// [`ExponentialOptions`](crate::ExponentialOptions). From the first reader that prefers them
    /// on, each recording counts in both kinds of buckets. Series that were there before count in
    /// exponential ones only from then on: make readers before instruments.
    Exponential,
}

impl HistogramPreference {
    pub(crate) fn choose(self, data: Data) -> Data {
        match (data, self) {
            (Data::Both(explicit, _), Self::Explicit) => Data::Histogram(explicit),
            (Data::Both(_, exponential), Self::Exponential) => {
                Data::ExponentialHistogram(exponential)
            }
            (other, _) => other,
        }
    }
}

/// Which values are deltas, by kind of instrument (OpenTelemetry OTLP metrics exporter, "Additional
/// Configuration", temporality preference). Gauges, and sums that may go down, never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemporalityPreference {
    /// None: everything counts from the start of its series.
    #[default]
    Cumulative,
    /// Counters, observable ones too, and histograms.
    Delta,
    /// Counters and histograms, but no observable counters: these are totals anyway, so that
    /// nobody has to remember the last ones.
    LowMemory,
}

/// What a reader saw last of what it reports as deltas.
#[derive(Default)]
struct Seen {
    /// When; not set before the first collection.
    time: Option<SystemTime>,
    /// By the address of their descriptor, which they keep alive; with the number of the latest
    /// removal that is in what was reported.
    metrics: HashMap<usize, (Metric, u64)>,
    /// Where series are shown, if there is a limit; by the same address.
    places: HashMap<usize, (Arc<Descriptor>, Places)>,
}

impl Reader {
    pub(crate) fn new(pipeline: Arc<Pipeline>, options: ReaderOptions) -> Self {
        if options.histograms == HistogramPreference::Exponential {
            pipeline.want_exponential();
        }
        Self {
            progress: pipeline.add_reader(),
            pipeline,
            options,
            seen: Mutex::default(),
        }
    }

    /// Runs the callbacks of observable instruments and reads all series, sorted.
    ///
    /// A delta holds what came since this reader's previous collection, at first since each series
    /// began. Series to which nothing came are left out, except observed ones. Of a delta the
    /// smallest and the largest value are known only if the series began in it.
    ///
    /// Collections of one reader run one at a time.
    #[must_use]
    pub fn collect(&self) -> Snapshot {
        let mut seen = self.seen.lock();
        let collection = self.pipeline.collect(Arc::as_ptr(&self.progress).addr());
        let began = collection.began;
        let mut all_reported = true;
        let since = seen.time.replace(collection.time);
        let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
        let mut last = std::mem::take(&mut seen.metrics);
        let most = self.most();
        let snapshot = collection.map(|collected| {
            let collected = collected.seen_as(self.options.histograms);
            let most = most.filter(|_| !collected.limited_by_view);
            let Collected { metric, ended, .. } = collected;
            if !self.options.temporality.is_delta(&metric) {
                let metric = match most {
                    Some(most) => seen.limited(metric, &ended, most, since),
                    None => metric,
                };
                return Some(metric).filter(|metric| !metric.series.is_empty());
            }
            let key = Arc::as_ptr(&metric.descriptor).addr();
            let limit = most.map(|most| seen.take_places(&metric, most));
            let (before, heard_of) = last.remove(&key).unzip();
            let heard_of = heard_of.unwrap_or(0);
            let new = ended.iter().filter(|ended| ended.number > heard_of);
            let points = delta::with_ended(metric, new, before.as_ref());
            all_reported &= !points.waits;
            let (delta, now) = delta::subtract(points, before.as_ref(), since);
            let heard_of = ended.last().map_or(heard_of, |ended| ended.number);
            seen.metrics.insert(key, (now, heard_of));
            let delta = match limit {
                Some((mut places, before)) => {
                    let delta = places.delta(before.as_ref(), delta);
                    let descriptor = Arc::clone(&delta.descriptor);
                    seen.places.insert(key, (descriptor, places));
                    delta
                }
                None => delta,
            };
            (!delta.series.is_empty()).then_some(delta)
        });
        let mut progress = self.progress.lock();
        progress.removed = began;
        if all_reported {
            progress.recorded = began;
        }
        snapshot
    }

    /// How many series of an instrument it sees, if there may be more: where no more are remembered
    /// than it asks for there is nothing to add up.
    fn most(&self) -> Option<usize> {
        let most = self.options.cardinality_limit?;
        (most < self.pipeline.cardinality_limit()).then_some(most)
    }
}

impl Seen {
    /// As many of cumulative points as there are places for, and the rest in one.
    fn limited(
        &mut self,
        metric: Metric,
        ended: &[Ended],
        most: usize,
        since: SystemTime,
    ) -> Metric {
        let key = Arc::as_ptr(&metric.descriptor).addr();
        let descriptor = Arc::clone(&metric.descriptor);
        let before = self.places.remove(&key).map(|(_, places)| places);
        let (metric, places) = Places::cumulative(metric, ended, before, most, since);
        self.places.insert(key, (descriptor, places));
        metric
    }

    /// The places of these series, to be put back, and those of the series before.
    fn take_places(&mut self, metric: &Metric, most: usize) -> (Places, Option<Known>) {
        let key = Arc::as_ptr(&metric.descriptor).addr();
        let before = self.places.remove(&key).map(|(_, places)| places);
        let known = before.as_ref().map(Places::known);
        (Places::now(metric, before, most), known)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl TemporalityPreference {
    fn is_delta(self, metric: &Metric) -> bool {
        let wanted = match metric.descriptor.kind {
            InstrumentKind::Counter | InstrumentKind::Histogram => self != Self::Cumulative,
            InstrumentKind::ObservableCounter => self == Self::Delta,
            _ => false,
        };
        wanted && !matches!(metric.data, Data::Gauge(_))
    }
}
