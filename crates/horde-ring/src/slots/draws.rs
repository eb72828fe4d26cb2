//! One member's draws over all slots, computable in both directions.

use crate::mix::{mix, stream};
use crate::score::cost;
use crate::slots::count::Slots;

/// Bits of a draw.
const DRAW: u32 = 48;

/// The logarithm of the most slots of a block. One block's best draws fit into a processor's first-level cache.
pub(crate) const MAX_BLOCK_BITS: u32 = 10;

/// How the slots are cut into blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    bits: u32,
    count: u32,
}

impl Blocks {
    pub(crate) fn new(slots: Slots) -> Self {
        let bits = slots.bits().min(MAX_BLOCK_BITS);
        Self { bits, count: slots.count() >> bits }
    }

    /// How many blocks there are.
    pub(crate) fn count(self) -> u32 {
        self.count
    }

    /// Slots per block.
    pub(crate) fn len(self) -> u32 {
        1 << self.bits
    }

    /// The logarithm of the slots per block.
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.bits
    }

    /// The block that a slot is in.
    #[inline(always)]
    pub(crate) fn of(self, slot: u32) -> u32 {
        slot >> self.bits
    }
}

/// A member's draws over one block of slots, by their *place* in the block.
///
/// Slot by slot they are like independent uniform numbers, but each of the block's strata is hit exactly once,
/// by a permutation of its slots. So they can be listed best first without looking at all of them. That makes a
/// rebuild cheap (only the best few draws of each member are ever made) and the table more even than
/// independent draws would (the draws of one member cannot all be lucky).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    seed: u64,
    factors: [u16; 3],
    offsets: [u16; 2],
}

impl Lane {
    #[inline(always)]
    pub(crate) fn new(seed: u64, block: u32) -> Self {
        let place = stream(seed, u64::from(block));
        let part = |n: u32| (place >> (12 * n)) as u16;
        Self { seed, factors: [part(0) | 1, part(1) | 1, part(2) | 1], offsets: [part(3), part(4)] }
    }

    /// The place of draw number `rank` in its block of `2^bits` slots, where rank 0 is the best. A bijection.
    #[inline(always)]
    pub(crate) fn place(&self, rank: u32, bits: u32) -> u32 {
        let mask = (1 << bits) - 1;
        let fold = bits.div_ceil(2);
        let [one, two, three] = self.factors.map(u32::from);
        let mut x = rank.wrapping_add(u32::from(self.offsets[0])).wrapping_mul(one) & mask;
        x ^= x >> fold;
        x = x.wrapping_add(u32::from(self.offsets[1])).wrapping_mul(two) & mask;
        x ^= x >> fold;
        x.wrapping_mul(three) & mask
    }

    /// Which draw is the one for a place: the inverse of [`place`](Self::place).
    #[inline(always)]
    pub(crate) fn rank(&self, place: u32, bits: u32) -> u32 {
        let mask = (1 << bits) - 1;
        let fold = bits.div_ceil(2);
        let [one, two, three] = self.factors.map(|factor| inverse(u32::from(factor)));
        let mut x = place.wrapping_mul(three) & mask;
        x ^= x >> fold;
        x = x.wrapping_mul(two).wrapping_sub(u32::from(self.offsets[1])) & mask;
        x ^= x >> fold;
        x.wrapping_mul(one).wrapping_sub(u32::from(self.offsets[0])) & mask
    }

    /// The complement of the draw number `rank`, made for `slot`: 48 bits, the less the better.
    #[inline(always)]
    pub(crate) fn plain(&self, rank: u32, slot: u32, bits: u32) -> u64 {
        (u64::from(rank) << (DRAW - bits)) | (mix(self.seed ^ u64::from(slot)) >> (64 - DRAW + bits))
    }
}

/// The weighted cost behind the complement of a draw, in 48 bits: the less, the better. It keeps the order of
/// the exact costs.
#[inline(always)]
pub(crate) fn weighed(plain: u64, reciprocal: u64) -> u64 {
    compress(cost(!(plain << (64 - DRAW)), reciprocal))
}

/// Packs 64 bits into 48 by keeping 43 significant bits, never turning an order around.
#[inline(always)]
pub(crate) fn compress(cost: u64) -> u64 {
    let shift = (64 - cost.leading_zeros()).saturating_sub(43);
    (u64::from(shift) << 42) + (cost >> shift)
}

/// The inverse of an odd number modulo 2^12, by Newton's iteration.
#[inline(always)]
const fn inverse(odd: u32) -> u32 {
    // Right in 3 bits, then in 6, then in 12.
    let x = odd.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(odd)));
    x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_and_place_are_each_others_inverse() {
        for bits in 4..=MAX_BLOCK_BITS {
            for n in 0..64 {
                let lane = Lane::new(mix(n), n as u32);
                let mut seen = std::vec![false; 1 << bits];
                for rank in 0..1 << bits {
                    let place = lane.place(rank, bits);
                    assert_eq!(lane.rank(place, bits), rank);
                    seen[place as usize] = true;
                }
                assert!(seen.iter().all(|&seen| seen));
            }
        }
    }

    #[test]
    fn a_later_rank_never_draws_better() {
        let lane = Lane::new(99, 3);
        let all: std::vec::Vec<u64> =
            (0..1 << 10).map(|rank| lane.plain(rank, lane.place(rank, 10), 10)).collect();
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        let reciprocal = crate::score::reciprocal(7);
        assert!(all.windows(2).all(|w| weighed(w[0], reciprocal) <= weighed(w[1], reciprocal)));
    }

    #[test]
    fn compression_keeps_the_order() {
        let mut costs: std::vec::Vec<u64> =
            (0..64).flat_map(|n| [(1_u64 << n) - 1, 1 << n, (1 << n) + 1]).collect();
        costs.extend([u64::MAX - 1, u64::MAX]);
        costs.extend((0..1000).map(|n| stream(1, n) >> (n % 60)));
        costs.sort_unstable();
        assert!(costs.windows(2).all(|w| compress(w[0]) <= compress(w[1])));
        assert!(compress(u64::MAX) < 1 << DRAW);
    }
}
