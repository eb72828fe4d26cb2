//! Where keys lie: places in groups of seven, found by a word of tags per group.
//!
//! ```text
//!   mark of a key ──► home group ──► word: 7 tags, count of keys that went on ──► place
//! ```
//!
//! A key lies in its home group, or in the next one after it that had room when it came. The words of a million keys fit a
//! cache that is near, so that a lookup waits for memory once: for the key itself, which lies beside its value.

use alloc::vec::Vec;

use crate::key::GOLDEN;

/// Places in a group.
pub(crate) const WIDTH: usize = 7;
/// Keys per group at most, on average: above it, too many lie outside their home.
const FILL: usize = 6;
/// Each of the seven tags, one.
const ONES: u64 = 0x0001_0101_0101_0101;
const TOPS: u64 = ONES << 7;
const PAST: u64 = 1 << 56;
/// A count that is this high no longer moves.
const STUCK: u64 = 0xff;

/// The words of all groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    words: Vec<u64>,
    /// Makes the order of the groups differ from that of a replica whose keys are put here in its order: else they would crowd
    /// into few groups until there is room for all.
    salt: u32,
}

/// A lookup under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    group: usize,
    tag: u64,
}

impl Groups {
    /// `keys` in all have room.
    pub(crate) fn with_room(keys: usize, salt: u32) -> Self {
        Self { words: alloc::vec![0; keys.div_ceil(FILL)], salt }
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    pub(crate) fn count(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn has_room(&self, keys: usize) -> bool {
        keys <= self.words.len() * FILL
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    #[inline]
    fn probe(&self, mark: u32) -> Probe {
        let spread = u64::from(mark ^ self.salt).wrapping_mul(GOLDEN) >> 32;
        // The high bits choose the group, the low ones the tag.
        let group = (spread * self.words.len() as u64) >> 32;
        Probe { group: group as usize, tag: (spread & 0xff).max(1) }
    }

    /// What `is_it` makes of the first place, by group and number, that it knows.
    #[inline]
    pub(crate) fn find<T>(&self, mark: u32, mut is_it: impl FnMut(usize, usize) -> Option<T>) -> Option<T> {
        let Probe { mut group, tag } = self.probe(mark);
        for _ in 0..self.words.len() {
            let word = *self.words.get(group)?;
            let mut hits = equal(word, tag);
            while hits != 0 {
                if let Some(found) = is_it(group, (hits.trailing_zeros() / 8) as usize) {
                    return Some(found);
                }
                hits &= hits - 1;
            }
            if word < PAST {
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
            let free = equal(self.words[group], 0);
            let word = &mut self.words[group];
            if free != 0 {
                let shift = free.trailing_zeros() & !7;
                *word |= tag << shift;
                return (group, (shift / 8) as usize);
            }
            if *word / PAST < STUCK {
                *word += PAST;
            }
            group = self.next(group);
        }
    }

    /// Gives the place of a key back.
    pub(crate) fn give(&mut self, mark: u32, at: usize, place: usize) {
        let Probe { mut group, .. } = self.probe(mark);
        while group != at {
            let word = &mut self.words[group];
            if *word / PAST < STUCK {
                *word -= PAST;
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
