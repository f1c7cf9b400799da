//! From instruments to a snapshot: everything a provider holds.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::metrics::Callback;
use opentelemetry::{InstrumentationScope, KeyValue};
use parking_lot::Mutex;

use crate::diagnostics::{Diagnostics, Stats};
use crate::handles::Observer;
use crate::number::Measure;
use crate::observed::Observed;
use crate::recorded::Recorded;
use crate::scope::{Scope, Stream};
use crate::snapshot::{Exemplars, Metric, Snapshot, Temporality};
use crate::view::Plan;
use crate::{Attributes, Resource, View};

pub(crate) struct Pipeline {
    resource: Arc<Resource>,
    cardinality_limit: usize,
    views: Box<[View]>,
    scopes: Mutex<Vec<Arc<Scope>>>,
    callbacks: Mutex<Vec<Registered>>,
    /// Held while collecting, so that callbacks never run twice at once. No other lock is held
    /// while they run: one may create instruments.
    collecting: Mutex<()>,
    diagnostics: Arc<Diagnostics>,
}

/// A callback with the streams it reports to; there is at least one.
#[derive(Clone)]
struct Registered {
    observed: Arc<[Arc<Observed>]>,
    run: Arc<Run>,
}

type Run = dyn Fn(&[Arc<Observed>]) + Send + Sync;

/// What a provider is built with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) resource: Resource,
    pub(crate) cardinality_limit: usize,
    pub(crate) views: Vec<View>,
}

impl Pipeline {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            resource: Arc::new(options.resource),
            cardinality_limit: options.cardinality_limit,
            views: options.views.into(),
            scopes: Mutex::default(),
            callbacks: Mutex::default(),
            collecting: Mutex::default(),
            diagnostics: Arc::default(),
        }
    }

    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.resource
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
        let new = Arc::new(Scope::new(scope));
        scopes.push(Arc::clone(&new));
        new
    }

    pub(crate) fn recorded(&self, plan: Plan) -> Recorded {
        let diagnostics = Arc::clone(&self.diagnostics);
        Recorded::new(plan, self.cardinality_limit, diagnostics)
    }

    pub(crate) fn observed(&self, plan: Plan) -> Observed {
        let diagnostics = Arc::clone(&self.diagnostics);
        Observed::new(plan, self.cardinality_limit, diagnostics)
    }

    pub(crate) fn add_callbacks<M: Measure>(
        &self,
        observed: &Arc<[Arc<Observed>]>,
        callbacks: Vec<Callback<M>>,
    ) {
        let registered = callbacks.into_iter().map(|callback| Registered {
            observed: Arc::clone(observed),
            run: Arc::new(move |observed| callback(&Observer(observed))),
        });
        self.callbacks.lock().extend(registered);
    }

    /// Runs the callbacks and reads everything.
    pub(crate) fn collect(&self) -> Snapshot {
        let _one_at_a_time = self.collecting.lock();
        let began = SystemTime::now();
        self.run_callbacks();
        let mut scopes = self.scopes.lock().clone();
        scopes.sort_by(|a, b| cmp_scopes(&a.scope, &b.scope));
        let metrics = scopes
            .iter()
            .flat_map(|scope| collect_scope(scope, began))
            .collect();
        Snapshot {
            // After the values, so that no series starts later.
            time: SystemTime::now(),
            resource: Arc::clone(&self.resource),
            metrics,
        }
    }

    fn run_callbacks(&self) {
        let callbacks = self.callbacks.lock().clone();
        for Registered { observed, run } in callbacks {
            let panicked = catch_unwind(AssertUnwindSafe(|| run(&observed))).is_err();
            if let Some(stream) = observed.first().filter(|_| panicked) {
                self.diagnostics.callback_panicked(stream.instrument());
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let scopes = self.scopes.lock().clone();
        let streams = scopes.iter().flat_map(|scope| scope.streams.lock().clone());
        let series: usize = streams.map(|stream| stream.series_count()).sum();
        self.diagnostics.stats(series as u64)
    }
}

fn collect_scope(scope: &Scope, began: SystemTime) -> Vec<Metric> {
    let mut streams = scope.streams.lock().clone();
    streams.sort_by(|a, b| a.instrument().in_order(b.instrument()));
    let metric = |stream: &Stream| {
        let (series, data) = stream.collect(began);
        Metric {
            scope: Arc::clone(&scope.scope),
            descriptor: Arc::clone(&stream.instrument().descriptor),
            series,
            data,
            temporality: Temporality::Cumulative,
            exemplars: Exemplars::default(),
        }
    };
    streams
        .iter()
        .map(metric)
        .filter(|metric| !metric.series.is_empty())
        .collect()
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
