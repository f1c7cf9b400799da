//! A bounded, append-only hash table that is read without a lock.
//!
//! The layer looks something up on every request, from every thread, and almost always finds it. So a slot is a
//! [`OnceLock`]: reading it is one acquire load, nothing is ever moved or removed, and no reader writes to memory
//! another thread reads. Inserting races for an empty slot; who loses compares keys and walks on.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;

/// Keys and values, each in its own allocation, so that an empty slot stays small.
type Slot<K, V> = OnceLock<Box<(K, V)>>;

/// See the module.
pub(crate) struct Table<K, V> {
    slots: Box<[Slot<K, V>]>,
    used: AtomicUsize,
    capacity: usize,
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Table<K, V> {
    /// A table that takes `capacity` entries and refuses further ones.
    pub(crate) fn new(capacity: usize) -> Self {
        // At most half full, so that probing ends soon, and never full, so that it ends at all.
        let slots = (capacity + 1).next_power_of_two() * 2;
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            used: AtomicUsize::new(0),
            capacity,
            hasher: RandomState::default(),
        }
    }

    /// The entry of `key` and its position, made by `make` when missing; `None` when missing and the table is full.
    pub(crate) fn get_or_insert<Q>(
        &self,
        key: &Q,
        make: impl FnOnce() -> (K, V),
    ) -> Option<(usize, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut make = Some(make);
        let mask = self.slots.len() - 1;
        // Truncation is fine: only the low bits choose the slot.
        let mut index = self.hasher.hash_one(key) as usize & mask;
        loop {
            let entry = match self.slots[index].get() {
                Some(entry) => entry,
                None => self.fill(&self.slots[index], &mut make)?,
            };
            if entry.0.borrow() == key {
                return Some((index, &entry.1));
            }
            index = (index + 1) & mask;
        }
    }

    /// The key at a position `get_or_insert` returned.
    pub(crate) fn key_at(&self, index: usize) -> Option<&K> {
        self.slots.get(index)?.get().map(|entry| &entry.0)
    }

    /// Puts a new entry into an empty slot, or finds the one another thread has put there meanwhile.
    #[cold]
    fn fill<'t>(
        &'t self,
        slot: &'t Slot<K, V>,
        make: &mut Option<impl FnOnce() -> (K, V)>,
    ) -> Option<&'t (K, V)> {
        if self.used.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.used.fetch_sub(1, Ordering::Relaxed);
            return slot.get().map(|entry| &**entry);
        }
        let mut filled = false;
        let entry = slot.get_or_init(|| {
            filled = true;
            let make = make
                .take()
                .expect("an entry is made once: its key then matches");
            Box::new(make())
        });
        if !filled {
            self.used.fetch_sub(1, Ordering::Relaxed);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once_and_found_again_at_the_same_place() {
        let table: Table<String, usize> = Table::new(8);
        let (first, _) = table.get_or_insert("a", || ("a".into(), 1)).unwrap();
        let (again, value) = table.get_or_insert("a", || unreachable!()).unwrap();
        assert_eq!((first, *value), (again, 1));
        assert_eq!(table.key_at(first).unwrap(), "a");
    }

    #[test]
    fn beyond_its_capacity_it_refuses_new_keys_and_still_finds_old_ones() {
        let table: Table<u32, u32> = Table::new(10);
        let accepted = (0..1000)
            .filter(|key| table.get_or_insert(key, || (*key, *key)).is_some())
            .count();
        assert_eq!(accepted, 10);
        for key in 0..10 {
            assert_eq!(
                table.get_or_insert(&key, || unreachable!()).unwrap().1,
                &key
            );
        }
    }

    #[test]
    fn a_table_without_capacity_refuses_everything() {
        let table: Table<u32, ()> = Table::new(0);
        assert!(table.get_or_insert(&1, || (1, ())).is_none());
    }

    #[test]
    fn threads_that_race_for_the_same_keys_agree_on_one_entry_each() {
        let table: Table<u32, usize> = Table::new(64);
        let made = AtomicUsize::new(0);
        let barrier = std::sync::Barrier::new(4);
        let seen: Vec<Vec<(usize, usize)>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        (0..64)
                            .filter_map(|key| {
                                let make = || (key, made.fetch_add(1, Ordering::Relaxed));
                                table
                                    .get_or_insert(&key, make)
                                    .map(|(index, value)| (index, *value))
                            })
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        // A slot reserved by a thread that then lost the race may refuse another one for an instant, never merge two.
        let mut entries: Vec<_> = seen.concat();
        entries.sort_unstable();
        entries.dedup();
        assert_eq!(entries.len(), made.load(Ordering::Relaxed));
        assert!(made.load(Ordering::Relaxed) <= 64);
    }
}
