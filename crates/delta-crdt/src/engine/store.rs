//! The keys of one shard and their siblings, in one hash table.
//!
//! A slot keeps its number until the store grows; what must outlive that is kept by mark: bits of the key's hash, which say
//! where to look.

use alloc::vec::Vec;
use core::mem;

use super::few::Few;
use super::groups::{Groups, Guess, WIDTH};
use crate::{Key, Stamp};

/// One of the concurrent writes that a key holds, its origin by number.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Sib<V> {
    pub(crate) origin: u32,
    pub(crate) seq: u64,
    /// On the wire a difference, and so of either sign.
    #[cfg_attr(feature = "serde", serde(with = "difference"))]
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<V>,
}

impl<V> Sib<V> {
    pub(crate) const fn dot(&self) -> (u32, u64) {
        (self.origin, self.seq)
    }
}

#[cfg(feature = "serde")]
mod difference {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Stamp;

    pub(super) fn serialize<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
        stamp.to_bits().cast_signed().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        i64::deserialize(deserializer).map(|difference| Stamp::from_bits(difference.cast_unsigned()))
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

#[derive(Clone, Debug)]
enum Slot<K, V> {
    Free,
    Used { key: K, sibs: Sibs<V> },
}

/// Slots that share a word of tags. Aligned, so that a slot of 64 bytes is one cache line, and not parts of two.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Group<K, V>([Slot<K, V>; WIDTH]);

#[derive(Clone, Debug)]
pub(crate) struct Store<K, V> {
    words: Groups,
    groups: Vec<Group<K, V>>,
    len: usize,
}

impl<K, V> Default for Store<K, V> {
    fn default() -> Self {
        Self { words: Groups::default(), groups: Vec::new(), len: 0 }
    }
}

/// Up to here a store grows by half, above by a third: growing moves all keys, room that is not used yet is memory.
const SMALL: usize = 1 << 14;

/// Slots that a store keeps though it does not use them.
const SMALL_ROOM: usize = 256;

/// The hash of a key, and the slot where it was when it was looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) hash: u64,
    pub(crate) slot: Option<u32>,
}

/// What is kept of a key where its slot cannot be.
#[inline]
pub(crate) const fn mark(hash: u64) -> u32 {
    hash as u32
}

/// Numbers of slots: the group, then three bits.
#[inline]
const fn number(group: usize, place: usize) -> u32 {
    (group << 3 | place) as u32
}

impl<K: Key, V> Store<K, V> {
    /// Keys held, removed ones among them as long as their tombstones stay.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn slot(&self, slot: u32) -> Option<&Slot<K, V>> {
        self.groups.get(slot as usize >> 3)?.0.get(slot as usize & 7)
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<K, V>> {
        self.groups.get_mut(slot as usize >> 3)?.0.get_mut(slot as usize & 7)
    }

    /// The slot and siblings of a key. The guess is short enough to be part of who calls; the rest is rare.
    #[inline]
    pub(crate) fn look(&self, hash: u64, key: &K) -> Option<(u32, &Sibs<V>)> {
        match self.words.guess(mark(hash)) {
            Guess::Nowhere => return None,
            Guess::Further => {}
            Guess::Here(group, place) => {
                if let Some(Slot::Used { key: held, sibs }) = self.groups.get(group)?.0.get(place)
                    && held == key
                {
                    return Some((number(group, place), sibs));
                }
            }
        }
        self.look_far(hash, key)
    }

    #[cold]
    #[inline(never)]
    fn look_far(&self, hash: u64, key: &K) -> Option<(u32, &Sibs<V>)> {
        self.look_on(hash, key)
    }

    /// [`Self::look`] wherever the key lies.
    #[inline]
    pub(crate) fn look_on(&self, hash: u64, key: &K) -> Option<(u32, &Sibs<V>)> {
        self.words.find(mark(hash), |group, place| match self.groups.get(group)?.0.get(place) {
            Some(Slot::Used { key: held, sibs }) if held == key => Some((number(group, place), sibs)),
            _ => None,
        })
    }

    /// The value of a key, if it has but one sibling, where it nearly always lies.
    #[inline]
    pub(crate) fn only(&self, hash: u64, key: &K) -> Option<&V> {
        let Guess::Here(group, place) = self.words.guess(mark(hash)) else { return None };
        match self.groups.get(group)?.0.get(place)? {
            Slot::Used { key: held, sibs: Sibs::One(Sib { value: Some(value), .. }) } if held == key => {
                Some(value)
            }
            _ => None,
        }
    }

    /// The only sibling of a key, to be changed, where it nearly always lies.
    #[inline]
    pub(crate) fn only_mut(&mut self, hash: u64, key: &K) -> Option<&mut Sib<V>> {
        let Guess::Here(group, place) = self.words.guess(mark(hash)) else { return None };
        match self.groups.get_mut(group)?.0.get_mut(place)? {
            Slot::Used { key: held, sibs: Sibs::One(sib) } if held == key => Some(sib),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<u32> {
        self.look(hash, key).map(|found| found.0)
    }

    /// The slot of a write, by the mark of its key.
    #[inline]
    pub(crate) fn locate(&self, mark: u32, (origin, seq): (u32, u64)) -> Option<(u32, &Sibs<V>)> {
        match self.words.guess(mark) {
            Guess::Nowhere => return None,
            Guess::Further => {}
            Guess::Here(group, place) => {
                if let Some(Slot::Used { sibs, .. }) = self.groups.get(group)?.0.get(place)
                    && let Sibs::One(sib) = sibs
                    && sib.dot() == (origin, seq)
                {
                    return Some((number(group, place), sibs));
                }
            }
        }
        self.locate_on(mark, (origin, seq))
    }

    #[cold]
    #[inline(never)]
    fn locate_on(&self, mark: u32, dot: (u32, u64)) -> Option<(u32, &Sibs<V>)> {
        self.words.find(mark, |group, place| match self.groups.get(group)?.0.get(place)? {
            Slot::Used { sibs, .. } if sibs.as_slice().iter().any(|sib| sib.dot() == dot) => {
                Some((number(group, place), sibs))
            }
            _ => None,
        })
    }

    /// Looks a key up ahead of its turn, and reads where it would lie if it is not there: without work in between, the cache
    /// misses of many such look-ups overlap.
    pub(crate) fn ahead(&self, key: &K) -> Found {
        let hash = key.stable_hash();
        let slot = self.find(hash, key);
        if slot.is_none()
            && let Some((group, place)) = self.words.free(mark(hash))
        {
            core::hint::black_box(matches!(self.groups[group].0[place], Slot::Free));
        }
        Found { hash, slot }
    }

    /// The slot of a key that was looked up a moment ago.
    #[inline]
    pub(crate) fn again(&self, found: Found, key: &K) -> Option<u32> {
        let still = |slot: &u32| self.entry(*slot).is_some_and(|entry| entry.0 == key);
        found.slot.filter(still).or_else(|| self.find(found.hash, key))
    }

    #[inline]
    pub(crate) fn entry(&self, slot: u32) -> Option<(&K, &Sibs<V>)> {
        match self.slot(slot)? {
            Slot::Used { key, sibs } => Some((key, sibs)),
            Slot::Free => None,
        }
    }

    #[inline]
    pub(crate) fn sibs(&self, slot: u32) -> &[Sib<V>] {
        self.entry(slot).map_or(&[], |entry| entry.1.as_slice())
    }

    /// Makes room for `keys` keys in all. Slots get other numbers now, and keep them until there are more keys.
    /// `hash` is that of one of them.
    pub(crate) fn reserve(&mut self, keys: usize, hash: u64) {
        if !self.words.has_room(keys) {
            self.grow(keys, hash);
        }
    }

    #[cold]
    fn grow(&mut self, keys: usize, hash: u64) {
        let factor = if self.groups.is_empty() { Groups::factor_of(hash) } else { self.words.factor() };
        self.words = Groups::with_room(keys, factor);
        let count = self.words.count();
        let mut groups = Vec::new();
        groups.reserve_exact(count);
        groups.resize_with(count, || Group(core::array::from_fn(|_| Slot::Free)));
        let mut old = mem::replace(&mut self.groups, groups);
        for entry in old.iter_mut().flat_map(|group| &mut group.0) {
            if let Slot::Used { key, .. } = entry {
                let (group, place) = self.words.take(mark(key.stable_hash()));
                mem::swap(&mut self.groups[group].0[place], entry);
            }
        }
    }

    /// Adds a key that is not there. Other slots may get other numbers.
    pub(crate) fn insert(&mut self, hash: u64, key: K, sibs: Sibs<V>) -> u32 {
        if !self.words.has_room(self.len + 1) {
            let more = if self.len < SMALL { self.len / 2 } else { self.len / 3 };
            self.grow(self.len + more + 1, hash);
        }
        let (group, place) = self.words.take(mark(hash));
        self.groups[group].0[place] = Slot::Used { key, sibs };
        self.len += 1;
        number(group, place)
    }

    /// The key and siblings of a used slot, the latter to be changed.
    #[inline]
    pub(crate) fn entry_mut(&mut self, slot: u32) -> Option<(&K, &mut Sibs<V>)> {
        match self.slot_mut(slot)? {
            Slot::Used { key, sibs } => Some((key, sibs)),
            Slot::Free => None,
        }
    }

    /// Replaces the siblings of a used slot and returns the old ones.
    #[inline]
    pub(crate) fn replace(&mut self, slot: u32, sibs: Sibs<V>) -> Option<Sibs<V>> {
        self.entry_mut(slot).map(|entry| mem::replace(entry.1, sibs))
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<(K, Sibs<V>)> {
        match mem::replace(self.slot_mut(slot)?, Slot::Free) {
            Slot::Used { key, sibs } => {
                self.words.give(mark(key.stable_hash()), slot as usize >> 3, slot as usize & 7);
                self.len -= 1;
                Some((key, sibs))
            }
            Slot::Free => None,
        }
    }

    /// Gives room back of which less than a quarter is used. Slots get other numbers if it does.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 {
            *self = Self::default();
        } else if self.groups.len() * WIDTH > 4 * self.len + SMALL_ROOM {
            self.grow(self.len + self.len / 2 + 1, 0);
        }
    }

    /// All used slots in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &K, &Sibs<V>)> {
        let slots = self.groups.iter().enumerate().flat_map(|(group, slots)| {
            slots.0.iter().enumerate().map(move |(place, entry)| (number(group, place), entry))
        });
        slots.filter_map(|(slot, entry)| match entry {
            Slot::Used { key, sibs } => Some((slot, key, sibs)),
            Slot::Free => None,
        })
    }

    /// Above the numbers of all slots.
    pub(crate) fn slots(&self) -> u32 {
        number(self.groups.len(), 0)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group<K, V>>() + self.words.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_costs_24_bytes_beyond_key_and_value() {
        assert_eq!(size_of::<Slot<u64, [u8; 32]>>(), 8 + 32 + 24);
        assert_eq!(size_of::<Group<u64, [u8; 32]>>(), WIDTH * 64);
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
        let groups = store.groups.len();
        assert_eq!(store.len(), 1_000);
        assert!(groups * WIDTH < 1_000 * 10 / 9 * 3 / 2 + 30, "{groups} groups");
        for key in (1..1_000_u64).step_by(2).chain(2_000..2_500) {
            let slot = store.find(key.stable_hash(), &key).unwrap();
            assert_eq!(store.sibs(slot)[0].value, Some(key + 1));
        }
        assert_eq!(store.find(0_u64.stable_hash(), &0), None);
    }
}
