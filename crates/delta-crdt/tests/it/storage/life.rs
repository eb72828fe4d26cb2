//! A recorded life: two replicas write at the same time, and every write that was ever seen is in a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use delta_crdt::{
    Config, Dot, Key, LastWriter, Now, Output, Record, Replica, ReplicaId, RestoreError, Stamp, append_frame,
};

use crate::support::{self, START};

pub(super) type Map = Replica<u64, u64>;
pub(super) type Log = Vec<Record<u64, u64>>;

/// The name of a write: each shard counts for itself.
pub(super) type Name = (u64, Dot);

/// What a replica holds, removals among it: of each write its key, stamp and value.
pub(super) type Held = BTreeMap<Name, (u64, Stamp, Option<u64>)>;

const KEYS: Range<u64> = 0..32;

pub(super) const fn id(node: u64, epoch: u64) -> ReplicaId {
    ReplicaId::new(node, epoch)
}

/// Each message bears one write, so that what a replica holds is known after each record.
pub(super) fn config() -> Config {
    Config { shards: 2, max_batch_ops: 1, ..Config::default() }
}

pub(super) fn later(ms: u64) -> Now {
    support::later(START, Duration::from_millis(ms))
}

pub(super) fn restore(now: Now, id: ReplicaId, log: &[Record<u64, u64>]) -> Result<Map, RestoreError> {
    Map::restore(now, id, config(), LastWriter, log.iter().cloned())
}

/// The name of a write of a key, in a map of two shards.
fn name(key: u64, dot: Dot) -> Name {
    (key.stable_hash() >> 40 & 1, dot)
}

pub(super) fn held(map: &Map) -> Held {
    let of = |key| {
        let siblings = map.siblings(&key);
        siblings.map(|s| (name(key, s.dot), (key, s.stamp, s.value.copied()))).collect::<Vec<_>>()
    };
    KEYS.flat_map(of).collect()
}

/// The byte log of some records, and where each of them ends; before the first, 0.
pub(super) fn bytes(records: &[Record<u64, u64>]) -> (Vec<u8>, Vec<usize>) {
    let mut log = Vec::new();
    let mut ends = vec![0];
    for record in records {
        append_frame(&mut log, record);
        ends.push(log.len());
    }
    (log, ends)
}

/// All writes that were ever seen, over all lives.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) writes: Held,
    /// The writes that replaced each of them.
    replaced_by: BTreeMap<Name, BTreeSet<Name>>,
    /// Names of two different writes.
    pub(super) clashes: BTreeSet<Name>,
}

impl Ledger {
    pub(super) fn note(&mut self, held: &Held) {
        for (&name, write) in held {
            if self.writes.entry(name).or_insert(*write) != write {
                self.clashes.insert(name);
            }
        }
    }

    /// Writes, or removes, and notes what that replaced.
    pub(super) fn write(&mut self, now: Now, map: &mut Map, key: u64, value: Option<u64>) {
        let before: Vec<Name> = map.siblings(&key).map(|sibling| name(key, sibling.dot)).collect();
        match value {
            Some(value) => _ = map.put(now, key, value),
            None if map.remove(now, &key).is_none() => return,
            None => {}
        }
        let by = name(key, map.dot(&key).expect("a key holds its last write, even if it is a removal"));
        before.into_iter().for_each(|name| _ = self.replaced_by.entry(name).or_default().insert(by));
        self.note(&held(map));
    }

    /// The values that are there once all have heard of the writes in `known`, by the specification: those that no known write
    /// replaced. Who knows a write knows those that it replaced.
    pub(super) fn alive(&self, mut known: BTreeSet<Name>) -> BTreeSet<Name> {
        loop {
            let is_replaced = |by: &BTreeSet<Name>| by.iter().any(|name| known.contains(name));
            let replaced = self.replaced_by.iter().filter(|entry| is_replaced(entry.1)).map(|entry| *entry.0);
            let more: Vec<Name> = replaced.filter(|name| !known.contains(name)).collect();
            if more.is_empty() {
                break;
            }
            known.extend(more);
        }
        let is_alive = |name: &Name| {
            let replaced = self.replaced_by.get(name).is_some_and(|by| !by.is_disjoint(&known));
            !replaced && self.writes[name].2.is_some()
        };
        known.iter().copied().filter(is_alive).collect()
    }
}

/// Carries messages between two replicas until there are none. `seen` is called after each.
pub(super) fn exchange(now: Now, a: &mut Map, b: &mut Map, mut seen: impl FnMut(&mut Map, &mut Map)) {
    loop {
        a.flush(now);
        b.flush(now);
        let (from_a, from_b) = (a.poll_output(), b.poll_output());
        if from_a.is_none() && from_b.is_none() {
            return;
        }
        if let Some(Output::Send { message, .. }) = from_a {
            b.receive(now, a.id(), message);
        }
        if let Some(Output::Send { message, .. }) = from_b {
            a.receive(now, b.id(), message);
        }
        seen(a, b);
    }
}

pub(super) fn link(now: Now, a: &mut Map, b: &mut Map) {
    let (a_id, b_id) = (a.id(), b.id());
    a.peer_up(now, b_id);
    b.peer_up(now, a_id);
}

/// What was recorded at once, and what the replica held and showed after it.
pub(super) struct Step {
    pub(super) records: Log,
    pub(super) held: Held,
    pub(super) shown: BTreeMap<u64, u64>,
    /// What [`Replica::snapshot`] gave then.
    pub(super) snapshot: Log,
}

pub(super) struct Life {
    pub(super) ours: Map,
    pub(super) other: Map,
    pub(super) ledger: Ledger,
    /// All that the other ever held.
    pub(super) heard: BTreeSet<Name>,
    /// The first recorded nothing: there was no log yet.
    pub(super) steps: Vec<Step>,
}

impl Life {
    fn save(&mut self) {
        let records = self.ours.take_log();
        if !records.is_empty() {
            let (held, shown, snapshot) = (held(&self.ours), self.ours.to_map(), self.ours.snapshot());
            self.steps.push(Step { records, held, shown, snapshot });
        }
    }

    fn write(&mut self, now: Now, key: u64, value: Option<u64>) {
        self.ledger.write(now, &mut self.ours, key, value);
        self.save();
    }

    fn write_there(&mut self, now: Now, key: u64, value: Option<u64>) {
        self.ledger.write(now, &mut self.other, key, value);
        self.heard.extend(held(&self.other).into_keys());
    }

    fn exchange(mut self, now: Now) -> Self {
        let Self { mut ours, mut other, mut ledger, mut heard, mut steps } = self;
        exchange(now, &mut ours, &mut other, |ours, other| {
            let (here, there) = (held(ours), held(other));
            ledger.note(&here);
            ledger.note(&there);
            heard.extend(there.into_keys());
            let records = ours.take_log();
            if !records.is_empty() {
                steps.push(Step { records, held: here, shown: ours.to_map(), snapshot: ours.snapshot() });
            }
        });
        self = Self { ours, other, ledger, heard, steps };
        self
    }

    /// All records, in order.
    pub(super) fn records(&self) -> Log {
        self.steps.iter().flat_map(|step| step.records.iter().cloned()).collect()
    }
}

/// Of two replicas, each of which writes keys of its own, keys of both, and removes some; they exchange now and then, and not at
/// the end. The first records its life. Each record is a step of its own.
pub(super) fn life() -> Life {
    let map = |node| Map::new(id(node, 1), config(), LastWriter);
    let start = Step { records: Log::new(), held: Held::new(), shown: BTreeMap::new(), snapshot: Log::new() };
    let mut life = Life {
        ours: map(1),
        other: map(2),
        ledger: Ledger::default(),
        heard: BTreeSet::new(),
        steps: vec![start],
    };
    life.ours.record();
    life.save();
    (24..30).for_each(|key| life.write_there(START, key, Some(key)));
    link(START, &mut life.ours, &mut life.other);
    life = life.exchange(START);
    for turn in 0..12_u64 {
        let now = later(turn);
        life.write(now, turn, Some(turn));
        life.write(now, turn % 3, Some(1_000 + turn));
        life.write_there(now, 12 + turn, Some(turn));
        life.write_there(now, turn % 3, Some(2_000 + turn));
        if turn % 4 == 3 {
            life.write(now, turn - 1, None);
            life.write_there(now, 24 + turn / 4, None);
        }
        if turn % 2 == 0 {
            life = life.exchange(now);
        }
    }
    assert!(life.ledger.clashes.is_empty(), "{:?}", life.ledger.clashes);
    life
}
