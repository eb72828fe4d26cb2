//! A few replicas, an unkind network between them, and everything that may happen to both.

mod end;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::oracle::{Event, Name, Oracle, covers, fold};
use super::random::Random;
use crate::engine::rules::Rule;
use crate::{Config, Key, LastWriter, Message, Now, Output, Record, Replica, ReplicaId, Warning};

/// Whether restarts happen, and what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    NoRestarts,
    Forgets,
    /// A log that lags behind what was pushed.
    Keeps,
}

impl Storage {
    pub(super) fn of(seed: u64) -> Self {
        [Self::NoRestarts, Self::Forgets, Self::Keeps][(seed % 3) as usize]
    }
}

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

/// Messages on their way; of more, some are lost.
const MOST_FLYING: usize = 500;

pub(super) type Flying = (ReplicaId, ReplicaId, Message<u64, u64>);

pub(super) struct World {
    pub(super) random: Random,
    config: Config,
    broken: Option<Rule>,
    storage: Storage,
    pub(super) time: Duration,
    pub(super) keys: u64,
    next_value: u64,
    pub(super) nodes: Vec<Node>,
    /// Pairs that cannot reach each other.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Each reaches the next and the last one alone, to the end: what others write comes through them, who write too.
    in_line: bool,
    pub(super) flying: Vec<Flying>,
    delivered: u64,
    oracle: Oracle,
    /// Writes that some replica holds durably.
    durable: BTreeSet<Name>,
    /// Writes that none does yet.
    volatile: BTreeSet<Name>,
    pub(super) wrong: Option<String>,
    /// A replica was made to lose a write: that this is noticed is no mistake.
    pub(super) damaged: bool,
}

impl World {
    pub(super) fn new(seed: u64, broken: Option<Rule>, storage: Storage) -> Self {
        let mut random = Random(seed.wrapping_mul(7_919).wrapping_add(1));
        (0..4).for_each(|_| _ = random.below(2));
        let nodes = 2 + random.pick(3);
        let config = Config {
            shards: 1 + random.below(2) as u16,
            session_timeout: Duration::from_millis(200),
            max_batch_ops: 1 + random.pick(3),
            max_fragment_keys: 1 + random.pick(2),
            session_window: 2,
            max_parked: if random.one_in(3) { 2 } else { 64 },
            max_tombstones: if random.one_in(3) { 0 } else { 64 },
            max_sessions: 1 + random.pick(3),
            max_told: [32, 1, 0][(seed / 3 % 3) as usize],
            ..Config::default()
        };
        let keys = 1 + random.below(4);
        let mut world = Self {
            random,
            config,
            broken,
            storage,
            time: Duration::ZERO,
            keys,
            next_value: 0,
            nodes: Vec::new(),
            cut: BTreeSet::new(),
            in_line: seed % 5 == 2,
            flying: Vec::new(),
            delivered: 0,
            oracle: Oracle::default(),
            durable: BTreeSet::new(),
            volatile: BTreeSet::new(),
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
        let replica = Replica::new(id, self.config.clone(), LastWriter);
        self.dress(replica, Vec::new())
    }

    fn dress(&mut self, mut replica: Replica<u64, u64>, disk: Vec<Record<u64, u64>>) -> Node {
        replica.rules.off = self.broken;
        if self.storage == Storage::Keeps {
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
        !self.in_line || a.abs_diff(b) == 1
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

    /// Takes the outputs of a replica.
    pub(super) fn after(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let id = node.replica.id();
        while let Some(output) = node.replica.poll_output() {
            match output {
                Output::Send { to, message } => self.flying.push((id, to, message)),
                Output::Changed(changes) => {
                    for change in changes {
                        fold(&mut node.mirror, change, &mut self.wrong);
                    }
                }
                Output::Warning(Warning::Diverged { .. }) if self.damaged => {}
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

    /// A history of random length.
    pub(super) fn live(&mut self) {
        let steps = 20 + self.random.below(150);
        self.live_for(steps);
    }

    /// A history over many keys.
    pub(super) fn chaos(&mut self, steps: u64) {
        self.keys = 64;
        self.live_for(steps);
    }

    fn live_for(&mut self, steps: u64) {
        for _ in 0..steps {
            let i = self.random.pick(self.nodes.len());
            match self.random.below(24) {
                0..=7 => self.write(i),
                8..=15 => self.deliver_any(),
                16..=17 => self.flush(i),
                18..=19 => self.pass_time(i),
                20 => self.relink(i),
                21 => self.remember_members(i),
                22 => self.congest(i),
                _ if self.random.one_in(3) => self.restart(i),
                _ if self.storage == Storage::Keeps => self.save(i),
                _ => {}
            }
            while self.flying.len() > MOST_FLYING {
                let lost = self.random.pick(self.flying.len());
                self.flying.swap_remove(lost);
            }
            if self.random.one_in(8) {
                self.nodes[i].replica.check_invariants();
            }
        }
    }

    fn write(&mut self, i: usize) {
        let now = self.now(i);
        let key = self.random.below(self.keys);
        let removes = self.random.one_in(3);
        let node = &mut self.nodes[i];
        let shard = node.replica.place(key.stable_hash());
        let replaces = node.replica.siblings(&key).map(|sibling| (shard, sibling.dot)).collect();
        let change = if removes {
            node.replica.remove(now, &key)
        } else {
            self.next_value += 1;
            Some(node.replica.put(now, key, self.next_value))
        };
        if let Some(change) = change {
            fold(&mut node.mirror, change, &mut self.wrong);
            let mut siblings = node.replica.siblings(&key);
            if let (Some(sibling), None) = (siblings.next(), siblings.next()) {
                let (stamp, value) = (sibling.stamp, sibling.value.copied());
                self.volatile.insert((shard, sibling.dot));
                self.oracle.events.insert((shard, sibling.dot), Event { key, stamp, value, replaces });
            } else {
                self.wrong.get_or_insert(format!("a write of {key} did not replace all it knew"));
            }
        }
        self.after(i);
    }

    pub(super) fn flush(&mut self, i: usize) {
        let now = self.now(i);
        self.nodes[i].replica.flush(now);
        self.after(i);
    }

    fn pass_time(&mut self, i: usize) {
        let most = if self.random.one_in(4) { 1_200 } else { 60 };
        self.time += Duration::from_millis(self.random.below(most));
        if self.random.one_in(16) {
            // Somebody sets its clock, by up to an hour.
            self.nodes[i].skew = self.random.below(7_200_000) as i64 - 3_600_000;
        }
        let now = self.now(i);
        self.nodes[i].replica.handle_timeout(now);
        self.after(i);
    }

    /// Delivers one message out of order; sometimes twice, sometimes never.
    fn deliver_any(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let at = self.random.pick(self.flying.len());
        let flying =
            if self.random.one_in(5) { self.flying[at].clone() } else { self.flying.swap_remove(at) };
        if !self.random.one_in(10) {
            self.deliver(flying);
        }
    }

    pub(super) fn deliver(&mut self, (from, to, message): Flying) {
        let (a, b) = (from.node as usize, to.node as usize);
        if self.id(b) != to || self.cut.contains(&(a.min(b), a.max(b))) || !self.may_meet(a, b) {
            return;
        }
        #[cfg(feature = "serde")]
        let message = if self.random.one_in(16) {
            Message::decode(&message.encode()).expect("what was encoded decodes")
        } else {
            message
        };
        let now = self.now(b);
        self.delivered += 1;
        if self.delivered.is_multiple_of(37) {
            self.deliver_as_of_other_shards(from, b, message.clone());
        }
        self.nodes[b].replica.receive(now, from, message);
        self.after(b);
    }

    /// The same message as of a map with another number of shards: refused, and nothing is as if it had come.
    fn deliver_as_of_other_shards(&mut self, from: ReplicaId, b: usize, mut message: Message<u64, u64>) {
        message.shards ^= 1;
        let now = self.now(b);
        let replica = &mut self.nodes[b].replica;
        let before = (replica.hash(), replica.fingerprint(), replica.to_map(), replica.poll_timeout());
        replica.receive(now, from, message);
        let after = (replica.hash(), replica.fingerprint(), replica.to_map(), replica.poll_timeout());
        if before != after {
            self.wrong.get_or_insert("a message of a map with other shards was taken".into());
        }
        self.after(b);
    }

    fn relink(&mut self, a: usize) {
        let b = self.random.pick(self.nodes.len());
        if a == b {
            return;
        }
        let pair = (a.min(b), a.max(b));
        match self.random.below(4) {
            0 => {
                self.cut.insert(pair);
                self.down(a, b);
                self.down(b, a);
            }
            1 => self.down(a, b),
            _ => {
                self.cut.remove(&pair);
                self.up(a, b);
                if self.random.one_in(2) {
                    self.up(b, a);
                }
            }
        }
    }

    /// Somebody leaves the map's members for a while, or all are members again.
    fn remember_members(&mut self, i: usize) {
        if self.random.one_in(2) {
            self.set_members();
        } else {
            let out = self.random.pick(self.nodes.len());
            let ids: Vec<_> = (0..self.nodes.len()).filter(|&j| j != out).map(|j| self.id(j)).collect();
            self.nodes[i].replica.set_members(ids);
        }
    }

    fn congest(&mut self, a: usize) {
        let b = self.random.pick(self.nodes.len());
        let (now, id, full) = (self.now(a), self.id(b), self.random.one_in(2));
        self.nodes[a].replica.set_congested(now, id, full);
        self.after(a);
    }

    /// Makes a part of what is recorded durable; sometimes a snapshot in place of all.
    fn save(&mut self, i: usize) {
        let (lag, afresh) = (self.random.pick(3), self.random.one_in(4));
        let node = &mut self.nodes[i];
        node.unsaved.extend(node.replica.take_log());
        if afresh {
            node.disk = node.replica.snapshot();
            node.unsaved.clear();
        } else {
            let ready = node.unsaved.len().saturating_sub(lag);
            node.disk.extend(node.unsaved.drain(..ready));
        }
        if node.unsaved.is_empty() {
            let known = |name: &Name| covers(&node.replica, name);
            let (saved, rest) = core::mem::take(&mut self.volatile).into_iter().partition(known);
            self.volatile = rest;
            self.durable.extend::<BTreeSet<_>>(saved);
        }
    }

    fn restart(&mut self, i: usize) {
        if self.storage == Storage::NoRestarts {
            return;
        }
        let old = self.id(i);
        let id = ReplicaId::new(old.node, old.epoch + 1);
        let node = if self.storage == Storage::Keeps {
            let disk = core::mem::take(&mut self.nodes[i].disk);
            let (now, config) = (self.now(i), self.config.clone());
            match Replica::restore(now, id, config, LastWriter, disk.iter().cloned()) {
                Ok(replica) => {
                    replica.check_invariants();
                    self.dress(replica, disk)
                }
                Err(error) => return self.wrong = Some(error.to_string()),
            }
        } else {
            self.start(id)
        };
        self.nodes[i] = node;
        for j in (0..self.nodes.len()).filter(|&j| j != i) {
            let now = self.now(j);
            self.nodes[j].replica.peer_down(now, old);
            self.after(j);
            if self.random.one_in(2) {
                self.up(j, i);
            }
            if self.random.one_in(2) {
                self.up(i, j);
            }
        }
        if self.random.one_in(2) {
            self.set_members();
        }
    }
}
