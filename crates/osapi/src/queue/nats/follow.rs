//! Following the state stream, so that the index knows what others write.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use tracing::{debug, warn};

use super::Core;
use super::index::{Index, Observed, Seen};
use super::names::FENCE;
use super::record::{Brief, Enrolled};
use super::store::{ANSWER_WITHIN, BRIEF, REMOVED, Unwritten, silent};
use crate::queue::{JobId, QueueError};

/// Pause before the stream is followed anew.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the stream for as long as the queue is there.
pub(super) async fn run(core: Weak<Core>) {
    let mut next = 1;
    loop {
        let Some(here) = core.upgrade() else {
            return;
        };
        let (mut connected, behind) = (here.store.link.connected(), Arc::clone(&here.behind));
        connected.mark_unchanged();
        let messages = here.messages_from(next).await;
        let mut past = Past {
            until: here.mark().await.unwrap_or_default(),
            workers: Vec::new(),
        };
        here.store.index.turn();
        drop(here);
        // Whoever waited in vain until now meant what was followed before.
        let _ = behind.notified().now_or_never();
        if let Ok(mut messages) = messages {
            loop {
                // A broker that was restarted has forgotten who follows, and so may a new leader have;
                // waiting for what it does not send would take half a minute.
                let message = tokio::select! {
                    message = messages.next() => message,
                    _ = connected.changed() => break,
                    () = behind.notified() => break,
                };
                let Some(Ok(message)) = message else { break };
                let (Some(core), Ok(info)) = (core.upgrade(), message.info()) else {
                    return;
                };
                let sequence = info.stream_sequence;
                let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos());
                let at = at.unwrap_or_default();
                core.enter(&message, sequence, at, &mut past);
                if sequence >= past.until {
                    past.is_over(&core.store.index, at);
                }
                core.store.index.advance(sequence);
                next = sequence + 1;
            }
        }
        debug!(next, "the state stream is followed anew");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was in the stream before this process followed it, or came while it did not.
///
/// Of that, a worker's last sign of life is older than its arrival says. By how much is told by the broker's
/// times alone, this message's and the mark's: hosts need not agree on theirs. All that comes later is as old as
/// it seems, whatever anybody's wall clock does.
struct Past {
    /// The mark at its end.
    until: u64,
    /// Workers that gave signs of life: their keys, revisions and the broker's times.
    workers: Vec<(String, u64, Timestamp)>,
}

impl Past {
    fn is_over(&mut self, index: &Index, now: Timestamp) {
        for (worker, revision, at) in self.workers.drain(..) {
            let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            index.was_silent(&worker, revision, age);
        }
    }
}

impl Core {
    async fn messages_from(&self, next: u64) -> Result<pull::Ordered, async_nats::Error> {
        let names = &self.store.names;
        let stream = self
            .store
            .jetstream
            .get_stream_no_info(&names.state)
            .await?;
        let config = pull::OrderedConfig {
            headers_only: true,
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: next,
            },
            ..pull::OrderedConfig::default()
        };
        Ok(stream.create_consumer(config).await?.messages().await?)
    }

    fn enter(&self, message: &Message, sequence: u64, at: Timestamp, past: &mut Past) {
        let subject = message.subject.as_str();
        let Some(key) = self.store.names.key_in(subject) else {
            return;
        };
        let index = &self.store.index;
        let header = |name| {
            message
                .headers
                .as_ref()
                .and_then(|headers| headers.get(name))
        };
        let removed = header(REMOVED).is_some();
        let brief = header(BRIEF).map(async_nats::HeaderValue::as_str);
        if removed {
            index.sweep(subject.to_owned());
        }
        match key.split_once('.') {
            Some(("job", id)) => {
                let Ok(id) = id.parse::<JobId>() else { return };
                if removed {
                    index.observe(id, sequence, Observed::Removed);
                } else if let Some(brief) = read::<Brief>(brief) {
                    index.observe(id, sequence, Observed::Unit(brief));
                }
            }
            Some(("worker", _)) if removed => index.strike(key, sequence),
            Some(("worker", _)) => {
                if let Some(enrolled) = read::<Enrolled>(brief) {
                    if sequence < past.until {
                        let worker = enrolled.worker.clone();
                        past.workers.push((worker, sequence, at));
                    }
                    index.enrol(Seen {
                        enrolled,
                        revision: sequence,
                        at,
                        seen: Instant::now(),
                    });
                }
            }
            Some(("stage", id)) if !removed => {
                if let Ok(id) = id.parse() {
                    index.stage(id);
                }
            }
            // Of a batch that was never accepted, unless its last message is there, too.
            Some(("chunk", _)) => index.sweep(subject.to_owned()),
            _ => {}
        }
    }

    /// Leaves a mark in the state stream.
    pub(super) async fn mark(&self) -> Result<u64, QueueError> {
        let marked = self.store.put_key(FENCE, &(), None, None::<&()>).await;
        Ok(marked?)
    }

    /// Waits until the index knows all that was written before.
    pub(super) async fn catch_up(&self) -> Result<(), QueueError> {
        let marked = self.store.put_key(FENCE, &(), None, None::<&()>).await;
        let mark = match marked {
            Ok(mark) => mark,
            // A stream without room takes no mark, and can be read all the same.
            Err(Unwritten::Refused(error)) => self.store.written().await.map_err(|_| error)?,
            Err(error) => return Err(error.into()),
        };
        let index = &self.store.index;
        let before = index.progress();
        let reached = tokio::time::timeout(ANSWER_WITHIN, index.reached(mark)).await;
        reached.map_err(|_| {
            // One that is slow gets there; started anew for each who waits, it never would.
            if index.progress() == before {
                self.behind.notify_one();
            }
            silent()
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(brief: Option<&str>) -> Option<T> {
    let read = serde_json::from_str(brief?);
    read.inspect_err(|error| warn!(%error, "a header of the state stream cannot be read"))
        .ok()
}
