//! R7: dropping tombstones that every member covers.

use alloc::vec::Vec;

use super::{Context, Shard, Tomb};
use crate::engine::rules::Rule;
use crate::{Key, Winner};

/// How many stale entries the list of tombstones may have beyond as many as there are tombstones.
const STALE_TOMBS: usize = 1_024;

impl<K: Key, V: Clone> Shard<K, V> {
    /// Drops the tombstones that `stable` covers, and the oldest above `limit`, and gives back the room of many. Returns how many it
    /// dropped before their time.
    pub(crate) fn collect<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        stable: impl Fn(u32) -> u64,
        limit: usize,
    ) -> usize {
        let tombs = core::mem::take(&mut self.tombs);
        let mut excess = self.dead.saturating_sub(limit);
        let mut early = 0;
        let mut kept = Vec::new();
        for tomb in tombs {
            let Tomb { origin, seq, mark } = tomb;
            let Some((slot, _)) = self.store.locate(mark, (origin, seq)) else { continue };
            let is_stable = seq <= stable(origin) || !cx.rules.hold(Rule::Stability);
            if !is_stable && excess == 0 {
                kept.push(tomb);
                continue;
            }
            excess = excess.saturating_sub(1);
            early += usize::from(!is_stable);
            if cx.rules.hold(Rule::Stability) {
                let lane = self.lane(origin);
                lane.floor = lane.floor.max(seq);
            }
            self.rewrite(cx, slot, |sib| sib.dot() == (origin, seq), Vec::new(), &mut Vec::new());
        }
        self.tombs = kept;
        self.store.shrink();
        early
    }

    /// Forgets where tombstones were whose keys were written since, once these are the most. Of a key that is removed and put again
    /// and again nothing else would.
    pub(crate) fn forget_stale_tombs(&mut self) {
        if self.tombs.len() > 2 * self.dead + STALE_TOMBS {
            let store = &self.store;
            self.tombs.retain(|tomb| store.locate(tomb.mark, (tomb.origin, tomb.seq)).is_some());
        }
    }

    /// True if a pull with this vector is below a floor: a gap would leave removed keys alive (R8).
    pub(crate) fn is_below_floor(&self, theirs: impl Fn(u32) -> u64) -> bool {
        (0_u32..).zip(&self.lanes).any(|(origin, lane)| lane.floor > theirs(origin))
    }
}
