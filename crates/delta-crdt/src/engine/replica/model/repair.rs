//! R9: a state that a bug has damaged is reported and repaired by union.

use std::time::Duration;

use super::world::{Storage, World};
use crate::engine::rules::Rules;
use crate::engine::shard::Context;
use crate::{Config, Key, LastWriter, Replica};

impl World {
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
