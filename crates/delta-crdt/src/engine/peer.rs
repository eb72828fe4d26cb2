//! What is known of a replica that this one exchanges with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::origins::{Origins, vector_hash};
use super::shard::Shard;
use crate::ReplicaId;
use crate::key::{GOLDEN, mix};

/// The vector that a peer last told of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) vector: Vec<u64>,
    pub(crate) hash: u64,
}

impl Heard {
    pub(crate) fn covered(&self, origin: u32) -> u64 {
        self.vector.get(origin as usize).copied().unwrap_or(0)
    }

    /// All entries, by origin.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> {
        self.vector.iter().copied()
    }

    /// True if the entry rose.
    pub(crate) fn raise(&mut self, origins: &Origins, origin: u32, seq: u64) -> bool {
        let place = origin as usize;
        if place >= self.vector.len() {
            self.vector.resize(place + 1, 0);
        }
        let old = self.vector[place];
        if seq <= old {
            return false;
        }
        self.vector[place] = seq;
        let seed = origins.seed(origin);
        self.hash ^= vector_hash(seed, old) ^ vector_hash(seed, seq);
        true
    }

    /// Origins of which the peer holds more than the shard.
    pub(crate) fn gap<K, V>(&self, shard: &Shard<K, V>) -> impl Iterator<Item = (u32, u64)> {
        (0_u32..).zip(self.vector.iter().copied()).filter(|&(origin, seq)| seq > shard.covered(origin))
    }

    /// Whether the shard lacks what the peer holds.
    pub(crate) fn is_ahead_of<K, V>(&self, shard: &Shard<K, V>) -> bool {
        self.gap(shard).next().is_some()
    }
}

/// What the last status told a peer of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) version: u64,
    pub(crate) vector: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    /// We push to it and tell it our status.
    pub(crate) neighbour: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) told: Vec<Told>,
    /// The next status tells everything.
    pub(crate) tell_all: bool,
    pub(crate) told_links: u64,
    pub(crate) told_at: Option<Duration>,
    /// When the next status is due before its regular time.
    pub(crate) relay_due: Option<Duration>,
    /// Its neighbours, if it told them.
    pub(crate) links: Option<BTreeSet<ReplicaId>>,
    /// A status that adds up came since it became a neighbour, or the answer to the last question.
    pub(crate) known: bool,
    /// The question that it has not answered yet.
    pub(crate) question: Option<u64>,
    /// Which question was put to it last, and when.
    pub(crate) questioned: Option<(u64, Duration)>,
    pub(crate) synced: bool,
    pub(crate) congested: bool,
    pub(crate) asked_at: Option<Duration>,
    pub(crate) audited_at: BTreeMap<u16, Duration>,
    pub(crate) heard_at: Duration,
    pub(crate) warned_shards: bool,
}

impl Peer {
    pub(crate) fn new(shards: usize, now: Duration) -> Self {
        Self {
            neighbour: false,
            heard: alloc::vec![Heard::default(); shards],
            told: alloc::vec![Told::default(); shards],
            tell_all: true,
            told_links: 0,
            told_at: None,
            relay_due: None,
            links: None,
            known: false,
            question: None,
            questioned: None,
            synced: false,
            congested: false,
            asked_at: None,
            audited_at: BTreeMap::new(),
            heard_at: now,
            warned_shards: false,
        }
    }

    /// Begins anew with a neighbour. What it was heard to hold stays true: a replica's vector never falls.
    pub(crate) fn up(&mut self) {
        self.neighbour = true;
        self.tell_all = true;
        self.told_links = 0;
        self.relay_due = None;
        self.known = false;
        self.question = None;
        self.synced = false;
        self.congested = false;
        self.asked_at = None;
    }

    pub(crate) fn heard_hash(&self) -> u64 {
        combine(self.heard.iter().map(|heard| heard.hash))
    }

    /// Makes a status due at `at`, or sooner if one is.
    pub(crate) fn tell_by(&mut self, at: Duration) {
        self.relay_due = Some(self.relay_due.map_or(at, |due| due.min(at)));
    }
}

/// One hash over those of all shards.
pub(crate) fn combine(hashes: impl Iterator<Item = u64>) -> u64 {
    (1_u64..)
        .zip(hashes)
        .fold(0, |all, (shard, hash)| all ^ mix(hash.wrapping_add(shard.wrapping_mul(GOLDEN))))
}
