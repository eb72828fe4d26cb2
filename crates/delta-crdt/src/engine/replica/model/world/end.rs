//! How a history ends: the network becomes kind, and every replica is compared with the specification.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::oracle::{Name, State, covered, covers};
use super::{Node, World};
use crate::Key;

impl World {
    /// The network becomes kind, and time passes until all is told.
    pub(in super::super) fn settle(&mut self) {
        self.cut.clear();
        self.set_members();
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                if a != b {
                    self.up(a, b);
                }
            }
        }
        while !self.untold.is_empty() {
            self.tell_late();
        }
        self.calm(Self::is_equal);
    }

    /// Lets time pass on a kind network until all is told and `done`, for 20 s at most.
    pub(in super::super) fn calm(&mut self, done: impl Fn(&Self) -> bool) {
        let end = self.time + Duration::from_secs(20);
        while self.time < end {
            (0..self.nodes.len()).for_each(|i| self.flush(i));
            for flying in core::mem::take(&mut self.flying) {
                self.deliver(flying);
            }
            let quiet = self.flying.is_empty();
            if quiet && done(self) {
                return;
            }
            if quiet {
                let next = self.nodes.iter().filter_map(|node| node.replica.poll_timeout()).min();
                self.time = self.time.max(next.unwrap_or(end));
                for i in 0..self.nodes.len() {
                    let now = self.now(i);
                    self.nodes[i].replica.handle_timeout(now);
                    self.after(i);
                }
            }
        }
    }

    pub(in super::super) fn is_equal(&self) -> bool {
        let hash = self.nodes[0].replica.hash();
        self.nodes.iter().all(|node| node.replica.hash() == hash && node.replica.incoming.is_empty())
    }

    /// Compares every replica with the specification.
    pub(in super::super) fn judge(&self) -> Result<(), String> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        if !self.is_equal() {
            return Err("the vectors did not become equal in 20 s".into());
        }
        self.judge_losses()?;
        let state = self.state(0);
        (0..self.nodes.len()).try_for_each(|i| self.compare_with(i, &state))
    }

    /// What must not be lost is known.
    fn judge_losses(&self) -> Result<(), String> {
        let first = &self.nodes[0].replica;
        let known = |name: &Name| covers(first, name);
        if self.shape.storage.loses_nothing()
            && let Some(lost) = self.oracle.events.keys().find(|name| !known(name))
        {
            return Err(format!("{lost:?} is lost, though nothing may be"));
        }
        for (what, firsts) in [("durable", &self.durable), ("known all the time", &self.kept)] {
            let lost = firsts.iter().find(|((shard, life), count)| covered(first, *shard, *life) < **count);
            if let Some(lost) = lost {
                return Err(format!("{lost:?} were {what}, and are lost"));
            }
        }
        Ok(())
    }

    /// What a replica must hold, given the writes that it knows.
    fn state(&self, i: usize) -> State {
        let replica = &self.nodes[i].replica;
        self.oracle.state(|name| covers(replica, name))
    }

    /// Compares one replica with the specification, at any time.
    pub(super) fn compare(&self, i: usize) -> Result<(), String> {
        self.compare_with(i, &self.state(i))
    }

    fn compare_with(&self, i: usize, state: &State) -> Result<(), String> {
        let Node { replica, mirror, .. } = &self.nodes[i];
        let id = replica.id();
        replica.check_invariants();
        let mut ours = BTreeMap::new();
        for key in 0..self.keys {
            let shard = replica.place(key.stable_hash());
            let mut values = BTreeMap::new();
            for sibling in replica.siblings(&key) {
                let name = (shard, sibling.dot);
                match sibling.value {
                    Some(&value) => _ = values.insert(sibling.dot, (sibling.stamp, value)),
                    None if state.removals.get(&name) == Some(&key) => {}
                    None => return Err(format!("{id:?} has a tombstone {name:?} of no removal that stands")),
                }
            }
            if !values.is_empty() {
                ours.insert(key, values);
            }
        }
        if ours != state.values {
            return Err(format!("{id:?} holds {ours:?} instead of {:?}", state.values));
        }
        let shown = state.shown();
        if replica.to_map() != shown {
            return Err(format!("{id:?} shows {:?} instead of {shown:?}", replica.to_map()));
        }
        if *mirror != shown {
            return Err(format!("{id:?} told subscribers {mirror:?} instead of {shown:?}"));
        }
        Ok(())
    }
}
