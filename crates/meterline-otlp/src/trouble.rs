//! What the log is told: that trouble began, now and then that it goes on, and that it is over.

use std::time::Duration;

use tokio::time::Instant;

use crate::exporter::{Export, Outcome};

/// From one line about trouble that goes on to the next.
const AGAIN: Duration = Duration::from_mins(10);

/// Remembers what was said.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Since when it lasts, and when we last spoke of it.
    since: Option<(Instant, Instant)>,
    exports: u64,
    rejected: u64,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Began {
        outcome: Outcome,
        message: String,
    },
    GoesOn {
        exports: u64,
        lasted: Duration,
        message: String,
    },
    Over {
        exports: u64,
        lasted: Duration,
    },
}

impl Trouble {
    /// Takes an export into account and tells what there is to say about it.
    pub(crate) fn after(&mut self, export: &Export, now: Instant) -> Option<Line> {
        if export.outcome == Outcome::Success {
            let (since, _) = self.since.take()?;
            let exports = std::mem::take(&mut self.exports);
            self.rejected = 0;
            let lasted = now - since;
            return Some(Line::Over { exports, lasted });
        }
        self.exports += 1;
        self.rejected += export.rejected;
        let message = export.message.clone();
        let Some((since, spoken)) = &mut self.since else {
            self.since = Some((now, now));
            let outcome = export.outcome;
            return Some(Line::Began { outcome, message });
        };
        if now - *spoken < AGAIN {
            return None;
        }
        *spoken = now;
        Some(Line::GoesOn {
            exports: self.exports,
            lasted: now - *since,
            message,
        })
    }

    /// Says it.
    pub(crate) fn log(&mut self, export: &Export) {
        match self.after(export, Instant::now()) {
            None => {}
            Some(Line::Began { outcome, message }) => tracing::warn!(
                outcome = outcome.as_str(),
                rejected = export.rejected,
                "metrics were not all pushed: {message}; silent about it from now on, but for a \
                 line in ten minutes"
            ),
            Some(Line::GoesOn {
                exports,
                lasted,
                message,
            }) => tracing::warn!(
                exports,
                rejected = self.rejected,
                "metrics have not all been pushed for {} s: {message}",
                lasted.as_secs()
            ),
            Some(Line::Over { exports, lasted }) => tracing::info!(
                exports,
                "metrics are pushed again, after {} s",
                lasted.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(outcome: Outcome) -> Export {
        Export {
            outcome,
            message: "why".to_owned(),
            ..Export::default()
        }
    }

    #[test]
    fn an_hour_of_trouble_is_a_handful_of_lines() {
        let mut trouble = Trouble::default();
        let begin = Instant::now();
        let minute = |n| begin + Duration::from_mins(n);
        assert_eq!(trouble.after(&export(Outcome::Success), begin), None);
        let lines: Vec<_> = (0..60)
            .filter_map(|n| trouble.after(&export(Outcome::Failed), minute(n)))
            .collect();
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert!(matches!(
            lines[0],
            Line::Began {
                outcome: Outcome::Failed,
                ..
            }
        ));
        let lasted = Duration::from_mins(50);
        let message = "why".to_owned();
        assert_eq!(
            lines[5],
            Line::GoesOn {
                exports: 51,
                lasted,
                message
            }
        );
        let over = trouble.after(&export(Outcome::Success), minute(60));
        let lasted = Duration::from_mins(60);
        assert_eq!(
            over,
            Some(Line::Over {
                exports: 60,
                lasted
            })
        );
        assert_eq!(trouble.after(&export(Outcome::Success), minute(61)), None);
    }
}
