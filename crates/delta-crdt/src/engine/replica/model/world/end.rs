//! How a history ends: the network becomes kind, and every replica is compared with the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::oracle::{Name, covers};
use super::World;
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
        let first = &self.nodes[0].replica;
        let known = |name: &Name| covers(first, name);
        if let Some(lost) = self.durable.iter().find(|name| !known(name)) {
            return Err(format!("{lost:?} was durable and is lost"));
        }
        let held = self.oracle.held(known);
        let shown = self.oracle.shown(&held, |key| first.place(key.stable_hash()));
        for node in &self.nodes {
            let (replica, id) = (&node.replica, node.replica.id());
            replica.check_invariants();
            let mut ours: BTreeMap<u64, BTreeSet<_>> = BTreeMap::new();
            for key in 0..self.keys {
                let live = replica.siblings(&key).filter(|sibling| sibling.value.is_some());
                let dots: BTreeSet<_> = live.map(|sibling| sibling.dot).collect();
                if !dots.is_empty() {
                    ours.insert(key, dots);
                }
            }
            if ours != held {
                return Err(format!("{id:?} holds {ours:?} instead of {held:?}"));
            }
            if replica.to_map() != shown {
                return Err(format!("{id:?} shows {:?} instead of {shown:?}", replica.to_map()));
            }
            if node.mirror != shown {
                return Err(format!("{id:?} told subscribers {:?} instead of {shown:?}", node.mirror));
            }
        }
        Ok(())
    }
}
