//! Whether the store works, found out at most once a second however many ask.
//!
//! Finding out writes, which costs a trip to the disk and makes every other process look at the file
//! again; probes and gauges that each did so would be work of their own.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::queue::QueueError;

/// How long an answer holds, a bad one too: those who wait for the store to recover wait this long more.
const FRESH: Duration = Duration::from_secs(1);

type Answer = Result<(), QueueError>;

/// The last answer.
#[derive(Default)]
pub(super) struct Checked(Mutex<Option<(Instant, Answer)>>);

impl Checked {
    /// The last answer, or a new one if that is old. While one caller finds out the others wait for
    /// what it finds; if it leaves, the next one does.
    pub(super) async fn answer(&self, find_out: impl Future<Output = Answer>) -> Answer {
        let mut last = self.0.lock().await;
        if let Some((when, answer)) = &*last
            && when.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = find_out.await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_look() {
        let (checked, looks) = (Checked::default(), AtomicU32::new(0));
        let look = || async {
            looks.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(QueueError::Closed)
        };
        let answers = join_all((0..10).map(|_| checked.answer(look()))).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn whoever_leaves_halfway_keeps_nobody_waiting() {
        let checked = Checked::default();
        {
            let left = checked.answer(std::future::pending());
            tokio::pin!(left);
            assert!(futures_util::poll!(&mut left).is_pending());
        }
        assert_eq!(checked.answer(async { Ok(()) }).await, Ok(()));
    }
}
