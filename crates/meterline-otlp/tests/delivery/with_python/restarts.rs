//! A receiver that dies and comes back, under a push that goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use meterline_otlp::{Encoder, FlushError, Outcome, Push, PushHandle, PushOptions};
use meterline_sdk::{MeterProvider, ReaderOptions, TemporalityPreference};
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use serde_json::json;
use xtask::{OtlpReceiver, Received};

use super::{BOTH, ENOUGH, Transport, run};

struct Pushing {
    handle: PushHandle,
    counter: Counter<u64>,
    histogram: Histogram<f64>,
    failed: Arc<AtomicU64>,
    _thread: std::thread::JoinHandle<()>,
}

fn pushing(
    transport: Transport,
    receiver: &OtlpReceiver,
    temporality: TemporalityPreference,
) -> Pushing {
    let provider = MeterProvider::default();
    let meter = provider.meter("m");
    let counter = meter.u64_counter("c").build();
    let histogram = meter.f64_histogram("h").build();
    let mut reading = ReaderOptions::default();
    reading.temporality = temporality;
    let reader = provider.reader(reading);
    let failed = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&failed);
    let mut options = PushOptions::default();
    options.export_timeout = Duration::from_secs(2);
    // Only when it is asked to.
    options.interval = Duration::from_secs(100_000);
    options.on_export = Box::new(move |export| {
        told.fetch_add(u64::from(export.outcome == Outcome::Failed), SeqCst);
    });
    let (push, handle) = Push::new(
        Box::new(move || reader.collect()),
        Encoder::default(),
        transport.exporter(receiver),
        options,
    );
    let thread = std::thread::spawn(move || run(push.run()));
    Pushing {
        handle,
        counter,
        histogram,
        failed,
        _thread: thread,
    }
}

fn sum(received: &Received) -> u64 {
    received
        .of("c")
        .map(|point| point["value"].as_u64().expect("an integer"))
        .sum()
}

#[test]
fn deltas_of_an_outage_arrive_after_it_once_and_without_a_gap() {
    for transport in BOTH {
        let mut receiver = OtlpReceiver::start();
        let (http, grpc) = (receiver.http(), receiver.grpc());
        let push = pushing(transport, &receiver, TemporalityPreference::Delta);
        push.counter.add(1, &[]);
        push.histogram.record(1.0, &[]);
        run(push.handle.force_flush()).expect("it is there");
        let first = receiver.take();
        assert_eq!(sum(&first), 1);

        drop(receiver);
        for _ in 0..2 {
            push.counter.add(10, &[]);
            push.histogram.record(2.0, &[]);
            let flushed = run(push.handle.force_flush());
            assert_eq!(flushed, Err(FlushError::NotDelivered(Outcome::Failed)));
        }
        assert_eq!(push.failed.load(SeqCst), 2);

        let mut receiver = OtlpReceiver::again(http, grpc);
        push.counter.add(100, &[]);
        run(push.handle.force_flush()).expect("it is there again");
        let after = receiver.take();
        assert_eq!(sum(&after), 120, "all of the outage, and what came after");
        let counts: u64 = after
            .of("h")
            .map(|p| p["count"].as_u64().expect("a count"))
            .sum();
        assert_eq!(counts, 2);
        // What was kept came as it was, and then one point for all the time since.
        let times: Vec<_> = first.of("c").chain(after.of("c")).collect();
        assert_eq!(times.len(), 3, "{times:?}");
        for pair in times.windows(2) {
            assert_eq!(pair[1]["start"], pair[0]["time"], "no gap and no overlap");
            assert_eq!(pair[1]["temporality"], 1);
        }
    }
}

#[test]
fn cumulative_values_are_right_at_once_after_an_outage() {
    for transport in BOTH {
        let mut receiver = OtlpReceiver::start();
        let (http, grpc) = (receiver.http(), receiver.grpc());
        let push = pushing(transport, &receiver, TemporalityPreference::Cumulative);
        push.counter.add(1, &[]);
        run(push.handle.force_flush()).expect("it is there");
        assert_eq!(sum(&receiver.take()), 1);
        drop(receiver);
        push.counter.add(10, &[]);
        let flushed = run(push.handle.force_flush());
        assert_eq!(flushed, Err(FlushError::NotDelivered(Outcome::Failed)));
        let mut receiver = OtlpReceiver::again(http, grpc);
        push.counter.add(100, &[]);
        run(push.handle.shutdown(ENOUGH)).expect("it is there again");
        let after = receiver.take();
        assert_eq!(sum(&after), 111);
        assert_eq!(after.of("c").count(), 1, "older values are not sent late");
        let ended = run(push.handle.force_flush());
        assert_eq!(ended, Err(FlushError::Ended));
    }
}

#[test]
fn shutting_down_meets_its_deadline_whatever_the_receiver_does() {
    for transport in BOTH {
        let mut receiver = OtlpReceiver::start();
        receiver.behave(&[], json!({"how": "hang"}));
        let push = pushing(transport, &receiver, TemporalityPreference::Cumulative);
        push.counter.add(1, &[]);
        // One export hangs already when the end comes.
        let both = async {
            let within = Duration::from_secs(1);
            let later = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                push.handle.shutdown(within).await
            };
            tokio::join!(push.handle.force_flush(), later)
        };
        let began = Instant::now();
        let (_, ended) = run(both);
        assert_eq!(ended, Err(FlushError::NotDelivered(Outcome::Failed)));
        assert!(began.elapsed() < ENOUGH / 2, "a hanging receiver is left");
    }
}
