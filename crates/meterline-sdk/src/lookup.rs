//! From the attributes of a measurement to its series, without a lock once a thread has seen it.
//!
//! Each thread remembers the series it used last, in a small table indexed by hash. A hit is
//! decided by full equality; a miss goes to the stream's own map.

use std::cell::RefCell;
use std::sync::Arc;

use crate::{Attributes, Series};

/// How many series a thread remembers, and so keeps in memory even if their provider is gone.
const SLOTS: usize = 256;

struct Slot {
    stream: u64,
    hash: u64,
    /// The attributes it is found by, where a view left some of them out.
    given: Option<Attributes>,
    series: Arc<Series>,
}

impl Slot {
    fn attributes(&self) -> &Attributes {
        self.given.as_ref().unwrap_or(self.series.attributes())
    }
}

thread_local! {
    static SLOTS_OF_THREAD: RefCell<Vec<Option<Slot>>> = const { RefCell::new(Vec::new()) };
}

/// What is looked for: a stream (by its process-wide number), and attributes with their hash.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) stream: u64,
    pub(crate) hash: u64,
    pub(crate) attributes: &'a [opentelemetry::KeyValue],
    /// Whether the series may lack some of the attributes.
    pub(crate) filtered: bool,
}

/// Calls `record` with the wanted series: the remembered one, or else what `find` returns. A series
/// that `find` says not to remember (the overflow series, which is no exact match) is used once.
pub(crate) fn with_series(wanted: Wanted<'_>, find: impl Fn() -> Found, record: impl Fn(&Series)) {
    let index = usize::try_from(wanted.hash % SLOTS as u64).unwrap_or(0);
    let remembered = SLOTS_OF_THREAD.try_with(|slots| {
        let Ok(mut slots) = slots.try_borrow_mut() else {
            return false;
        };
        if slots.is_empty() {
            slots.resize_with(SLOTS, || None);
        }
        let slot = &mut slots[index];
        if let Some(slot) = slot
            && slot.stream == wanted.stream
            && slot.hash == wanted.hash
            && slot.attributes().matches(wanted.attributes)
        {
            record(&slot.series);
            return true;
        }
        match find() {
            Found::Exact(series) => {
                record(&series);
                let given = wanted.filtered.then(|| Attributes::new(wanted.attributes));
                *slot = Some(Slot {
                    given,
                    stream: wanted.stream,
                    hash: wanted.hash,
                    series,
                });
            }
            Found::Overflow(series) => record(&series),
        }
        true
    });
    if !remembered.unwrap_or(false) {
        // The thread is being torn down, or a log subscriber records while a lookup logs.
        let (Found::Exact(series) | Found::Overflow(series)) = find();
        record(&series);
    }
}

/// The answer of a stream's own map.
pub(crate) enum Found {
    Exact(Arc<Series>),
    Overflow(Arc<Series>),
}
