//! OpenTelemetry metric snapshots by OTLP, over HTTP and gRPC.
//!
//! One direction, in three parts. An [`Encoder`] writes a [`Snapshot`](meterline_sdk::Snapshot) as
//! the requests of the protocol, without message types between. An [`Exporter`] delivers requests: it
//! compresses, retries what the specification says may be retried, and tells what became of each. A
//! [`Push`] does both on a schedule, until it is told to end.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use meterline_otlp::{Encoder, Exporter, ExporterOptions, Push, PushOptions};
//!
//! # async fn example() -> Result<(), meterline_otlp::ExporterError> {
//! let provider = meterline_sdk::MeterProvider::default();
//! let exporter = Exporter::new(ExporterOptions::http("http://localhost:4318/v1/metrics"))?;
//! let collect = Box::new(move || provider.collect());
//! let (push, handle) = Push::new(collect, Encoder::default(), exporter, PushOptions::default());
//! tokio::spawn(push.run());
//!
//! // At the end of the program:
//! let _delivered = handle.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised when a collector cannot be reached
//!
//! Recording never waits, memory does not grow, and the log gets a line when it begins, one in ten
//! minutes, and one when it is over. Cumulative values are complete again with the first export
//! that arrives. Of deltas nothing is lost: what was not accepted is kept, at most one export, and sent
//! again as it was; until then nothing further is collected, so that the next one covers the whole
//! time since. A request whose answer got lost is sent again, too: the collector may then see the same
//! points (with the same times) twice. What a collector refuses for good, as the specification counts
//! it, is dropped and counted.

#![forbid(unsafe_code)]

mod answer;
mod backoff;
mod client;
mod dial;
mod encode;
mod exporter;
mod grpc;
mod http_protobuf;
mod options;
mod push;
mod tls;
mod trouble;

pub use dial::{Dial, DialFuture, Stream};
pub use encode::{Batch, Encoder, EncoderOptions, OfBoth};
pub use exporter::{Export, Exporter, Outcome};
pub use options::{Compression, ExporterError, ExporterOptions, Protocol, Signal, TlsOptions};
pub use push::{FlushError, Push, PushHandle, PushOptions};
