//! What is known of a replica that this one exchanges with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::origins::{Origins, vector_hash};
use super::shard::Shard;
use crate::ReplicaId;
use crate::key::{GOLDEN, mix};
use crate::message::Links;

/// A vector by origin, kept once for all peers that hold the same.
pub(crate) type Vector = Arc<Vec<u64>>;

/// The vector that a peer last told of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) vector: Option<Vector>,
    pub(crate) hash: u64,
}

impl Heard {
    pub(crate) fn covered(&self, origin: u32) -> u64 {
        self.vector.as_ref().and_then(|vector| vector.get(origin as usize)).copied().unwrap_or(0)
    }

    /// All entries, by origin.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> {
        self.vector.iter().flat_map(|vector| vector.iter().copied())
    }

    /// The peer holds what the shard holds: true if that is news. What it was heard to hold beyond that stays.
    pub(crate) fn holds_as<K, V>(&mut self, origins: &Origins, shard: &mut Shard<K, V>) -> bool {
        let news = self.hash != shard.hash(origins) && !self.is_ahead_of(origins, shard);
        if news {
            *self = Self { vector: Some(shard.vector()), hash: shard.hash(origins) };
        }
        news
    }

    /// Keeps a vector equal to the shard's no second time.
    pub(crate) fn share<K, V>(&mut self, origins: &Origins, shard: &mut Shard<K, V>) {
        if self.hash == shard.hash(origins) && self.vector.is_some() {
            self.vector = Some(shard.vector());
        }
    }

    /// True if the entry rose.
    pub(crate) fn raise(&mut self, origins: &Origins, origin: u32, seq: u64) -> bool {
        let place = origin as usize;
        let old = self.covered(origin);
        if seq <= old {
            return false;
        }
        let vector = Arc::make_mut(self.vector.get_or_insert_default());
        if place >= vector.len() {
            vector.resize(place + 1, 0);
        }
        vector[place] = seq;
        let seed = origins.seed(origin);
        self.hash ^= vector_hash(seed, old) ^ vector_hash(seed, seq);
        true
    }

    /// Origins of which the peer holds more than the shard.
    pub(crate) fn gap<K, V>(&self, shard: &Shard<K, V>) -> impl Iterator<Item = (u32, u64)> {
        (0_u32..).zip(self.entries()).filter(|&(origin, seq)| seq > shard.covered(origin))
    }

    /// Whether the shard lacks what the peer holds.
    pub(crate) fn is_ahead_of<K, V>(&self, origins: &Origins, shard: &Shard<K, V>) -> bool {
        self.hash != shard.hash(origins) && self.gap(shard).next().is_some()
    }
}

/// What the last status told a peer of one shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) version: u64,
    pub(crate) vector: Option<Vector>,
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// We push to it and tell it our status.
    pub(crate) neighbour: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) told: Vec<Told>,
    /// The next status tells everything.
    pub(crate) tell_all: bool,
    pub(crate) told_links: u64,
    /// It asked for our neighbours.
    pub(crate) wants_links: bool,
    pub(crate) told_at: Option<Duration>,
    /// When the next status is due before its regular time.
    pub(crate) relay_due: Option<Duration>,
    /// The hash over it and its neighbours, as it told last; 0 if it has not.
    pub(crate) circle: u64,
    /// Its neighbours by that hash, if it listed them.
    pub(crate) links: Option<BTreeSet<ReplicaId>>,
    /// Since when that hash says nothing here, or when that was asked about.
    pub(crate) puzzled_at: Option<Duration>,
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
            wants_links: false,
            told_at: None,
            relay_due: None,
            circle: 0,
            links: None,
            puzzled_at: None,
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
        self.wants_links = false;
        self.relay_due = None;
        self.known = false;
        self.question = None;
        self.synced = false;
        self.congested = false;
        self.asked_at = None;
    }

    /// No neighbour any more.
    pub(crate) fn down(&mut self) {
        self.neighbour = false;
        self.relay_due = None;
        (self.circle, self.links, self.puzzled_at) = (0, None, None);
        self.question = None;
    }

    pub(crate) fn heard_hash(&self) -> u64 {
        combine(self.heard.iter().map(|heard| heard.hash))
    }

    /// What its status says of its neighbours; `own` is who it is.
    pub(crate) fn hear_links(&mut self, own: ReplicaId, links: Links) {
        match links {
            Links::Same => {}
            Links::All(links) => {
                let links: BTreeSet<_> = links.into_iter().collect();
                self.circle = links.iter().fold(circle_hash(own), |all, link| all ^ circle_hash(*link));
                (self.links, self.puzzled_at) = (Some(links), None);
            }
            Links::Hash(circle) => {
                let circle = u64::from_le_bytes(circle);
                if circle != self.circle {
                    (self.circle, self.links, self.puzzled_at) = (circle, None, None);
                }
            }
        }
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

/// The share of one replica in the hash over a replica and its neighbours.
pub(crate) const fn circle_hash(id: ReplicaId) -> u64 {
    mix(id.node.rotate_left(17) ^ mix(id.epoch.wrapping_mul(GOLDEN)))
}
