//! Who wrote: replicas and the dots they mint.

use core::fmt;

/// One life of a replica: the node it belongs to, and the epoch that its start took.
///
/// Every start takes a new epoch, higher than all earlier ones of that node, with storage or without: two lives that
/// share an id would mint one dot twice, and writes would be lost. Horde uses the hash of the node's name and the
/// node's incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReplicaId {
    /// The node, the same in all its lives.
    pub node: u64,
    /// The life, rising with each start.
    pub epoch: u64,
}

impl ReplicaId {
    /// The replica of `node` in its life `epoch`.
    #[must_use]
    pub const fn new(node: u64, epoch: u64) -> Self {
        Self { node, epoch }
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}@{}", self.node, self.epoch)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// No write has a higher number: nobody comes that far, and what bytes from outside claim cannot make numbers overflow.
pub(crate) const MAX_SEQ: u64 = (1 << 63) - 1;

/// The name of one write: the `seq`-th of `origin`, counted from 1 (in the engine: within one shard).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dot {
    /// Who wrote.
    pub origin: ReplicaId,
    /// Its number, from 1, without gaps.
    pub seq: u64,
}

impl Dot {
    /// The `seq`-th write of `origin`.
    #[must_use]
    pub const fn new(origin: ReplicaId, seq: u64) -> Self {
        Self { origin, seq }
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.origin, self.seq)
    }
}
