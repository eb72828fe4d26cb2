//! A hash table of slot numbers: linear probing over one array, so that a lookup touches one cache line of it.
//!
//! Each bucket holds 32 bits of the hash beside the slot: most misses end there, and growing reads no keys.

use alloc::vec::Vec;

const FREE: u32 = u32::MAX;
const EMPTY: (u32, u32) = (0, FREE);

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Tag and slot. Length 0 or a power of two.
    buckets: Vec<(u32, u32)>,
    len: usize,
}

impl Table {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u32, u32)>()
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = hash as u32;
        let mask = self.buckets.len().checked_sub(1)?;
        let mut at = tag as usize & mask;
        loop {
            let (found, slot) = self.buckets[at];
            if slot == FREE {
                return None;
            }
            if found == tag && is_it(slot) {
                return Some(slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a slot that is not there.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.len + 1) * 4 > self.buckets.len() * 3 {
            let buckets = alloc::vec![EMPTY; (self.buckets.len() * 2).max(8)];
            for bucket in core::mem::replace(&mut self.buckets, buckets) {
                if bucket.1 != FREE {
                    self.place(bucket);
                }
            }
        }
        self.place((hash as u32, slot));
        self.len += 1;
    }

    fn place(&mut self, bucket: (u32, u32)) {
        let mask = self.buckets.len() - 1;
        let mut at = bucket.0 as usize & mask;
        while self.buckets[at].1 != FREE {
            at = (at + 1) & mask;
        }
        self.buckets[at] = bucket;
    }

    /// Takes a slot out and closes the gap: what was pushed past it moves back.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let Some(mask) = self.buckets.len().checked_sub(1) else { return };
        let mut gap = hash as u32 as usize & mask;
        while self.buckets[gap].1 != slot {
            if self.buckets[gap].1 == FREE {
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket.1 == FREE {
                break;
            }
            let home = bucket.0 as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.buckets[gap] = bucket;
                gap = at;
            }
        }
        self.buckets[gap] = EMPTY;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn slots_are_found_whatever_was_removed_between() {
        // Few distinct hashes, so that runs form, wrap around and share tags.
        let hash = |slot: u32| u64::from(slot % 7).wrapping_mul(0x0fff_ffff) ^ u64::from(slot % 3);
        let (mut table, mut held) = (Table::default(), BTreeSet::new());
        let mut seed = 1_u32;
        for _ in 0..4_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = seed >> 25;
            if held.remove(&slot) {
                table.remove(hash(slot), slot);
            } else {
                held.insert(slot);
                table.insert(hash(slot), slot);
            }
            assert_eq!(table.len(), held.len());
            for slot in 0..128 {
                assert_eq!(table.find(hash(slot), |s| s == slot).is_some(), held.contains(&slot), "{slot}");
            }
        }
    }
}
