//! Every metric osapi exposes: one row each.
//!
//! The instruments of osapi's own metrics are made from these rows, or from those of `meterline-jobs` that
//! are taken over here; `docs/metrics.md` is generated from them, and tests hold a real scrape against them.

use meterline_jobs::catalogue as jobs;
pub use meterline_jobs::catalogue::Kind;

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The OpenTelemetry name; of osapi's own metrics without the namespace.
    pub name: &'static str,
    /// Whose it is.
    pub owner: Owner,
    /// What kind of instrument records it.
    pub kind: Kind,
    /// The unit in UCUM, empty if none.
    pub unit: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// The attributes of its series.
    pub attributes: &'static [&'static str],
    /// Which processes expose it.
    pub from: Process,
}

/// Who records a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// osapi: the name is prefixed with the configured namespace.
    Osapi,
    /// Meterline's HTTP layer.
    Http,
    /// Meterline: the process, its runtime, and the pipeline itself.
    Meterline,
}

/// Where a metric is exposed; `osapi up` is both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// `osapi api`.
    Api,
    /// `osapi worker`.
    Worker,
    /// Every process.
    Both,
}

/// 50 us to 1 s.
const TRANSACTION_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0,
];

/// Those of the HTTP semantic conventions.
const HTTP_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Powers of four.
const BODY_BYTES: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];
/// 500 us to 1 s.
const SCRAPE_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];

/// Those of the connection to NATS, exposed with `queue.backend: nats`.
pub const NATS: &[Metric] = &[
    Metric::of_jobs(&jobs::NATS_CONNECTED, Process::Both),
    Metric::of_jobs(&jobs::NATS_RECONNECTS, Process::Both),
    Metric::of_jobs(&jobs::NATS_PUBLISH_FAILURES, Process::Both),
    Metric::of_jobs(&jobs::NATS_RTT, Process::Both),
];

macro_rules! catalogue {
    (jobs { $($job:ident from $process:ident,)* }
     $($constant:ident = $name:literal, $owner:ident, $kind:expr, $unit:literal, $from:ident,
       [$($attribute:literal),*], $help:literal;)*) => {
        $(
            #[doc = concat!("See [`meterline_jobs::catalogue::", stringify!($job), "`].")]
            pub const $job: Metric = Metric::of_jobs(&jobs::$job, Process::$process);
        )*
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                owner: Owner::$owner,
                kind: $kind,
                unit: $unit,
                help: $help,
                attributes: &[$($attribute),*],
                from: Process::$from,
            };
        )*

        /// All that are exposed whatever the queue's backend.
        pub const ALL: &[Metric] = &[$($job,)* $($constant),*];
    };
}

catalogue! {
    jobs {
        JOBS_CREATED from Api,
        JOBS_COMPLETED from Both,
        JOB_DURATION from Worker,
        JOB_WAIT from Worker,
        JOBS_ACTIVE from Worker,
        JOB_RETRIES from Worker,
        JOBS_RESCUED from Both,
        JOB_LATE_RESULTS from Worker,
        JOBS_QUEUED from Api,
        JOBS_OLDEST_WAITING from Api,
        WORKERS_CONNECTED from Api,
        WORKER_JOBS_PROCESSED from Worker,
        WORKER_SLOTS from Worker,
        WORKER_HEARTBEAT_AGE from Api,
    }
    DATABASE_SIZE = "database.size", Osapi, Kind::Gauge, "By", Both, [],
        "Size of the queue's files.";
    DATABASE_CONNECTIONS = "database.connections", Osapi, Kind::Gauge, "", Both, ["state"],
        "Open connections to the queue's database.";
    DATABASE_QUERIES = "database.queries", Osapi, Kind::Counter, "", Both, [],
        "Requests the queue's database has answered to this process.";
    DATABASE_TRANSACTION_DURATION = "database.transaction.duration", Osapi,
        Kind::Histogram(TRANSACTION_SECONDS), "s", Both, [],
        "Time a transaction took, its commit included.";
    COMPONENT_UP = "component.up", Osapi, Kind::Gauge, "", Both, [],
        "Whether this process is ready (1) or not (0).";
    SUBSYSTEM_UP = "subsystem.up", Osapi, Kind::Gauge, "", Both, ["subsystem"],
        "Whether a part of this process works (1) or not (0).";
    BUILD_INFO = "build_info", Osapi, Kind::Gauge, "", Both, ["version", "revision", "rustc"],
        "What this program was built from; always 1.";
    HTTP_DURATION = "http.server.request.duration", Http, Kind::Histogram(HTTP_SECONDS), "s", Api,
        ["http.request.method", "http.route", "http.response.status_code", "url.scheme",
         "network.protocol.version", "error.type"],
        "Duration of HTTP server requests, to the end of the response body.";
    HTTP_ACTIVE = "http.server.active_requests", Http, Kind::UpDownCounter, "{request}", Api,
        ["http.request.method", "url.scheme"],
        "Number of HTTP server requests in progress.";
    HTTP_REQUESTS = "http.server.request", Http, Kind::Counter, "{request}", Api,
        ["http.request.method", "http.route", "http.response.status_code"],
        "Number of HTTP server requests that ended, however they did.";
    HTTP_REQUEST_SIZE = "http.server.request.body.size", Http, Kind::Histogram(BODY_BYTES), "By",
        Api,
        ["http.request.method", "http.route", "http.response.status_code", "url.scheme",
         "network.protocol.version", "error.type"],
        "Size of HTTP request bodies, as far as they were read.";
    HTTP_RESPONSE_SIZE = "http.server.response.body.size", Http, Kind::Histogram(BODY_BYTES), "By",
        Api,
        ["http.request.method", "http.route", "http.response.status_code", "url.scheme",
         "network.protocol.version", "error.type"],
        "Size of HTTP response bodies, as far as they were sent.";
    PROCESS_CPU = "process.cpu", Meterline, Kind::Counter, "s", Both, [],
        "Time this process has spent on CPUs, in user and system mode.";
    PROCESS_RESIDENT = "process.resident_memory", Meterline, Kind::Gauge, "By", Both, [],
        "Physical memory this process holds.";
    PROCESS_VIRTUAL = "process.virtual_memory", Meterline, Kind::Gauge, "By", Both, [],
        "Address space this process has mapped.";
    PROCESS_OPEN_FDS = "process.open_fds", Meterline, Kind::Gauge, "", Both, [],
        "File descriptors this process has open.";
    PROCESS_MAX_FDS = "process.max_fds", Meterline, Kind::Gauge, "", Both, [],
        "File descriptors this process may have open.";
    PROCESS_THREADS = "process.threads", Meterline, Kind::Gauge, "", Both, [],
        "Threads of this process.";
    PROCESS_START = "process.start_time", Meterline, Kind::Gauge, "s", Both, [],
        "When this process started, in seconds since the Unix epoch.";
    TOKIO_WORKERS = "tokio.workers", Meterline, Kind::Gauge, "", Both, [],
        "Worker threads of the tokio runtime.";
    TOKIO_TASKS = "tokio.alive_tasks", Meterline, Kind::Gauge, "", Both, [],
        "Tasks that have been spawned and have not ended.";
    TOKIO_QUEUE = "tokio.global_queue_depth", Meterline, Kind::Gauge, "", Both, [],
        "Tasks that wait for a worker of their own.";
    TOKIO_BUSY = "tokio.worker_busy", Meterline, Kind::Counter, "s", Both, [],
        "Time that workers have spent running tasks, all workers together.";
    SCRAPE_DURATION = "meterline.scrape.duration", Meterline, Kind::Histogram(SCRAPE_SECONDS), "s",
        Both, [],
        "Time it took to collect and encode a metrics page.";
    SCRAPE_SIZE = "meterline.scrape.size", Meterline, Kind::Gauge, "By", Both, [],
        "Size of the metrics page made last, uncompressed.";
    COLLECTIONS = "meterline.collections", Meterline, Kind::Counter, "", Both, [],
        "Collections of all series, for pages and for pushes.";
    COLLECTION_TIME = "meterline.collection.time", Meterline, Kind::Counter, "s", Both, [],
        "Time that collections took, callbacks included.";
    SERIES = "meterline.series", Meterline, Kind::Gauge, "", Both, [],
        "Series that exist, overflow series included.";
    SERIES_OVERFLOWED = "meterline.series.overflowed", Meterline, Kind::Counter, "", Both, [],
        "Measurements that a cardinality limit sent to an overflow series.";
    POINTS_DROPPED = "meterline.points.dropped", Meterline, Kind::Counter, "", Both, ["reason"],
        "Measurements not recorded, points not shown on a page or refused by a collector, by reason.";
    OTLP_EXPORTS = "meterline.otlp.exports", Meterline, Kind::Counter, "", Both, ["outcome"],
        "Exports by OTLP, each with its retries, by what became of them.";
}

impl Metric {
    const fn of_jobs(row: &jobs::Metric, from: Process) -> Self {
        Self {
            name: row.name,
            owner: Owner::Osapi,
            kind: row.kind,
            unit: row.unit,
            help: row.description,
            attributes: row.attributes,
            from,
        }
    }

    /// The OpenTelemetry name under a namespace.
    #[must_use]
    pub fn name_in(&self, namespace: &str) -> String {
        match self.owner {
            Owner::Osapi => format!("{namespace}.{}", self.name),
            Owner::Http | Owner::Meterline => self.name.to_owned(),
        }
    }
}
