//! The queue on many hosts: NATS JetStream.
//!
//! Four streams, below one prefix:
//! - `<prefix>_work`: a message for each unit that waits or runs; one durable consumer for each route
//!   (everybody, a host, a worker). A message is the right to try: who acknowledges it, ends it.
//! - `KV_<prefix>_state`, a key-value bucket: the record of each unit, idempotency keys, the fleet.
//!   Every change names the revision it replaces, so that of two who end an attempt one does.
//! - `<prefix>_dlq`: a copy of each job that failed for good. `<prefix>_advisories`: what the broker
//!   gave up delivering.
//!
//! Here: `link` is the connection, `layout` what the streams look like, `store` reads and writes them,
//! `pulls` asks for messages and `desk` waits for them, `record` is what is kept, and `index`, which
//! `follow` keeps current, what a process knows of all records without asking. The operations are in
//! `submit`, `batch`, `take`, `end`, `fleet` and `upkeep`.

mod batch;
mod desk;
mod end;
mod fleet;
mod follow;
mod index;
mod layout;
mod link;
mod names;
mod pulls;
mod read;
mod record;
mod store;
mod submit;
mod take;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::ContextBuilder;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

pub use self::link::NatsOptions;

use self::desk::Desk;
use self::link::Link;
use self::names::{Names, Route};
use self::pulls::Pulls;
use self::store::{ANSWER_WITHIN, Store, unavailable};
use self::take::Held;
use self::upkeep::Rounds;
use super::check::Checked;
use super::{
    Beat, BeatReply, BrokerStatus, Claim, DatabaseStats, Deleted, Enqueued, Finished, JobFilter,
    JobId, JobPage, JobRecord, Lease, LeaseToken, Maintenance, NewJob, Outcome, Queue, QueueError,
    QueueOptions, QueueStats, Registration, Reply, Rescued, TraceContext, WorkerInfo,
};

/// Pause between two looks at streams that cannot be used.
const UNFIT_PAUSE: Duration = Duration::from_secs(1);

/// What a process does with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything: it knows all records, lists and counts them, and does the housekeeping.
    Whole,
    /// It only runs units, and so needs to know no others.
    Worker,
}

/// A [`Queue`] in the streams of a NATS server or cluster.
pub struct NatsQueue {
    link: Arc<Link>,
    client: Client,
    place: String,
    core: Arc<OnceLock<Arc<Core>>>,
    checked: Checked,
    _setup: AbortOnDropHandle<()>,
}

/// The queue once its streams are there.
struct Core {
    store: Store,
    pulls: Arc<Pulls>,
    options: QueueOptions,
    part: Part,
    held: Mutex<HashMap<LeaseToken, Held>>,
    desks: Mutex<HashMap<String, Arc<Desk>>>,
    ensured: Mutex<HashSet<Route>>,
    draining: Mutex<HashMap<String, bool>>,
    rescued: Mutex<Vec<Rescued>>,
    rounds: Mutex<Rounds>,
    reserved: AtomicU64,
    following: Mutex<Option<AbortOnDropHandle<()>>>,
    /// Told when what was written does not come back.
    behind: Arc<Notify>,
}

impl Core {
    fn follows(&self) -> bool {
        self.part == Part::Whole
    }
}

impl NatsQueue {
    /// Connects and makes or checks the streams. A broker that is not there yet is waited for in the
    /// background: until it comes, requests get [`QueueError::Unavailable`].
    ///
    /// # Errors
    /// [`QueueError::Open`] when the address, a file or the credentials are wrong, or the server is too
    /// old; [`QueueError::Corrupt`] or [`QueueError::NewerVersion`] when streams of these names are not
    /// what is needed.
    pub async fn open(
        nats: NatsOptions,
        options: QueueOptions,
        part: Part,
    ) -> Result<Self, QueueError> {
        let link = Link::new();
        let client = link::connect(&nats, &link).await?;
        let place = link::shown(&nats.url);
        let core = Arc::new(OnceLock::new());
        let setup = Setup {
            nats,
            options,
            part,
            client: client.clone(),
            link: Arc::clone(&link),
            place: place.clone(),
        };
        let mut connected = link.connected();
        let first = tokio::time::timeout(ANSWER_WITHIN, connected.wait_for(|yes| *yes)).await;
        if first.is_ok() {
            match setup.core().await {
                Ok(made) => {
                    let _ = core.set(made);
                }
                Err(error) if error.is_transient() => {
                    warn!(%error, "the streams are not usable yet");
                }
                Err(error) => return Err(error),
            }
        }
        let later = tokio::spawn(setup.later(Arc::clone(&core)));
        Ok(Self {
            link,
            client,
            place,
            core,
            checked: Checked::default(),
            _setup: AbortOnDropHandle::new(later),
        })
    }

    /// The connection, for whoever measures it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Has this called for each message the broker did not take, or did not say it took. The first
    /// one given stays.
    pub fn on_publish_failure(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.link.on_publish_failure(Box::new(tell));
    }

    fn core(&self) -> Result<&Arc<Core>, QueueError> {
        if let Some(core) = self.core.get() {
            return Ok(core);
        }
        self.link.usable()?;
        let unfit = self.link.unfit();
        Err(unfit.unwrap_or_else(|| unavailable("the streams are being looked at".to_owned())))
    }
}

/// What it takes to get a [`Core`].
struct Setup {
    nats: NatsOptions,
    options: QueueOptions,
    part: Part,
    client: Client,
    link: Arc<Link>,
    place: String,
}

impl Setup {
    /// Tries until it succeeds, then tells desks about reconnections.
    async fn later(self, core: Arc<OnceLock<Arc<Core>>>) {
        let mut connected = self.link.connected();
        let mut said = None;
        while core.get().is_none() && !self.link.is_closed() {
            // The sender lives in the link.
            let _ = connected.wait_for(|yes| *yes).await;
            match self.core().await {
                Ok(made) => {
                    info!(place = self.place, "the queue is usable");
                    let _ = core.set(made);
                }
                Err(error) => {
                    if said.as_ref() != Some(&error) {
                        error!(%error, "the queue cannot be used, trying on");
                        said = Some(error.clone());
                    }
                    self.link.set_unfit(Some(error));
                    tokio::time::sleep(UNFIT_PAUSE).await;
                }
            }
        }
        while connected.changed().await.is_ok() {
            if *connected.borrow_and_update()
                && let Some(core) = core.get()
            {
                core.desks
                    .lock()
                    .values()
                    .for_each(|desk| desk.reconnected());
            }
        }
    }

    async fn core(&self) -> Result<Arc<Core>, QueueError> {
        layout::check_server(&self.client.server_info(), &self.place)?;
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .build(self.client.clone());
        let names = Names::new(&self.nats.prefix);
        layout::prepare(&jetstream, &names, self.nats.replicas, &self.options).await?;
        let pulls = Pulls::new(self.client.clone(), names.work.clone());
        let store = Store {
            client: self.client.clone(),
            jetstream,
            names,
            index: index::Index::default(),
            link: Arc::clone(&self.link),
            requests: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            replicated: self.nats.replicas > 1,
        };
        let core = Arc::new(Core {
            store,
            pulls,
            options: self.options.clone(),
            part: self.part,
            held: Mutex::default(),
            desks: Mutex::default(),
            ensured: Mutex::default(),
            draining: Mutex::default(),
            rescued: Mutex::default(),
            rounds: Mutex::default(),
            reserved: AtomicU64::new(0),
            following: Mutex::default(),
            behind: Arc::default(),
        });
        if core.follows() {
            let follow = tokio::spawn(follow::run(Arc::downgrade(&core)));
            *core.following.lock() = Some(AbortOnDropHandle::new(follow));
        }
        Ok(core)
    }
}

/// Does something with the core, or says why there is none.
macro_rules! with_core {
    ($queue:expr, $core:ident => $work:expr) => {{
        let core = $queue.core().cloned();
        async move {
            let $core = core?;
            $work
        }
        .boxed()
    }};
}

impl Queue for NatsQueue {
    fn enqueue(&self, jobs: Vec<NewJob>) -> Reply<'_, Vec<Enqueued>> {
        with_core!(self, core => core.enqueue(jobs).await)
    }

    fn get(&self, id: JobId) -> Reply<'_, JobRecord> {
        with_core!(self, core => core.get(id).await)
    }

    fn list(&self, filter: JobFilter) -> Reply<'_, JobPage> {
        with_core!(self, core => core.list(filter).await)
    }

    fn delete(&self, id: JobId) -> Reply<'_, Deleted> {
        with_core!(self, core => core.delete(id).await)
    }

    fn retry(&self, id: JobId, trace_context: Option<TraceContext>) -> Reply<'_, Enqueued> {
        with_core!(self, core => core.retry(id, trace_context).await)
    }

    fn watch(&self, id: JobId) -> BoxStream<'static, Result<JobRecord, QueueError>> {
        read::watch(self.core().cloned(), id)
    }

    fn stats(&self) -> Reply<'_, QueueStats> {
        with_core!(self, core => core.stats().await)
    }

    fn claim(&self, claim: Claim) -> Reply<'_, Vec<Lease>> {
        with_core!(self, core => core.claim(claim).await)
    }

    fn finish(&self, token: LeaseToken, outcome: Outcome) -> Reply<'_, Finished> {
        with_core!(self, core => core.finish(token, outcome).await)
    }

    fn give_back(&self, tokens: Vec<LeaseToken>) -> Reply<'_, ()> {
        with_core!(self, core => core.give_back(tokens).await)
    }

    fn register(&self, registration: Registration) -> Reply<'_, ()> {
        with_core!(self, core => core.register(registration).await)
    }

    fn beat(&self, beat: Beat) -> Reply<'_, BeatReply> {
        with_core!(self, core => core.beat(beat).await)
    }

    fn deregister(&self, worker: String, instance: Uuid) -> Reply<'_, ()> {
        with_core!(self, core => core.deregister(&worker, instance).await)
    }

    fn set_draining(&self, worker: String, draining: bool) -> Reply<'_, ()> {
        with_core!(self, core => core.set_draining(&worker, draining).await)
    }

    fn workers(&self) -> Reply<'_, Vec<WorkerInfo>> {
        with_core!(self, core => core.workers().await)
    }

    fn maintain(&self) -> Reply<'_, Maintenance> {
        with_core!(self, core => core.maintain().await)
    }

    fn check(&self) -> Reply<'_, ()> {
        let core = self.core().cloned();
        let find_out = async move { core?.check().await };
        self.checked.answer(find_out).boxed()
    }

    fn database(&self) -> Reply<'_, DatabaseStats> {
        let connected = u64::from(self.link.is_connected());
        with_core!(self, core => core.database(connected).await)
    }

    fn broker(&self) -> Option<BrokerStatus> {
        let info = self.client.server_info();
        Some(BrokerStatus {
            url: self.place.clone(),
            version: Some(info.version).filter(|version| !version.is_empty()),
            connected: self.link.is_connected(),
            reconnects: self.link.reconnects(),
            publish_failures: self.link.publish_failures(),
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let core = self.core.get();
            self.link.close();
            if let Some(core) = core {
                core.following.lock().take();
            }
            // What was said last goes out before the connection is given up.
            let flushed = tokio::time::timeout(ANSWER_WITHIN, self.client.flush()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                warn!("the broker did not take what was said last");
            }
        }
        .boxed()
    }
}
