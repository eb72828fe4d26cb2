//! What a write or a merge changed for readers.

/// A change of what a key shows: the diff that subscribers get.
///
/// It follows the winner: a write that loses changes nothing, and neither does one that leaves the winning write in place.
/// A write of an equal value is a change: `old` equals `new`. A value such as `None` of an `Option` is a value, not a removal.
/// Mirrors DeltaCrdt's `{:add, key, value}` and `{:remove, key}`, with the value that was there before; DeltaCrdt reports no
/// change for an equal value, and a removal for `nil`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K, V> {
    /// The key shows `new` from now on.
    Put {
        /// The key.
        key: K,
        /// What it showed before.
        old: Option<V>,
        /// What it shows now.
        new: V,
    },
    /// The key shows nothing any more.
    Removed {
        /// The key.
        key: K,
        /// What it showed before.
        old: V,
    },
}

impl<K, V> Change<K, V> {
    /// The key that changed.
    pub const fn key(&self) -> &K {
        match self {
            Self::Put { key, .. } | Self::Removed { key, .. } => key,
        }
    }

    /// What the key showed before.
    pub const fn old(&self) -> Option<&V> {
        match self {
            Self::Put { old, .. } => old.as_ref(),
            Self::Removed { old, .. } => Some(old),
        }
    }

    /// What the key shows now.
    pub const fn value(&self) -> Option<&V> {
        match self {
            Self::Put { new, .. } => Some(new),
            Self::Removed { .. } => None,
        }
    }
}
