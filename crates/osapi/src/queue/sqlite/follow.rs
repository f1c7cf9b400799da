//! Who wants to know when a job changes.
//!
//! Whoever follows a job is woken by the changes this process makes to that job only: a few hundred
//! streams that each looked whenever anything changed would leave no reads for anybody else. What
//! another process changed is not known by job; after that everybody looks, at an easy pace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Shortest time between two looks that changes of other processes are the reason for.
const FOREIGN_PACE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Followers {
    /// By the number of the job; only those that somebody follows.
    jobs: Mutex<HashMap<i64, Followed>>,
    others: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Followed {
    told: watch::Sender<()>,
    by: usize,
}

impl Followers {
    pub(super) fn follow(self: &Arc<Self>, job: i64) -> Follow {
        let mut jobs = self.lock();
        let followed = jobs.entry(job).or_default();
        followed.by += 1;
        let own = followed.told.subscribe();
        drop(jobs);
        Follow {
            job,
            own,
            others: self.others.subscribe(),
            looked: Instant::now(),
            of: Arc::clone(self),
        }
    }

    /// These jobs have changed.
    pub(super) fn tell(&self, jobs: &[i64]) {
        let followed = self.lock();
        if followed.is_empty() {
            return;
        }
        for job in jobs {
            if let Some(followed) = followed.get(job) {
                followed.told.send_replace(());
            }
        }
    }

    /// Another process has changed something.
    pub(super) fn tell_of_others(&self) {
        self.others.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Followed>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who follows a job, until dropped.
#[derive(Debug)]
pub(super) struct Follow {
    job: i64,
    own: watch::Receiver<()>,
    others: watch::Receiver<()>,
    looked: Instant,
    of: Arc<Followers>,
}

impl Follow {
    /// Waits until the job has, or may have, changed since this was asked last.
    pub(super) async fn changed(&mut self) {
        let others = async {
            tokio::time::sleep_until(self.looked + FOREIGN_PACE).await;
            self.others.changed().await
        };
        // The senders are kept by `of`, so neither wait ends without a change.
        tokio::select! {
            _ = self.own.changed() => {}
            _ = others => {}
        }
        self.looked = Instant::now();
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let mut jobs = self.of.lock();
        if let Some(followed) = jobs.get_mut(&self.job) {
            followed.by -= 1;
            if followed.by == 0 {
                jobs.remove(&self.job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_job_that_changed_wakes_who_follows_it() {
        let followers = Arc::new(Followers::default());
        let (mut first, mut second) = (followers.follow(1), followers.follow(2));
        followers.tell(&[1, 3]);
        first.changed().await;
        {
            let waiting = second.changed();
            tokio::pin!(waiting);
            assert!(
                futures_util::poll!(&mut waiting).is_pending(),
                "not its job"
            );
            followers.tell(&[2]);
            waiting.await;
        }
        followers.tell_of_others();
        tokio::join!(first.changed(), second.changed());
    }

    #[tokio::test]
    async fn nothing_is_kept_for_those_who_left() {
        let followers = Arc::new(Followers::default());
        let (first, second) = (followers.follow(1), followers.follow(1));
        drop(first);
        assert_eq!(followers.lock().len(), 1);
        drop(second);
        assert!(followers.lock().is_empty());
    }
}
