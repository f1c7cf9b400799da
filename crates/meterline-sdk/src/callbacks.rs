//! Callbacks of observable instruments: run on a thread of their own, each within a deadline.
//!
//! A callback is foreign code: it may block. Then its collection goes on without it, and until it
//! returns it is not started again. The thread it blocks is replaced, up to a few.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::metrics::Callback;
use parking_lot::{Condvar, Mutex};

use crate::diagnostics::Diagnostics;
use crate::handles::Observer;
use crate::number::Measure;
use crate::observed::Observed;

/// How many threads may be blocked by callbacks. With that many, no callback runs.
const MOST_THREADS: usize = 4;

/// All callbacks of a provider, and the thread that runs them.
pub(crate) struct Callbacks {
    registered: Mutex<Vec<Arc<Registered>>>,
    deadline: Duration,
    /// The thread that is not blocked, if there is one.
    worker: Mutex<Option<Sender<Batch>>>,
    threads: Arc<AtomicUsize>,
    diagnostics: Arc<Diagnostics>,
}

/// A callback with the streams it reports to; there is at least one.
struct Registered {
    observed: Arc<[Arc<Observed>]>,
    call: Box<Call>,
    /// From when it is about to be started until it has returned.
    running: AtomicBool,
}

type Call = dyn Fn(&[Arc<Observed>], u64) + Send + Sync;

/// Callbacks to run one after the other, for the collection of this number.
struct Batch {
    callbacks: Vec<Arc<Registered>>,
    number: u64,
    /// Whatever happens to the batch, nobody waits for ever.
    progress: Finishing,
}

/// How far a batch is.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    /// A callback started, or all are done.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The callback that runs, by its position, and since when. None does before the first one and
    /// between two, where only the system can be slow: no callback is late then.
    running: Option<(usize, Instant)>,
    /// How many callbacks have returned.
    returned: usize,
    done: bool,
    /// Nobody waits any more: what was not started will be run by another thread.
    abandoned: bool,
}

/// What came of waiting for a batch.
enum Waited {
    /// The callback at this position takes longer than it may.
    Late(usize),
    /// So many have returned, and no more will: fewer than all if the thread died.
    Done(usize),
}

impl Callbacks {
    pub(crate) fn new(deadline: Duration, diagnostics: Arc<Diagnostics>) -> Self {
        Self {
            registered: Mutex::default(),
            deadline,
            worker: Mutex::default(),
            threads: Arc::default(),
            diagnostics,
        }
    }

    pub(crate) fn add<M: Measure>(
        &self,
        observed: &Arc<[Arc<Observed>]>,
        callbacks: Vec<Callback<M>>,
    ) {
        let registered = callbacks.into_iter().map(|callback| {
            Arc::new(Registered {
                observed: Arc::clone(observed),
                call: Box::new(move |observed, number| callback(&Observer { observed, number })),
                running: AtomicBool::new(false),
            })
        });
        self.registered.lock().extend(registered);
    }

    /// Runs them all, in the order they were added, for the collection of this number. Whoever calls
    /// this holds no lock that a callback could want.
    pub(crate) fn run(&self, number: u64) {
        let callbacks = self.registered.lock().clone();
        for observed in callbacks.iter().flat_map(|callback| &*callback.observed) {
            observed.begin(number);
        }
        let mut rest = Vec::with_capacity(callbacks.len());
        for callback in callbacks {
            if callback.running.swap(true, SeqCst) {
                self.leave_out(&callback, number);
            } else {
                rest.push(callback);
            }
        }
        while !rest.is_empty() {
            let Some(worker) = self.worker() else {
                for callback in rest {
                    callback.running.store(false, SeqCst);
                    self.leave_out(&callback, number);
                }
                return;
            };
            let progress = Arc::<Progress>::default();
            let batch = Batch {
                callbacks: rest.clone(),
                number,
                progress: Finishing(Arc::clone(&progress)),
            };
            // A thread that died takes nothing, and what it took and did not start is done as well.
            let _ = worker.send(batch);
            match progress.wait(self.deadline) {
                Waited::Done(returned) if returned == rest.len() => return,
                // It died of what reports panics, or of a panic's own payload. The others are still
                // marked as running, and another thread runs them.
                Waited::Done(returned) => drop(rest.drain(..returned)),
                Waited::Late(blocked) => {
                    self.leave_out(&rest[blocked], number);
                    rest.drain(..=blocked);
                }
            }
            *self.worker.lock() = None;
        }
    }

    fn leave_out(&self, callback: &Registered, number: u64) {
        for observed in &*callback.observed {
            observed.leave_out(number);
        }
        if let Some(stream) = callback.observed.first() {
            self.diagnostics.callback_late(stream.instrument());
        }
    }

    /// The thread that runs callbacks; none if too many are blocked, or it cannot be started.
    fn worker(&self) -> Option<Sender<Batch>> {
        let mut worker = self.worker.lock();
        if worker.is_none() && self.threads.load(SeqCst) < MOST_THREADS {
            let (sender, batches) = channel();
            let alive = Alive::new(&self.threads);
            let diagnostics = Arc::clone(&self.diagnostics);
            let work = move || {
                let _alive = alive;
                work(&batches, &diagnostics);
            };
            let started = thread::Builder::new()
                .name("meterline-callbacks".to_owned())
                .spawn(work);
            *worker = started.is_ok().then_some(sender);
        }
        worker.clone()
    }
}

fn work(batches: &Receiver<Batch>, diagnostics: &Diagnostics) {
    for Batch {
        callbacks,
        number,
        progress,
    } in batches
    {
        for (at, callback) in callbacks.iter().enumerate() {
            if !progress.0.start(at) {
                break;
            }
            let call = || (callback.call)(&callback.observed, number);
            // Kept until the callback counts as returned: what it panicked with may panic when dropped.
            let outcome = catch_unwind(AssertUnwindSafe(call));
            callback.running.store(false, SeqCst);
            progress.0.returned();
            let panicked = outcome.is_err();
            if let Some(stream) = callback.observed.first().filter(|_| panicked) {
                diagnostics.callback_panicked(stream.instrument());
            }
        }
    }
}

impl Progress {
    /// Whether the callback at this position may start.
    fn start(&self, at: usize) -> bool {
        let mut state = self.state.lock();
        state.running = Some((at, Instant::now()));
        self.changed.notify_all();
        !state.abandoned
    }

    fn returned(&self) {
        let mut state = self.state.lock();
        state.running = None;
        state.returned += 1;
    }

    /// Waits for the end, or for a callback that takes longer than it may.
    fn wait(&self, deadline: Duration) -> Waited {
        let mut state = self.state.lock();
        while !state.done {
            let Some((at, since)) = state.running else {
                self.changed.wait(&mut state);
                continue;
            };
            if since.elapsed() >= deadline {
                state.abandoned = true;
                return Waited::Late(at);
            }
            match since.checked_add(deadline) {
                Some(until) => {
                    self.changed.wait_until(&mut state, until);
                }
                // So far away that there is no limit.
                None => self.changed.wait(&mut state),
            }
        }
        Waited::Done(state.returned)
    }
}

/// A batch that is done when this is dropped.
struct Finishing(Arc<Progress>);

impl Drop for Finishing {
    fn drop(&mut self) {
        self.0.state.lock().done = true;
        self.0.changed.notify_all();
    }
}

/// Counts a thread for as long as it lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(threads: &Arc<AtomicUsize>) -> Self {
        threads.fetch_add(1, SeqCst);
        Self(Arc::clone(threads))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
