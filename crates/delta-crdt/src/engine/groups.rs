//! Where keys lie: places in groups of eight, found by a word of tags per group.
//!
//! ```text
//!   mark of a key ──► one product: home group, and 8 tags ──► the group's word: equal at one byte ──► place
//! ```
//!
//! A key has a tag for each place, and the word of a group holds the one for the place where the key lies: so the product is
//! compared as it is, and need not be cut and spread. A key lies in its home group, or in the next one after it that had room
//! when it came. The words of a million keys fit a cache that is near, so that a lookup waits for memory once: for the key
//! itself, which lies beside its value. What is done until then is kept short: a processor works ahead for some 250
//! instructions, and the next lookups should be within them.

use alloc::vec::Vec;

use crate::key::{GOLDEN, mix};

/// Places in a group.
pub(crate) const WIDTH: usize = 8;
/// Keys per group at most, on average: above it, too many lie outside their home.
const FILL: usize = 7;
/// One for each place.
const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = ONES << 7;
/// A count that is this high no longer moves.
const STUCK: u8 = 0xff;

/// The words of all groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    /// Of each place, the tag that its key has for this place. Of a place that is free: anything.
    words: Vec<u64>,
    uses: Vec<Use>,
    /// Odd. Makes the order of the groups differ from that of a replica whose keys are put here in its order: else they would crowd
    /// into few groups until there is room for all.
    factor: u64,
}

/// What is known of a group beside its word.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// A bit for each place that is taken.
    taken: u8,
    /// Keys that went on to a later group.
    past: u8,
}

impl Use {
    /// A place that is free.
    fn free(self) -> Option<usize> {
        (self.taken != u8::MAX).then(|| self.taken.trailing_ones() as usize)
    }
}

/// A lookup under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    group: usize,
    /// A tag for each place: which of them counts is known where the key lies.
    tags: u64,
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
        // Odd: else the low tags would be alike.
        let count = keys.div_ceil(FILL) | 1;
        Self { words: alloc::vec![0; count], uses: alloc::vec![Use::default(); count], factor }
    }

    /// The factor of a new order, from the hash of a key.
    pub(crate) const fn factor_of(hash: u64) -> u64 {
        mix(hash ^ GOLDEN) | 1
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
        self.words.capacity() * size_of::<u64>() + self.uses.capacity() * size_of::<Use>()
    }

    #[inline]
    fn probe(&self, mark: u32) -> Probe {
        let spread = u64::from(mark).wrapping_mul(self.factor);
        // The high half is the group; what is left makes tags.
        let product = u128::from(spread) * self.words.len() as u128;
        Probe { group: (product >> 64) as usize, tags: product as u64 }
    }

    /// Looks at the first likely place of the home group, or of the next one if it cannot be in that.
    #[inline]
    pub(crate) fn guess(&self, mark: u32) -> Guess {
        let Probe { mut group, tags } = self.probe(mark);
        let Some(&word) = self.words.get(group) else { return Guess::Nowhere };
        let mut hits = equal(word, tags);
        if hits == 0 {
            if self.uses.get(group).is_none_or(|uses| uses.past == 0) {
                return Guess::Nowhere;
            }
            group = self.next(group);
            hits = self.words.get(group).map_or(0, |&word| equal(word, tags));
            if hits == 0 {
                return Guess::Further;
            }
        }
        Guess::Here(group, (hits.trailing_zeros() / 8) as usize)
    }

    /// What `is_it` makes of the first place, by group and number, that it knows.
    #[inline]
    pub(crate) fn find<T>(&self, mark: u32, mut is_it: impl FnMut(usize, usize) -> Option<T>) -> Option<T> {
        let Probe { group: home, tags } = self.probe(mark);
        let mut group = home;
        loop {
            let mut hits = equal(*self.words.get(group)?, tags);
            while hits != 0 {
                if let Some(found) = is_it(group, (hits.trailing_zeros() / 8) as usize) {
                    return Some(found);
                }
                hits &= hits - 1;
            }
            if self.uses.get(group)?.past == 0 {
                return None;
            }
            group = self.next(group);
            if group == home {
                return None;
            }
        }
    }

    /// A free place in the home group of a key.
    pub(crate) fn free(&self, mark: u32) -> Option<(usize, usize)> {
        let group = self.probe(mark).group;
        self.uses.get(group)?.free().map(|place| (group, place))
    }

    /// Takes a place for a key that is not there. There must be room.
    pub(crate) fn take(&mut self, mark: u32) -> (usize, usize) {
        let Probe { mut group, tags } = self.probe(mark);
        loop {
            let uses = &mut self.uses[group];
            if let Some(place) = uses.free() {
                uses.taken |= 1 << place;
                let tag = 0xff << (place * 8);
                let word = &mut self.words[group];
                *word = *word & !tag | tags & tag;
                return (group, place);
            }
            uses.past = uses.past.saturating_add(1);
            group = self.next(group);
        }
    }

    /// Gives the place of a key back.
    pub(crate) fn give(&mut self, mark: u32, at: usize, place: usize) {
        let Probe { mut group, .. } = self.probe(mark);
        while group != at {
            let past = &mut self.uses[group].past;
            if *past < STUCK {
                *past -= 1;
            }
            group = self.next(group);
        }
        self.uses[at].taken &= !(1 << place);
    }

    #[inline]
    fn next(&self, group: usize) -> usize {
        if group + 1 == self.words.len() { 0 } else { group + 1 }
    }
}

/// The top bit of each place whose tag is the one there; above the first, sometimes of others.
#[inline]
const fn equal(word: u64, tags: u64) -> u64 {
    let differ = word ^ tags;
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

    /// Of the keys put into a table for `room` of them: how many lie outside their home group, and how many are found only after
    /// another that has the same tag.
    fn shares(keys: &[u64], room: usize) -> (f64, f64) {
        let mark = |key: &u64| crate::engine::store::mark(crate::Key::stable_hash(key));
        let mut groups = Groups::with_room(room, Groups::factor_of(crate::Key::stable_hash(&keys[0])));
        let places: Vec<_> = keys.iter().map(|key| groups.take(mark(key))).collect();
        let (mut outside, mut misled) = (0, 0);
        for (key, &(group, place)) in keys.iter().zip(&places) {
            outside += u32::from(groups.probe(mark(key)).group != group);
            let is_other = matches!(groups.guess(mark(key)), Guess::Here(g, p) if g == group && p < place);
            misled += u32::from(is_other);
        }
        (f64::from(outside) / keys.len() as f64, f64::from(misled) / keys.len() as f64)
    }

    #[test]
    fn keys_with_a_pattern_spread_as_random_ones_do() {
        const COUNT: u64 = 50_000;
        let stride = |step: u64| (0..COUNT).map(|i| i.wrapping_mul(step)).collect::<Vec<_>>();
        let mut patterns: Vec<_> = (0..48).map(|shift| stride(1 << shift)).collect();
        patterns.extend([3, 10, 1_000, 1_000_000, 0xffff_ffff, 0x0001_0001_0001_0001, u64::MAX].map(stride));
        patterns.extend([GOLDEN, GOLDEN.wrapping_neg(), GOLDEN >> 16, GOLDEN << 16].map(stride));
        patterns.push((0..COUNT).map(|i| ((1_700_000_000_000 + i / 4) << 16) | (i % 4)).collect());
        patterns.push((0..COUNT).map(|i| ((i / 300) << 32) | (i % 300)).collect());
        patterns.push((0..COUNT).map(|i| (i as f64).to_bits()).collect());
        patterns.push((0..COUNT).map(u64::reverse_bits).collect());
        // Of keys at random, 4.5 % lie outside and 1 % are misled in a table that is 70 % full; 12 and 1.1 % in a full one.
        for (room, most) in [(COUNT * 5 / 4, 0.065), (COUNT, 0.14)] {
            for keys in &patterns {
                let (outside, misled) = shares(keys, room as usize);
                let step = keys[1].wrapping_sub(keys[0]);
                assert!(
                    outside < most && misled < 0.02,
                    "steps of {step:#x}: {outside} outside, {misled} misled"
                );
            }
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        assert_eq!(Groups::default().find(1, |_, _| Some(())), None);
    }
}
