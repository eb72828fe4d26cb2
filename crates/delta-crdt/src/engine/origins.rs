//! Replica lives under small numbers, shared by all shards of a replica. Number 0 is the replica itself.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::key::{GOLDEN, mix};
use crate::{Dot, ReplicaId};

#[derive(Clone, Debug)]
pub(crate) struct Origins {
    ids: Vec<ReplicaId>,
    seeds: Vec<u64>,
    numbers: BTreeMap<ReplicaId, u32>,
    limit: usize,
}

impl Origins {
    pub(crate) fn new(own: ReplicaId, limit: usize) -> Self {
        let mut origins = Self {
            ids: Vec::new(),
            seeds: Vec::new(),
            numbers: BTreeMap::new(),
            limit: limit.clamp(1, 1 << 30),
        };
        origins.intern(own);
        origins
    }

    /// The number of `id`, a new one if need be; `None` at the limit.
    pub(crate) fn intern(&mut self, id: ReplicaId) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&id) {
            return Some(number);
        }
        if self.ids.len() >= self.limit {
            return None;
        }
        let number = u32::try_from(self.ids.len()).ok()?;
        self.ids.push(id);
        self.seeds.push(mix(id.node ^ mix(id.epoch.wrapping_add(GOLDEN))));
        self.numbers.insert(id, number);
        Some(number)
    }

    pub(crate) fn intern_all(&mut self, ids: &[ReplicaId]) -> Option<Vec<u32>> {
        ids.iter().map(|&id| self.intern(id)).collect()
    }

    pub(crate) fn number(&self, id: ReplicaId) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    pub(crate) fn id(&self, number: u32) -> ReplicaId {
        self.ids[number as usize]
    }

    /// Whether a later life of the same node is known.
    pub(crate) fn is_outlived(&self, number: u32) -> bool {
        let ReplicaId { node, epoch } = self.id(number);
        let last = ReplicaId { node, epoch: u64::MAX };
        self.numbers.range(..=last).next_back().is_some_and(|(id, _)| id.node == node && id.epoch > epoch)
    }

    pub(crate) fn seed(&self, number: u32) -> u64 {
        self.seeds[number as usize]
    }

    pub(crate) fn dot(&self, number: u32, seq: u64) -> Dot {
        Dot { origin: self.id(number), seq }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// The share of one vector entry in the hash of the vector.
pub(crate) const fn vector_hash(seed: u64, seq: u64) -> u64 {
    if seq == 0 { 0 } else { mix(seed.wrapping_add(seq.wrapping_mul(GOLDEN))) }
}

/// The share of one live dot in the fingerprint.
pub(crate) const fn dot_hash(seed: u64, seq: u64) -> u64 {
    mix(seed.rotate_left(23) ^ seq.wrapping_mul(GOLDEN))
}
