//! What must always hold.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::Replica;
use crate::engine::origins::{dot_hash, vector_hash};
use crate::engine::peer::circle_hash;
use crate::engine::shard::{Shard, winning};
use crate::{Key, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Checks the whole state against itself; slow. For tests and simulators.
    ///
    /// # Panics
    /// If anything does not hold, which is a bug of this crate.
    pub fn check_invariants(&self) {
        for shard in &self.shards {
            self.check_vector(shard);
            self.check_store(shard);
        }
        let neighbours = self.peers.values().filter(|peer| peer.neighbour).count();
        assert_eq!(self.neighbours, neighbours, "the count of neighbours");
        let circle =
            self.neighbours().into_iter().fold(circle_hash(self.id), |all, id| all ^ circle_hash(id));
        assert_eq!(self.circle, circle, "the hash over the neighbours");
        let relay = self.peers.values().filter(|peer| peer.neighbour).filter_map(|peer| peer.relay_due).min();
        assert!(
            relay.is_none() || self.relay_at <= relay && self.relay_at.is_some(),
            "a status is not forgotten"
        );
        assert!(self.outgoing.len() <= self.config.max_sessions, "sessions served");
        for place in self.incoming.keys().chain(self.outgoing.keys()).chain(self.queued.places()) {
            assert!(self.peers.contains_key(&place.0), "a session with a stranger: {place:?}");
        }
    }

    fn check_vector(&self, shard: &Shard<K, V>) {
        let mut hash = 0;
        for (origin, lane) in (0_u32..).zip(&shard.lanes) {
            hash ^= vector_hash(self.origins.seed(origin), lane.covered);
            assert!(lane.floor <= lane.covered, "a floor above the vector: {lane:?}");
        }
        assert_eq!(shard.hash(&self.origins), hash, "the hash of the vector");
    }

    fn check_store(&self, shard: &Shard<K, V>) {
        let (mut fingerprint, mut visible, mut dead) = (0, 0, 0);
        let mut dots = BTreeMap::new();
        for (slot, key, sibs) in shard.store.iter() {
            assert_eq!(shard.store.find(key.stable_hash(), key), Some(slot), "the table finds {key:?}");
            assert!(!sibs.as_slice().is_empty(), "{key:?} has siblings");
            for sib in sibs.as_slice() {
                assert!(shard.covers(sib.dot()), "{key:?} holds a write beyond the vector");
                assert!(dots.insert(sib.dot(), slot).is_none(), "{key:?} holds a write twice");
                if sib.value.is_some() {
                    fingerprint ^= dot_hash(self.origins.seed(sib.origin), sib.seq);
                } else {
                    dead += 1;
                }
            }
            let winner = winning(&self.context(), sibs.as_slice());
            visible += usize::from(winner.is_some_and(|sib| sib.value.is_some()));
        }
        assert_eq!(
            (shard.fingerprint, shard.visible, shard.dead),
            (fingerprint, visible, dead),
            "the counts"
        );
        for origin in 0..shard.lanes.len() as u32 {
            let mut indexed = Vec::new();
            shard.slots_after(origin, 0, &mut indexed);
            let indexed: BTreeSet<u32> = indexed.into_iter().collect();
            let held = dots.iter().filter(|(dot, _)| dot.0 == origin).map(|(_, &slot)| slot);
            assert_eq!(indexed, held.collect(), "the index of origin {origin}");
        }
    }
}
