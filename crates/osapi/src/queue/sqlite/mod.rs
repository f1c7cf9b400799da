//! The queue on one host: an SQLite file that several processes share.
//!
//! - `writer` is the one thread of this process that writes; it commits callers in groups.
//! - `tx` is what the operations of a group share; they are in `submit`, `take`, `end`, `fleet`
//!   and `upkeep`.
//! - `read` looks, on connections of its own, off the async threads.
//! - `clock` says which clock decides what, `schema` what the file looks like.

mod clock;
mod end;
mod fleet;
mod follow;
mod pool;
mod read;
mod schema;
mod state;
mod submit;
mod take;
mod tx;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;

pub use self::writer::OnTransaction;

use self::follow::Follow;
use self::pool::Readers;
use self::take::Taken;
use self::tx::Tx;
use self::writer::{Call, Message, Refusal, Signals, Unclaimed, Work, Writer};
use super::check::Checked;
use super::watch::{Look, PACE};
use super::{
    Beat, BeatReply, Claim, DatabaseStats, Deleted, Enqueued, Finished, JobFilter, JobId, JobPage,
    JobRecord, Lease, LeaseToken, Maintenance, NewJob, Outcome, Queue, QueueError, QueueOptions,
    QueueStats, Registration, Reply, TraceContext, WorkerInfo,
};

/// Most requests that wait for the writer; more wait for a place.
const MAX_PENDING: usize = 4096;

/// Rounds of [`upkeep::ROUND`] removals that one call of `maintain` makes.
const REMOVAL_ROUNDS: usize = 40;

/// A [`Queue`] in an SQLite file.
pub struct SqliteQueue {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    inbox: mpsc::Sender<Message>,
    places: Semaphore,
    signals: Arc<Signals>,
    readers: Readers,
    options: Arc<QueueOptions>,
    checked: Checked,
}

impl SqliteQueue {
    /// Opens the queue, creating the file and its directory if need be, readable by their owner only.
    ///
    /// `on_transaction` is told how long each committed transaction took.
    ///
    /// # Errors
    /// [`QueueError::Open`], [`QueueError::Corrupt`] or [`QueueError::NewerVersion`].
    pub fn open(
        path: &Path,
        options: QueueOptions,
        on_transaction: Option<OnTransaction>,
    ) -> Result<Self, QueueError> {
        let conn = schema::open_writer(path)?;
        let readers = Readers::open(path)?;
        let options = Arc::new(options);
        let signals = Arc::new(Signals {
            work: watch::Sender::new(0),
            followers: Arc::default(),
            transactions: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        let writer = Writer {
            conn,
            path: path.to_owned(),
            options: Arc::clone(&options),
            signals: Arc::clone(&signals),
            on_transaction,
        };
        let (inbox, messages) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || writer.run(&messages))
            .map_err(|error| QueueError::Open {
                place: path.display().to_string(),
                reason: error.to_string(),
            })?;
        let shared = Shared {
            inbox,
            places: Semaphore::new(MAX_PENDING),
            signals,
            readers,
            options,
            checked: Checked::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            writer: Mutex::new(Some(thread)),
        })
    }

    fn write<T, F>(&self, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.shared.write(work, |_| None).boxed()
    }
}

impl Shared {
    async fn write<T, F>(&self, work: F, unclaimed: Unclaimed<T>) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| QueueError::Closed)?;
        let (call, answer) = Call::new(work, unclaimed);
        self.inbox
            .send(Message::Work(Box::new(call)))
            .map_err(|_| QueueError::Closed)?;
        let mut answer = Answer {
            answer,
            unclaimed,
            inbox: &self.inbox,
        };
        (&mut answer.answer).await.map_err(|_| QueueError::Closed)?
    }

    async fn get(&self, id: JobId) -> Result<JobRecord, QueueError> {
        let record = self.readers.read(move |conn| read::get(conn, id)).await?;
        record.ok_or_else(|| QueueError::NotFound(format!("job {id}")))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Lease>, QueueError> {
        let deadline = Instant::now() + claim.wait;
        let mut work = self.signals.work.subscribe();
        loop {
            work.mark_unchanged();
            let request = claim.clone();
            let taken = self
                .write(move |tx| tx.claim(&request), return_unclaimed)
                .await?;
            if !taken.leases.is_empty() || Instant::now() >= deadline {
                return Ok(taken.leases);
            }
            let due = taken
                .next_due
                .map_or(deadline, |delay| Instant::now() + delay);
            // Woken by work, by a due time, or not at all: each time it is worth a look.
            let _ = tokio::time::timeout_at(due.min(deadline), work.changed()).await;
        }
    }
}

/// The wait for an answer. A caller who leaves may leave one behind that was sent already, which the
/// writer has no way to know.
struct Answer<'a, T> {
    answer: oneshot::Receiver<Result<T, QueueError>>,
    unclaimed: Unclaimed<T>,
    inbox: &'a mpsc::Sender<Message>,
}

impl<T> Drop for Answer<'_, T> {
    fn drop(&mut self) {
        // From here on the writer sees that nobody takes it, and does what is to be done itself.
        self.answer.close();
        if let Ok(Ok(value)) = self.answer.try_recv()
            && let Some(work) = (self.unclaimed)(value)
        {
            // With the writer gone, so is the process soon.
            let _ = self.inbox.send(Message::Work(work));
        }
    }
}

/// Gives back what was claimed for a caller who has left.
#[allow(
    clippy::needless_pass_by_value,
    reason = "it is an `Unclaimed`, which takes what nobody took"
)]
fn return_unclaimed(taken: Taken) -> Option<Box<dyn Work>> {
    if taken.leases.is_empty() {
        return None;
    }
    let tokens: Vec<LeaseToken> = taken.leases.iter().map(|lease| lease.token).collect();
    let (call, _) = Call::new(move |tx: &mut Tx<'_>| Ok(tx.give_back(&tokens)?), |()| None);
    Some(Box::new(call))
}

impl Queue for SqliteQueue {
    fn enqueue(&self, jobs: Vec<NewJob>) -> Reply<'_, Vec<Enqueued>> {
        self.write(move |tx| tx.enqueue(&jobs))
    }

    fn get(&self, id: JobId) -> Reply<'_, JobRecord> {
        self.shared.get(id).boxed()
    }

    fn list(&self, filter: JobFilter) -> Reply<'_, JobPage> {
        self.shared
            .readers
            .read_long(move |conn| read::list(conn, filter))
            .boxed()
    }

    fn delete(&self, id: JobId) -> Reply<'_, Deleted> {
        self.write(move |tx| tx.delete(id))
    }

    fn retry(&self, id: JobId, trace_context: Option<TraceContext>) -> Reply<'_, Enqueued> {
        self.write(move |tx| tx.retry(id, trace_context.clone()))
    }

    fn watch(&self, id: JobId) -> BoxStream<'static, Result<JobRecord, QueueError>> {
        super::watch::watch(Followed {
            queue: Arc::clone(&self.shared),
            id,
            changes: None,
        })
    }

    fn stats(&self) -> Reply<'_, QueueStats> {
        self.shared.readers.read(read::stats).boxed()
    }

    fn claim(&self, claim: Claim) -> Reply<'_, Vec<Lease>> {
        self.shared.claim(claim).boxed()
    }

    fn finish(&self, token: LeaseToken, outcome: Outcome) -> Reply<'_, Finished> {
        self.write(move |tx| tx.finish(token, &outcome))
    }

    fn give_back(&self, tokens: Vec<LeaseToken>) -> Reply<'_, ()> {
        self.write(move |tx| Ok(tx.give_back(&tokens)?))
    }

    fn register(&self, registration: Registration) -> Reply<'_, ()> {
        self.write(move |tx| tx.register(&registration))
    }

    fn beat(&self, beat: Beat) -> Reply<'_, BeatReply> {
        self.write(move |tx| tx.beat(&beat))
    }

    fn deregister(&self, worker: String, instance: uuid::Uuid) -> Reply<'_, ()> {
        self.write(move |tx| tx.deregister(&worker, instance))
    }

    fn set_draining(&self, worker: String, draining: bool) -> Reply<'_, ()> {
        self.write(move |tx| tx.set_draining(&worker, draining))
    }

    fn workers(&self) -> Reply<'_, Vec<WorkerInfo>> {
        let options = Arc::clone(&self.shared.options);
        self.shared
            .readers
            .read(move |conn| read::workers(conn, &options))
            .boxed()
    }

    fn maintain(&self) -> Reply<'_, Maintenance> {
        async {
            #[allow(
                clippy::redundant_closure_for_method_calls,
                reason = "the path is not general enough over lifetimes"
            )]
            let mut done = self.write(|tx| tx.maintain()).await?;
            let mut round = done.removed;
            for _ in 0..REMOVAL_ROUNDS {
                if round < upkeep::ROUND as u64 {
                    break;
                }
                round = self.write(|tx| Ok(tx.expire()?)).await?;
                done.removed += round;
            }
            Ok(done)
        }
        .boxed()
    }

    fn check(&self) -> Reply<'_, ()> {
        let find_out = async {
            self.write(|tx| {
                tx.execute(
                    "INSERT OR REPLACE INTO meta (name, value) VALUES ('checked', ?1)",
                    [tx.now.wall_us],
                )?;
                Ok(())
            })
            .await?;
            self.shared
                .readers
                .read(|conn| read::stats(conn).map(|_| ()))
                .await
        };
        self.shared.checked.answer(find_out).boxed()
    }

    fn database(&self) -> Reply<'_, DatabaseStats> {
        let shared = &self.shared;
        let (open, idle) = shared.readers.connections();
        let stats = DatabaseStats {
            backend: "sqlite".to_owned(),
            connections: open + 1,
            connections_idle: idle + u64::from(shared.places.available_permits() == MAX_PENDING),
            queries_total: shared.signals.operations.load(Ordering::Relaxed)
                + shared.readers.answered(),
            transactions_total: shared.signals.transactions.load(Ordering::Relaxed),
            size_bytes: shared.readers.size_bytes(),
        };
        async { Ok(stats) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            // The writer goes last: the last connection folds the log into the file.
            self.shared.readers.close();
            let _ = self.shared.inbox.send(Message::Close);
            let thread = self
                .writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        }
        .boxed()
    }
}

/// A job that is followed.
struct Followed {
    queue: Arc<Shared>,
    id: JobId,
    changes: Option<Follow>,
}

impl Look for Followed {
    async fn look(&mut self) -> Result<JobRecord, QueueError> {
        if let Some(changes) = &mut self.changes {
            tokio::time::sleep(PACE).await;
            changes.changed().await;
        } else {
            let id = self.id;
            let seq = self
                .queue
                .readers
                .read(move |conn| read::seq(conn, id))
                .await?;
            let seq = seq.ok_or_else(|| QueueError::NotFound(format!("job {id}")))?;
            // Before the record is read, so that no change is missed.
            self.changes = Some(self.queue.signals.followers.follow(seq));
        }
        self.queue.get(self.id).await
    }
}
