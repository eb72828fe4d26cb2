//! Where keys lie: places in groups of eight, found by a word of tags per group.
//!
//! ```text
//!   mark of a key ──► home group ──► word of 8 tags ──► place
//! ```
//!
//! A key lies in its home group, or in the next one after it that had room when it came. The words of a million keys fit a
//! cache that is near, so that a lookup waits for memory once: for the key itself, which lies beside its value. What is done
//! until then is kept short: a processor works ahead for some 250 instructions, and the next lookup should be within them.

use alloc::vec::Vec;

use crate::key::mix;

/// Places in a group.
pub(crate) const WIDTH: usize = 8;
/// Keys per group at most, on average: above it, too many lie outside their home.
const FILL: usize = 7;
/// Each of the tags, one.
const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = ONES << 7;
/// A count that is this high no longer moves.
const STUCK: u8 = 0xff;

/// The words of all groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    words: Vec<u64>,
    /// Keys that went on to a later group, by group.
    past: Vec<u8>,
    /// Odd. Makes the order of the groups differ from that of a replica whose keys are put here in its order: else they would crowd
    /// into few groups until there is room for all.
    factor: u64,
}

/// A lookup under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    group: usize,
    tag: u64,
}

/// What a short look says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guess {
    /// It is in this group, at this place, or further on: nearly always here.
    Here(usize, usize),
    /// It is further on, if at all.
    Further,
    /// It is not there.
    Nowhere,
}

impl Groups {
    /// `keys` in all have room.
    pub(crate) fn with_room(keys: usize, factor: u64) -> Self {
        let count = keys.div_ceil(FILL);
        Self { words: alloc::vec![0; count], past: alloc::vec![0; count], factor }
    }

    /// The factor of a new order, from the hash of a key.
    pub(crate) const fn factor_of(hash: u64) -> u64 {
        mix(hash) | 1
    }

    pub(crate) fn factor(&self) -> u64 {
        self.factor
    }

    pub(crate) fn count(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn has_room(&self, keys: usize) -> bool {
        keys <= self.words.len() * FILL
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.past.capacity()
    }

    #[inline]
    fn probe(&self, mark: u32) -> Probe {
        let spread = u64::from(mark).wrapping_mul(self.factor);
        // The high bits choose the group, those below the tag.
        let group = ((spread >> 32) * self.words.len() as u64) >> 32;
        Probe { group: group as usize, tag: u64::from((spread >> 24) as u8).max(1) }
    }

    /// Looks at the first likely place of the home group.
    #[inline]
    pub(crate) fn guess(&self, mark: u32) -> Guess {
        let Probe { group, tag } = self.probe(mark);
        let Some(&word) = self.words.get(group) else { return Guess::Nowhere };
        let hits = equal(word, tag);
        if hits != 0 {
            return Guess::Here(group, (hits.trailing_zeros() / 8) as usize);
        }
        if self.past[group] == 0 { Guess::Nowhere } else { Guess::Further }
    }

    /// What `is_it` makes of the first place, by group and number, that it knows.
    pub(crate) fn find<T>(&self, mark: u32, mut is_it: impl FnMut(usize, usize) -> Option<T>) -> Option<T> {
        let Probe { mut group, tag } = self.probe(mark);
        for _ in 0..self.words.len() {
            let mut hits = equal(*self.words.get(group)?, tag);
            while hits != 0 {
                if let Some(found) = is_it(group, (hits.trailing_zeros() / 8) as usize) {
                    return Some(found);
                }
                hits &= hits - 1;
            }
            if self.past[group] == 0 {
                return None;
            }
            group = self.next(group);
        }
        None
    }

    /// A free place in the home group of a key.
    pub(crate) fn free(&self, mark: u32) -> Option<(usize, usize)> {
        let group = self.probe(mark).group;
        let free = equal(*self.words.get(group)?, 0);
        (free != 0).then(|| (group, (free.trailing_zeros() / 8) as usize))
    }

    /// Takes a place for a key that is not there. There must be room.
    pub(crate) fn take(&mut self, mark: u32) -> (usize, usize) {
        let Probe { mut group, tag } = self.probe(mark);
        loop {
            let word = &mut self.words[group];
            let free = equal(*word, 0);
            if free != 0 {
                let shift = free.trailing_zeros() & !7;
                *word |= tag << shift;
                return (group, (shift / 8) as usize);
            }
            self.past[group] = self.past[group].saturating_add(1);
            group = self.next(group);
        }
    }

    /// Gives the place of a key back.
    pub(crate) fn give(&mut self, mark: u32, at: usize, place: usize) {
        let Probe { mut group, .. } = self.probe(mark);
        while group != at {
            let past = &mut self.past[group];
            if *past < STUCK {
                *past -= 1;
            }
            group = self.next(group);
        }
        self.words[at] &= !(0xff << (place * 8));
    }

    #[inline]
    fn next(&self, group: usize) -> usize {
        if group + 1 == self.words.len() { 0 } else { group + 1 }
    }
}

/// The top bit of each tag that equals `tag`; above the first, sometimes of others.
#[inline]
const fn equal(word: u64, tag: u64) -> u64 {
    let differ = word ^ (ONES * tag);
    differ.wrapping_sub(ONES) & !differ & TOPS
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_are_found_whatever_was_removed_between() {
        // Few distinct marks, so that groups overflow, wrap around and share tags.
        let mark = |key: u32| (key % 9).wrapping_mul(0x1fff_ffff);
        let mut groups = Groups::with_room(48, 7);
        let mut held = BTreeMap::new();
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = seed >> 26;
            if let Some((group, place)) = held.remove(&key) {
                groups.give(mark(key), group, place);
            } else if groups.has_room(held.len() + 1) {
                let at = groups.take(mark(key));
                assert!(held.values().all(|other| *other != at), "a place is taken twice");
                held.insert(key, at);
            }
            for key in 0..64 {
                let is_it = |group, place| held.get(&key).filter(|at| **at == (group, place));
                assert_eq!(groups.find(mark(key), is_it), held.get(&key), "{key}");
            }
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(Groups::default().find(1, |_, _| Some(())), None);
    }
}
