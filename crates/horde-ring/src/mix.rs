//! Bit mixers inside the strategies. Pinned: a change here moves keys in every running cluster.

/// Spreads every input bit over all output bits; a bijection on 64 bits.
///
/// Source: variant 13 of D. Stafford's search for better 64-bit finalisers, as used by SplitMix64.
#[inline(always)]
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The `n`th number of the stream that `seed` starts (SplitMix64, random access).
#[inline(always)]
pub(crate) const fn stream(seed: u64, n: u64) -> u64 {
    mix(seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Multiplies to 128 bits and folds the halves together: as good as [`mix`] where `factor` is odd, random and the
/// caller's own, at half the cost.
///
/// Source: the multiply-and-fold step of wyhash.
#[inline(always)]
pub(crate) const fn fold(x: u64, factor: u64) -> u64 {
    let product = x as u128 * factor as u128;
    (product as u64) ^ ((product >> 64) as u64)
}
