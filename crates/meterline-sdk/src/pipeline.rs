//! From instruments to a snapshot: everything a provider holds.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::{InstrumentationScope, KeyValue};
use parking_lot::Mutex;

use crate::callbacks::Callbacks;
use crate::diagnostics::{Diagnostics, Stats};
use crate::exemplar::ExemplarFilter;
use crate::observed::Observed;
use crate::push::Pushes;
use crate::reader::HistogramPreference;
use crate::recorded::{Ended, Occasion, Reading, Recorded};
use crate::scope::{Scope, Stream};
use crate::snapshot::{Data, Metric, Snapshot, Temporality};
use crate::view::Plan;
use crate::{Attributes, Resource, View};

pub(crate) struct Pipeline {
    resource: Arc<Resource>,
    cardinality_limit: usize,
    series_ttl: Option<Duration>,
    views: Box<[View]>,
    exemplars: ExemplarFilter,
    /// Whether a reader asked for exponential buckets.
    exponential_wanted: AtomicBool,
    /// When this was made: where its clock begins.
    epoch: Instant,
    readers: Mutex<Vec<Weak<Mutex<Progress>>>>,
    scopes: Mutex<Vec<Arc<Scope>>>,
    callbacks: Callbacks,
    callback_window: Duration,
    pushes: Pushes,
    /// Held while collecting. No other lock is held while callbacks run: one may create instruments.
    collecting: Mutex<Asked>,
    diagnostics: Arc<Diagnostics>,
}

/// All that a reader may make a snapshot of.
pub(crate) struct Collection {
    pub(crate) time: SystemTime,
    /// When it began, on the pipeline's clock.
    pub(crate) began: Duration,
    resource: Arc<Resource>,
    metrics: Vec<Collected>,
}

/// One instrument's part of a collection, also if it has no series.
pub(crate) struct Collected {
    pub(crate) metric: Metric,
    /// Series that were removed, as far as not all readers have heard of it.
    pub(crate) ended: Vec<Ended>,
    /// Whether readers choose which kind of histogram they see.
    by_reader: bool,
    /// Whether a view said how many series there may be, so that readers do not.
    pub(crate) limited_by_view: bool,
}

/// Who collects: the address of a reader's progress, or 0 for whoever just asks.
pub(crate) type ReaderId = usize;

/// When observable instruments were asked last, and who has seen the answers.
#[derive(Default)]
struct Asked {
    number: u64,
    at: Option<Instant>,
    by: Vec<ReaderId>,
}

/// How far a reader is, on the pipeline's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Up to when it has reported what was recorded.
    pub(crate) recorded: Duration,
    /// Up to when it has reported what was removed.
    pub(crate) removed: Duration,
}

/// What a provider is built with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) resource: Resource,
    pub(crate) cardinality_limit: usize,
    pub(crate) series_ttl: Option<Duration>,
    pub(crate) callback_deadline: Duration,
    pub(crate) callback_window: Duration,
    pub(crate) views: Vec<View>,
    pub(crate) exemplars: ExemplarFilter,
}

impl Pipeline {
    pub(crate) fn new(options: Options) -> Self {
        let diagnostics = Arc::<Diagnostics>::default();
        Self {
            resource: Arc::new(options.resource),
            cardinality_limit: options.cardinality_limit,
            series_ttl: options.series_ttl,
            views: options.views.into(),
            exemplars: options.exemplars,
            exponential_wanted: AtomicBool::new(false),
            epoch: Instant::now(),
            readers: Mutex::default(),
            scopes: Mutex::default(),
            callbacks: Callbacks::new(options.callback_deadline, Arc::clone(&diagnostics)),
            callback_window: options.callback_window,
            pushes: Pushes::default(),
            collecting: Mutex::default(),
            diagnostics,
        }
    }

    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// How many series of an instrument are remembered where no view says.
    pub(crate) fn cardinality_limit(&self) -> usize {
        self.cardinality_limit
    }

    pub(crate) fn views(&self) -> &[View] {
        &self.views
    }

    /// The instruments of this scope; equal scopes share them.
    pub(crate) fn scope(&self, scope: InstrumentationScope) -> Arc<Scope> {
        let mut scopes = self.scopes.lock();
        if let Some(known) = scopes.iter().find(|known| *known.scope == scope) {
            return Arc::clone(known);
        }
        if scope.name().is_empty() {
            tracing::warn!("a meter without a name: its metrics cannot be told from others'");
        }
        let new = Arc::new(Scope::new(scope));
        scopes.push(Arc::clone(&new));
        new
    }

    pub(crate) fn recorded(&self, plan: Plan) -> Recorded {
        let diagnostics = Arc::clone(&self.diagnostics);
        let recorded = Recorded::new(plan, self.cardinality_limit, self.exemplars, diagnostics);
        if self.exponential_wanted.load(SeqCst) {
            recorded.want_exponential();
        }
        recorded
    }

    pub(crate) fn observed(&self, plan: Plan) -> Observed {
        let diagnostics = Arc::clone(&self.diagnostics);
        Observed::new(plan, self.cardinality_limit, diagnostics)
    }

    pub(crate) fn pushes(&self) -> &Pushes {
        &self.pushes
    }

    pub(crate) fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// One more who has to see the last values of a series before it may expire.
    pub(crate) fn add_reader(&self) -> Arc<Mutex<Progress>> {
        let reader = Arc::<Mutex<Progress>>::default();
        self.readers.lock().push(Arc::downgrade(&reader));
        reader
    }

    /// Runs the callbacks and reads everything.
    pub(crate) fn collect(&self, reader: ReaderId) -> Collection {
        let mut asked = self.collecting.lock();
        let began = SystemTime::now();
        let occasion = self.occasion();
        self.observe(&mut asked, reader, began);
        let mut scopes = self.scopes.lock().clone();
        scopes.sort_by(|a, b| cmp_scopes(&a.scope, &b.scope));
        let metrics = scopes
            .iter()
            .flat_map(|scope| collect_scope(scope, occasion))
            .collect();
        let took = self.epoch.elapsed().saturating_sub(occasion.now);
        self.diagnostics.collected(took);
        Collection {
            began: occasion.now,
            // After the values, so that no series starts later.
            time: SystemTime::now(),
            resource: Arc::clone(&self.resource),
            metrics,
        }
    }

    fn occasion(&self) -> Occasion {
        let mut readers = self.readers.lock();
        readers.retain(|reader| reader.strong_count() > 0);
        let behind = readers.iter().filter_map(Weak::upgrade);
        let behind = behind.map(|reader| *reader.lock());
        let behind = behind.reduce(|a, b| Progress {
            recorded: a.recorded.min(b.recorded),
            removed: a.removed.min(b.removed),
        });
        Occasion {
            now: self.epoch.elapsed(),
            read_by_all: behind.map_or(Duration::MAX, |behind| behind.recorded),
            heard_by_all: behind.map_or(Duration::MAX, |behind| behind.removed),
            ttl: self.series_ttl,
        }
    }

    /// Has histograms record in exponential buckets too, where readers choose.
    pub(crate) fn want_exponential(&self) {
        // First, for the instruments that are created meanwhile.
        self.exponential_wanted.store(true, SeqCst);
        for scope in self.scopes.lock().iter() {
            for stream in scope.streams.lock().iter() {
                if let Stream::Recorded(recorded) = stream {
                    recorded.want_exponential();
                }
            }
        }
    }

    /// Makes the series of synchronous instruments with this name exist.
    pub(crate) fn declare(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        let mut declared = false;
        for recorded in self.recorded_by(scope, instrument) {
            declared |= recorded.declare(attributes);
        }
        declared
    }

    /// Ends the series of synchronous instruments with this name.
    pub(crate) fn remove(&self, scope: &str, instrument: &str, attributes: &[KeyValue]) -> bool {
        let mut removed = false;
        for recorded in self.recorded_by(scope, instrument) {
            removed |= recorded.remove(attributes, || self.epoch.elapsed());
        }
        removed
    }

    fn recorded_by(&self, scope: &str, instrument: &str) -> Vec<Arc<Recorded>> {
        let mut found = Vec::new();
        for known in self
            .scopes
            .lock()
            .iter()
            .filter(|known| known.scope.name() == scope)
        {
            for stream in known.streams.lock().iter() {
                if let Stream::Recorded(recorded) = stream
                    && recorded.plan().is_called(instrument)
                {
                    found.push(Arc::clone(recorded));
                }
            }
        }
        found
    }

    /// Has observable instruments say what there is, unless they said so just now to another
    /// reader.
    fn observe(&self, asked: &mut Asked, reader: ReaderId, began: SystemTime) {
        let fresh = asked
            .at
            .is_some_and(|at| at.elapsed() < self.callback_window);
        if fresh && !asked.by.contains(&reader) {
            asked.by.push(reader);
            return;
        }
        asked.number += 1;
        asked.by = vec![reader];
        self.callbacks.run(asked.number);
        for stream in self
            .scopes
            .lock()
            .iter()
            .flat_map(|s| s.streams.lock().clone())
        {
            if let Stream::Observed(observed) = stream {
                observed.finish(asked.number, began);
            }
        }
        asked.at = Some(Instant::now());
    }

    pub(crate) fn stats(&self) -> Stats {
        let scopes = self.scopes.lock().clone();
        let streams = scopes.iter().flat_map(|scope| scope.streams.lock().clone());
        let series: usize = streams.map(|stream| stream.series_count()).sum();
        self.diagnostics.stats(series as u64)
    }
}

impl Collection {
    /// What it is to those who only want to know what there is now.
    pub(crate) fn into_snapshot(self) -> Snapshot {
        self.map(|collected| {
            let metric = collected.seen_as(HistogramPreference::default()).metric;
            Some(metric).filter(|metric| !metric.series.is_empty())
        })
    }

    /// A snapshot of what becomes of each metric.
    pub(crate) fn map(self, report: impl FnMut(Collected) -> Option<Metric>) -> Snapshot {
        Snapshot {
            time: self.time,
            resource: self.resource,
            metrics: self.metrics.into_iter().filter_map(report).collect(),
        }
    }
}

impl Collected {
    /// As a reader with this preference sees it.
    pub(crate) fn seen_as(mut self, preference: HistogramPreference) -> Self {
        if self.by_reader {
            let choose = |data: &mut Data| {
                let both = std::mem::replace(data, Data::Gauge(Vec::new()));
                *data = preference.choose(both);
            };
            choose(&mut self.metric.data);
            self.ended
                .iter_mut()
                .for_each(|ended| choose(&mut ended.data));
            // One that was removed before exponential buckets were recorded has none.
            let kind = std::mem::discriminant(&self.metric.data);
            self.ended
                .retain(|ended| std::mem::discriminant(&ended.data) == kind);
        }
        self
    }
}

fn collect_scope(scope: &Scope, occasion: Occasion) -> Vec<Collected> {
    let mut streams = scope.streams.lock().clone();
    streams.sort_by(|a, b| a.instrument().in_order(b.instrument()));
    let collect = |stream: &Stream| {
        let Reading {
            series,
            data,
            exemplars,
            ended,
        } = stream.collect(occasion);
        let metric = Metric {
            scope: Arc::clone(&scope.scope),
            descriptor: Arc::clone(&stream.instrument().descriptor),
            series,
            data,
            temporality: Temporality::Cumulative,
            exemplars,
        };
        Collected {
            metric,
            ended,
            by_reader: stream.plan().by_reader,
            limited_by_view: stream.plan().cardinality_limit.is_some(),
        }
    };
    streams.iter().map(collect).collect()
}

/// A total order over scopes, by what makes them equal.
fn cmp_scopes(a: &InstrumentationScope, b: &InstrumentationScope) -> Ordering {
    let attributes = |scope: &InstrumentationScope| {
        Attributes::new(&scope.attributes().cloned().collect::<Vec<KeyValue>>())
    };
    let identity = |scope| {
        let scope: &InstrumentationScope = scope;
        (
            scope.name().to_owned(),
            scope.version().map(str::to_owned),
            scope.schema_url().map(str::to_owned),
        )
    };
    identity(a)
        .cmp(&identity(b))
        .then_with(|| attributes(a).cmp(&attributes(b)))
}
