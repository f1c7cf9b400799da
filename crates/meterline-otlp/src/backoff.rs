//! How long to wait before a request is sent again.

use std::time::Duration;

use rand::RngExt;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);

/// What a collector may ask for at most: a slip of its clock must not silence us for a day.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_mins(15);

/// Waits that double, each somewhere between half and all of its length, so that many clients do not
/// come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait, no shorter than what the collector asked for.
    pub(crate) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let longest = self.next;
        self.next = LONGEST.min(2 * longest);
        let wait = longest.mul_f64(rand::rng().random_range(0.5..=1.0));
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_vary() {
        let mut backoff = Backoff::new();
        for seconds in [1, 2, 4, 8, 16, 16, 16] {
            let longest = Duration::from_secs(seconds);
            let wait = backoff.wait(None);
            assert!(
                (longest / 2..=longest).contains(&wait),
                "{wait:?} of {longest:?}"
            );
        }
        let waits = (0..20).map(|_| Backoff::new().wait(None));
        assert!(waits.collect::<std::collections::HashSet<_>>().len() > 1);
    }

    #[test]
    fn what_the_collector_asks_for_is_honoured_within_reason() {
        let asked = |seconds| Backoff::new().wait(Some(Duration::from_secs(seconds)));
        assert_eq!(asked(30), Duration::from_secs(30));
        assert_eq!(asked(u64::MAX), LONGEST_ASKED);
        assert!(asked(0) >= FIRST / 2);
    }
}
