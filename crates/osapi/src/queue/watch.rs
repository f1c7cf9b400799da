//! A job followed to its end: the same for every backend, which only says how it learns that the
//! record may have changed.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};

use super::{JobRecord, QueueError};

/// Shortest time between two looks at a job that is followed.
pub(super) const PACE: Duration = Duration::from_millis(50);

/// How a backend looks at one job.
pub(super) trait Look: Send + 'static {
    /// The record: at once the first time, after that when it may have changed.
    fn look(&mut self) -> impl Future<Output = Result<JobRecord, QueueError>> + Send;
}

/// The state of a [`Queue::watch`](super::Queue::watch).
struct Watch<L> {
    job: L,
    last: Option<JobRecord>,
    ended: bool,
}

/// The record now and after each change, until the job has ended or is gone.
pub(super) fn watch(job: impl Look) -> BoxStream<'static, Result<JobRecord, QueueError>> {
    let watch = Watch {
        job,
        last: None,
        ended: false,
    };
    stream::unfold(watch, Watch::next).boxed()
}

impl<L: Look> Watch<L> {
    async fn next(mut self) -> Option<(Result<JobRecord, QueueError>, Self)> {
        loop {
            if self.ended {
                return None;
            }
            match self.job.look().await {
                Err(QueueError::NotFound(_)) if self.last.is_some() => return None,
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error), self));
                }
                Ok(record) if self.last.as_ref() == Some(&record) => {}
                Ok(record) => {
                    self.ended = record.status.is_final();
                    self.last = Some(record.clone());
                    return Some((Ok(record), self));
                }
            }
        }
    }
}
