//! Both protocols, the same story.

mod faults;
mod restarts;
mod spans;
mod tls;
mod values;

use std::collections::VecDeque;
use std::time::Duration;

use meterline_otlp::{Batch, Encoder, Export, Exporter, ExporterOptions};
use meterline_sdk::MeterProvider;
use opentelemetry::metrics::MeterProvider as _;
use xtask::OtlpReceiver;

/// Generous, because machines that run tests are busy.
const ENOUGH: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Http,
    Grpc,
}

const BOTH: [Transport; 2] = [Transport::Http, Transport::Grpc];

impl Transport {
    fn options(self, receiver: &OtlpReceiver) -> ExporterOptions {
        let (http, grpc) = (receiver.http(), receiver.grpc());
        let mut options = match self {
            Self::Http => ExporterOptions::http(format!("http://127.0.0.1:{http}/v1/metrics")),
            Self::Grpc => ExporterOptions::grpc(format!("http://127.0.0.1:{grpc}")),
        };
        options.timeout = ENOUGH;
        options
    }

    fn exporter(self, receiver: &OtlpReceiver) -> Exporter {
        Exporter::new(self.options(receiver)).expect("the options are fine")
    }
}

/// Requests that hold one counter's points, `points` of them.
fn batches(points: u64) -> VecDeque<Batch> {
    let provider = MeterProvider::default();
    let counter = provider.meter("m").u64_counter("c").build();
    for id in 0..points {
        let id = i64::try_from(id).expect("small");
        counter.add(1, &[opentelemetry::KeyValue::new("id", id)]);
    }
    Encoder::default().encode(&provider.collect()).into()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("there is a runtime").block_on(future)
}

/// One export of five points.
fn export(exporter: &mut Exporter, within: Duration) -> (Export, usize) {
    let mut batches = batches(5);
    let export = run(exporter.export(&mut batches, within));
    (export, batches.len())
}
