//! The instruments of both conventions, and the series one kind of request records into.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use crate::config::{Config, Convention};
use crate::handle::{BytesSeries, CounterSeries, SecondsSeries, UpDownSeries};
use crate::labels::Labels;

/// What a finished request measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// The instruments in use; those not asked for are never created.
pub(crate) struct Instruments {
    semconv: Option<Semconv>,
    classic: Option<Classic>,
}

struct Semconv {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
    total: Counter<u64>,
    /// None where bodies pass uncounted.
    request_size: Option<Histogram<u64>>,
    response_size: Option<Histogram<u64>>,
}

struct Classic {
    duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    total: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter, config: &Config) -> Self {
        let (semconv, classic) = match &config.convention {
            Convention::Semconv => (true, None),
            Convention::Classic { prefix } => (false, Some(prefix)),
            Convention::Both { prefix } => (true, Some(prefix)),
        };
        Self {
            semconv: semconv.then(|| Semconv::new(meter, config)),
            classic: classic.map(|prefix| Classic::new(meter, config, prefix)),
        }
    }

    /// Whether anything is recorded of request bodies.
    pub(crate) fn measure_request_bodies(&self) -> bool {
        self.semconv
            .as_ref()
            .is_some_and(|set| set.request_size.is_some())
    }

    /// The series of requests in progress with this method.
    pub(crate) fn active(&self, method: KeyValue, scheme: KeyValue, bind: bool) -> ActiveSeries {
        ActiveSeries {
            semconv: self
                .semconv
                .as_ref()
                .map(|set| UpDownSeries::new(&set.active, vec![method, scheme], bind)),
            classic: self
                .classic
                .as_ref()
                .map(|set| UpDownSeries::new(&set.in_flight, Vec::new(), bind)),
        }
    }

    /// The series a request with these labels is recorded into.
    pub(crate) fn series(&self, labels: &Labels<'_>, bind: bool) -> Series {
        Series {
            semconv: self.semconv.as_ref().map(|set| SemconvSeries {
                duration: SecondsSeries::new(&set.duration, labels.semconv(), bind),
                total: CounterSeries::new(&set.total, labels.semconv_total(), bind),
                request_size: bytes(set.request_size.as_ref(), labels, bind),
                response_size: bytes(set.response_size.as_ref(), labels, bind),
            }),
            classic: self.classic.as_ref().map(|set| ClassicSeries {
                duration: SecondsSeries::new(&set.duration, labels.classic(), bind),
                total: CounterSeries::new(&set.total, labels.classic(), bind),
            }),
        }
    }
}

fn bytes(
    histogram: Option<&Histogram<u64>>,
    labels: &Labels<'_>,
    bind: bool,
) -> Option<BytesSeries> {
    histogram.map(|histogram| BytesSeries::new(histogram, labels.semconv(), bind))
}

impl Semconv {
    fn new(meter: &Meter, config: &Config) -> Self {
        Self {
            duration: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description(
                    "Duration of HTTP server requests, to the end of the response body.",
                )
                .with_boundaries(config.semconv_buckets())
                .build(),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_unit("{request}")
                .with_description("Number of HTTP server requests in progress.")
                .build(),
            total: meter
                .u64_counter("http.server.request")
                .with_unit("{request}")
                .with_description("Number of HTTP server requests that ended, however they did.")
                .build(),
            request_size: config.body_sizes.then(|| {
                let description = "Size of HTTP request bodies, as far as they were read.";
                size_histogram(meter, config, "http.server.request.body.size", description)
            }),
            response_size: config.body_sizes.then(|| {
                let description = "Size of HTTP response bodies, as far as they were sent.";
                size_histogram(meter, config, "http.server.response.body.size", description)
            }),
        }
    }
}

fn size_histogram(
    meter: &Meter,
    config: &Config,
    name: &'static str,
    description: &'static str,
) -> Histogram<u64> {
    meter
        .u64_histogram(name)
        .with_unit("By")
        .with_description(description)
        .with_boundaries(config.body_size_buckets.clone())
        .build()
}

impl Classic {
    fn new(meter: &Meter, config: &Config, prefix: &str) -> Self {
        Self {
            duration: meter
                .f64_histogram(format!("{prefix}_request_duration"))
                .with_unit("s")
                .with_description("Duration of HTTP requests, to the end of the response body.")
                .with_boundaries(config.classic_buckets())
                .build(),
            in_flight: meter
                .i64_up_down_counter(format!("{prefix}_requests_in_flight"))
                .with_unit("{request}")
                .with_description("Number of HTTP requests in progress.")
                .build(),
            total: meter
                .u64_counter(format!("{prefix}_requests"))
                .with_unit("{request}")
                .with_description("Number of HTTP requests that ended, however they did.")
                .build(),
        }
    }
}

/// Requests in progress with one method.
pub(crate) struct ActiveSeries {
    semconv: Option<UpDownSeries>,
    classic: Option<UpDownSeries>,
}

impl ActiveSeries {
    pub(crate) fn add(&self, delta: i64) {
        for series in [&self.semconv, &self.classic].into_iter().flatten() {
            series.add(delta);
        }
    }
}

/// Everything one finished request is recorded into.
pub(crate) struct Series {
    semconv: Option<SemconvSeries>,
    classic: Option<ClassicSeries>,
}

struct SemconvSeries {
    duration: SecondsSeries,
    total: CounterSeries,
    request_size: Option<BytesSeries>,
    response_size: Option<BytesSeries>,
}

struct ClassicSeries {
    duration: SecondsSeries,
    total: CounterSeries,
}

impl Series {
    pub(crate) fn record(&self, measured: Measured) {
        if let Some(series) = &self.semconv {
            series.duration.record(measured.seconds);
            series.total.add(1);
            if let Some(size) = &series.request_size {
                size.record(measured.request_bytes);
            }
            if let Some(size) = &series.response_size {
                size.record(measured.response_bytes);
            }
        }
        if let Some(series) = &self.classic {
            series.duration.record(measured.seconds);
            series.total.add(1);
        }
    }
}
