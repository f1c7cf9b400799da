//! A dense range of exponential buckets that moves, grows and coarsens.

#![allow(
    clippy::cast_possible_wrap,
    reason = "there are never more than some thousand buckets"
)]

use std::ops::RangeInclusive;

/// Fewer are not worth an allocation of their own.
const LEAST: usize = 8;

/// The counts of buckets from `start` on. At both ends there may be some that are empty, for what
/// comes next; there are never more than the histogram may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    start: i32,
    counts: Vec<u64>,
}

impl Buckets {
    /// Counts one in a bucket, if there is room for it.
    #[inline]
    pub(super) fn count(&mut self, index: i32) -> bool {
        // A bucket before the first wraps around to a position far beyond the last.
        let position = index.wrapping_sub(self.start).cast_unsigned() as usize;
        match self.counts.get_mut(position) {
            Some(count) => {
                *count += 1;
                true
            }
            None => false,
        }
    }

    /// From the first to the last bucket that is not empty.
    pub(super) fn range(&self) -> Option<RangeInclusive<i32>> {
        let first = self.counts.iter().position(|count| *count > 0)?;
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        Some(self.start + first as i32..=self.start + last as i32)
    }

    /// The first bucket that is not empty, and the counts from there to the last such.
    pub(super) fn filled(&self) -> (i32, &[u64]) {
        let Some(range) = self.range() else {
            return (0, &[]);
        };
        let position = |index: i32| (index - self.start) as usize;
        let filled = &self.counts[position(*range.start())..=position(*range.end())];
        (*range.start(), filled)
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Joins `2^shift` buckets each.
    pub(super) fn coarsen(&mut self, shift: u32) {
        let Some(last) = self.counts.len().checked_sub(1) else {
            return;
        };
        let (start, joined) = (self.start, |i: i32| i >> shift);
        let position = |at: usize| (joined(start + at as i32) - joined(start)) as usize;
        for at in 1..=last {
            let count = std::mem::take(&mut self.counts[at]);
            self.counts[position(at)] += count;
        }
        self.counts.truncate(position(last) + 1);
        self.start = joined(start);
    }

    /// Makes room for a range, with some more where it grows, up to `most` buckets. Together with
    /// what is filled already it has no more.
    pub(super) fn make_room(&mut self, range: RangeInclusive<i32>, most: usize) {
        let filled = self.range();
        let (first, last) = filled.map_or((*range.start(), *range.end()), |filled| {
            let first = *filled.start().min(range.start());
            (first, *filled.end().max(range.end()))
        });
        let size = (last - first) as usize + 1;
        let length = size.next_power_of_two().clamp(LEAST.min(most), most);
        let spare = (length - size) as i32;
        let below = match self.range() {
            Some(filled) if filled.start() > range.start() => spare,
            Some(_) => 0,
            None => spare / 2,
        };
        let (from, old) = self.filled();
        let start = first - below;
        let mut counts = vec![0; length];
        if !old.is_empty() {
            let at = (from - start) as usize;
            counts[at..at + old.len()].copy_from_slice(old);
        }
        *self = Self { start, counts };
    }

    /// Adds counts that begin at bucket `from` of a histogram `2^shift` times as fine.
    pub(super) fn add(&mut self, from: i32, counts: &[u64], shift: u32) {
        for (at, count) in counts.iter().enumerate() {
            let position = ((from + at as i32) >> shift) - self.start;
            self.counts[position as usize] += count;
        }
    }
}
