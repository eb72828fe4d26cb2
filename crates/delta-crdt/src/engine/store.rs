//! The keys of one shard and their siblings: a slab, and a hash table of slot numbers over it.

use alloc::vec::Vec;
use core::mem;

use super::few::Few;
use super::table::Table;
use crate::{Key, Stamp};

const NONE: u32 = u32::MAX;

/// One of the concurrent writes that a key holds, its origin by number.
#[derive(Clone, Debug)]
pub(crate) struct Sib<V> {
    pub(crate) origin: u32,
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<V>,
}

impl<V> Sib<V> {
    pub(crate) const fn dot(&self) -> (u32, u64) {
        (self.origin, self.seq)
    }
}

/// Siblings of one key; nearly always one.
#[derive(Clone, Debug)]
pub(crate) enum Sibs<V> {
    One(Sib<V>),
    Many(Vec<Sib<V>>),
}

impl<V> Sibs<V> {
    pub(crate) fn as_slice(&self) -> &[Sib<V>] {
        match self {
            Self::One(sib) => core::slice::from_ref(sib),
            Self::Many(sibs) => sibs,
        }
    }

    /// `None` if there are none.
    pub(crate) fn from_vec(mut sibs: Vec<Sib<V>>) -> Option<Self> {
        match sibs.len() {
            0 => None,
            1 => sibs.pop().map(Self::One),
            _ => Some(Self::Many(sibs)),
        }
    }

    pub(crate) fn from_few(sibs: Few<Sib<V>>) -> Option<Self> {
        match sibs {
            Few::One(sib) => Some(Self::One(sib)),
            sibs => Self::from_vec(sibs.into_vec()),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Sib<V>> {
        match self {
            Self::One(sib) => Vec::from([sib]),
            Self::Many(sibs) => sibs,
        }
    }
}

#[derive(Debug)]
enum Slot<K, V> {
    Free { next: u32 },
    Used { key: K, sibs: Sibs<V> },
}

#[derive(Debug)]
pub(crate) struct Store<K, V> {
    slots: Vec<Slot<K, V>>,
    free: u32,
    table: Table,
}

impl<K, V> Default for Store<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, table: Table::default() }
    }
}

impl<K: Key, V> Store<K, V> {
    #[cfg(test)]
    /// Keys held, removed ones among them as long as their tombstones stay.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The slot and siblings of a key.
    #[inline]
    pub(crate) fn look(&self, hash: u64, key: &K) -> Option<(u32, &Sibs<V>)> {
        self.table.find(hash, |slot| match self.slots.get(slot as usize) {
            Some(Slot::Used { key: held, sibs }) if held == key => Some((slot, sibs)),
            _ => None,
        })
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<u32> {
        self.look(hash, key).map(|found| found.0)
    }

    /// Looks keys up ahead, for the sake of the caches: without work in between, their misses overlap.
    pub(crate) fn warm<'a>(&self, keys: impl Iterator<Item = &'a K>)
    where
        K: 'a,
    {
        for key in keys {
            core::hint::black_box(self.find(key.stable_hash(), key));
        }
    }

    pub(crate) fn entry(&self, slot: u32) -> Option<(&K, &Sibs<V>)> {
        match self.slots.get(slot as usize) {
            Some(Slot::Used { key, sibs }) => Some((key, sibs)),
            _ => None,
        }
    }

    pub(crate) fn sibs(&self, slot: u32) -> &[Sib<V>] {
        self.entry(slot).map_or(&[], |entry| entry.1.as_slice())
    }

    /// True if a write is among the siblings of a slot. Compares without branches, so that calls in a row overlap.
    #[inline]
    pub(crate) fn holds(&self, slot: u32, (origin, seq): (u32, u64)) -> bool {
        match self.slots.get(slot as usize) {
            Some(Slot::Used { sibs: Sibs::One(sib), .. }) => (sib.origin == origin) & (sib.seq == seq),
            Some(Slot::Used { sibs: Sibs::Many(sibs), .. }) => {
                sibs.iter().any(|sib| sib.dot() == (origin, seq))
            }
            _ => false,
        }
    }

    pub(crate) fn sib(&self, slot: u32, dot: (u32, u64)) -> Option<&Sib<V>> {
        self.sibs(slot).iter().find(|sib| sib.dot() == dot)
    }

    /// Makes room for `keys` keys in all.
    pub(crate) fn reserve(&mut self, keys: usize) {
        self.slots.reserve_exact(keys.saturating_sub(self.slots.len()));
        if !self.table.has_room(keys) {
            self.grow(keys);
        }
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, hash: u64, key: K, sibs: Sibs<V>) -> u32 {
        let used = Slot::Used { key, sibs };
        if let Some(place) = self.slots.get_mut(self.free as usize) {
            let slot = self.free;
            if let Slot::Free { next } = mem::replace(place, used) {
                self.free = next;
            }
            self.table.insert(hash, slot);
            return slot;
        }
        if !self.table.has_room(self.slots.len() + 1) {
            self.grow(self.slots.len() + 1);
        }
        let slot = self.slots.len() as u32;
        self.slots.push(used);
        self.table.insert(hash, slot);
        slot
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        let held = (0_u32..).zip(&self.slots).filter_map(|(slot, entry)| match entry {
            Slot::Used { key, .. } => Some((key.stable_hash(), slot)),
            Slot::Free { .. } => None,
        });
        self.table.grow(room, held);
    }

    /// The siblings of a used slot.
    pub(crate) fn sibs_mut(&mut self, slot: u32) -> Option<&mut Sibs<V>> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot::Used { sibs, .. }) => Some(sibs),
            _ => None,
        }
    }

    /// Replaces the siblings of a used slot and returns the old ones.
    pub(crate) fn replace(&mut self, slot: u32, sibs: Sibs<V>) -> Option<Sibs<V>> {
        self.sibs_mut(slot).map(|place| mem::replace(place, sibs))
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<(K, Sibs<V>)> {
        let place = self.slots.get_mut(slot as usize)?;
        match mem::replace(place, Slot::Free { next: self.free }) {
            Slot::Used { key, sibs } => {
                self.free = slot;
                let slots = &self.slots;
                self.table.remove(key.stable_hash(), slot, |slot| match slots.get(slot as usize) {
                    Some(Slot::Used { key, .. }) => Some(key.stable_hash()),
                    _ => None,
                });
                Some((key, sibs))
            }
            free @ Slot::Free { .. } => {
                *place = free;
                None
            }
        }
    }

    /// All used slots in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &K, &Sibs<V>)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| match entry {
            Slot::Used { key, sibs } => Some((slot as u32, key, sibs)),
            Slot::Free { .. } => None,
        })
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<K, V>>() + self.table.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_costs_24_bytes_beyond_key_and_value() {
        assert_eq!(size_of::<Slot<u64, [u8; 32]>>(), 8 + 32 + 24);
    }

    #[test]
    fn slots_are_used_again_and_found_by_key() {
        let mut store = Store::<u64, u64>::default();
        let sib = |seq| Sibs::One(Sib { origin: 0, seq, stamp: Stamp::default(), value: Some(seq) });
        for key in 0..1_000_u64 {
            store.insert(key.stable_hash(), key, sib(key + 1));
        }
        for key in (0..1_000_u64).step_by(2) {
            let slot = store.find(key.stable_hash(), &key).unwrap();
            assert_eq!(store.remove(slot).map(|entry| entry.0), Some(key));
        }
        for key in 2_000..2_500_u64 {
            store.insert(key.stable_hash(), key, sib(key + 1));
        }
        assert_eq!((store.len(), store.slots()), (1_000, 1_000));
        for key in (1..1_000_u64).step_by(2).chain(2_000..2_500) {
            let slot = store.find(key.stable_hash(), &key).unwrap();
            assert_eq!(store.sibs(slot)[0].value, Some(key + 1));
        }
        assert_eq!(store.find(0_u64.stable_hash(), &0), None);
    }
}
