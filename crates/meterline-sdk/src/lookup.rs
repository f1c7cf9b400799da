//! From the attributes of a measurement to its entry, without a lock once a thread has seen it.
//!
//! Each thread remembers the entries it used last, in a small table indexed by hash. A hit is
//! decided by full equality; a miss goes to the stream's own map.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Attributes;
use crate::recorded::Entry;

/// How many entries a thread remembers. A thread that no longer records keeps them in memory, also
/// when their series ended or their provider is gone: asking it to let go would cost each recording
/// a locked instruction.
const SLOTS: usize = 256;

/// Grows when there are entries that threads should forget.
static FORGET: AtomicU64 = AtomicU64::new(0);

struct Slot {
    stream: u64,
    hash: u64,
    /// The attributes it is found by, where a view left some of them out.
    given: Option<Attributes>,
    entry: Arc<Entry>,
}

impl Slot {
    fn attributes(&self) -> &Attributes {
        self.given.as_ref().unwrap_or(&self.entry.attributes)
    }
}

/// What one thread remembers.
struct Table {
    slots: Vec<Option<Slot>>,
    /// The value of [`FORGET`] up to which it has forgotten.
    forgotten: u64,
}

thread_local! {
    static TABLE: RefCell<Table> = const {
        RefCell::new(Table { slots: Vec::new(), forgotten: 0 })
    };
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

/// Calls `record` with the wanted entry: the remembered one, or else what `find` returns. An entry
/// that `find` says not to remember (the overflow one, which is no exact match) is used once.
pub(crate) fn with_entry(
    wanted: Wanted<'_>,
    find: impl Fn() -> Found,
    record: impl Fn(&Arc<Entry>),
) {
    let index = usize::try_from(wanted.hash % SLOTS as u64).unwrap_or(0);
    let remembered = TABLE.try_with(|table| {
        let Ok(mut table) = table.try_borrow_mut() else {
            return false;
        };
        if table.forgotten != FORGET.load(Relaxed) || table.slots.is_empty() {
            table.catch_up();
        }
        let slot = &mut table.slots[index];
        if let Some(slot) = slot
            && slot.stream == wanted.stream
            && slot.hash == wanted.hash
            && slot.attributes().matches(wanted.attributes)
        {
            record(&slot.entry);
            return true;
        }
        match find() {
            Found::Exact(entry) => {
                record(&entry);
                let given = wanted.filtered.then(|| Attributes::new(wanted.attributes));
                *slot = Some(Slot {
                    given,
                    stream: wanted.stream,
                    hash: wanted.hash,
                    entry,
                });
            }
            Found::Overflow(entry) => record(&entry),
        }
        true
    });
    if !remembered.unwrap_or(false) {
        // The thread is being torn down, or a log subscriber records while a lookup logs.
        let (Found::Exact(entry) | Found::Overflow(entry)) = find();
        record(&entry);
    }
}

/// Has every thread forget the entries that are dormant, when it next looks one up.
pub(crate) fn forget_dormant() {
    FORGET.fetch_add(1, Relaxed);
}

impl Table {
    #[cold]
    fn catch_up(&mut self) {
        self.forgotten = FORGET.load(Relaxed);
        self.slots.resize_with(SLOTS, || None);
        for slot in &mut self.slots {
            slot.take_if(|slot| slot.entry.is_dormant());
        }
    }
}

/// The answer of a stream's own map.
pub(crate) enum Found {
    Exact(Arc<Entry>),
    Overflow(Arc<Entry>),
}
