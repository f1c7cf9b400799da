//! Where the totals of an instrument lie: side by side, so that a collection walks through a few
//! cache lines in a row and not from series to series.
//!
//! Threads that record into different totals of one line take it from each other. That is noticed
//! as it is for a single total: where it happens often, those recorded into grow stripes and leave
//! the line alone.

use std::sync::Arc;

use super::stripe;
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// How many totals a line has.
const TOTALS: usize = 6;

/// What the place of a total is counted in per line: a power of two, so that taking it apart is a
/// shift and a mask.
const STRIDE: u32 = 8;

/// A cache line of totals.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line {
    totals: [AtomicU64; TOTALS],
    /// Who recorded into this line last, and how often that changed.
    turns: AtomicU64,
    /// A bit for each total of which only a part is here, because it has grown stripes.
    striped: AtomicU8,
}

/// The lines of one instrument, in chunks each twice as long as the one before, so that they never
/// move. A chunk that is used no more is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(pub(super) Vec<Arc<[Line]>>);

/// Which series the totals are of: for each line their positions, or [`NOBODY`].
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<[u32; TOTALS]>);

const NOBODY: u32 = u32::MAX;

/// Where a total is among the lines of its instrument.
pub(crate) type Place = u32;

/// A place that is one series' own, with what it takes to get there.
#[derive(Debug)]
pub(crate) struct Owned {
    chunk: Arc<[Line]>,
    place: Place,
    /// Which line of the chunk that is.
    line: u32,
}

/// Hands out the places of an instrument.
#[derive(Debug, Default)]
pub(crate) struct Places {
    lines: Lines,
    /// As many as there are chunks.
    free: Vec<Free>,
}

/// The places of a chunk that nobody has.
#[derive(Debug, Default)]
struct Free {
    /// Those from here on were never taken.
    unused: Place,
    returned: Vec<Place>,
}

/// Which line, of all of the instrument, a place is in.
fn line_of(place: Place) -> usize {
    (place / STRIDE) as usize
}

/// Which chunk a place is in.
fn chunk_of(place: Place) -> usize {
    (line_of(place) + 1).ilog2() as usize
}

/// Which line of its chunk a place is in.
fn line_in(place: Place, chunk: usize) -> u32 {
    (place - first_of(chunk)) / STRIDE
}

/// Which total of its line is at a place.
fn total_in(place: Place) -> usize {
    (place % STRIDE) as usize
}

impl Lines {
    /// Tells of each series that `order` knows the total, or `None` if that has stripes too. In the
    /// order of memory, which need not be that of the series.
    pub(crate) fn read(&self, order: &Order, mut tell: impl FnMut(usize, Option<u64>)) {
        for (chunk, lines) in self.0.iter().enumerate() {
            let known = order.0.get(line_of(first_of(chunk))..).unwrap_or_default();
            for (line, series) in lines.iter().zip(known) {
                stripe::was_read(&line.turns);
                let striped = line.striped.load(Relaxed);
                for (at, (total, series)) in line.totals.iter().zip(series).enumerate() {
                    let whole = striped & (1 << at) == 0;
                    tell(*series as usize, whole.then(|| total.load(Relaxed)));
                }
            }
        }
    }
}

impl Order {
    /// Of series in order, with the places of their totals.
    pub(crate) fn of(places: impl Iterator<Item = Place>) -> Self {
        let mut order = Vec::new();
        for (series, place) in (0..).zip(places) {
            let line = line_of(place);
            if line >= order.len() {
                order.resize(line + 1, [NOBODY; TOTALS]);
            }
            order[line][total_in(place)] = series;
        }
        order.shrink_to_fit();
        Self(order)
    }
}

impl Owned {
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    #[inline]
    fn line(&self) -> &Line {
        &self.chunk[self.line as usize]
    }

    /// The total, or what of it is not in stripes.
    #[inline]
    pub(super) fn word(&self) -> &AtomicU64 {
        &self.line().totals[total_in(self.place)]
    }

    /// Whether the line has changed hands so often that who records into it should leave it.
    #[inline]
    pub(super) fn changed_hands(&self) -> bool {
        stripe::changed_hands(&self.line().turns)
    }

    /// Tells readers that this is not all of the total. To be done before stripes are published:
    /// who recorded into one before a collection began has then seen the mark, and so does the
    /// collection.
    pub(super) fn mark_striped(&self) {
        let mark = 1 << total_in(self.place);
        self.line().striped.fetch_or(mark, Relaxed);
    }

    fn unmark(&self) {
        let mark: u8 = 1 << total_in(self.place);
        self.line().striped.fetch_and(!mark, Relaxed);
    }
}

impl Places {
    /// One that nobody has; the total there is zero.
    pub(crate) fn take(&mut self) -> Owned {
        let chunk = match (0..self.free.len()).find(|&chunk| self.has_room(chunk)) {
            Some(chunk) => chunk,
            None => self.grow(),
        };
        let free = &mut self.free[chunk];
        let place = free.returned.pop().unwrap_or_else(|| {
            let place = free.unused;
            let is_last_of_line = total_in(place) + 1 == TOTALS;
            free.unused = if is_last_of_line {
                (place / STRIDE + 1) * STRIDE
            } else {
                place + 1
            };
            place
        });
        let lines = &mut self.lines.0[chunk];
        if lines.is_empty() {
            *lines = new_chunk(chunk);
        }
        Owned {
            line: line_in(place, chunk),
            chunk: Arc::clone(lines),
            place,
        }
    }

    /// Takes back one whose series is forgotten, with a total of zero.
    pub(crate) fn give_back(&mut self, owned: &Owned) {
        owned.unmark();
        let chunk = chunk_of(owned.place);
        let first = first_of(chunk);
        let free = &mut self.free[chunk];
        free.returned.push(owned.place);
        let lines = (free.unused - first) / STRIDE;
        let taken = lines as usize * TOTALS + total_in(free.unused);
        if free.returned.len() == taken {
            *free = Free {
                unused: first,
                returned: Vec::new(),
            };
            self.lines.0[chunk] = Arc::default();
        }
    }

    /// The lines as they are now.
    pub(crate) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    fn has_room(&self, chunk: usize) -> bool {
        let free = &self.free[chunk];
        !free.returned.is_empty() || free.unused < first_of(chunk + 1)
    }

    fn grow(&mut self) -> usize {
        let chunk = self.free.len();
        self.lines.0.push(Arc::default());
        self.free.push(Free {
            unused: first_of(chunk),
            returned: Vec::new(),
        });
        chunk
    }
}

/// The first place of a chunk.
fn first_of(chunk: usize) -> Place {
    ((1 << chunk) - 1) * STRIDE
}

fn new_chunk(chunk: usize) -> Arc<[Line]> {
    (0..1 << chunk).map(|_| Line::default()).collect()
}
