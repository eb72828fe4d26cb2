//! All members' draws over the slots, listed best first in passes.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use crate::members::Members;
use crate::mix::mix;
use crate::score::reciprocal;
use crate::slots::count::Slots;
use crate::slots::draws::{Blocks, Lane, compress, weighed};

/// The draws of a set of members. A *key* is a 48-bit cost over the 16-bit position of its member.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    blocks: Blocks,
    members: Vec<Drawer>,
    /// All weights are equal, so that costs need no logarithm.
    even: bool,
}

/// What a member's draws follow from.
#[derive(Debug, Clone, Copy)]
struct Drawer {
    seed: u64,
    reciprocal: u64,
    weight: u32,
}

/// How far the draws of one block are listed.
#[derive(Debug)]
pub(crate) struct Passes {
    /// Equal weights: the next rank of every member.
    rank: u32,
    /// Weights that differ: every cost up to this one is listed, and the members that have more to list.
    level: u64,
    active: Vec<Active>,
}

/// A member with draws left to list.
#[derive(Debug)]
struct Active {
    member: u32,
    weight: u32,
    rank: u32,
    reciprocal: u64,
}

impl Field {
    pub(crate) fn new<Id>(members: &Members<Id>, slots: Slots) -> Self {
        let drawer = |member: &crate::Member<Id>| Drawer {
            seed: mix(member.key_hash().as_u64()),
            reciprocal: reciprocal(member.weight_of()),
            weight: member.weight_of(),
        };
        let members: Vec<Drawer> = members.iter().map(drawer).collect();
        let even = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { blocks: Blocks::new(slots), members, even }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Whether all weights are equal.
    pub(crate) fn is_even(&self) -> bool {
        self.even
    }

    /// The key of `member` for `slot`.
    pub(crate) fn key(&self, member: u32, slot: u32) -> u64 {
        self.key_in(&self.lane(member, slot), member, slot)
    }

    /// The same with the member's lane over the slot's block at hand.
    #[inline]
    pub(crate) fn key_in(&self, lane: &Lane, member: u32, slot: u32) -> u64 {
        let plain = self.plain_in(lane, slot);
        let cost = if self.even { plain } else { weighed(plain, self.members[member as usize].reciprocal) };
        (cost << 16) | u64::from(member)
    }

    #[inline]
    fn lane(&self, member: u32, slot: u32) -> Lane {
        Lane::new(self.members[member as usize].seed, self.blocks.of(slot))
    }

    #[inline]
    fn plain_in(&self, lane: &Lane, slot: u32) -> u64 {
        let bits = self.blocks.bits();
        lane.plain(lane.rank(slot & (self.blocks.len() - 1), bits), slot, bits)
    }

    /// Whether key `a` comes before key `b` in `slot`: by cost, then draw, then position.
    #[inline(always)]
    pub(crate) fn before(&self, a: u64, b: u64, slot: u32) -> bool {
        if (a ^ b) >> 16 != 0 || self.even {
            a < b
        } else {
            (self.plain(a, slot), a) < (self.plain(b, slot), b)
        }
    }

    /// The complement of the draw behind a key.
    pub(crate) fn plain(&self, key: u64, slot: u32) -> u64 {
        self.plain_in(&self.lane(member_of(key), slot), slot)
    }

    /// All members in the order in which `slot` prefers them.
    pub(crate) fn ranking(&self, slot: u32) -> Vec<u32> {
        let mut keys: Vec<u64> = (0..self.len() as u32).map(|member| self.key(member, slot)).collect();
        keys.sort_unstable_by(|&a, &b| match self.before(a, b, slot) {
            _ if a == b => Ordering::Equal,
            true => Ordering::Less,
            false => Ordering::Greater,
        });
        keys.into_iter().map(member_of).collect()
    }

    /// The best of `members` for `slot`.
    pub(crate) fn best(&self, members: impl Iterator<Item = u32>, slot: u32) -> Option<u32> {
        let better = |best, key| if self.before(key, best, slot) { key } else { best };
        members.map(|member| self.key(member, slot)).reduce(better).map(member_of)
    }

    /// All members' draws over one block.
    pub(crate) fn lanes(&self, block: u32, lanes: &mut Vec<Lane>) {
        lanes.clear();
        lanes.extend(self.members.iter().map(|member| Lane::new(member.seed, block)));
    }

    /// Starts listing the draws of a block. Members without weight are not listed, unless all are.
    pub(crate) fn passes(&self) -> Passes {
        let active = |(member, drawer): (u32, &Drawer)| {
            let &Drawer { weight, reciprocal, .. } = drawer;
            (!self.even && weight > 0).then_some(Active { member, weight, rank: 0, reciprocal })
        };
        let active = (0..).zip(&self.members).filter_map(active).collect();
        Passes { rank: 0, level: 0, active }
    }
}

/// The member's position in a key.
#[inline(always)]
pub(crate) const fn member_of(key: u64) -> u32 {
    key as u32 & 0xffff
}

/// Lists about one further draw per slot of a block: every draw listed is better than every one that is not.
impl Passes {
    /// For equal weights: the ranks that are next, for every member; empty when there are no more.
    pub(crate) fn even(&mut self, members: usize, bits: u32) -> Range<u32> {
        let start = self.rank;
        if members > 0 {
            self.rank = (1 << bits).min(start + ((1 << bits) / members as u32).max(1));
        }
        start..self.rank
    }

    /// For weights that differ: `see(key, place)`; answers how many were listed, 0 when there are no more.
    #[inline(always)]
    pub(crate) fn weighed(
        &mut self,
        lanes: &[Lane],
        bits: u32,
        first: u32,
        mut see: impl FnMut(u64, u32),
    ) -> usize {
        // Costs have 56 fractional bits and rate weight * ln 2: this step lists one draw per slot at first.
        const STEP: u64 = ((1_u128 << 56) * 1_442_695 / 1_000_000) as u64;
        if self.active.is_empty() {
            return 0;
        }
        let weight: u64 = self.active.iter().map(|active| u64::from(active.weight)).sum();
        self.level = self.level.saturating_add((STEP / weight).max(1));
        let level = compress(self.level);
        let mut listed = 0;
        for active in &mut self.active {
            let lane = &lanes[active.member as usize];
            let start = active.rank;
            while active.rank < 1 << bits {
                let place = lane.place(active.rank, bits);
                let cost = weighed(lane.plain(active.rank, first | place, bits), active.reciprocal);
                if cost > level {
                    break;
                }
                see((cost << 16) | u64::from(active.member), place);
                active.rank += 1;
            }
            listed += (active.rank - start) as usize;
        }
        self.active.retain(|active| active.rank < 1 << bits);
        listed.max(1)
    }
}
