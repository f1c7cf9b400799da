//! The broker's streams as a store: reading and writing keys, with revisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::header::{
    HeaderMap, HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID, NATS_SEQUENCE,
    NATS_TIME_STAMP,
};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::jetstream::{self, context::PublishError};
use async_nats::{Client, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index::{Index, Observed};
use super::link::Link;
use super::names::{Names, job_key};
use super::record::Unit;
use crate::queue::{JobId, QueueError, TraceContext};

/// How long the broker may take to answer before a request fails.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The header that holds what the index keeps.
pub(super) const BRIEF: &str = "Osapi-Brief";

/// The header that marks a removed key, as NATS's own key-value buckets have it.
pub(super) const REMOVED: &str = "KV-Operation";

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Somebody else wrote first.
    Raced,
    /// The broker refused it for good reason: nothing was written.
    Refused(QueueError),
    /// It may or may not have been written.
    Unknown(QueueError),
}

impl From<Unwritten> for QueueError {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::Raced => Self::Unavailable {
                reason: "others kept changing the same record".to_owned(),
                retry_after: Duration::from_secs(1),
            },
            Unwritten::Refused(error) | Unwritten::Unknown(error) => error,
        }
    }
}

/// A value read, and its revision.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) revision: u64,
    /// It was removed, not long ago.
    pub(super) removed: bool,
    /// When the broker stored it, by the broker's clock.
    pub(super) stored_at: Timestamp,
    pub(super) brief: Option<String>,
    pub(super) payload: bytes::Bytes,
}

impl Found {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.payload)
            .inspect_err(|error| {
                tracing::warn!(revision = self.revision, %error, "a record cannot be read");
            })
            .ok()
    }
}

/// The streams, once they are known to be there and right.
pub(super) struct Store {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    pub(super) names: Names,
    pub(super) index: Index,
    pub(super) link: Arc<Link>,
    pub(super) requests: AtomicU64,
    pub(super) writes: AtomicU64,
    /// More than one copy is kept, so that a read may see an old one.
    pub(super) replicated: bool,
}

impl Store {
    /// Writes a message that is stored once, however often it is sent with this id. Whoever looks at it on the
    /// broker finds the trace it belongs to where the W3C says.
    pub(super) async fn publish_once(
        &self,
        subject: String,
        payload: Vec<u8>,
        id: JobId,
        trace: Option<&TraceContext>,
    ) -> Result<u64, Unwritten> {
        self.link.usable().map_err(Unwritten::Refused)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id.to_string());
        if let Some(trace) = trace {
            headers.insert("traceparent", trace.traceparent.as_str());
            if let Some(state) = &trace.tracestate {
                headers.insert("tracestate", state.as_str());
            }
        }
        self.send(subject, payload, headers).await
    }

    /// Writes a message. `expected` is the revision its subject must have: 0 for none.
    async fn publish(
        &self,
        subject: String,
        payload: Vec<u8>,
        expected: Option<u64>,
        brief: Option<&str>,
    ) -> Result<u64, Unwritten> {
        self.link.usable().map_err(Unwritten::Refused)?;
        let mut headers = HeaderMap::new();
        if let Some(expected) = expected {
            headers.insert(
                NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
                HeaderValue::from(expected),
            );
        }
        if let Some(brief) = brief {
            headers.insert(BRIEF, brief);
        }
        self.send(subject, payload, headers).await
    }

    async fn send(
        &self,
        subject: String,
        payload: Vec<u8>,
        headers: HeaderMap,
    ) -> Result<u64, Unwritten> {
        let message = PublishMessage::build().payload(payload.into());
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = self
            .jetstream
            .send_publish(subject, message.headers(headers));
        // The buffer of a connection that hangs is full at some time; then it is not even sent.
        let answer = async { sent.await?.await };
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(ack)) => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                Ok(ack.sequence)
            }
            Ok(Err(error)) => Err(self.unwritten(&error)),
            Err(_) => {
                self.link.publish_failed();
                Err(Unwritten::Unknown(silent()))
            }
        }
    }

    fn unwritten(&self, error: &PublishError) -> Unwritten {
        let kind = error.kind();
        if kind == PublishErrorKind::WrongLastSequence {
            return Unwritten::Raced;
        }
        self.link.publish_failed();
        match kind {
            PublishErrorKind::MaxPayloadExceeded => Unwritten::Refused(QueueError::TooLarge {
                limit: self.client.max_payload() as u64,
            }),
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Unwritten::Unknown(silent())
            }
            _ => {
                let said = std::error::Error::source(error);
                let code = said
                    .and_then(|said| said.downcast_ref::<jetstream::Error>())
                    .map(jetstream::Error::error_code);
                if code == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT) {
                    return Unwritten::Raced;
                }
                let reason = said.map_or_else(|| error.to_string(), ToString::to_string);
                Unwritten::Refused(QueueError::Unavailable {
                    reason: format!("the broker refused a message: {reason}"),
                    retry_after: Duration::from_secs(5),
                })
            }
        }
    }

    /// Reads the last message of a subject. `fresh` sees what anybody has written before.
    pub(super) async fn read(
        &self,
        stream: &str,
        subject: &str,
        fresh: bool,
    ) -> Result<Option<Found>, QueueError> {
        self.link.usable()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        if fresh && self.replicated {
            return self.read_from_leader(stream, subject).await;
        }
        let request = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
        let answer = self.client.request(request, bytes::Bytes::new()).await;
        let message = answer.map_err(|error| unanswered(&error))?;
        if let Some(status) = message.status {
            return match status {
                StatusCode::NOT_FOUND => Ok(None),
                status => Err(unavailable(format!("the broker answered {status}"))),
            };
        }
        let headers = message.headers.unwrap_or_default();
        let number = |name| headers.get(name).map(|value| value.as_str().to_owned());
        Ok(Some(Found {
            revision: number(NATS_SEQUENCE)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            removed: headers.get(REMOVED).is_some(),
            stored_at: number(NATS_TIME_STAMP)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            brief: headers.get(BRIEF).map(|brief| brief.as_str().to_owned()),
            payload: message.payload,
        }))
    }

    async fn read_from_leader(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Found>, QueueError> {
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(Found {
                revision: message.sequence,
                removed: message.headers.get(REMOVED).is_some(),
                stored_at: Timestamp::from_nanosecond(message.time.unix_timestamp_nanos())
                    .unwrap_or_default(),
                brief: message
                    .headers
                    .get(BRIEF)
                    .map(|brief| brief.as_str().to_owned()),
                payload: message.payload,
            })),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }

    /// The sequence of what was written into the state stream last, by anybody.
    pub(super) async fn written(&self) -> Result<u64, QueueError> {
        self.link.usable()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let stream = self.jetstream.get_stream(&self.names.state).await;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        Ok(stream.cached_info().state.last_sequence)
    }

    /// A key of the state bucket.
    pub(super) async fn key(&self, key: &str, fresh: bool) -> Result<Option<Found>, QueueError> {
        let subject = self.names.state_of(key);
        self.read(&self.names.state, &subject, fresh).await
    }

    /// A unit and its revision; `None` when there is none, or none any more.
    pub(super) async fn unit(
        &self,
        id: JobId,
        fresh: bool,
    ) -> Result<Option<(Unit, u64)>, QueueError> {
        let found = self.key(&job_key(id), fresh).await?;
        let found = found.filter(|found| !found.removed);
        Ok(found.and_then(|found| Some((found.parse()?, found.revision))))
    }

    /// Writes a unit, if its revision still is the one expected.
    pub(super) async fn put(&self, unit: &Unit, expected: u64) -> Result<u64, Unwritten> {
        let brief = unit.brief();
        let revision = self
            .put_key(&job_key(unit.id), unit, Some(expected), Some(&brief))
            .await?;
        self.index.observe(unit.id, revision, Observed::Unit(brief));
        Ok(revision)
    }

    /// Writes a key, with its brief.
    pub(super) async fn put_key(
        &self,
        key: &str,
        value: &impl Serialize,
        expected: Option<u64>,
        brief: Option<&impl Serialize>,
    ) -> Result<u64, Unwritten> {
        let payload = json(value)?;
        let brief = brief.map(serde_json::to_string).transpose();
        let brief = brief.map_err(|error| Unwritten::Refused(fault(&error)))?;
        let subject = self.names.state_of(key);
        self.publish(subject, payload, expected, brief.as_deref())
            .await
    }

    /// Removes a key, leaving a mark that it was there, if there is room for one.
    pub(super) async fn remove(&self, key: &str, expected: u64) -> Result<u64, Unwritten> {
        self.link.usable().map_err(Unwritten::Refused)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            HeaderValue::from(expected),
        );
        headers.insert(REMOVED, "PURGE");
        headers.insert("Nats-Rollup", "sub");
        let subject = self.names.state_of(key);
        let sent = self.send(subject.clone(), Vec::new(), headers.clone());
        match sent.await {
            Err(Unwritten::Refused(error)) if error.is_transient() => {}
            answered => return answered,
        }
        // A stream without room has none for the mark either, until what it marks is gone.
        let found = self.read(&self.names.state, &subject, true).await;
        let found = found.map_err(Unwritten::Refused)?;
        if found.is_none_or(|found| found.revision != expected) {
            return Err(Unwritten::Raced);
        }
        let purged = self.purge(&self.names.state, subject.clone()).await;
        purged.map_err(Unwritten::Refused)?;
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(0));
        // It is gone, whatever becomes of the mark: at a revision above the one it had.
        let marked = self.send(subject, Vec::new(), headers).await;
        Ok(marked.unwrap_or(expected + 1))
    }

    /// Takes every message of a subject out of a stream.
    pub(super) async fn purge(&self, stream: &str, subject: String) -> Result<(), QueueError> {
        self.link.usable()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        let purged = stream.purge().filter(subject).await;
        purged
            .map(|_| ())
            .map_err(|error| unavailable(error.to_string()))
    }

    /// Says something to the broker that it does not answer.
    pub(super) async fn tell(&self, subject: &async_nats::Subject, text: String) {
        if self.link.usable().is_ok() {
            // What it does not hear it finds out when the lease ends.
            let _ = self.client.publish(subject.clone(), text.into()).await;
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>, Unwritten> {
    serde_json::to_vec(value).map_err(|error| Unwritten::Refused(fault(&error)))
}

pub(super) fn fault(error: &impl ToString) -> QueueError {
    QueueError::Fault(error.to_string())
}

pub(super) fn unavailable(reason: String) -> QueueError {
    QueueError::Unavailable {
        reason,
        retry_after: Duration::from_secs(1),
    }
}

/// The broker does not answer.
pub(super) fn silent() -> QueueError {
    unavailable(format!(
        "the broker did not answer within {} s",
        ANSWER_WITHIN.as_secs()
    ))
}

fn unanswered(error: &async_nats::client::RequestError) -> QueueError {
    match error.kind() {
        async_nats::client::RequestErrorKind::TimedOut => silent(),
        _ => unavailable(format!("the broker: {error}")),
    }
}
