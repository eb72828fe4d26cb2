//! The short way of a local write.

use core::mem;

use super::Shard;
use crate::engine::origins::{Origins, dot_hash};
use crate::engine::store::mark;
use crate::{Key, Stamp};

/// What the overwriting of a single value did: the new write, and what it replaced.
pub(crate) struct Over<V> {
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    pub(crate) dot: (u32, u64),
    pub(crate) old: V,
}

impl<K: Key, V: Clone> Shard<K, V> {
    /// Writes here where the key is found at once, holds one value and nothing is recorded, as nearly always: the short way of
    /// [`Self::local`].
    /// `None`: it is not so, and nothing was done.
    ///
    /// Short, as the processor waits for the key's place here, and looks ahead only so far: what is within its sight is the next
    /// write, if this one is short.
    #[inline]
    pub(crate) fn overwrite(
        &mut self,
        origins: &Origins,
        (hash, key): (u64, &K),
        value: &V,
        stamp: impl FnOnce(Stamp) -> Stamp,
    ) -> Option<Over<V>> {
        if self.log.is_some() {
            return None;
        }
        let held = self.store.only_mut(hash, key)?;
        let shown = held.value.as_mut()?;
        let lane = self.lanes.first_mut()?;
        let seq = lane.covered + 1;
        let old = mem::replace(shown, value.clone());
        let dot = held.dot();
        let stamp = stamp(held.stamp);
        (held.origin, held.seq, held.stamp) = (0, seq, stamp);
        lane.covered = seq;
        lane.index.add();
        lane.index.append(seq, mark(hash));
        self.fingerprint ^= dot_hash(origins.seed(0), seq);
        self.version += 1;
        self.turn_to(origins, 0);
        self.dropped(origins, dot, true);
        Some(Over { seq, stamp, dot, old })
    }
}
