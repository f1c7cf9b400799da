//! A model checker goes through every interleaving, and the orders that it knows the memory model to allow,
//! of recording into a series while it ends. What is checked is the very code of `src/recorded/entry.rs`,
//! over a histogram reduced to its sum and one bucket; in `stripes`, the very code of the cells, while
//! they grow.

mod cell;
#[path = "../../src/recorded/entry.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod entry;
#[path = "../../src/number.rs"]
#[allow(dead_code, unreachable_pub, reason = "not all of it takes part")]
mod number;
mod stripes;
mod sync;

/// Exemplars take no part.
mod exemplar {
    #[derive(Debug)]
    pub(crate) struct Reservoir;
}

use cell::{Cell, Taken};
use entry::Entry;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// The model has one series; nobody asks what distinguishes it.
#[derive(Debug)]
pub(crate) struct Attributes;

/// An entry, and the lock under which series end and wake.
struct Stream {
    entry: Entry,
    changes: Mutex<()>,
}

impl Stream {
    /// With one recording of 1 that everyone has read.
    fn new() -> Arc<Self> {
        let stream = Arc::new(Self {
            entry: Entry::new(Attributes, Cell::default(), 1),
            changes: Mutex::new(()),
        });
        assert!(stream.entry.record(1u64));
        stream
    }

    /// As `Recorded::record_into` does.
    fn record(&self) {
        while !self.entry.record(1u64) {
            self.wake();
        }
    }

    fn wake(&self) {
        let _changes = self.changes.lock().expect("nobody panics");
        if self.entry.is_dormant() {
            self.entry.wake(1);
        }
    }

    fn expire(&self, fingerprint: u64) -> bool {
        let _changes = self.changes.lock().expect("nobody panics");
        self.entry.expire::<u64>(fingerprint)
    }

    fn remove(&self) -> Option<Taken> {
        let _changes = self.changes.lock().expect("nobody panics");
        self.entry.end::<u64>()
    }

    /// What the next collection finds: what was recorded into a dormant entry wakes it.
    fn found(&self) -> Taken {
        if self.entry.is_dormant() && self.entry.holds_anything::<u64>() {
            self.wake();
        }
        let found = self.entry.cell.read();
        assert!(
            found.is_nothing() || !self.entry.is_dormant(),
            "what was recorded is shown"
        );
        found
    }
}

/// Whether a series that ended with `ended`, and what came after it, are these recordings of 1.
fn assert_all(recordings: u64, ended: &Taken, after: &Taken) {
    assert_eq!(ended.count + after.count, recordings);
    assert_eq!(ended.sum + after.sum, recordings);
}

#[test]
fn a_recording_that_begins_before_the_series_is_quiet_is_counted_once() {
    loom::model(|| {
        let stream = Stream::new();
        let recorder = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || stream.record())
        };
        stream.entry.quieten();
        let read = stream.entry.cell.read();
        let ended = if stream.expire(read.fingerprint()) {
            read
        } else {
            Taken::default()
        };
        recorder.join().expect("it records");
        assert_all(2, &ended, &stream.found());
    });
}

#[test]
fn a_recording_into_a_quiet_series_is_in_the_old_or_in_the_new_one() {
    loom::model(|| {
        let stream = Stream::new();
        assert!(stream.entry.quieten());
        let read = stream.entry.cell.read();
        let recorder = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || stream.record())
        };
        let ended = if stream.expire(read.fingerprint()) {
            assert_eq!((read.count, read.sum), (1, 1));
            read
        } else {
            Taken::default()
        };
        recorder.join().expect("it records");
        let after = stream.found();
        assert_eq!(after.count, after.sum, "as a whole");
        assert_all(2, &ended, &after);
    });
}

#[test]
fn a_recording_into_a_series_that_is_removed_is_counted_once() {
    loom::model(|| {
        let stream = Stream::new();
        let recorder = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || stream.record())
        };
        let ended = stream.remove().expect("it was awake");
        let again = stream.remove().unwrap_or_default();
        recorder.join().expect("it records");
        let after = stream.found();
        assert_eq!(ended.count + again.count + after.count, 2);
        assert_eq!(ended.sum + again.sum + after.sum, 2);
    });
}

#[test]
fn a_series_that_came_back_is_newer() {
    loom::model(|| {
        let stream = Stream::new();
        let began = stream.entry.start();
        assert!(stream.remove().is_some());
        let recorder = {
            let stream = Arc::clone(&stream);
            thread::spawn(move || stream.record())
        };
        stream.record();
        recorder.join().expect("it records");
        assert!(stream.entry.start() > began);
        assert_eq!(stream.found().count, 2);
    });
}
