//! Restarts, what they keep, and which writes may get lost with them.

use std::collections::BTreeMap;

use super::super::oracle::covered;
use super::{Storage, World};
use crate::{LastWriter, Replica, ReplicaId};

/// Of each life and shard, how many of its first writes.
pub(super) type Firsts = BTreeMap<(usize, ReplicaId), u64>;

impl World {
    /// Of all writes, those that all replicas know.
    pub(in super::super) fn known_to_all(&self) -> u64 {
        let known = |&(shard, life): &(usize, ReplicaId)| {
            let covered = self.nodes.iter().map(|node| covered(&node.replica, shard, life));
            covered.min().unwrap_or(0)
        };
        self.kept.keys().map(known).sum()
    }

    /// Makes a part of what is recorded durable; sometimes a snapshot in place of all.
    pub(super) fn save(&mut self, i: usize) {
        let lags = self.shape.storage == Storage::Lags;
        let (lag, afresh) = (if lags { self.random.pick(3) } else { 0 }, self.random.one_in(4));
        let node = &mut self.nodes[i];
        node.unsaved.extend(node.replica.take_log());
        if afresh {
            node.disk = node.replica.snapshot();
            node.unsaved.clear();
        } else {
            let ready = node.unsaved.len().saturating_sub(lag);
            node.disk.extend(node.unsaved.drain(..ready));
        }
        if lags && node.unsaved.is_empty() {
            for (&(shard, life), durable) in &mut self.durable {
                *durable = covered(&node.replica, shard, life).max(*durable);
            }
        }
    }

    /// The node ends, and starts again under a new epoch.
    pub(super) fn restart(&mut self, i: usize) {
        let storage = self.shape.storage;
        if storage == Storage::NoRestarts {
            return;
        }
        let old = self.id(i);
        let id = ReplicaId::new(old.node, old.epoch + 1);
        let node = if storage.has_log() {
            let disk = core::mem::take(&mut self.nodes[i].disk);
            let (now, config) = (self.now(i), self.shape.config.clone());
            match Replica::restore(now, id, config, LastWriter, disk.iter().cloned()) {
                Ok(replica) => {
                    replica.check_invariants();
                    self.dress(replica, disk)
                }
                Err(error) => return self.blame(error.to_string()),
            }
        } else {
            self.start(id)
        };
        self.nodes[i] = node;
        self.tally.restarts += 1;
        self.forget_what_is_lost();
        self.tell_of_restart(i, old);
    }

    /// What no replica knows any more need not be known at the end.
    fn forget_what_is_lost(&mut self) {
        let mut lost = 0;
        for (&(shard, life), kept) in &mut self.kept {
            let known = self.nodes.iter().map(|node| covered(&node.replica, shard, life)).max();
            let still = known.unwrap_or(0).min(*kept);
            lost += *kept - still;
            *kept = still;
        }
        self.tally.lost += lost;
        if lost > 0 && self.shape.storage.loses_nothing() {
            self.blame(format!("{lost} writes were gone after a restart from a log that had them all"));
        }
    }

    /// Who stays is told that the old life is down: at once, or after it has heard of the new one.
    fn tell_of_restart(&mut self, i: usize, old: ReplicaId) {
        self.untold.retain(|news| news.0 != i);
        for j in (0..self.nodes.len()).filter(|&j| j != i) {
            if self.shape.hears_early && self.random.one_in(2) {
                self.untold.push((j, old));
            } else {
                self.is_down(j, old);
            }
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

    fn is_down(&mut self, j: usize, old: ReplicaId) {
        let now = self.now(j);
        self.nodes[j].replica.peer_down(now, old);
        self.after(j);
    }

    /// Tells somebody at last that an old life is down.
    pub(super) fn tell_late(&mut self) {
        if !self.untold.is_empty() {
            let (j, old) = self.untold.swap_remove(self.random.pick(self.untold.len()));
            self.is_down(j, old);
        }
    }
}
