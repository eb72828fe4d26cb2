//! How many slots the key space is cut into.

use core::fmt;

/// A number of slots: a power of two from 16 to 2^24.
///
/// It belongs to a horde's configuration and never follows the number of members: another count is another
/// owner for most keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slots {
    bits: u32,
}

impl Slots {
    /// The fewest slots.
    pub const MIN: u32 = 1 << 4;
    /// The most slots: 2^24 of them take 128 MiB in a table.
    pub const MAX: u32 = 1 << 24;

    /// Exactly `count` slots.
    ///
    /// # Errors
    /// [`SlotsError`] if `count` is no power of two from [`Slots::MIN`] to [`Slots::MAX`].
    pub const fn new(count: u32) -> Result<Self, SlotsError> {
        if count.is_power_of_two() && count >= Self::MIN && count <= Self::MAX {
            Ok(Self { bits: count.ilog2() })
        } else {
            Err(SlotsError { count })
        }
    }

    /// The least allowed count of at least `count` slots; [`Slots::MAX`] beyond it.
    #[must_use]
    pub const fn at_least(count: u32) -> Self {
        let mut bits = Self::MIN.ilog2();
        while bits < Self::MAX.ilog2() && (1 << bits) < count {
            bits += 1;
        }
        Self { bits }
    }

    /// The number of slots.
    #[must_use]
    #[inline]
    pub const fn count(self) -> u32 {
        1 << self.bits
    }

    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.bits
    }

    /// The slot of a key: its highest bits.
    #[inline(always)]
    pub(crate) const fn of(self, key: crate::hash::KeyHash) -> usize {
        (key.as_u64() >> (64 - self.bits)) as usize
    }

    /// The first key hash of a slot.
    pub(crate) const fn start(self, slot: usize) -> u64 {
        (slot as u64) << (64 - self.bits)
    }
}

/// A slot count that is not allowed; nothing was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotsError {
    count: u32,
}

impl fmt::Display for SlotsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count } = self;
        write!(f, "a slot count is a power of two from {} to {}, not {count}", Slots::MIN, Slots::MAX)
    }
}

impl core::error::Error for SlotsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_within_the_limits_are_counts() {
        assert_eq!(Slots::new(4096).map(Slots::count), Ok(4096));
        for count in [0, 1, 8, 4095, 1 << 25] {
            assert!(Slots::new(count).is_err(), "{count}");
        }
        assert_eq!(Slots::at_least(0).count(), 16);
        assert_eq!(Slots::at_least(4097).count(), 8192);
        assert_eq!(Slots::at_least(u32::MAX), Slots { bits: 24 });
    }
}
