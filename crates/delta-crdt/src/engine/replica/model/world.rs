//! A few replicas, an unkind network between them, and everything that may happen to both.

mod end;
mod restart;
mod shape;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::oracle::{Oracle, fold};
use super::random::Random;
use crate::engine::rules::Rule;
use crate::{LastWriter, Message, Now, Output, Record, Replica, ReplicaId, Warning};

use restart::Firsts;
pub(super) use shape::{Shape, Storage};

pub(super) struct Node {
    pub(super) replica: Replica<u64, u64>,
    /// Milliseconds that its wall clock is off.
    skew: i64,
    /// What a subscriber has folded from the changes.
    pub(super) mirror: BTreeMap<u64, u64>,
    /// What is durable.
    disk: Vec<Record<u64, u64>>,
    /// What is recorded and not durable yet.
    unsaved: Vec<Record<u64, u64>>,
}

/// What happened in a history, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) restarts: u64,
    /// Writes that were gone with a restart, as no other replica knew them.
    pub(super) lost: u64,
    /// Tombstones dropped because there were too many.
    pub(super) dropped: usize,
    /// Messages of a new life that came before the news that the old one is down.
    pub(super) heard_early: u64,
}

pub(super) type Flying = (ReplicaId, ReplicaId, Message<u64, u64>);

pub(super) struct World {
    pub(super) random: Random,
    pub(super) shape: Shape,
    broken: Option<Rule>,
    pub(super) time: Duration,
    pub(super) keys: u64,
    next_value: u64,
    pub(super) nodes: Vec<Node>,
    /// Pairs that cannot reach each other.
    pub(super) cut: BTreeSet<(usize, usize)>,
    pub(super) flying: Vec<Flying>,
    delivered: u64,
    pub(super) oracle: Oracle,
    /// Writes that some replica has known at any time since they were made.
    kept: Firsts,
    /// Writes that some replica holds durably.
    durable: Firsts,
    /// Who has not been told yet that which life is down.
    untold: Vec<(usize, ReplicaId)>,
    pub(super) tally: Tally,
    pub(super) wrong: Option<String>,
    /// A replica was made to lose a write: that this is noticed is no mistake.
    pub(super) damaged: bool,
}

impl World {
    pub(super) fn new(seed: u64, broken: Option<Rule>, storage: Storage) -> Self {
        let mut random = Random::of(seed);
        let shape = Shape::drawn(&mut random, storage);
        Self::of_shape(random, broken, shape)
    }

    pub(super) fn of_shape(random: Random, broken: Option<Rule>, shape: Shape) -> Self {
        let (nodes, keys) = (shape.nodes, shape.keys);
        let mut world = Self {
            random,
            shape,
            broken,
            time: Duration::ZERO,
            keys,
            next_value: 0,
            nodes: Vec::new(),
            cut: BTreeSet::new(),
            flying: Vec::new(),
            delivered: 0,
            oracle: Oracle::default(),
            kept: Firsts::new(),
            durable: Firsts::new(),
            untold: Vec::new(),
            tally: Tally::default(),
            wrong: None,
            damaged: false,
        };
        for i in 0..nodes {
            let node = world.start(ReplicaId::new(i as u64, 1));
            world.nodes.push(node);
        }
        world.set_members();
        for a in 0..nodes {
            for b in 0..nodes {
                if a != b && !world.random.one_in(4) {
                    world.up(a, b);
                }
            }
        }
        world
    }

    fn start(&mut self, id: ReplicaId) -> Node {
        let replica = Replica::new(id, self.shape.config.clone(), LastWriter);
        self.dress(replica, Vec::new())
    }

    fn dress(&mut self, mut replica: Replica<u64, u64>, disk: Vec<Record<u64, u64>>) -> Node {
        replica.rules.off = self.broken;
        if self.shape.storage.has_log() {
            replica.record();
        }
        let skew = if self.random.one_in(3) { self.random.below(7_200_000) as i64 - 3_600_000 } else { 0 };
        let mirror = replica.to_map();
        Node { replica, skew, mirror, disk, unsaved: Vec::new() }
    }

    pub(super) fn writes(&self) -> u64 {
        self.oracle.events.len() as u64
    }

    fn id(&self, i: usize) -> ReplicaId {
        self.nodes[i].replica.id()
    }

    pub(super) fn now(&self, i: usize) -> Now {
        let unix_ms = 1_700_000_000_000 + self.time.as_millis() as i64 + self.nodes[i].skew;
        Now { monotonic: self.time, unix_ms: unix_ms as u64 }
    }

    fn up(&mut self, a: usize, b: usize) {
        if !self.may_meet(a, b) {
            return;
        }
        let (now, id) = (self.now(a), self.id(b));
        self.nodes[a].replica.peer_up(now, id);
        self.after(a);
    }

    fn may_meet(&self, a: usize, b: usize) -> bool {
        !self.shape.in_line || a.abs_diff(b) == 1
    }

    fn down(&mut self, a: usize, b: usize) {
        let (now, id) = (self.now(a), self.id(b));
        self.nodes[a].replica.peer_down(now, id);
        self.after(a);
    }

    fn set_members(&mut self) {
        let ids: Vec<_> = (0..self.nodes.len()).map(|i| self.id(i)).collect();
        self.nodes.iter_mut().for_each(|node| node.replica.set_members(ids.clone()));
    }

    fn blame(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    /// Takes the outputs of a replica.
    pub(super) fn after(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let id = node.replica.id();
        if self.shape.storage == Storage::Keeps {
            node.disk.extend(node.replica.take_log());
        }
        while let Some(output) = node.replica.poll_output() {
            match output {
                Output::Send { to, message } => self.flying.push((id, to, message)),
                Output::Changed(changes) => {
                    for change in changes {
                        fold(&mut node.mirror, change, &mut self.wrong);
                    }
                }
                Output::Warning(Warning::Diverged { .. }) if self.damaged => {}
                Output::Warning(Warning::CollectedEarly { dropped, .. }) => self.tally.dropped += dropped,
                Output::Warning(
                    warning
                    @ (Warning::Diverged { .. } | Warning::Nonsense { .. } | Warning::Impostor { .. }),
                ) => {
                    self.wrong.get_or_insert(format!("{id:?} says: {warning}"));
                }
                Output::Warning(_) | Output::Synced { .. } => {}
            }
        }
    }
}
