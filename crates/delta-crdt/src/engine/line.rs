//! Pulls that wait for a session to end.

use alloc::collections::BTreeMap;

use crate::ReplicaId;
use crate::message::PullShard;

/// Who asks, and for which shard.
pub(crate) type Place = (ReplicaId, u16);

/// Pulls in the order in which they came, one for each place. Who asks again keeps the place in the line, so that no peer that asks
/// often stands before one that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    waiting: BTreeMap<Place, (u64, PullShard, BTreeMap<u32, u64>)>,
    order: BTreeMap<u64, Place>,
    next: u64,
}

impl Line {
    pub(crate) fn enter(&mut self, place: Place, ask: PullShard, vector: BTreeMap<u32, u64>) {
        let number = self.waiting.get(&place).map_or(self.next, |waiting| waiting.0);
        self.next = self.next.max(number + 1);
        self.order.insert(number, place);
        self.waiting.insert(place, (number, ask, vector));
    }

    /// Who has waited longest.
    pub(crate) fn pop(&mut self) -> Option<(ReplicaId, PullShard, BTreeMap<u32, u64>)> {
        let (_, place) = self.order.pop_first()?;
        let (_, ask, vector) = self.waiting.remove(&place)?;
        Some((place.0, ask, vector))
    }

    pub(crate) fn leave(&mut self, place: Place) {
        if let Some((number, ..)) = self.waiting.remove(&place) {
            self.order.remove(&number);
        }
    }

    /// All places of a peer are given up.
    pub(crate) fn forget(&mut self, peer: ReplicaId) {
        self.waiting.retain(|place, _| place.0 != peer);
        self.order.retain(|_, place| place.0 != peer);
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        assert_eq!(self.waiting.len(), self.order.len(), "each place has its number");
        self.waiting.keys()
    }
}
