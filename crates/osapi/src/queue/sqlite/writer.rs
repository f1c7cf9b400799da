//! The one thread that writes, and its group commit.
//!
//! Callers send work as closures. The thread takes whatever waits, runs it all in one transaction,
//! commits once and only then answers, so the cost of reaching the disk is shared. The more callers
//! wait the larger the groups become.
//!
//! Two rules keep a group honest: an operation refuses before it writes anything, and a fault takes the
//! whole group back. If it was the store's, it is everybody's; if it was one operation's, that one is
//! told and the others run again without it, so that nobody can keep others from being served.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::follow::Followers;
use super::schema::fault;
use super::tx::Tx;
use crate::queue::{QueueError, QueueOptions};

/// Most operations in one transaction.
const GROUP_LIMIT: usize = 512;

/// Operations of one group that may fail by themselves; with more, the fault is the store's.
const MOST_CULPRITS: usize = 8;

/// How often an idle writer looks whether another process changed the file.
const FOREIGN_POLL: Duration = Duration::from_millis(20);

/// Why an operation did not happen.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It decided so, before writing anything.
    Queue(QueueError),
    /// The storage engine failed; what the group did is taken back.
    Storage(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// One caller's work in a group.
pub(super) trait Work: Send {
    /// Does it, once more if a group is repeated. A storage fault is returned, anything else kept for [`Work::answer`].
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error>;
    /// Tells the caller, once the group is committed or lost. When the caller is gone, what has to
    /// be done about it.
    fn answer(self: Box<Self>, committed: Result<(), QueueError>) -> Option<Box<dyn Work>>;
}

/// What to do about a result nobody took.
pub(super) type Unclaimed<T> = fn(T) -> Option<Box<dyn Work>>;

/// [`Work`] made of a closure and the channel its result goes to.
pub(super) struct Call<F, T> {
    work: F,
    result: Option<Result<T, QueueError>>,
    reply: oneshot::Sender<Result<T, QueueError>>,
    unclaimed: Unclaimed<T>,
}

impl<F, T> Call<F, T> {
    pub(super) fn new(
        work: F,
        unclaimed: Unclaimed<T>,
    ) -> (Self, oneshot::Receiver<Result<T, QueueError>>) {
        let (reply, receiver) = oneshot::channel();
        (
            Self {
                work,
                result: None,
                reply,
                unclaimed,
            },
            receiver,
        )
    }
}

impl<F, T> Work for Call<F, T>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, Refusal> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error> {
        self.result = match (self.work)(tx) {
            Ok(value) => Some(Ok(value)),
            Err(Refusal::Queue(error)) => Some(Err(error)),
            Err(Refusal::Storage(error)) => return Err(error),
        };
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), QueueError>) -> Option<Box<dyn Work>> {
        let result = match (committed, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(QueueError::Closed),
        };
        match self.reply.send(result) {
            Err(Ok(value)) => (self.unclaimed)(value),
            _ => None,
        }
    }
}

/// What a writer is told.
pub(super) enum Message {
    /// Do this.
    Work(Box<dyn Work>),
    /// Stop, once what came before is done.
    Close,
}

/// What others see of the writer.
#[derive(Debug)]
pub(super) struct Signals {
    /// Changes when work may have become available.
    pub(super) work: watch::Sender<u64>,
    /// Whoever wants to know when a job changes.
    pub(super) followers: Arc<Followers>,
    /// Transactions committed.
    pub(super) transactions: AtomicU64,
    /// Operations answered.
    pub(super) operations: AtomicU64,
}

/// Told how long each committed transaction took.
pub type OnTransaction = Arc<dyn Fn(Duration) + Send + Sync>;

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    pub(super) options: Arc<QueueOptions>,
    pub(super) signals: Arc<Signals>,
    pub(super) on_transaction: Option<OnTransaction>,
}

impl Writer {
    /// Works until told to close or until nobody is left to tell it anything.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) {
        let mut open = true;
        // A panic outside of an operation is our fault; to go on is better than to answer nobody.
        while open && catch_unwind(AssertUnwindSafe(|| self.serve(inbox, &mut open))).is_err() {
            tracing::error!("the queue's writer panicked: callers lost their answers; it goes on");
        }
    }

    fn serve(&mut self, inbox: &Receiver<Message>, open: &mut bool) {
        let mut group: Vec<Box<dyn Work>> = Vec::with_capacity(GROUP_LIMIT);
        let mut version = self.data_version();
        while *open {
            match inbox.recv_timeout(FOREIGN_POLL) {
                Ok(Message::Work(work)) => group.push(work),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => *open = false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while *open && group.len() < GROUP_LIMIT {
                match inbox.try_recv() {
                    Ok(Message::Work(work)) => group.push(work),
                    Ok(Message::Close) => *open = false,
                    Err(_) => break,
                }
            }
            self.commit(&mut group);
            let seen = self.data_version();
            if seen != version {
                version = seen;
                self.signals.work.send_modify(|n| *n += 1);
                self.signals.followers.tell_of_others();
            }
        }
        while !group.is_empty() {
            self.commit(&mut group);
        }
    }

    /// Changes when another process commits, and only then.
    fn data_version(&self) -> i64 {
        let read = || {
            self.conn
                .prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        };
        read().unwrap_or_default()
    }

    /// Runs a group, answers it, and leaves in it what answering made necessary.
    fn commit(&mut self, group: &mut Vec<Box<dyn Work>>) {
        if group.is_empty() {
            return;
        }
        let begun = Instant::now();
        let mut culprits = Vec::new();
        let done = loop {
            match self.transact(group) {
                Err(Fault::Operation { at, reason }) if culprits.len() < MOST_CULPRITS => {
                    tracing::error!(reason, "an operation of the queue failed");
                    culprits.push((group.remove(at), reason));
                }
                other => break other.map_err(|fault| fault.for_all(&self.path)),
            }
        };
        if done.is_ok() {
            self.signals.transactions.fetch_add(1, Ordering::Relaxed);
            if let Some(tell) = &self.on_transaction {
                tell(begun.elapsed());
            }
        }
        self.signals
            .operations
            .fetch_add((group.len() + culprits.len()) as u64, Ordering::Relaxed);
        if let Ok(effects) = &done {
            if effects.work {
                self.signals.work.send_modify(|n| *n += 1);
            }
            self.signals.followers.tell(&effects.changed);
        }
        let committed = done.map(|_| ());
        let answered: Vec<_> = std::mem::take(group);
        group.extend(
            answered
                .into_iter()
                .filter_map(|work| work.answer(committed.clone())),
        );
        for (work, reason) in culprits {
            group.extend(work.answer(Err(QueueError::Fault(reason))));
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn Work>]) -> Result<Effects, Fault> {
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tx = Tx::new(&transaction, &self.options);
        for (at, work) in group.iter_mut().enumerate() {
            match catch_unwind(AssertUnwindSafe(|| work.run(&mut tx))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_of_one(&error) => {
                    let reason = error.to_string();
                    return Err(Fault::Operation { at, reason });
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    let reason = "it panicked".to_owned();
                    return Err(Fault::Operation { at, reason });
                }
            }
        }
        let effects = tx.settle()?;
        transaction.commit()?;
        Ok(effects)
    }
}

/// Why a transaction was taken back.
enum Fault {
    /// The store failed.
    Store(rusqlite::Error),
    /// One operation of the group cannot be done.
    Operation { at: usize, reason: String },
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// What the whole group is told.
    fn for_all(self, place: &Path) -> QueueError {
        match self {
            Self::Store(error) => fault(place, &error),
            Self::Operation { reason, .. } => QueueError::Unavailable {
                reason,
                retry_after: Duration::from_secs(1),
            },
        }
    }
}

/// Whether an error comes of what was asked, so that asking again gives it again, and not of how the
/// store is.
fn is_of_one(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        None | Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::ApiMisuse
                | ErrorCode::Unknown
        )
    )
}

/// What a transaction means to those who wait.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Something became claimable.
    pub(super) work: bool,
    /// The jobs that changed.
    pub(super) changed: Vec<i64>,
}
