//! What a push takes: a snapshot of many series as OTLP messages.

use std::hint::black_box;

use meterline_otlp::{Encoder, EncoderOptions};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Message;
use prost::Message as _;

use crate::harness::{Contender, interleave, timed};
use crate::libraries::{meterline, otel};
use crate::report::{Limit, Report, Table, bytes, milliseconds};

const SERIES: usize = 100_000;

/// Fills a provider with so many series of one instrument.
type Fill = fn(&meterline_sdk::MeterProvider);

const KINDS: [(&str, Fill, f64); 2] = [
    (
        "counters",
        |provider| otel::fill_counters(&provider.meter("bench"), SERIES),
        50.0,
    ),
    (
        "14-bucket histograms",
        |provider| {
            let histogram = otel::histogram(&provider.meter("bench"));
            otel::fill_histograms(&histogram, SERIES);
        },
        120.0,
    ),
];

pub(crate) fn run(report: &mut Report) {
    report.section(
        "OTLP",
        "Milliseconds from a snapshot of 100,000 points with four attributes to the bytes of its export \
         requests. `opentelemetry-proto` encodes the same messages when they are ready made; making \
         them, which it would have to do each time, is not counted.",
    );
    for (what, fill, allowed) in KINDS {
        let provider = meterline::provider(SERIES);
        fill(&provider);
        let snapshot = provider.collect();
        let mut encoder = Encoder::new(EncoderOptions::default());
        let batches = encoder.encode(&snapshot);
        let points: u64 = batches.iter().map(|batch| batch.points).sum();
        assert_eq!(points, SERIES as u64);
        let size: usize = batches.iter().map(|batch| batch.message.len()).sum();
        let decoded = batches.iter().map(|batch| Message::decode(&*batch.message));
        let messages: Vec<_> = decoded
            .map(|message| message.expect("it is OTLP"))
            .collect();
        let mut turns: [Contender<'_>; 2] = [
            Box::new(|| {
                timed(|| {
                    black_box(encoder.encode(&snapshot));
                })
            }),
            Box::new(|| {
                timed(|| {
                    for message in &messages {
                        black_box(message.encode_to_vec());
                    }
                })
            }),
        ];
        let samples = interleave(15, &mut turns);
        let mut table = Table::new(&format!("100,000 {what}"));
        let names = ["meterline", "opentelemetry-proto, ready-made messages"];
        table.column("ms", &names.map(str::to_owned), &samples, 0, milliseconds);
        table.single("bytes of the requests", bytes(size as f64));
        report.table(table);
        let what = format!("encode 100,000 {what} as OTLP");
        report.budget(
            &what,
            samples[0].median(),
            Limit::AtMost(allowed),
            milliseconds,
        );
    }
}
