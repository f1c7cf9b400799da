//! A connection to NATS.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, Request, RequestErrorKind};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::catalogue;
use crate::handle::CounterSeries;
use crate::instruments::Instruments;

/// How the round trip is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How often.
    pub every: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// Where to: a subject nobody listens on, so that the server itself answers, at once, that there is no responder.
    /// `None` takes an inbox of the client's own. The client must be allowed to publish to it.
    pub subject: Option<String>,
}

impl Default for Probe {
    /// Every 5 seconds, for at most 2.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            subject: None,
        }
    }
}

/// The metrics of one `async-nats` client, however it was made; dropping the last clone ends them.
///
/// Whether it is connected, and how often it was, are read from the client when metrics are collected: its callback
/// for events is left to the program, and the queue of events, which drops some when it is full, is not relied upon.
/// Publish failures are told by the program, which alone sees acknowledgements: see [`published`](Self::published).
/// The round trip is measured by a task of its own.
#[derive(Clone)]
pub struct NatsMetrics {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    publish_failures: CounterSeries,
    probe: AbortHandle,
}

/// When the last answer came, and how long it took.
type Answered = Arc<Mutex<Option<(Instant, Duration)>>>;

impl fmt::Debug for NatsMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsMetrics").finish_non_exhaustive()
    }
}

impl NatsMetrics {
    /// Observes this client from now on, and measures its round trip.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(instruments: &Instruments, client: &Client, probe: Probe) -> Self {
        let counter = instruments.counter(&catalogue::NATS_PUBLISH_FAILURES);
        let publish_failures = CounterSeries::new(&counter, Vec::new(), instruments.bind);
        publish_failures.add(0);
        let answered = Answered::default();
        let fresh = probe.every.saturating_add(probe.timeout).saturating_mul(2);
        let task = tokio::spawn(measure(client.clone(), probe, Arc::clone(&answered)));
        let shared = Arc::new(Shared {
            client: client.clone(),
            publish_failures,
            probe: task.abort_handle(),
        });
        observe(instruments, &Arc::downgrade(&shared), answered, fresh);
        Self { shared }
    }

    /// A message was not taken, or its acknowledgement did not come.
    pub fn publish_failed(&self) {
        self.shared.publish_failures.add(1);
    }

    /// Counts a publish that failed, and passes on how it went: `nats.published(client.publish(..).await)?`.
    ///
    /// # Errors
    ///
    /// What it is given.
    pub fn published<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_err() {
            self.publish_failed();
        }
        outcome
    }
}

impl Shared {
    fn is_connected(&self) -> bool {
        is_connected(&self.client)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.probe.abort();
    }
}

fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// The callbacks keep no client: one that is held is a connection that stays open.
fn observe(instruments: &Instruments, of: &Weak<Shared>, answered: Answered, fresh: Duration) {
    let shared = of.clone();
    instruments.observe(&catalogue::NATS_CONNECTED, move |to| {
        if let Some(shared) = shared.upgrade() {
            to.observe(f64::from(u8::from(shared.is_connected())), &[]);
        }
    });
    let shared = of.clone();
    instruments.observe_counter(&catalogue::NATS_RECONNECTS, move |to| {
        if let Some(shared) = shared.upgrade() {
            // The client counts every connection it has made, the first included.
            let connects = shared.client.statistics().connects.load(Ordering::Relaxed);
            to.observe(connects.saturating_sub(1), &[]);
        }
    });
    let shared = of.clone();
    instruments.observe(&catalogue::NATS_RTT, move |to| {
        let answered = *answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, took)) = answered
            && when.elapsed() <= fresh
            && shared.upgrade().is_some_and(|shared| shared.is_connected())
        {
            to.observe(took.as_secs_f64(), &[]);
        }
    });
}

async fn measure(client: Client, probe: Probe, answered: Answered) {
    let subject = probe.subject.unwrap_or_else(|| client.new_inbox());
    // An interval of zero is a panic.
    let mut ticks = tokio::time::interval(probe.every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What is published while there is no connection waits for one.
        let took = if is_connected(&client) {
            round_trip(&client, &subject, probe.timeout).await
        } else {
            None
        };
        let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered = took.map(|took| (Instant::now(), took));
    }
}

/// How long the server took to answer; `None` if it did not in time.
async fn round_trip(client: &Client, subject: &str, timeout: Duration) -> Option<Duration> {
    // An inbox of its own is given up with the request; what waits for answers in the client's common one stays there
    // until an answer comes.
    let request = Request::new().inbox(client.new_inbox()).timeout(None);
    let asked = Instant::now();
    let request = client.send_request(subject.to_owned(), request);
    // The limit holds for all of it: handing a request to a busy client can take its time, too.
    let answer = tokio::time::timeout(timeout, request).await.ok()?;
    let took = asked.elapsed();
    match answer {
        Ok(_) => Some(took),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Some(took),
        Err(_) => None,
    }
}
