use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Label, Sample, Suffix};

/// Which samples of a family have been seen, by what makes them the same.
///
/// Compares whole label sets; the hash, which is seeded anew for each, only finds candidates.
#[derive(Debug, Default)]
pub(super) struct Seen {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// What makes two samples the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'p> {
    /// Those of the page.
    pub(super) labels: &'p [Label<'p>],
    /// Whether suffix and bound count; without them, it is a metric of several samples.
    pub(super) series: bool,
    /// A label that does not count.
    pub(super) without: Option<&'p str>,
}

impl<'p> Identity<'p> {
    fn labels(self, sample: &Sample<'_>) -> impl Iterator<Item = &'p Label<'p>> {
        let own = &self.labels[sample.labels.start as usize..sample.labels.end as usize];
        own.iter()
            .filter(move |label| self.without != Some(&*label.name))
    }

    fn key(self, sample: &Sample<'_>) -> Option<(Suffix, Option<u64>)> {
        let bound = sample.bound.map(f64::to_bits);
        self.series.then_some((sample.suffix, bound))
    }

    pub(super) fn same(self, one: &Sample<'_>, other: &Sample<'_>) -> bool {
        self.key(one) == self.key(other)
            && (one.labels == other.labels || self.labels(one).eq(self.labels(other)))
    }
}

impl Seen {
    /// Notes the sample at an index and returns that of the same one noted before, which it
    /// replaces.
    pub(super) fn replace(
        &mut self,
        identity: Identity<'_>,
        samples: &[Sample<'_>],
        index: usize,
    ) -> Option<usize> {
        let hash = |index: u32| {
            let mut hasher = self.hasher.build_hasher();
            let sample = &samples[index as usize];
            identity.key(sample).hash(&mut hasher);
            identity
                .labels(sample)
                .for_each(|label| label.hash(&mut hasher));
            hasher.finish()
        };
        let stored = super::page::place(index);
        let same = |other: &u32| identity.same(&samples[*other as usize], &samples[index]);
        match self.table.find_mut(hash(stored), same) {
            Some(before) => Some(std::mem::replace(before, stored) as usize),
            None => {
                self.table
                    .insert_unique(hash(stored), stored, |other| hash(*other));
                None
            }
        }
    }
}
