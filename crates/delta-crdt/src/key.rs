//! Keys, and the hash that places them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;

/// A key of a replicated map.
///
/// `stable_hash` must give the same number for equal keys on every machine and in every version of the program: it decides
/// which shard a key lives in, and shards are synchronised one by one. The implementations here are pinned by tests.
/// The hash is not keyed: whoever chooses keys can make them collide, which costs time, not correctness.
pub trait Key: Clone + Ord + Debug {
    /// A 64-bit hash, well spread in all its bits.
    fn stable_hash(&self) -> u64;
}

/// Spreads the bits of `x`; a bijection. Source: the finaliser of MurmurHash3 (Appleby, public domain).
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SECRET: u64 = 0xe703_7ed1_a0b4_28db;

const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Spreads the bits of `x` by one multiplication: of `x` by itself, so that numbers at equal distances do not come to lie in a row,
/// as they do for a constant factor. Not a bijection; `x` should be large.
pub(crate) const fn square(x: u64) -> u64 {
    fold(x, x)
}

/// The pinned hash of a byte string.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| {
        let mut buffer = [0; 8];
        buffer[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(buffer)
    };
    let mut state = GOLDEN ^ (bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        state = fold(word(&chunk[..8]) ^ state, word(&chunk[8..]) ^ SECRET);
    }
    let rest = chunks.remainder();
    let (low, high) = rest.split_at(rest.len().min(8));
    mix(fold(word(low) ^ state, word(high) ^ SECRET) ^ state)
}

macro_rules! integer_keys {
    ($($t:ty),*) => {$(
        impl Key for $t {
            fn stable_hash(&self) -> u64 {
                square((*self as u64) ^ GOLDEN)
            }
        }
    )*};
}
integer_keys!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! byte_keys {
    ($($t:ty => $bytes:expr),*) => {$(
        impl Key for $t {
            fn stable_hash(&self) -> u64 {
                let bytes: fn(&$t) -> &[u8] = $bytes;
                hash_bytes(bytes(self))
            }
        }
    )*};
}
byte_keys!(
    String => |k| k.as_bytes(),
    Box<str> => |k| k.as_bytes(),
    Arc<str> => |k| k.as_bytes(),
    Vec<u8> => |k| k,
    Box<[u8]> => |k| k,
    Arc<[u8]> => |k| k
);

impl<const N: usize> Key for [u8; N] {
    fn stable_hash(&self) -> u64 {
        hash_bytes(self)
    }
}

impl Key for () {
    fn stable_hash(&self) -> u64 {
        mix(GOLDEN)
    }
}

impl Key for u128 {
    fn stable_hash(&self) -> u64 {
        hash_bytes(&self.to_le_bytes())
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn stable_hash(&self) -> u64 {
        mix(self.0.stable_hash().wrapping_mul(GOLDEN) ^ self.1.stable_hash())
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn stable_hash(&self) -> u64 {
        mix(self.0.stable_hash().wrapping_mul(GOLDEN) ^ self.1.stable_hash())
            .wrapping_mul(GOLDEN)
            .wrapping_add(mix(self.2.stable_hash()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_spread_over_shards_and_buckets() {
        let mut high = [0_u32; 16];
        let mut low = [0_u32; 16];
        for i in 0..16_000_u64 {
            let hash = alloc::format!("key-{i}").stable_hash();
            high[(hash >> 60) as usize] += 1;
            low[(hash & 15) as usize] += 1;
        }
        assert!(high.iter().chain(&low).all(|&n| (850..1150).contains(&n)), "{high:?} {low:?}");
    }

    #[test]
    fn texts_and_their_bytes_hash_alike() {
        let text = String::from("alpha");
        assert_eq!(text.stable_hash(), Vec::from(*b"alpha").stable_hash());
        assert_eq!(text.stable_hash(), Arc::<str>::from("alpha").stable_hash());
    }

    #[test]
    fn the_hash_is_pinned() {
        assert_eq!(7_u64.stable_hash(), 7_u8.stable_hash());
        let pinned = [
            0_u64.stable_hash(),
            String::new().stable_hash(),
            String::from("alpha").stable_hash(),
            String::from("a longer key, of more than 16 bytes").stable_hash(),
            (1_u64, 2_u64).stable_hash(),
            (1_u64, 2_u64, 3_u64).stable_hash(),
        ];
        assert_eq!(pinned, PINNED, "a changed hash splits running clusters: {pinned:#018x?}");
    }

    const PINNED: [u64; 6] = [
        0xbe8c_ab64_4efd_da51,
        0x58a9_872b_ca28_1230,
        0x3ea2_fafb_35eb_3f42,
        0x10e0_e169_4387_1cff,
        0xd5db_da6a_7a51_180c,
        0x6f08_d08e_d3ee_3ece,
    ];
}
