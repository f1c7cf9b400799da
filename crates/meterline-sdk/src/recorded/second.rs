//! The second aggregation of a histogram: in exponential buckets too, once a reader asks for them.

use std::sync::Arc;

use super::{Entry, Recorded};
use crate::cell::exponential::ExponentialOptions;
use crate::cell::{Cell, ExponentialCell};
use crate::number::{Measure, NumberKind};

impl Recorded {
    /// Has all series record in exponential buckets as well, from now on, if which histogram it is
    /// is for readers to choose.
    pub(crate) fn want_exponential(&self) {
        if !self.plan.by_reader {
            return;
        }
        match self.instrument().number {
            NumberKind::U64 => self.want_exponential_of::<u64>(),
            NumberKind::I64 => self.want_exponential_of::<i64>(),
            NumberKind::F64 => self.want_exponential_of::<f64>(),
        }
    }

    fn want_exponential_of<M: Measure>(&self) {
        // Nobody reads before all series have what is to be read.
        let mut listing = self.listing.lock();
        {
            // Entries that are made from here on have it at once; those made before are listed, or
            // on their way there, or asleep in the maps.
            let mut changes = self.changes.lock();
            changes.second = true;
            changes.woken.iter().for_each(add_exponential::<M>);
        }
        let listed = listing.listed.iter().map(|listed| &listed.entry);
        listed.for_each(add_exponential::<M>);
        for shard in &self.shards {
            shard.read().iter().for_each(add_exponential::<M>);
        }
        let exempt = [&self.bare, &self.overflow];
        let exempt = exempt.into_iter().filter_map(|entry| entry.get());
        exempt.for_each(add_exponential::<M>);
        listing.second = true;
    }
}

pub(super) fn add_exponential<M: Measure>(entry: &Arc<Entry>) {
    if let Cell::Histogram { exponential, .. } = &entry.cell {
        let new = || Box::new(ExponentialCell::new::<M>(ExponentialOptions::default()));
        exponential.get_or_init(new);
    }
}
