//! Flushing and shutting down a provider reaches all who push, and tells how it went.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meterline_sdk::{Data, MeterProvider, Number, Push, PushError, Reader, ReaderOptions};
use opentelemetry::metrics::MeterProvider as _;

const LONG: Duration = Duration::from_secs(3600);

/// Sends what its reader sees through a channel: nobody listens there once the receiver is dropped.
struct ByChannel {
    reader: Reader,
    to: Mutex<Sender<u64>>,
}

impl ByChannel {
    fn add_to(provider: &MeterProvider) -> (Receiver<u64>, Arc<Self>) {
        let (to, received) = channel();
        let reader = provider.reader(ReaderOptions::default());
        let to = Mutex::new(to);
        let push = Arc::new(Self { reader, to });
        provider.add_push(&push);
        (received, push)
    }
}

impl Push for ByChannel {
    fn force_flush(&self, within: Duration) -> Result<(), PushError> {
        if within.is_zero() {
            return Err(PushError::TimedOut);
        }
        let snapshot = self.reader.collect();
        let total = match snapshot.metrics.first().map(|metric| &metric.data) {
            Some(Data::Sum { values, .. }) => values[0],
            other => panic!("{other:?}"),
        };
        let Number::U64(total) = total else {
            panic!("{total:?}")
        };
        let sent = self.to.lock().expect("nobody panics").send(total);
        sent.map_err(|gone| PushError::NotDelivered(gone.to_string()))
    }

    fn shutdown(&self, within: Duration) -> Result<(), PushError> {
        self.force_flush(within)
    }
}

#[test]
fn a_flush_reaches_all_who_push_and_tells_the_first_failure() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    assert_eq!(provider.force_flush(LONG), Ok(()), "nobody pushes");
    let [(one, _one), (two, _two), (three, dropped)] =
        [(); 3].map(|()| ByChannel::add_to(&provider));
    counter.add(1, &[]);
    assert_eq!(provider.force_flush(LONG), Ok(()));
    assert_eq!([&one, &two, &three].map(Receiver::try_recv), [Ok(1); 3]);

    drop(two);
    counter.add(1, &[]);
    let failed = provider.force_flush(LONG);
    assert!(
        matches!(failed, Err(PushError::NotDelivered(_))),
        "{failed:?}"
    );
    assert_eq!([&one, &three].map(Receiver::try_recv), [Ok(2); 2]);
    drop(dropped);
    assert!(provider.force_flush(LONG).is_err());
    assert_eq!(one.try_recv(), Ok(2));
    assert!(three.try_recv().is_err(), "it is gone");
    assert_eq!(
        provider.force_flush(Duration::ZERO),
        Err(PushError::TimedOut)
    );
}

#[test]
fn a_shutdown_happens_once_and_leaves_what_was_there_recording() {
    let provider = MeterProvider::default();
    let counter = provider.meter("test").u64_counter("c").build();
    let (received, _push) = ByChannel::add_to(&provider);
    counter.add(1, &[]);
    assert_eq!(provider.shutdown(LONG), Ok(()));
    assert_eq!(received.try_recv(), Ok(1));
    assert_eq!(provider.shutdown(LONG), Err(PushError::ShutDown));
    assert_eq!(provider.force_flush(LONG), Err(PushError::ShutDown));
    assert!(received.try_recv().is_err(), "told once");

    let late = provider.meter("late").u64_counter("d").build();
    late.add(1, &[]);
    counter.add(1, &[]);
    let snapshot = provider.collect();
    assert_eq!(snapshot.metrics.len(), 1, "no instrument is new");
    let values = vec![Number::U64(2)];
    let monotonic = true;
    assert_eq!(snapshot.metrics[0].data, Data::Sum { monotonic, values });
}
