//! One member's draws over all slots, computable in both directions.

use crate::mix::{mix, stream};
use crate::score::cost;
use crate::slots::count::Slots;

/// Bits of a draw.
const DRAW: u32 = 48;

/// A member's draws: slot by slot like independent uniform numbers, but each of the `slots` strata is hit
/// exactly once, by a permutation of the slots. So they can be listed best first without looking at all.
///
/// That makes a rebuild cheap (only the best few draws of each member are ever made) and the table more even
/// than independent draws would (the draws of one member cannot all be lucky).
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    bits: u32,
    seed: u64,
    reciprocal: u64,
    factors: [u32; 3],
    inverses: [u32; 3],
    offset: u32,
}

impl Draws {
    pub(crate) fn new(seed: u64, reciprocal: u64, slots: Slots) -> Self {
        let factors = [0, 1, 2].map(|n| stream(seed, n) as u32 | 1);
        let inverses = factors.map(inverse);
        Self { bits: slots.bits(), seed, reciprocal, factors, inverses, offset: stream(seed, 3) as u32 }
    }

    /// The slot of this member's draw number `rank`, where rank 0 is its best. A bijection.
    #[inline(always)]
    pub(crate) fn slot(&self, rank: u32) -> u32 {
        let mask = (1 << self.bits) - 1;
        let fold = self.bits.div_ceil(2);
        let mut x = rank.wrapping_add(self.offset).wrapping_mul(self.factors[0]) & mask;
        x ^= x >> fold;
        x = x.wrapping_mul(self.factors[1]) & mask;
        x ^= x >> fold;
        x.wrapping_mul(self.factors[2]) & mask
    }

    /// Which of this member's draws is the one for `slot`: the inverse of [`slot`](Self::slot).
    #[inline(always)]
    pub(crate) fn rank(&self, slot: u32) -> u32 {
        let mask = (1 << self.bits) - 1;
        let fold = self.bits.div_ceil(2);
        let mut x = slot.wrapping_mul(self.inverses[2]) & mask;
        x ^= x >> fold;
        x = x.wrapping_mul(self.inverses[1]) & mask;
        x ^= x >> fold;
        x.wrapping_mul(self.inverses[0]).wrapping_sub(self.offset) & mask
    }

    /// The draw number `rank`, made for `slot`: 48 bits, the greater the better.
    #[inline(always)]
    pub(crate) fn draw(&self, rank: u32, slot: u32) -> u64 {
        let stratum = u64::from((1 << self.bits) - 1 - rank) << (DRAW - self.bits);
        stratum | (mix(self.seed ^ u64::from(slot)) >> (64 - DRAW + self.bits))
    }

    /// The complement of a draw: the less, the better.
    #[inline(always)]
    pub(crate) fn plain(&self, rank: u32, slot: u32) -> u64 {
        self.draw(rank, slot) ^ ((1 << DRAW) - 1)
    }

    /// The weighted cost of a draw in 48 bits: the less, the better. It keeps the order of the exact costs.
    #[inline(always)]
    pub(crate) fn weighed(&self, rank: u32, slot: u32) -> u64 {
        compress(cost(self.draw(rank, slot) << (64 - DRAW), self.reciprocal))
    }

    /// Whether the member has a weight at all.
    pub(crate) fn has_weight(&self) -> bool {
        self.reciprocal != 0
    }
}

/// Packs 64 bits into 48 by keeping 43 significant bits, never turning an order around.
#[inline(always)]
pub(crate) fn compress(cost: u64) -> u64 {
    let shift = (64 - cost.leading_zeros()).saturating_sub(43);
    (u64::from(shift) << 42) + (cost >> shift)
}

/// The inverse of an odd number modulo 2^32, by Newton's iteration.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut step = 0;
    while step < 4 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_and_slot_are_each_others_inverse() {
        for bits in 4..=14 {
            for seed in 0..8 {
                let draws = Draws::new(mix(seed + 1), 1, Slots::at_least(1 << bits));
                for rank in 0..1 << bits {
                    assert_eq!(draws.rank(draws.slot(rank)), rank);
                }
            }
        }
    }

    #[test]
    fn a_later_rank_never_draws_better() {
        let draws = Draws::new(99, u64::MAX / 7, Slots::at_least(1 << 10));
        let all: std::vec::Vec<_> = (0..1 << 10).map(|rank| (rank, draws.slot(rank))).collect();
        assert!(all.windows(2).all(|w| draws.plain(w[0].0, w[0].1) < draws.plain(w[1].0, w[1].1)));
        assert!(all.windows(2).all(|w| draws.weighed(w[0].0, w[0].1) <= draws.weighed(w[1].0, w[1].1)));
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
