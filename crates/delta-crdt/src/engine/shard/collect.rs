//! R7: dropping tombstones that every member covers.

use alloc::vec::Vec;

use super::{Context, Shard, Tomb, winning};
use crate::engine::rules::Rule;
use crate::{Key, Winner};

impl<K: Key, V: Clone> Shard<K, V> {
    /// Drops the tombstones that `stable` covers, and the oldest above `limit`. Returns how many it dropped before their time.
    ///
    /// A tombstone that wins over a living sibling (by a policy of the user's) stays: without it that sibling would show.
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
            if (!is_stable && excess == 0) || self.hides_a_value(cx, slot) {
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
        early
    }

    fn hides_a_value<W: Winner<V>>(&self, cx: &Context<'_, W>, slot: u32) -> bool {
        let sibs = self.store.sibs(slot);
        sibs.iter().any(|sib| sib.value.is_some()) && winning(cx, sibs).is_some_and(|sib| sib.value.is_none())
    }

    /// True if a pull with this vector is below a floor: a gap would leave removed keys alive (R8).
    pub(crate) fn is_below_floor(&self, theirs: impl Fn(u32) -> u64) -> bool {
        (0_u32..).zip(&self.lanes).any(|(origin, lane)| lane.floor > theirs(origin))
    }
}
