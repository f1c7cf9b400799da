//! Measures job systems through the OpenTelemetry metrics API: jobs and their attempts, workers, queues, and the
//! connection to NATS.
//!
//! It knows the API crate only, so it records into whichever SDK the program has, and it measures any job system: a
//! queue in a database, a broker, a channel inside one process.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use meterline_jobs::{AttemptStatus, Instruments, JobMetrics, WorkerMetrics};
//!
//! # let provider = opentelemetry::metrics::NoopMeterProvider::new();
//! let instruments = Instruments::builder()
//!     .meter_provider(&provider)
//!     .namespace("shop")
//!     .build()?;
//! let jobs = JobMetrics::new(&instruments);
//! let worker = WorkerMetrics::new(&instruments, "worker-1", 4);
//!
//! // Whoever takes a job in:
//! jobs.created("mail.send", 1);
//! let due = Instant::now();
//!
//! // Whoever runs it:
//! let slot = worker.slot();
//! let attempt = jobs.start("mail.send", due.elapsed()).by(&worker);
//! // ... send the mail; a panic or a drop here is recorded too ...
//! attempt.finish(AttemptStatus::Completed);
//! drop(slot);
//! # Ok::<(), meterline_jobs::BuildError>(())
//! ```
//!
//! # What is measured
//!
//! Names begin with the namespace: `shop.jobs.created`. The rows are in [`catalogue`].
//!
//! | instrument | kind, unit | attributes | recorded by |
//! |---|---|---|---|
//! | `jobs.created` | counter | `operation` | [`JobMetrics::created`] |
//! | `jobs.completed` | counter | `operation`, `status` | [`Attempt::finish`], [`JobMetrics::completed`] |
//! | `job.duration` | histogram, s | `operation`, `status` | [`Attempt`] |
//! | `job.wait` | histogram, s | `operation` | [`JobMetrics::start`] |
//! | `jobs.active` | up-down counter | `operation` | [`Attempt`] |
//! | `job.retries` | counter | `operation` | [`Attempt::finish`] |
//! | `jobs.rescued` | counter | `operation` | [`JobMetrics::rescued`] |
//! | `job.late_results` | counter | `operation` | [`Attempt::abandon`] |
//! | `worker.jobs.processed` | counter | `worker`, `status` | [`Attempt::by`] a worker |
//! | `worker.slots` | up-down counter | `worker`, `state` = used, free | [`WorkerMetrics::slot`] |
//! | `worker.heartbeat_age` | gauge, s | `worker` | [`observe_fleet`], [`WorkerMetrics::observe_heartbeat`] |
//! | `jobs.queued` | gauge | `state` | [`observe_queue`] |
//! | `jobs.oldest_waiting` | gauge, s | | [`observe_queue`] |
//! | `workers.connected` | gauge | `state` | [`observe_fleet`] |
//! | `nats.connected` | gauge | | `NatsMetrics` (feature `nats`) |
//! | `nats.reconnects` | counter | | `NatsMetrics` |
//! | `nats.publish_failures` | counter | | `NatsMetrics` |
//! | `nats.rtt` | gauge, s | | `NatsMetrics` |
//!
//! - A **unit of work** is created once and completed once, whatever happens between; an **attempt** is one try at it.
//! - A **duration** is an attempt's, from [`JobMetrics::start`] to [`Attempt::stop`] or whatever ends the attempt
//!   first. The clock is read twice.
//! - A **wait** is from when a unit was due, at its creation or its retry's time, until an attempt began.
//! - An attempt is **active** for exactly its duration, and recorded exactly once: see [`Attempt`] for how.
//! - An **operation** is what kind of work it is, never which: names from a list, no ids.
//!
//! A sampled span that is current when an attempt starts is current again while it is recorded, so that an SDK can
//! attach exemplars.
//!
//! # Cost, and the feature `bound`
//!
//! The series of an operation are looked up once per attempt and kept ready, for
//! [a bounded number](InstrumentsBuilder::max_cached_operations) of operations. With the cargo feature `bound` they are
//! *bound* instruments, which spares the SDK the look-up of attributes. That feature needs an SDK that implements
//! binding: Meterline's, or the official one with `experimental_metrics_bound_instruments`. Without that, the API's
//! `bind` silently records nothing, so the feature is off by default, and [`InstrumentsBuilder`] can turn binding off
//! where the feature came in through another crate.
//!
//! A meter records into the provider it came from: set the global one before [`InstrumentsBuilder::build`].

mod attempt;
pub mod catalogue;
mod handle;
mod instruments;
mod jobs;
#[cfg(feature = "nats")]
mod nats;
mod operation;
mod state;
mod status;
mod worker;

pub use attempt::Attempt;
pub use instruments::{BuildError, Instruments, InstrumentsBuilder};
pub use jobs::JobMetrics;
#[cfg(feature = "nats")]
pub use nats::{NatsMetrics, Probe};
pub use state::{FleetReading, QueueReading, observe_fleet, observe_queue};
pub use status::{AttemptStatus, UnitStatus};
pub use worker::{Slot, WorkerMetrics};
