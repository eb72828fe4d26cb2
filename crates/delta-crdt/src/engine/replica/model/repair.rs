//! R9: a state that a bug has damaged is reported and repaired by union.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::seeds;
use super::world::{Storage, World};
use crate::engine::rules::{Rule, Rules};
use crate::engine::shard::Context;
use crate::{Config, Key, LastWriter, Replica};

/// The values that each key holds.
type Values = BTreeMap<u64, BTreeSet<u64>>;

fn values(replica: &Replica<u64, u64>, keys: u64) -> Values {
    let held = |key| replica.siblings(&key).filter_map(|sibling| sibling.value.copied()).collect();
    (0..keys).map(|key| (key, held(key))).collect()
}

/// A random history, at whose end one replica loses a write behind the machine's back. All must hold what they held before.
pub(super) fn damaged_history(seed: u64, broken: Option<Rule>, storage: Storage) -> Result<u64, String> {
    let mut world = World::new(seed, broken, storage);
    world.live();
    world.settle();
    let before = values(&world.nodes[0].replica, world.keys);
    if !world.lose_any() {
        return Ok(world.writes());
    }
    world.calm(|world| {
        let print = world.nodes[0].replica.fingerprint();
        world.is_equal() && world.nodes.iter().all(|node| node.replica.fingerprint() == print)
    });
    if let Some(wrong) = world.wrong.take() {
        return Err(wrong);
    }
    // Which of several values is shown may change if their stamps are equal, as the dot then decides, and it is a new one.
    let shown = world.nodes[0].replica.to_map();
    for node in &world.nodes {
        node.replica.check_invariants();
        let after = values(&node.replica, world.keys);
        if after != before || node.replica.to_map() != shown || node.mirror != shown {
            return Err(format!("{:?} holds {after:?} instead of {before:?}", node.replica.id()));
        }
    }
    match world.nodes.iter().any(|node| node.replica.stats().diverged > 0) {
        true => Ok(world.writes()),
        false => Err("nobody said that a write had been lost".into()),
    }
}

impl World {
    /// False if there is nothing to lose.
    fn lose_any(&mut self) -> bool {
        let i = self.random.pick(self.nodes.len());
        let Replica { shards, origins, .. } = &mut self.nodes[i].replica;
        let mut live = Vec::new();
        for (place, shard) in shards.iter().enumerate() {
            for (slot, _, sibs) in shard.store.iter() {
                let sibs = sibs.as_slice().iter().filter(|sib| sib.value.is_some());
                live.extend(sibs.map(|sib| (place, slot, sib.dot())));
            }
        }
        if live.is_empty() {
            return false;
        }
        let (place, slot, gone) = live[self.random.pick(live.len())];
        let cx = Context { origins, winner: &LastWriter, rules: Rules::default() };
        shards[place].lose(&cx, slot, gone);
        self.nodes[i].mirror = self.nodes[i].replica.to_map();
        self.damaged = true;
        true
    }

    /// Two replicas that agree lose a key each behind the machine's back.
    fn damage(&mut self) {
        self.nodes.truncate(2);
        self.cut.clear();
        self.keys = 10;
        self.nodes
            .iter_mut()
            .for_each(|node| node.replica = Replica::new(node.replica.id(), Config::default(), LastWriter));
        for key in 0..10 {
            let now = self.now(0);
            self.nodes[0].replica.put(now, key, key);
        }
        self.settle();
        for (i, key) in [(0_usize, 3_u64), (1, 4)] {
            let Replica { shards, origins, .. } = &mut self.nodes[i].replica;
            let slot = shards[0].store.find(key.stable_hash(), &key).expect("the key is held");
            let gone = shards[0].store.sibs(slot)[0].dot();
            let cx = Context { origins, winner: &LastWriter, rules: Rules::default() };
            shards[0].lose(&cx, slot, gone);
        }
        self.wrong = None;
    }

    /// Both have all keys again, and both said what had happened.
    fn repaired(&mut self) -> Result<(), String> {
        for _ in 0..6 {
            self.time += Duration::from_secs(1);
            for i in 0..2 {
                let now = self.now(i);
                self.nodes[i].replica.handle_timeout(now);
                self.after(i);
            }
            while !self.flying.is_empty() {
                for flying in core::mem::take(&mut self.flying) {
                    self.deliver(flying);
                }
                (0..2).for_each(|i| self.flush(i));
            }
        }
        for node in &self.nodes {
            node.replica.check_invariants();
            if node.replica.len() != 10 || node.replica.stats().diverged == 0 {
                return Err(format!("{:?} {:?}", node.replica.to_map(), node.replica.stats()));
            }
        }
        let same = self.nodes[0].replica.fingerprint() == self.nodes[1].replica.fingerprint();
        if same { Ok(()) } else { Err("the fingerprints still differ".into()) }
    }
}

#[test]
fn different_states_under_equal_vectors_are_reported_and_repaired() {
    let mut world = World::new(1, None, Storage::NoRestarts);
    world.damage();
    assert_eq!(world.repaired(), Ok(()));
}

#[test]
fn a_write_lost_by_a_bug_comes_back_whatever_the_history() {
    for seed in 1..=seeds(10_000) / 10 {
        if let Err(wrong) = damaged_history(seed, None, Storage::of(seed)) {
            panic!("history {seed}: {wrong}");
        }
    }
}
