//! The short way of a local write.

use core::mem;

use super::Shard;
use crate::engine::origins::Origins;
use crate::engine::store::{Sibs, mark};
use crate::{Key, Stamp};

/// What the overwriting of a single value did: the new write, and what it replaced.
pub(crate) struct Over<V> {
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    pub(crate) dot: (u32, u64),
    pub(crate) old: V,
}

impl<K: Key, V: Clone> Shard<K, V> {
    /// Writes here where the key holds one value and nothing is recorded, as nearly always: the short way of [`Self::local`].
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
        let Sibs::One(held) = self.store.look_mut(hash, key)? else { return None };
        let shown = held.value.as_mut()?;
        let seq = self.lanes.first()?.covered + 1;
        let old = mem::replace(shown, value.clone());
        let dot = held.dot();
        let stamp = stamp(held.stamp);
        (held.origin, held.seq, held.stamp) = (0, seq, stamp);
        self.advance(origins, 0, seq);
        self.dropped(origins, dot, true);
        self.added(origins, mark(hash), (0, seq), true);
        self.append(mark(hash), 0, seq);
        Some(Over { seq, stamp, dot, old })
    }
}
