//! A hash table of slot numbers: linear probing over one array, so that a lookup touches one cache line of it.
//!
//! A bucket is 32 bits: the slot below, and above it bits of the hash that do not choose the bucket, so that most misses end
//! there. At most three of eight buckets are taken: what is looked up is nearly always where its hash says, and the processor
//! guesses right and begins the next lookup before this one's memory has come.

use alloc::vec::Vec;

const FREE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Length 0 or a power of two.
    buckets: Vec<u32>,
    len: usize,
}

impl Table {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u32>()
    }

    /// What `is_it` makes of the first slot under this hash that it knows.
    #[inline]
    pub(crate) fn find<T>(&self, hash: u64, is_it: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mask = self.buckets.len().checked_sub(1)?;
        let tag = tag(hash, mask);
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets[at];
            if (bucket ^ tag) < mask as u32
                && let Some(found) = is_it(bucket ^ tag)
            {
                return Some(found);
            }
            if bucket == FREE {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// True if `slots` slots have room.
    pub(crate) fn has_room(&self, slots: usize) -> bool {
        slots * 8 <= self.buckets.len() * 3
    }

    /// Makes room for `slots` slots. `held` are all that are there, with their hashes.
    pub(crate) fn grow(&mut self, slots: usize, held: impl Iterator<Item = (u64, u32)>) {
        let mut size = self.buckets.len().max(8);
        while slots * 8 > size * 3 {
            size *= 2;
        }
        self.buckets = alloc::vec![FREE; size];
        for (hash, slot) in held {
            self.place(hash, slot);
        }
    }

    /// Adds a slot that is not there. There must be room, and the slot's number be below the count of those it had room for.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        debug_assert!(self.has_room(self.len + 1), "a full table");
        self.place(hash, slot);
        self.len += 1;
    }

    fn place(&mut self, hash: u64, slot: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while self.buckets[at] != FREE {
            at = (at + 1) & mask;
        }
        self.buckets[at] = tag(hash, mask) ^ slot;
    }

    /// Takes a slot out and closes the gap: what was pushed past it moves back.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> Option<u64>) {
        let Some(mask) = self.buckets.len().checked_sub(1) else { return };
        let wanted = tag(hash, mask) ^ slot;
        let mut gap = hash as usize & mask;
        while self.buckets[gap] != wanted {
            if self.buckets[gap] == FREE {
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket == FREE {
                break;
            }
            let Some(home) = hash_of(bucket & mask as u32) else { continue };
            let home = home as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.buckets[gap] = bucket;
                gap = at;
            }
        }
        self.buckets[gap] = FREE;
        self.len -= 1;
    }
}

/// Bits of the hash above those that number a slot.
const fn tag(hash: u64, mask: usize) -> u32 {
    (hash >> 32) as u32 & !(mask as u32)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn slots_are_found_whatever_was_removed_between() {
        // Few distinct hashes, so that runs form, wrap around and share tags.
        let hash = |slot: u32| u64::from(slot % 7).wrapping_mul(0x0fff_ffff_0fff_ffff) ^ u64::from(slot % 3);
        let (mut table, mut held) = (Table::default(), BTreeSet::new());
        let mut seed = 1_u32;
        for _ in 0..4_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = seed >> 25;
            if held.remove(&slot) {
                table.remove(hash(slot), slot, |slot| Some(hash(slot)));
            } else {
                if !table.has_room(128) {
                    table.grow(128, held.iter().map(|&slot| (hash(slot), slot)));
                }
                held.insert(slot);
                table.insert(hash(slot), slot);
            }
            assert_eq!(table.len(), held.len());
            for slot in 0..128 {
                let found = table.find(hash(slot), |s| (s == slot).then_some(()));
                assert_eq!(found.is_some(), held.contains(&slot), "{slot}");
            }
        }
    }
}
