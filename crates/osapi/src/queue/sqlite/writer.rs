//! The one thread that writes, and its group commit.
//!
//! Callers send work as closures. The thread takes whatever waits, runs it all in one transaction,
//! commits once and only then answers, so the cost of reaching the disk is shared. The more callers
//! wait the larger the groups become.
//!
//! Two rules keep a group honest: an operation refuses before it writes anything, and a fault of
//! the storage engine takes the whole group back, whoever it struck.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::schema::fault;
use super::tx::Tx;
use crate::queue::{QueueError, QueueOptions};

/// Most operations in one transaction.
const GROUP_LIMIT: usize = 512;

/// How often an idle writer looks whether another process changed the file.
const FOREIGN_POLL: Duration = Duration::from_millis(20);

/// Why an operation did not happen.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It decided so, before writing anything.
    Queue(QueueError),
    /// The storage engine failed; the group is lost.
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
    /// Does it. A storage fault is returned, anything else kept for [`Work::answer`].
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error>;
    /// Tells the caller, once the group is committed or lost. When the caller is gone, what has to
    /// be done about it.
    fn answer(self: Box<Self>, committed: Result<(), QueueError>) -> Option<Box<dyn Work>>;
}

/// What to do about a result nobody took.
pub(super) type Unclaimed<T> = fn(T) -> Option<Box<dyn Work>>;

/// [`Work`] made of a closure and the channel its result goes to.
pub(super) struct Call<F, T> {
    work: Option<F>,
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
                work: Some(work),
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
    F: FnOnce(&mut Tx<'_>) -> Result<T, Refusal> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), rusqlite::Error> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        match work(tx) {
            Ok(value) => self.result = Some(Ok(value)),
            Err(Refusal::Queue(error)) => self.result = Some(Err(error)),
            Err(Refusal::Storage(error)) => return Err(error),
        }
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
    /// Changes when any job may have changed.
    pub(super) changed: watch::Sender<u64>,
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
        let mut group: Vec<Box<dyn Work>> = Vec::with_capacity(GROUP_LIMIT);
        let mut version = self.data_version();
        let mut open = true;
        while open {
            match inbox.recv_timeout(FOREIGN_POLL) {
                Ok(Message::Work(work)) => group.push(work),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => open = false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            while open && group.len() < GROUP_LIMIT {
                match inbox.try_recv() {
                    Ok(Message::Work(work)) => group.push(work),
                    Ok(Message::Close) => open = false,
                    Err(_) => break,
                }
            }
            self.commit(&mut group);
            let seen = self.data_version();
            if seen != version {
                version = seen;
                self.signals.work.send_modify(|n| *n += 1);
                self.signals.changed.send_modify(|n| *n += 1);
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
        let done = self.transact(group);
        if done.is_ok() {
            self.signals.transactions.fetch_add(1, Ordering::Relaxed);
            if let Some(tell) = &self.on_transaction {
                tell(begun.elapsed());
            }
        }
        self.signals
            .operations
            .fetch_add(group.len() as u64, Ordering::Relaxed);
        if let Ok(effects) = &done {
            if effects.work {
                self.signals.work.send_modify(|n| *n += 1);
            }
            if effects.changed {
                self.signals.changed.send_modify(|n| *n += 1);
            }
        }
        let committed = done.map(|_| ());
        let answered: Vec<_> = std::mem::take(group);
        group.extend(
            answered
                .into_iter()
                .filter_map(|work| work.answer(committed.clone())),
        );
    }

    fn transact(&mut self, group: &mut [Box<dyn Work>]) -> Result<Effects, QueueError> {
        let run = |conn: &mut Connection| -> rusqlite::Result<Effects> {
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut tx = Tx::new(&transaction, &self.options);
            for work in group {
                work.run(&mut tx)?;
            }
            let effects = tx.settle()?;
            transaction.commit()?;
            Ok(effects)
        };
        run(&mut self.conn).map_err(|error| fault(&self.path, &error))
    }
}

/// What a transaction means to those who wait.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effects {
    /// Something became claimable.
    pub(super) work: bool,
    /// Some job changed.
    pub(super) changed: bool,
}
