//! The libraries that are compared, each used as its documentation shows.

pub(crate) mod measured;
pub(crate) mod meterline;
pub(crate) mod metrics_rs;
pub(crate) mod official;
pub(crate) mod otel;
pub(crate) mod prometheus_client;
pub(crate) mod tikv;

/// The buckets that the semantic conventions give for HTTP durations, in seconds.
pub(crate) const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What the four attributes are called.
pub(crate) const KEYS: [&str; 4] = ["method", "route", "status", "version"];

/// Records so many times.
pub(crate) type Operation = Box<dyn Fn(u64) + Send + Sync>;

/// Recording into one series of four attributes.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    pub(crate) operations: Operations,
    /// The page with the metrics `counter` and `histogram`, and whatever else is to be done for a
    /// scrape. With several readers each of them reads.
    pub(crate) page: Box<dyn Fn() -> String + Send + Sync>,
}

/// The ways to record. "Bound" is a handle to the series, kept; otherwise the attributes are given
/// each time.
pub(crate) struct Operations {
    pub(crate) counter_bound: Operation,
    pub(crate) counter_given: Operation,
    pub(crate) histogram_bound: Operation,
    pub(crate) histogram_given: Operation,
}

/// Many series of four attributes in one family, to be written as a page.
pub(crate) struct Exposition {
    pub(crate) name: &'static str,
    /// Collects, translates and writes the page into an empty buffer.
    pub(crate) page: WritePage,
}

pub(crate) type WritePage = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// A request as an HTTP layer sees it; the values of its attributes.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) version: &'static str,
}

/// What all recordings measure; read through `black_box`, so that no attribute is a constant.
pub(crate) const REQUEST: Request = Request {
    method: "GET",
    route: "/jobs/{id}",
    status: 200,
    version: "1.1",
};

impl Request {
    /// For libraries whose labels are texts.
    pub(crate) fn status_text(self) -> &'static str {
        match self.status {
            200 => "200",
            _ => "500",
        }
    }
}

/// The route of the n-th of many series.
pub(crate) fn route(n: usize) -> String {
    format!("/api/v1/things/{n:06}")
}

/// What the n-th of many counters is set to: one to eight digits.
pub(crate) fn count(n: usize) -> u64 {
    (n as u64 * 7919) % 100_000_000
}

/// The n-th duration, in seconds: all buckets are hit, the lower ones more often.
pub(crate) fn duration(n: u64) -> f64 {
    const SECONDS: [f64; 16] = [
        0.001, 0.003, 0.007, 0.02, 0.004, 0.04, 0.06, 0.002, 0.09, 0.2, 0.4, 0.006, 0.9, 2.0, 6.0,
        12.0,
    ];
    SECONDS[n as usize % SECONDS.len()]
}
