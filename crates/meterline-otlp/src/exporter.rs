use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, Uri};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::backoff::{Backoff, LONGEST_ASKED};
use crate::client::Client;
use crate::dial::{Dial, Dialer};
use crate::encode::Batch;
use crate::options::{Compression, ExporterError, ExporterOptions, Protocol};
use crate::{grpc, http_protobuf, tls};

/// With less time than this a request is not tried again: it would hardly be answered, and hide why the attempt before
/// failed.
const SHORTEST_RETRY: Duration = Duration::from_millis(100);

/// Nobody waits longer than this, whatever is said: the end of longer times cannot always be told.
pub(crate) const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Delivers requests to a collector.
pub struct Exporter {
    options: ExporterOptions,
    uri: Uri,
    headers: HeaderMap,
    client: Client,
    /// The collector asked to be left alone until then.
    not_before: Option<Instant>,
}

/// What became of one export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Export {
    /// The worst that happened.
    pub outcome: Outcome,
    /// Points that the collector took.
    pub accepted: u64,
    /// Points that the collector refused, a few of a request or whole requests. They are gone.
    pub rejected: u64,
    /// Requests that were sent, each attempt counted.
    pub requests: u64,
    /// What went wrong, or what the collector has to say; empty if all is well.
    pub message: String,
}

/// What became of an export, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Everything was taken.
    #[default]
    Success,
    /// The collector took the requests, but rejected some of the points.
    PartialSuccess,
    /// The collector refused a request for good.
    Refused,
    /// Not everything could be delivered in time.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Success,
        Self::PartialSuccess,
        Self::Refused,
        Self::Failed,
    ];

    /// A short name, fit for a label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::PartialSuccess => "partial_success",
            Self::Refused => "refused",
            Self::Failed => "failure",
        }
    }
}

impl Exporter {
    /// An exporter that connects by TCP, when there is something to send.
    ///
    /// # Errors
    /// If the endpoint, a header or a certificate cannot be used.
    pub fn new(options: ExporterOptions) -> Result<Self, ExporterError> {
        Self::with_dialer(options, Dialer::tcp())
    }

    /// An exporter that opens connections in its own way.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_dial(options: ExporterOptions, dial: Dial) -> Result<Self, ExporterError> {
        Self::with_dialer(options, Dialer::Other(dial))
    }

    fn with_dialer(options: ExporterOptions, dialer: Dialer) -> Result<Self, ExporterError> {
        let uri = options.uri()?;
        let mut headers = options.header_map()?;
        let gzip = options.compression == Compression::Gzip;
        match options.protocol {
            Protocol::HttpProtobuf => http_protobuf::headers(&mut headers, gzip),
            Protocol::Grpc => grpc::headers(&mut headers, gzip),
        }
        let https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let client = Client::new(
            dialer,
            tls::config(&options.tls, https)?,
            options.protocol == Protocol::Grpc,
        );
        Ok(Self {
            options,
            uri,
            headers,
            client,
            not_before: None,
        })
    }

    /// Sends requests, one after the other, until all are settled or the time is up. Those that were
    /// taken or refused for good are removed from `batches`; what is left may be sent again.
    ///
    /// Can be dropped at any time; a request that was under way then is still in `batches`.
    pub async fn export(&mut self, batches: &mut VecDeque<Batch>, within: Duration) -> Export {
        let deadline = Instant::now() + within.min(LONGEST);
        let mut export = Export::default();
        while let Some(batch) = batches.front() {
            match self.deliver(batch, deadline, &mut export).await {
                Ok(()) => batches.pop_front(),
                Err(why) => {
                    export.worse(Outcome::Failed, why);
                    break;
                }
            };
        }
        export
    }

    /// Sends one request until it is settled.
    async fn deliver(
        &mut self,
        batch: &Batch,
        deadline: Instant,
        export: &mut Export,
    ) -> Result<(), String> {
        let body = self.body(&batch.message);
        let mut backoff = Backoff::new();
        self.wait_as_asked(deadline).await?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let within = self.options.timeout.min(left);
            let headers = self.headers.clone();
            export.requests += 1;
            let reply = self
                .client
                .post(&self.uri, headers, body.clone(), within)
                .await;
            let answer = match reply {
                Ok(reply) if self.options.protocol == Protocol::Grpc => grpc::answer(&reply),
                Ok(reply) => http_protobuf::answer(&reply),
                Err(why) => Answer::Retry { why, after: None },
            };
            let (why, after) = match answer {
                Answer::Accepted(partial) => {
                    let rejected = partial.rejected.min(batch.points);
                    export.accepted += batch.points - rejected;
                    export.rejected += rejected;
                    if rejected > 0 {
                        export.worse(Outcome::PartialSuccess, partial.message);
                    } else if !partial.message.is_empty() {
                        export.worse(Outcome::Success, partial.message);
                    }
                    return Ok(());
                }
                Answer::Refused { why } => {
                    export.rejected += batch.points;
                    export.worse(Outcome::Refused, why);
                    return Ok(());
                }
                Answer::Retry { why, after } => (why, after),
            };
            let now = Instant::now();
            self.not_before = after.map(|after| now + after.min(LONGEST_ASKED));
            let next = now + backoff.wait(after);
            if next + SHORTEST_RETRY > deadline {
                return Err(why);
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Waits until the collector wants to hear from us again.
    async fn wait_as_asked(&mut self, deadline: Instant) -> Result<(), String> {
        let Some(until) = self.not_before else {
            return Ok(());
        };
        if until >= deadline {
            return Err("the collector asked to be left alone for now".to_owned());
        }
        tokio::time::sleep_until(until).await;
        self.not_before = None;
        Ok(())
    }

    fn body(&self, message: &Bytes) -> Bytes {
        let gzip = self.options.compression == Compression::Gzip;
        let compressed = if gzip {
            gzipped(message)
        } else {
            message.clone()
        };
        match self.options.protocol {
            Protocol::HttpProtobuf => compressed,
            Protocol::Grpc => grpc::framed(&compressed, gzip),
        }
    }
}

impl Export {
    /// Adds what another part of the same export came to.
    pub(crate) fn and(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
        self.requests += more.requests;
        self.worse(more.outcome, more.message);
    }

    /// Notes what happened, if nothing worse did.
    fn worse(&mut self, outcome: Outcome, message: String) {
        if outcome > self.outcome || self.message.is_empty() {
            self.message = message;
        }
        self.outcome = self.outcome.max(outcome);
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The fastest level: labels repeat so much that better ones gain little.
fn gzipped(message: &[u8]) -> Bytes {
    let out = Vec::with_capacity(message.len() / 4);
    let mut encoder = GzEncoder::new(out, flate2::Compression::fast());
    let written = encoder.write_all(message).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    written.unwrap_or_default().into()
}
