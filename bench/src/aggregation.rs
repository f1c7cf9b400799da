//! What other histograms cost to record, and what exemplars do.

use std::hint::black_box;
use std::sync::{Arc, Weak};
use std::time::Duration;

use meterline_sdk::{
    Data, ExemplarFilter, ExponentialOptions, MeterProvider, MeterProviderBuilder, View,
    ViewAggregation,
};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream,
    Temporality,
};

use crate::harness::{Contender, Samples, in_threads, interleave, operations_of};
use crate::libraries::{Operation, Operations, otel};
use crate::report::{Report, Table, many, nanoseconds};

const ROUNDS: usize = 15;
const OPERATIONS: u64 = 300_000;
/// Of so many recordings one is made in a sampled span.
const ONE_SAMPLED_OF: u64 = 100;

type Pick = fn(&Operations) -> &Operation;

const WAYS: [(&str, Pick); 2] = [
    ("bound", |of| &of.histogram_bound),
    ("4 attributes", |of| &of.histogram_given),
];

/// One who records into a histogram.
struct Recorder {
    name: &'static str,
    operations: Operations,
    /// How many values it holds.
    count: Box<dyn Fn() -> u64>,
}

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Aggregations and exemplars",
        "Nanoseconds per recording into one series of a histogram, as each recording thread sees it. \
         \"Both\" counts every value in explicit and in exponential buckets. In the last table one of \
         a hundred recordings is made in a sampled span.",
    );
    for threads in [1, 2] {
        let mut table = Table::new(&format!("Histograms, {}", many(threads)));
        for (way, pick) in WAYS {
            let recorders = histograms();
            let samples = contest(threads, None, &recorders, pick);
            table.column(way, &names(&recorders), &samples, 0, nanoseconds);
        }
        report.table(table);
    }
    for (span, title) in [
        (None, "Exemplars, no span, 1 thread"),
        (Some(sampled()), "Exemplars, 1 % sampled, 1 thread"),
    ] {
        let mut table = Table::new(title);
        for (way, pick) in WAYS {
            let recorders = with_and_without_exemplars();
            let samples = contest(1, span.as_ref(), &recorders, pick);
            table.column(way, &names(&recorders), &samples, 0, nanoseconds);
        }
        report.table(table);
    }
}

fn names(recorders: &[Recorder]) -> Vec<String> {
    recorders.iter().map(|one| one.name.to_owned()).collect()
}

fn contest(
    threads: usize,
    span: Option<&Context>,
    recorders: &[Recorder],
    pick: Pick,
) -> Vec<Samples> {
    let mut turns: Vec<Contender<'_>> = Vec::new();
    for one in recorders {
        let operation = pick(&one.operations);
        turns.push(Box::new(move || {
            let taken = in_threads(threads, OPERATIONS, &|n| record(n, span, operation));
            black_box((one.count)());
            taken
        }));
    }
    let samples = interleave(ROUNDS, &mut turns);
    drop(turns);
    let recorded = (ROUNDS as u64 + 1) * operations_of(threads, OPERATIONS);
    for one in recorders {
        assert_eq!((one.count)(), recorded, "{}", one.name);
    }
    samples
}

/// Records so many times, and if there is a span, one of a hundred times in it.
fn record(n: u64, span: Option<&Context>, operation: &Operation) {
    let Some(span) = span else {
        return operation(n);
    };
    let mut left = n;
    while left > 0 {
        let current = span.clone().attach();
        operation(1);
        drop(current);
        let others = (left - 1).min(ONE_SAMPLED_OF - 1);
        operation(others);
        left -= 1 + others;
    }
}

/// A context with a sampled span.
fn sampled() -> Context {
    let (trace, span) = (TraceId::from(0x5eed_u128), SpanId::from(7));
    let span = SpanContext::new(
        trace,
        span,
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(span)
}

fn histograms() -> Vec<Recorder> {
    let view = |aggregation| {
        let view = View::builder("histogram")
            .histograms_as(aggregation)
            .build();
        MeterProvider::builder().with_view(view.expect("a view that can be"))
    };
    let options = ExponentialOptions::default();
    vec![
        ours("**meterline**, explicit", MeterProvider::builder()),
        ours(
            "**meterline**, exponential",
            view(ViewAggregation::Exponential(options)),
        ),
        ours("**meterline**, both", view(ViewAggregation::Both(options))),
        official("opentelemetry_sdk, explicit", None),
        official(
            "opentelemetry_sdk, exponential",
            Some(Aggregation::Base2ExponentialHistogram {
                max_size: 160,
                max_scale: 20,
                record_min_max: true,
            }),
        ),
    ]
}

fn with_and_without_exemplars() -> Vec<Recorder> {
    let filtered = |name, filter| ours(name, MeterProvider::builder().with_exemplars(filter));
    vec![
        filtered("**meterline**, off", ExemplarFilter::Off),
        filtered("**meterline**, trace_based", ExemplarFilter::TraceBased),
        filtered("**meterline**, always", ExemplarFilter::Always),
        official("opentelemetry_sdk, which has none", None),
    ]
}

fn ours(name: &'static str, builder: MeterProviderBuilder) -> Recorder {
    let provider = builder.build();
    let operations = otel::operations(&provider.meter("bench"));
    let count = move || {
        let snapshot = provider.collect();
        let histograms = snapshot.metrics.iter().map(|metric| match &metric.data {
            Data::Histogram(points) | Data::Both(points, _) => {
                points.iter().map(|p| p.count()).sum()
            }
            Data::ExponentialHistogram(points) => points.iter().map(|p| p.count()).sum(),
            _ => 0,
        });
        histograms.sum()
    };
    Recorder {
        name,
        operations,
        count: Box::new(count),
    }
}

fn official(name: &'static str, aggregation: Option<Aggregation>) -> Recorder {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let mut builder = SdkMeterProvider::builder().with_reader(reader.clone());
    if let Some(aggregation) = aggregation {
        builder = builder.with_view(move |instrument: &Instrument| {
            let stream = Stream::builder()
                .with_aggregation(aggregation.clone())
                .build();
            stream.ok().filter(|_| instrument.name() == "histogram")
        });
    }
    let provider = builder.build();
    let operations = otel::operations(&provider.meter("bench"));
    let count = move || {
        // The provider ends its readers when it is dropped.
        let _alive = &provider;
        let mut collected = ResourceMetrics::default();
        reader
            .collect(&mut collected)
            .expect("there is something to collect");
        let scopes = collected.scope_metrics();
        let metrics = scopes.flat_map(|scope| scope.metrics());
        let histograms = metrics.map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(data)) => {
                data.data_points().map(|point| point.count()).sum()
            }
            AggregatedMetrics::F64(MetricData::ExponentialHistogram(data)) => {
                data.data_points().map(|point| point.count() as u64).sum()
            }
            _ => 0,
        });
        histograms.sum()
    };
    Recorder {
        name,
        operations,
        count: Box::new(count),
    }
}

/// A manual reader that can be asked after the provider has it.
#[derive(Clone, Debug)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, into: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(into)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
