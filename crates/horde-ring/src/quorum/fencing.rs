//! Tokens that let an outside resource refuse an old copy.

use core::fmt;

/// A number that grows with every new owner of a child: configuration epoch, then generation, then claim stamp.
///
/// Hand it to the outside resource with each write; the resource keeps the greatest it has seen and refuses
/// lesser ones. This is the only protection from a copy that was paused with its clocks.
/// Source: Gray and Cheriton, "Leases" (1989); Kleppmann, "How to do distributed locking" (2016).
///
/// ```
/// use horde_ring::FencingToken;
///
/// let old = FencingToken::new(1, 7, 1_700_000_000).expect("small numbers fit");
/// let new = FencingToken::new(1, 8, 1_600_000_000).expect("small numbers fit");
/// assert!(new > old && new.as_u128() > old.as_u128());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken {
    epoch: u32,
    generation: u32,
    stamp: u64,
}

/// An epoch or generation of 2^32 or more does not fit a token; there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenError;

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no fencing token: the epoch or the generation is 2^32 or more")
    }
}

impl core::error::Error for TokenError {}

impl FencingToken {
    /// The token of a claim.
    ///
    /// # Errors
    /// [`TokenError`] if epoch or generation is 2^32 or more: cut short, the order would be lost.
    pub fn new(epoch: u64, generation: u64, stamp: u64) -> Result<Self, TokenError> {
        let part = |number: u64| u32::try_from(number).map_err(|_| TokenError);
        Ok(Self { epoch: part(epoch)?, generation: part(generation)?, stamp })
    }

    /// The token as one number, in the same order: 32 bits of epoch, 32 of generation, 64 of stamp.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        ((self.epoch as u128) << 96) | ((self.generation as u128) << 64) | self.stamp as u128
    }

    /// The token that a number stands for.
    #[must_use]
    pub const fn from_u128(token: u128) -> Self {
        Self { epoch: (token >> 96) as u32, generation: (token >> 64) as u32, stamp: token as u64 }
    }

    /// The configuration epoch.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.epoch as u64
    }

    /// The generation: how many owners the child has had in its life.
    #[must_use]
    pub const fn generation(self) -> u64 {
        self.generation as u64
    }

    /// The claim stamp.
    #[must_use]
    pub const fn stamp(self) -> u64 {
        self.stamp
    }
}
