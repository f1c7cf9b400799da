//! Callbacks that take too long, and those that several readers share.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use meterline_sdk::{Data, MeterProvider, Number, ReaderOptions, Snapshot};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;

fn with_deadline(deadline: Duration) -> MeterProvider {
    let builder = MeterProvider::builder();
    builder.with_callback_deadline(deadline).build()
}

/// Long enough that callbacks which do not wait make it on a busy machine.
fn impatient() -> MeterProvider {
    with_deadline(Duration::from_secs(1))
}

/// A gauge whose callback tells when it starts, and returns when it is told to.
fn gate(provider: &MeterProvider, name: &'static str) -> (Receiver<()>, Sender<()>) {
    let (started, starts) = channel();
    let (open, opened) = channel::<()>();
    let opened = Mutex::new(opened);
    provider
        .meter("test")
        .u64_observable_gauge(name)
        .with_callback(move |to| {
            to.observe(1, &[KeyValue::new("before", true)]);
            // Whoever listened may be gone, and so may who opens: then it is open.
            let _ = started.send(());
            let _ = opened.lock().expect("no callback panics").recv();
            to.observe(2, &[]);
        })
        .build();
    (starts, open)
}

fn free(provider: &MeterProvider, name: &'static str) {
    provider
        .meter("test")
        .u64_observable_gauge(name)
        .with_callback(|to| to.observe(7, &[]))
        .build();
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    let metrics = snapshot.metrics.iter();
    metrics.map(|metric| &*metric.descriptor.name).collect()
}

#[test]
fn a_late_callback_is_left_out_alone_and_not_started_twice() {
    let provider = impatient();
    free(&provider, "a");
    let (starts, open) = gate(&provider, "b");
    free(&provider, "c");
    for late in 1..4 {
        assert_eq!(names(&provider.collect()), ["a", "c"]);
        assert_eq!(provider.stats().late_callbacks, late);
    }
    assert_eq!(starts.try_iter().count(), 1, "it still runs");
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(30);
    let back = loop {
        let snapshot = provider.collect();
        if snapshot.metrics.len() == 3 {
            break snapshot;
        }
        assert!(Instant::now() < deadline, "it stays away");
    };
    let values = vec![Number::U64(2), Number::U64(1)];
    assert_eq!(back.metrics[1].data, Data::Gauge(values), "all it said");
}

#[test]
fn no_more_than_a_few_threads_are_given_to_callbacks_that_block() {
    // However short: what blocks is late, and what has no thread is not even started.
    let provider = with_deadline(Duration::from_millis(20));
    let (blocking, waiting) = (["a", "b", "c", "d"], ["e", "f"]);
    let blocking = blocking.map(|name| gate(&provider, name));
    let waiting = waiting.map(|name| gate(&provider, name));
    free(&provider, "z");
    assert!(provider.collect().metrics.is_empty());
    assert_eq!(provider.stats().late_callbacks, 7);
    for (starts, _) in &blocking {
        let started = starts.recv_timeout(Duration::from_secs(60));
        assert_eq!(started, Ok(()), "each had a thread to block");
    }
    // Recording goes on, and so does collecting.
    provider.meter("test").u64_counter("n").build().add(1, &[]);
    assert_eq!(names(&provider.collect()), ["n"]);
    assert_eq!(provider.stats().late_callbacks, 14);
    for (starts, _) in blocking.iter().chain(&waiting) {
        assert_eq!(starts.try_recv(), Err(TryRecvError::Empty));
    }

    drop((blocking, waiting));
    let deadline = Instant::now() + Duration::from_secs(60);
    while names(&provider.collect()).len() < 8 {
        assert!(Instant::now() < deadline, "they stay away");
    }
}

#[test]
fn there_may_be_no_deadline() {
    let provider = with_deadline(Duration::MAX);
    let (starts, open) = gate(&provider, "a");
    let collecting = provider.clone();
    let collecting = std::thread::spawn(move || names(&collecting.collect()).len());
    assert_eq!(starts.recv_timeout(Duration::from_secs(60)), Ok(()));
    drop(open);
    assert_eq!(collecting.join().expect("no panic"), 1);
}

/// Panics also when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose, too")
    }
}

#[test]
fn a_panic_that_costs_the_thread_costs_no_other_callback() {
    let provider = MeterProvider::default();
    free(&provider, "a");
    provider
        .meter("test")
        .u64_observable_gauge("b")
        .with_callback(|_| std::panic::panic_any(Bomb))
        .build();
    free(&provider, "c");
    for panics in 1..4 {
        assert_eq!(names(&provider.collect()), ["a", "c"]);
        assert_eq!(provider.stats().callback_panics, panics, "it is run again");
    }
}

#[test]
fn a_callback_that_collects_waits_for_nothing_but_its_deadline() {
    let provider = impatient();
    let weak = provider.downgrade();
    provider
        .meter("test")
        .u64_observable_gauge("a")
        .with_callback(move |to| {
            let inner = weak.upgrade().map(|provider| provider.collect());
            to.observe(inner.map_or(0, |inner| inner.metrics.len() as u64), &[]);
        })
        .build();
    free(&provider, "b");
    assert_eq!(names(&provider.collect()), ["b"]);
}

#[test]
fn a_callback_may_declare_and_remove_series() {
    let provider = MeterProvider::default();
    let weak = provider.downgrade();
    let meter = provider.meter("test");
    let counter = meter.u64_counter("c").build();
    counter.add(1, &[KeyValue::new("a", 1)]);
    meter
        .u64_observable_gauge("g")
        .with_callback(move |to| {
            let provider = weak.upgrade().expect("it collects");
            let done = provider.remove("test", "c", &[KeyValue::new("a", 1)])
                && provider.declare("test", "c", &[KeyValue::new("a", 2)]);
            to.observe(done.into(), &[]);
        })
        .build();
    let snapshot = provider.collect();
    assert_eq!(names(&snapshot), ["c", "g"]);
    assert_eq!(snapshot.metrics[1].data, Data::Gauge(vec![Number::U64(1)]));
    assert_eq!(
        **snapshot.metrics[0].series[0].attributes(),
        [KeyValue::new("a", 2)]
    );
}

#[test]
fn readers_share_a_call_within_the_window_but_none_sees_it_twice() {
    let hour = Duration::from_secs(3600);
    let provider = MeterProvider::builder().with_callback_window(hour).build();
    let calls = Arc::new(AtomicU64::new(0));
    let called = Arc::clone(&calls);
    provider
        .meter("test")
        .u64_observable_counter("calls")
        .with_callback(move |to| to.observe(called.fetch_add(1, SeqCst) + 1, &[]))
        .build();
    let (one, two) = (
        provider.reader(ReaderOptions::default()),
        provider.reader(ReaderOptions::default()),
    );
    let value = |snapshot: Snapshot| match &snapshot.metrics[0].data {
        Data::Sum { values, .. } => values[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(value(one.collect()), Number::U64(1));
    assert_eq!(value(two.collect()), Number::U64(1));
    assert_eq!(value(provider.collect()), Number::U64(1));
    assert_eq!(value(one.collect()), Number::U64(2));
    assert_eq!(value(one.collect()), Number::U64(3));
    assert_eq!(value(two.collect()), Number::U64(3));
    assert_eq!(calls.load(SeqCst), 3);
}

#[test]
fn collections_are_counted_and_timed_with_their_callbacks() {
    const PAUSE: Duration = Duration::from_millis(20);
    let provider = MeterProvider::default();
    provider
        .meter("test")
        .u64_observable_gauge("slow")
        .with_callback(|_| std::thread::sleep(PAUSE))
        .build();
    let reader = provider.reader(ReaderOptions::default());
    assert_eq!(provider.stats().collections, 0);
    drop((provider.collect(), reader.collect()));
    let stats = provider.stats();
    assert_eq!(stats.collections, 2);
    assert!(stats.collection_time >= 2 * PAUSE, "{stats:?}");
}
