//! Every metric this crate records: one row each, without the namespace.
//!
//! The instruments are made from these rows; programs can make documentation, dashboards or tests from them.

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// The OpenTelemetry name without the namespace.
    pub name: &'static str,
    /// What kind of instrument records it.
    pub kind: Kind,
    /// The unit in UCUM, empty if none.
    pub unit: &'static str,
    /// What it says, in a sentence.
    pub description: &'static str,
    /// The attributes of its series.
    pub attributes: &'static [&'static str],
}

/// The kind of instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down by amounts.
    UpDownCounter,
    /// The current value.
    Gauge,
    /// A distribution over these upper bounds, unless others are configured.
    Histogram(&'static [f64]),
}

/// 5 ms to 1 h.
const ATTEMPT_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];
/// 1 ms to 1 h.
const WAIT_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3600.0,
];

macro_rules! rows {
    ($($constant:ident = $name:literal, $kind:expr, $unit:literal, [$($attribute:literal),*],
       $description:literal;)*) => {
        $(
            #[doc = $description]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: $unit,
                description: $description,
                attributes: &[$($attribute),*],
            };
        )*

        /// All of them; those of NATS are recorded with the feature `nats` only.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

rows! {
    JOBS_CREATED = "jobs.created", Kind::Counter, "", ["operation"],
        "Units of work accepted; a job for all workers is one for each.";
    JOBS_COMPLETED = "jobs.completed", Kind::Counter, "", ["operation", "status"],
        "Units of work that reached their final state.";
    JOB_DURATION = "job.duration", Kind::Histogram(ATTEMPT_SECONDS), "s", ["operation", "status"],
        "Time an attempt ran.";
    JOB_WAIT = "job.wait", Kind::Histogram(WAIT_SECONDS), "s", ["operation"],
        "Time from when a unit of work was due until an attempt began.";
    JOBS_ACTIVE = "jobs.active", Kind::UpDownCounter, "", ["operation"],
        "Attempts running now.";
    JOB_RETRIES = "job.retries", Kind::Counter, "", ["operation"],
        "Failed attempts that another one follows.";
    JOBS_RESCUED = "jobs.rescued", Kind::Counter, "", ["operation"],
        "Attempts taken back because their worker gave no sign of life.";
    JOB_LATE_RESULTS = "job.late_results", Kind::Counter, "", ["operation"],
        "Attempts whose lease was lost before they were reported: what they came to was dropped.";
    JOBS_QUEUED = "jobs.queued", Kind::Gauge, "", ["state"],
        "Jobs that wait, run, or are in the dead-letter queue.";
    JOBS_OLDEST_WAITING = "jobs.oldest_waiting", Kind::Gauge, "s", [],
        "How long the oldest waiting job has waited; 0 when none waits.";
    WORKERS_CONNECTED = "workers.connected", Kind::Gauge, "", ["state"],
        "Workers by state; lost ones vanished without stopping, and are told of for an hour.";
    WORKER_JOBS_PROCESSED = "worker.jobs.processed", Kind::Counter, "", ["worker", "status"],
        "Attempts a worker has ended.";
    WORKER_SLOTS = "worker.slots", Kind::UpDownCounter, "", ["worker", "state"],
        "Attempts a worker runs, and could run besides.";
    WORKER_HEARTBEAT_AGE = "worker.heartbeat_age", Kind::Gauge, "s", ["worker"],
        "Time since a worker's last sign of life.";
    NATS_CONNECTED = "nats.connected", Kind::Gauge, "", [],
        "Whether this process is connected to NATS (1) or not (0).";
    NATS_RECONNECTS = "nats.reconnects", Kind::Counter, "", [],
        "Connections to NATS after the first one.";
    NATS_PUBLISH_FAILURES = "nats.publish_failures", Kind::Counter, "", [],
        "Messages that NATS did not take, or did not acknowledge.";
    NATS_RTT = "nats.rtt", Kind::Gauge, "s", [],
        "Time a message to the NATS server and its answer took, last time; absent when none came.";
}
