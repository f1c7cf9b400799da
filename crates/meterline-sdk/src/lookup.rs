//! From the attributes of a measurement to its entry, without a lock once a thread has seen it.
//!
//! Each thread remembers the entries it used last, in a small table indexed by hash. A hit is
//! decided by full equality; a miss goes to the stream's own map.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Attributes;
use crate::attributes::Order;
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
    /// In which order they were given when this was remembered.
    order: Order,
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

/// What is looked for: a stream (by its process-wide number), and attributes with their hash, in which
/// their order may count.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) stream: u64,
    pub(crate) hash: u64,
    pub(crate) attributes: &'a [opentelemetry::KeyValue],
}

impl Wanted<'_> {
    fn slot(&self) -> usize {
        usize::try_from(self.hash % SLOTS as u64).unwrap_or(0)
    }
}

/// Calls `record` with the wanted entry if this thread remembers it; whether it does.
#[inline]
pub(crate) fn with_remembered(wanted: Wanted<'_>, record: impl FnOnce(&Arc<Entry>)) -> bool {
    let remembered = TABLE.try_with(|table| {
        // Borrowed already where something is dropped that records, which a subscriber may do.
        let Ok(table) = table.try_borrow() else {
            return false;
        };
        if table.forgotten != FORGET.load(Relaxed) {
            return false;
        }
        if let Some(Some(slot)) = table.slots.get(wanted.slot())
            && slot.stream == wanted.stream
            && slot.hash == wanted.hash
            && slot.attributes().matches_in(slot.order, wanted.attributes)
        {
            record(&slot.entry);
            return true;
        }
        false
    });
    // Not in a thread that is being torn down.
    remembered.unwrap_or(false)
}

/// Has this thread remember the entry that was found. `filtered`: it may lack some of the wanted
/// attributes.
pub(crate) fn remember(wanted: Wanted<'_>, entry: Arc<Entry>, filtered: bool) {
    let given = filtered.then(|| Attributes::new(wanted.attributes));
    let slot = Slot {
        stream: wanted.stream,
        hash: wanted.hash,
        order: Order::of(
            wanted.attributes,
            given.as_ref().unwrap_or(&entry.attributes),
        ),
        given,
        entry,
    };
    let replaced = TABLE.try_with(|table| {
        let mut table = table.try_borrow_mut().ok()?;
        table.catch_up();
        table.slots[wanted.slot()].replace(slot)
    });
    // Once the table is free again.
    drop(replaced);
}

/// Has every thread forget the entries that are dormant, when it next looks one up.
pub(crate) fn forget_dormant() {
    FORGET.fetch_add(1, Relaxed);
}

impl Table {
    fn catch_up(&mut self) {
        let forget = FORGET.load(Relaxed);
        if self.forgotten == forget && !self.slots.is_empty() {
            return;
        }
        self.forgotten = forget;
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
