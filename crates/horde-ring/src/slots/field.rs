//! All members' draws over the slots, listed best first in passes.

use alloc::vec;
use alloc::vec::Vec;

use crate::members::Members;
use crate::mix::mix;
use crate::score::reciprocal;
use crate::slots::count::Slots;
use crate::slots::draws::Draws;

/// The draws of a set of members. A *key* is a 48-bit cost over the 16-bit position of its member.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    slots: Slots,
    draws: Vec<Draws>,
    weights: Vec<u32>,
    /// All weights are equal, so that costs need no logarithm.
    even: bool,
}

/// Members whose draws are listed so far: each one's next rank.
#[derive(Debug)]
pub(crate) struct Passes<'a> {
    field: &'a Field,
    next: Vec<u32>,
    /// Members that have ranks left and a weight.
    active: Vec<u32>,
    /// Everything up to this cost has been listed (weights that differ).
    level: u64,
}

impl Field {
    pub(crate) fn new<Id>(members: &Members<Id>, slots: Slots) -> Self {
        let weights: Vec<u32> = members.iter().map(|member| member.weight_of()).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let draws = members
            .iter()
            .map(|member| Draws::new(mix(member.key_hash().as_u64()), reciprocal(member.weight_of()), slots))
            .collect();
        Self { slots, draws, weights, even }
    }

    pub(crate) fn len(&self) -> usize {
        self.draws.len()
    }

    #[inline(always)]
    fn key_at(&self, member: u32, rank: u32, slot: u32) -> u64 {
        let draws = &self.draws[member as usize];
        let cost = if self.even { draws.plain(rank, slot) } else { draws.weighed(rank, slot) };
        (cost << 16) | u64::from(member)
    }

    /// The key of `member` for `slot`.
    #[inline]
    pub(crate) fn key(&self, member: u32, slot: u32) -> u64 {
        self.key_at(member, self.draws[member as usize].rank(slot), slot)
    }

    /// Whether key `a` comes before key `b` in `slot`: by cost, then draw, then position.
    #[inline(always)]
    pub(crate) fn before(&self, a: u64, b: u64, slot: u32) -> bool {
        if (a ^ b) >> 16 != 0 || self.even || a == u64::MAX || b == u64::MAX {
            a < b
        } else {
            (self.plain(a, slot), a) < (self.plain(b, slot), b)
        }
    }

    /// The complement of the draw behind a key.
    pub(crate) fn plain(&self, key: u64, slot: u32) -> u64 {
        let draws = &self.draws[member_of(key) as usize];
        draws.plain(draws.rank(slot), slot)
    }

    /// All members in the order in which `slot` prefers them.
    pub(crate) fn ranking(&self, slot: u32) -> Vec<u32> {
        let mut keys: Vec<u64> = (0..self.len() as u32).map(|member| self.key(member, slot)).collect();
        keys.sort_unstable_by(|&a, &b| {
            if a == b {
                core::cmp::Ordering::Equal
            } else if self.before(a, b, slot) {
                core::cmp::Ordering::Less
            } else {
                core::cmp::Ordering::Greater
            }
        });
        keys.into_iter().map(member_of).collect()
    }

    /// The best of `members` for `slot`.
    pub(crate) fn best(&self, members: impl Iterator<Item = u32>, slot: u32) -> Option<u32> {
        let best = members
            .map(|member| self.key(member, slot))
            .reduce(|best, key| if self.before(key, best, slot) { key } else { best });
        best.map(member_of)
    }

    /// Starts listing draws.
    pub(crate) fn passes(&self) -> Passes<'_> {
        let active =
            (0..self.len() as u32).filter(|&m| self.even || self.draws[m as usize].has_weight()).collect();
        Passes { field: self, next: vec![0; self.len()], active, level: 0 }
    }
}

/// The member's position in a key.
#[inline(always)]
pub(crate) const fn member_of(key: u64) -> u32 {
    key as u32 & 0xffff
}

impl Passes<'_> {
    /// Lists about one further draw per slot: `see(key, slot)`. Every draw listed is better than every one that
    /// is not, in the order of [`Field::before`].
    ///
    /// Answers how many were listed; 0 when there are no more.
    pub(crate) fn pass(&mut self, see: impl FnMut(u64, u32)) -> usize {
        if self.active.is_empty() {
            return 0;
        }
        if self.field.even { self.even_pass(see) } else { self.weighed_pass(see) }
    }

    fn even_pass(&mut self, mut see: impl FnMut(u64, u32)) -> usize {
        let count = self.field.slots.count();
        let first = self.next[0];
        let end = count.min(first + (count / self.active.len() as u32).max(1));
        for (member, draws) in self.field.draws.iter().enumerate() {
            for rank in first..end {
                let slot = draws.slot(rank);
                see((draws.plain(rank, slot) << 16) | member as u64, slot);
            }
        }
        self.next[0] = end;
        if end == count {
            self.active.clear();
        }
        (end - first) as usize * self.field.len()
    }

    fn weighed_pass(&mut self, mut see: impl FnMut(u64, u32)) -> usize {
        let count = self.field.slots.count();
        let weight: u64 = self.active.iter().map(|&m| u64::from(self.field.weights[m as usize])).sum();
        // Costs have 56 fractional bits and rate 1 / ln 2: this step lists one draw per slot at first.
        self.level =
            self.level.saturating_add(((1_u128 << 56) * 1_442_695 / 1_000_000) as u64 / weight.max(1)).max(1);
        let level = crate::slots::draws::compress(self.level);
        let mut listed = 0;
        let (field, next) = (self.field, &mut self.next);
        self.active.retain(|&member| {
            let draws = &field.draws[member as usize];
            let mut rank = next[member as usize];
            while rank < count {
                let slot = draws.slot(rank);
                let cost = draws.weighed(rank, slot);
                if cost > level {
                    break;
                }
                see((cost << 16) | u64::from(member), slot);
                rank += 1;
            }
            listed += (rank - next[member as usize]) as usize;
            next[member as usize] = rank;
            rank < count
        });
        listed.max(1)
    }
}
