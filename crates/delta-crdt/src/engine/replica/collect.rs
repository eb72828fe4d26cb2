//! Dropping tombstones.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Replica;
use crate::engine::peer::Vector;
use crate::engine::shard::{Context, winning};
use crate::{Key, Now, Warning, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Sees to it that tombstones are looked at in time.
    pub(super) fn note_tombstones(&mut self, now: Now) {
        let limit = self.config.max_tombstones;
        let mut most = 0;
        for shard in &mut self.shards {
            shard.forget_stale_tombs();
            most = most.max(shard.dead);
        }
        if most > limit.saturating_add(limit / 8) {
            self.collect_due = Some(now.monotonic);
        } else if self.collect_due.is_none() && most > 0 {
            self.collect_due = Some(now.monotonic + self.config.status_interval);
        }
    }

    /// A peer has moved on: some tombstones may have become stable.
    pub(super) fn hasten_collection(&mut self, now: Now) {
        if self.shards.iter().any(|shard| shard.dead > 0) {
            let due = now.monotonic + self.config.repull_after;
            self.collect_due = Some(self.collect_due.map_or(due, |at| at.min(due)));
        }
    }

    pub(super) fn collect(&mut self) {
        self.collect_due = None;
        for place in 0..self.shards.len() {
            if self.shards[place].dead == 0 {
                continue;
            }
            let stable = self.stable(place);
            let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
            let covered = |origin: u32| stable.get(origin as usize).copied().unwrap_or(0);
            let dropped = self.shards[place].collect(&cx, covered, self.config.max_tombstones);
            if dropped > 0 {
                self.warn(Warning::CollectedEarly { shard: place as u16, dropped });
            }
        }
    }

    /// Whether every member is known to hold the write that `key` shows, and nothing that a member has beside it is still
    /// on its way to this replica: who removes the key now removes all of it.
    ///
    /// Known from the vectors that they have sent, never from silence; false for a key that shows nothing, and until
    /// [`Replica::set_members`] was called. Who keeps ends as values drops them when this is true.
    #[must_use]
    pub fn is_stable(&self, key: &K) -> bool {
        let hash = key.stable_hash();
        let place = self.place(hash);
        let shard = &self.shards[place];
        let Some((_, sibs)) = shard.store.look(hash, key) else { return false };
        let Some(sib) = winning(&self.context(), sibs.as_slice()) else { return false };
        let held = self.stable(place).get(sib.origin as usize).is_some_and(|covered| sib.seq <= *covered);
        held && self.knows_all_heard_of(place)
    }

    /// Whether everything is here that the members have said they have. A write that a member made, or was told of, before
    /// it had another one is concurrent with that, and would outlive its removal.
    fn knows_all_heard_of(&self, place: usize) -> bool {
        let known = self.members.iter().flatten().filter_map(|member| self.peers.get(member));
        distinct(known.filter_map(|peer| peer.heard[place].vector.as_ref())).iter().all(|vector| {
            (0_u32..).zip(vector.iter()).all(|(origin, seq)| *seq <= self.shards[place].covered(origin))
        })
    }

    /// What every member is known to cover, by origin.
    fn stable(&self, place: usize) -> Vec<u64> {
        let Some(members) = &self.members else { return Vec::new() };
        let mut stable: Vec<u64> = self.shards[place].lanes.iter().map(|lane| lane.covered).collect();
        let heard = members.iter().map(|member| self.peers.get(member)?.heard[place].vector.as_ref());
        let Some(vectors) = heard.collect::<Option<Vec<_>>>() else { return Vec::new() };
        for vector in distinct(vectors.into_iter()) {
            let covered = vector.iter().copied().chain(core::iter::repeat(0));
            for (seq, covered) in stable.iter_mut().zip(covered) {
                *seq = (*seq).min(covered);
            }
        }
        stable
    }
}

/// Each vector once, in any order: of many peers most hold the same.
fn distinct<'a>(vectors: impl Iterator<Item = &'a Vector>) -> Vec<&'a Vector> {
    let mut vectors: Vec<_> = vectors.collect();
    vectors.sort_unstable_by_key(|vector| Arc::as_ptr(vector));
    vectors.dedup_by(|a, b| Arc::ptr_eq(a, b));
    vectors
}
