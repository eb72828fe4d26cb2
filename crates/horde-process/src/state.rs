//! Versioned bytes: handed-over state, arguments.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{CodecError, Stop, codec};

/// Versioned bytes: the state that a process hands to the copy after it, or arguments of another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    bytes: Vec<u8>,
}

impl State {
    /// Encodes `value` as `version`; `None` if it cannot be encoded, which nothing derived with serde does.
    pub fn encode<T: Serialize + ?Sized>(version: u32, value: &T) -> Option<Self> {
        Some(Self { version, bytes: codec::encode(value).ok()? })
    }

    /// Bytes that are already encoded.
    #[must_use]
    pub fn from_bytes(version: u32, bytes: Vec<u8>) -> Self {
        Self { version, bytes }
    }

    /// Decodes a state of `version`.
    ///
    /// # Errors
    /// A [`Stop`] when the version is another one or the bytes do not decode; the state is as it was.
    pub fn decode<T: DeserializeOwned>(&self, version: u32) -> Result<T, Stop> {
        if version == self.version {
            return Ok(codec::decode(&self.bytes)?);
        }
        let why = format!("the bytes are of version {}, not {version}", self.version);
        Err(CodecError::new(why).into())
    }

    /// Which version the bytes are of.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The encoded value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded value, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Which version of its arguments a process writes, and which it reads.
///
/// `Versions::only(1).reading(1..=2)` writes 1 and reads both: the first deploy of a rolling upgrade to 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    writes: u32,
    lowest: u32,
    highest: u32,
}

impl Versions {
    /// Writes and reads `version` alone.
    #[must_use]
    pub const fn only(version: u32) -> Self {
        Self { writes: version, lowest: version, highest: version }
    }

    /// Reads all of `reads`, and what it writes.
    ///
    /// # Panics
    /// At build time, when what it writes is not among them.
    #[must_use]
    pub const fn reading(self, reads: RangeInclusive<u32>) -> Self {
        let (lowest, highest) = (*reads.start(), *reads.end());
        assert!(
            lowest <= self.writes && self.writes <= highest,
            "a process reads the version that it writes"
        );
        Self { lowest, highest, ..self }
    }

    /// The version that this build writes.
    #[must_use]
    pub const fn writes(&self) -> u32 {
        self.writes
    }

    /// The versions that this build reads.
    #[must_use]
    pub const fn reads(&self) -> RangeInclusive<u32> {
        self.lowest..=self.highest
    }
}
