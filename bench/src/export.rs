//! A whole export over loopback: collected, encoded, sent, taken and answered.

use std::time::Duration;

use meterline::config::{Compression, MetricsConfig, OtlpConfig, OtlpProtocol};
use meterline::{Telemetry, TelemetryConfig};
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Message;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};
use prost::Message as _;
use tokio::runtime::Runtime;

use crate::collector::Collector;
use crate::harness::{Contender, interleave, timed};
use crate::libraries::{count, otel};
use crate::report::{Report, Table, bytes, milliseconds};

/// Longer than any run: exports are asked for.
const SELDOM: Duration = Duration::from_secs(1_000_000);

/// Who exports, and how it is asked to do so now.
struct Exporting<'a> {
    name: &'static str,
    collector: Collector,
    export: Box<dyn Fn() + 'a>,
}

/// Creates so many series.
type Fill = fn(&Meter, usize);

const KINDS: [(&str, Fill, usize, usize); 2] = [
    ("100,000 counters", otel::fill_counters, 100_000, 9),
    (
        "10,000 histograms",
        |meter, series| otel::fill_histograms(&otel::histogram(meter), series),
        10_000,
        15,
    ),
];

pub(crate) fn run(report: &mut Report) {
    report.section(
        "Export by OTLP",
        "Milliseconds for a whole export over loopback: collected, encoded, sent to a collector that reads it all, and \
         answered; asked for by `force_flush`, cumulative, series with four attributes. Not compressed, but for the row \
         that says so, which is the default of ours. opentelemetry-otlp reads the official SDK by its periodic reader, \
         and sends one message; ours come in batches.",
    );
    let runtime = Runtime::new().expect("threads can be started");
    let mut table = Table::new("By HTTP and by gRPC");
    let mut sizes = Table::new("Bytes of the messages");
    for (what, fill, series, rounds) in KINDS {
        let all = contenders(&runtime, fill, series);
        let names: Vec<_> = all.iter().map(|one| one.name.to_owned()).collect();
        let lengths: Vec<_> = all.iter().map(|one| asserted(one, series)).collect();
        let mut turns: Vec<Contender<'_>> = Vec::new();
        for (one, &length) in all.iter().zip(&lengths) {
            turns.push(Box::new(move || {
                let taken = timed(|| (one.export)());
                let sent: usize = one
                    .collector
                    .take()
                    .iter()
                    .map(|message| message.len())
                    .sum();
                // The pipeline's own points differ by some digits, and times compress differently.
                assert!(
                    sent.abs_diff(length) < length / 20,
                    "{}: {sent}, {length}",
                    one.name
                );
                taken
            }));
        }
        let samples = interleave(rounds, &mut turns);
        table.column(what, &names, &samples, 0, milliseconds);
        for (name, length) in names.iter().zip(lengths) {
            sizes.single(&format!("{what}, {name}"), bytes(length as f64));
        }
    }
    report.table(table);
    report.table(sizes);
}

fn contenders(runtime: &Runtime, fill: Fill, series: usize) -> Vec<Exporting<'_>> {
    let _inside = runtime.enter();
    let plain = Compression::None;
    vec![
        ours(
            runtime,
            "**meterline**, HTTP",
            OtlpProtocol::HttpProtobuf,
            plain,
            fill,
            series,
        ),
        ours(
            runtime,
            "meterline, gRPC",
            OtlpProtocol::Grpc,
            plain,
            fill,
            series,
        ),
        ours(
            runtime,
            GZIP,
            OtlpProtocol::HttpProtobuf,
            Compression::Gzip,
            fill,
            series,
        ),
        official(
            "opentelemetry-otlp, HTTP",
            Protocol::HttpBinary,
            fill,
            series,
        ),
        official("opentelemetry-otlp, gRPC", Protocol::Grpc, fill, series),
    ]
}

const GZIP: &str = "meterline, HTTP, gzip";

fn ours<'a>(
    runtime: &'a Runtime,
    name: &'static str,
    protocol: OtlpProtocol,
    compression: Compression,
    fill: Fill,
    series: usize,
) -> Exporting<'a> {
    let collector = Collector::start();
    let config = TelemetryConfig {
        metrics: MetricsConfig {
            enabled: Some(false),
            cardinality_limit: series,
            process: false,
            tokio: false,
            ..MetricsConfig::default()
        },
        otlp: OtlpConfig {
            endpoint: Some(format!("http://{}", collector.address)),
            protocol,
            compression,
            interval: SELDOM,
            ..OtlpConfig::default()
        },
        ..TelemetryConfig::default()
    };
    let telemetry = Telemetry::builder().config(config).global(false).build();
    let telemetry = telemetry.expect("the configuration is valid");
    fill(&telemetry.meter("bench"), series);
    Exporting {
        name,
        collector,
        export: Box::new(move || {
            let flushed = runtime.block_on(telemetry.force_flush());
            flushed.expect("the collector takes it");
        }),
    }
}

fn official<'a>(
    name: &'static str,
    protocol: Protocol,
    fill: Fill,
    series: usize,
) -> Exporting<'a> {
    let collector = Collector::start();
    let base = format!("http://{}", collector.address);
    let exporter = match protocol {
        Protocol::Grpc => MetricExporter::builder()
            .with_tonic()
            .with_endpoint(base)
            .build(),
        _ => {
            let exporter = MetricExporter::builder()
                .with_http()
                .with_protocol(protocol);
            exporter.with_endpoint(format!("{base}/v1/metrics")).build()
        }
    };
    let exporter = exporter.expect("the endpoint is valid");
    let reader = PeriodicReader::builder(exporter)
        .with_interval(SELDOM)
        .build();
    let provider = SdkMeterProvider::builder()
        .with_reader(reader)
        .with_view(move |_: &Instrument| {
            let stream = Stream::builder().with_cardinality_limit(series + 1);
            stream.build().ok()
        })
        .build();
    fill(&provider.meter("bench"), series);
    Exporting {
        name,
        collector,
        export: Box::new(move || provider.force_flush().expect("the collector takes it")),
    }
}

/// Exports once, and looks at what arrives; returns how many bytes that was.
fn asserted(one: &Exporting<'_>, series: usize) -> usize {
    (one.export)();
    let messages = one.collector.take();
    let length = messages.iter().map(|message| message.len()).sum();
    if one.name == GZIP {
        assert!(
            messages
                .iter()
                .all(|message| message.starts_with(&[0x1f, 0x8b]))
        );
        return length;
    }
    let (mut points, mut total) = (0, 0);
    for message in messages {
        let message = Message::decode(message).expect("it is OTLP");
        let scopes = message
            .resource_metrics
            .into_iter()
            .flat_map(|r| r.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            match metric.data {
                Some(Data::Sum(sum)) if metric.name == "counter" => {
                    points += sum.data_points.len();
                    total += sum
                        .data_points
                        .iter()
                        .map(|point| match point.value {
                            Some(Value::AsInt(value)) => value as u64,
                            ref other => panic!("{other:?}"),
                        })
                        .sum::<u64>();
                }
                Some(Data::Histogram(histogram)) if metric.name == "histogram" => {
                    points += histogram.data_points.len();
                    total += histogram
                        .data_points
                        .iter()
                        .map(|point| point.count)
                        .sum::<u64>();
                }
                _ => {}
            }
        }
    }
    assert_eq!(points, series, "{}", one.name);
    let counters = (0..series).map(count).sum::<u64>();
    assert!(
        [counters, 16 * series as u64].contains(&total),
        "{}: {total}",
        one.name
    );
    length
}
