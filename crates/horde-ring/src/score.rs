//! Fixed-point weighted scores: integers only, so bit-identical on every CPU.

/// Fractional bits of [`neg_log2`].
const FRACTION: u32 = 56;
/// Entries of the table: 2^10 segments of the mantissa.
const SEGMENTS: usize = 1 << 10;

/// `1 - log2(1 + i / 1024)` with 56 fractional bits, for i in 0..=1024.
static MANTISSA: [u64; SEGMENTS + 1] = mantissa_table();

/// Computes the table by repeated squaring, one bit of the logarithm per step.
const fn mantissa_table() -> [u64; SEGMENTS + 1] {
    let mut table = [0; SEGMENTS + 1];
    let mut i = 0;
    while i < SEGMENTS {
        // A number in [1, 2) with 63 fractional bits.
        let mut x = ((SEGMENTS + i) as u64) << 53;
        let mut log = 0_u64;
        let mut bit = 0;
        while bit < FRACTION {
            let square = ((x as u128) * (x as u128)) >> 63;
            log <<= 1;
            if square >> 64 != 0 {
                log |= 1;
                x = (square >> 1) as u64;
            } else {
                x = square as u64;
            }
            bit += 1;
        }
        table[i] = (1 << FRACTION) - log;
        i += 1;
    }
    table
}

/// `-log2((hash | 1) / 2^64)` with 56 fractional bits: 0 to 64, never growing while `hash` grows.
///
/// Between table entries it is interpolated: the error is below 2^-22.
#[inline]
pub(crate) fn neg_log2(hash: u64) -> u64 {
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    let mantissa = hash << zeros;
    let at = (mantissa >> 53) as usize & (SEGMENTS - 1);
    let step = MANTISSA[at] - MANTISSA[at + 1];
    let within = high(step, mantissa << 11);
    (u64::from(zeros) << FRACTION) + MANTISSA[at] - within
}

/// The high half of a 64 by 64 bit product.
#[inline(always)]
pub(crate) const fn high(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 64) as u64
}

/// `1 / weight` as a fraction of 2^64; 0 for the weight 0.
#[inline]
pub(crate) const fn reciprocal(weight: u32) -> u64 {
    if weight == 0 { 0 } else { u64::MAX / weight as u64 }
}

/// How late a member of this weight comes for a key with this draw: the least cost owns the key.
///
/// With `hash` uniform the cost is exponential with rate `weight`, so a member wins in proportion to its
/// weight. A member of weight 0 comes after all others.
/// Source: weighted rendezvous hashing (Schindler and Mudigonda's logarithmic method).
#[inline]
pub(crate) fn cost(hash: u64, reciprocal: u64) -> u64 {
    if reciprocal == 0 { u64::MAX } else { high(neg_log2(hash), reciprocal) }
}

/// A member's place for one key. The least wins: cost, then the greater draw, then the lower position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    cost: u64,
    draw: u64,
    /// The member's position in the member list, which is ordered by id.
    pub(crate) member: u32,
}

impl Score {
    #[inline]
    pub(crate) fn new(hash: u64, reciprocal: u64, member: u32) -> Self {
        Self { cost: cost(hash, reciprocal), draw: !hash, member }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_at_powers_of_two() {
        for power in 20..64 {
            let exact = (64 - power) << FRACTION;
            assert!(exact - neg_log2(1 << power) < 1 << 40);
        }
        assert_eq!(neg_log2(0), 64 << FRACTION);
        assert!(neg_log2(u64::MAX) < 1 << 5);
    }

    #[test]
    fn the_logarithm_agrees_with_floating_point() {
        for n in 0..100_000 {
            let hash = crate::mix::stream(7, n);
            let exact = 64.0 - (hash as f64).log2();
            let ours = neg_log2(hash) as f64 / (1_u64 << FRACTION) as f64;
            assert!((exact - ours).abs() < 3e-7, "{hash}: {exact} {ours}");
        }
    }

    #[test]
    fn the_logarithm_never_grows_with_the_draw() {
        let mut draws: std::vec::Vec<u64> = (0..50_000).map(|n| crate::mix::stream(9, n)).collect();
        for at in 0..SEGMENTS as u64 {
            let edge = (SEGMENTS as u64 + at) << 53;
            draws.extend([edge - 1, edge, edge + 1, (edge - 1) >> 20, edge >> 20]);
        }
        draws.extend([0, 1, 2, 3, u64::MAX, u64::MAX - 1]);
        draws.sort_unstable();
        assert!(draws.windows(2).all(|pair| neg_log2(pair[0]) >= neg_log2(pair[1])));
    }

    #[test]
    fn the_table_is_frozen() {
        let sum = MANTISSA.iter().fold(0_u64, |sum, &entry| sum.rotate_left(5) ^ entry);
        assert_eq!((MANTISSA[0], MANTISSA[1], MANTISSA[512], MANTISSA[1023], sum), FROZEN);
    }

    const FROZEN: (u64, u64, u64, u64, u64) =
        (72057594037927936, 71956122938044463, 29906603633551737, 50772715820934, 9656253803153609817);
}
