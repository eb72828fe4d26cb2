//! Chance in a history, decided by its seed.

/// The generator of a history (xorshift).
pub(super) struct Random(u64);

impl Random {
    /// Seeds that follow each other give generators that have nothing in common.
    pub(super) fn of(seed: u64) -> Self {
        let mixed = (seed ^ seed >> 30).wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ mixed >> 31).max(1))
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}
