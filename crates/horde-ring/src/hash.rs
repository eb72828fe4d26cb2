//! The pinned key hash: what a key's bytes become before any strategy sees them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// The seed of [`KeyHash::of`]: the ASCII bytes of `horde1` read as a number.
///
/// Fixed for ever. Another seed would be another owner for nearly every key.
pub const KEY_SEED: u64 = 0x686f_7264_6531;

/// The 64-bit hash of a key's bytes, the same on every node, platform and release.
///
/// It is xxh3 (64 bits, seed [`KEY_SEED`]) over the bytes, never `std::hash::Hash` nor a random state.
/// The golden vectors in this crate's tests freeze it. Source: the xxHash specification, version 0.8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Hashes the bytes of a key.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(twox_hash::XxHash3_64::oneshot_with_seed(KEY_SEED, bytes.as_ref()))
    }

    /// Takes a hash made elsewhere, or one stored before.
    ///
    /// It must be well spread over all 64 bits: the table strategies use the highest bits as they are.
    #[must_use]
    pub const fn from_u64(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash as a number, to store or send.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({:016x})", self.0)
    }
}

/// A value that defines the bytes it is hashed over, so that every node and platform agrees.
///
/// Integers are hashed over their little-endian bytes in their own width, text over its UTF-8 bytes, byte
/// strings as they are. So `"a"` and `b"a"` are one key, and `1u32` and `1u64` are two.
/// Implement it for ids of your own, or give the hash with [`Member::hashed`](crate::Member::hashed).
pub trait StableHash {
    /// The hash of this value's defined bytes.
    fn stable_hash(&self) -> KeyHash;
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl StableHash for $int {
            fn stable_hash(&self) -> KeyHash {
                KeyHash::of(self.to_le_bytes())
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

macro_rules! bytes {
    ($($bytes:ty),*) => {$(
        impl StableHash for $bytes {
            fn stable_hash(&self) -> KeyHash {
                KeyHash::of(AsRef::<[u8]>::as_ref(self))
            }
        }
    )*};
}

bytes!(str, String, [u8], Vec<u8>);

impl<const N: usize> StableHash for [u8; N] {
    fn stable_hash(&self) -> KeyHash {
        KeyHash::of(self)
    }
}

impl StableHash for KeyHash {
    fn stable_hash(&self) -> KeyHash {
        *self
    }
}

impl<T: StableHash + ?Sized> StableHash for &T {
    fn stable_hash(&self) -> KeyHash {
        (**self).stable_hash()
    }
}

impl<T: StableHash + ?Sized> StableHash for Box<T> {
    fn stable_hash(&self) -> KeyHash {
        (**self).stable_hash()
    }
}

impl<T: StableHash + ?Sized> StableHash for Arc<T> {
    fn stable_hash(&self) -> KeyHash {
        (**self).stable_hash()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_hash_alike_whatever_type_holds_them() {
        let plain = KeyHash::of("greeter-42");
        assert_eq!("greeter-42".stable_hash(), plain);
        assert_eq!(String::from("greeter-42").stable_hash(), plain);
        assert_eq!(b"greeter-42".stable_hash(), plain);
        assert_eq!(Arc::<str>::from("greeter-42").stable_hash(), plain);
        assert_eq!(Box::<[u8]>::from(*b"greeter-42").stable_hash(), plain);
    }

    #[test]
    fn integers_are_hashed_over_their_little_endian_bytes() {
        assert_eq!(0x0102_u16.stable_hash(), KeyHash::of([2, 1]));
        assert_ne!(1_u32.stable_hash(), 1_u64.stable_hash());
    }
}
