//! The node of a process is the authority over its names.
//!
//! Whatever others wrote over a name of a living local process is judged here: by the registry's order the process
//! keeps the name and it is written again, or it has lost it and is told. A loser never writes again, so two hosts
//! that judge one name come to rest after one round.

use std::collections::BTreeSet;
use std::sync::Arc;

use delta_crdt::{Change, Now};

use super::faults::Fault;
use super::output::Change as NameChange;
use super::{Entry, Key, Names, Output};

impl Names {
    /// Takes the replica's outputs, and judges each name that others changed.
    pub(super) fn pump(&mut self, now: Now) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                delta_crdt::Output::Send { to, message } => {
                    if let Some(to) = self.replicas.get(&to).cloned() {
                        self.outputs.push_back(Output::Send { to, message });
                    }
                }
                delta_crdt::Output::Changed(changes) => self.remote_changes(now, changes),
                delta_crdt::Output::Synced { peer } => {
                    self.synced.extend(self.replicas.get(&peer).cloned());
                    self.check_ready();
                }
                delta_crdt::Output::Warning(warning) => self.outputs.push_back(Output::Warning(warning)),
            }
        }
    }

    fn remote_changes(&mut self, now: Now, changes: Vec<NameChange>) {
        let mut keys = BTreeSet::new();
        for change in changes {
            let (Change::Put { key, .. } | Change::Removed { key, .. }) = &change;
            keys.insert(key.clone());
            self.changed(now, change);
        }
        for key in keys {
            self.judge(now, &key);
        }
    }

    fn judge(&mut self, now: Now, key: &Key) {
        let winner = self.replica.get(key).cloned();
        let Some(held) = self.held.get_mut(key) else {
            if self.retake_one(now, key) {
                return;
            }
            // A name of a local process that gave it up, lost it or ended, and whose other holder is gone now.
            let left = |winner: &Entry| *winner.pid.node() == self.local && !self.is_moving(key, winner);
            if winner.is_some_and(|winner| left(&winner)) {
                self.erase(now, key);
            }
            return;
        };
        let ours = Arc::clone(&held.entry);
        let keeps = match &winner {
            None if self.faults.has(Fault::BelievesRemovals) => return self.release(key),
            None => true,
            Some(winner) if winner.pid == ours.pid => {
                held.entry = Arc::clone(winner);
                return;
            }
            Some(winner)
                if self.nodes.is_dead(winner.pid.node()) && held.overruled.as_ref() != Some(&winner.pid) =>
            {
                held.overruled = Some(winner.pid.clone());
                true
            }
            Some(winner) if *winner.pid.node() == self.local => true,
            Some(_) if self.faults.has(Fault::LoserTakesAgain) => true,
            Some(winner) if self.faults.has(Fault::JudgesCopies) => {
                self.config.order.compare(&ours, winner).is_gt()
            }
            Some(winner) => self.config.order.keeps(&ours, winner),
        };
        if keeps {
            let ours = winner
                .filter(|winner| ours.same_child(winner))
                .map_or(ours.clone(), |winner| ours.aged(&winner));
            held.entry = Arc::clone(&ours);
            self.write(now, key, ours);
        } else if let Some(winner) = winner {
            self.release(key);
            if ours.same_child(&winner) && !self.faults.has(Fault::JudgesCopies) {
                self.outranked.insert(key, ours);
            } else {
                let (pid, winner) = (ours.pid.clone(), winner.pid.clone());
                self.outputs.push_back(Output::Signal { pid, key: key.clone(), winner });
            }
        }
    }

    /// Whether the holder of `key` can be asked to give it up by nobody but itself.
    pub(super) fn is_living(&self, key: &Key, holder: &Entry) -> bool {
        if *holder.pid.node() == self.local {
            return self.held.get(key).is_some_and(|held| held.entry.pid == holder.pid);
        }
        !self.nodes.is_dead(holder.pid.node())
    }

    /// The local holder of `key`, if there is one, holds it no more. Nothing is written.
    pub(super) fn release(&mut self, key: &Key) {
        let Some(held) = self.held.remove(key) else { return };
        let number = held.entry.pid.number();
        if let Some(keys) = self.holders.get_mut(&number) {
            keys.remove(key);
            if keys.is_empty() {
                self.holders.remove(&number);
            }
        }
    }

    pub(super) fn write(&mut self, now: Now, key: &Key, entry: Arc<Entry>) {
        let change = self.replica.put(now, key.clone(), entry);
        self.unsent = true;
        self.changed(now, change);
    }

    pub(super) fn erase(&mut self, now: Now, key: &Key) {
        if let Some(change) = self.replica.remove(now, key) {
            self.unsent = true;
            self.changed(now, change);
        }
    }

    fn changed(&mut self, now: Now, change: NameChange) {
        let (key, old, new) = match &change {
            Change::Put { key, old, new } => (key, old.as_ref(), Some(new)),
            Change::Removed { key, old } => (key, Some(old), None),
        };
        let moved = old.map(|entry| &entry.pid) != new.map(|entry| &entry.pid);
        if moved && self.moving.get(key).is_some_and(|(pid, _)| new.is_none_or(|new| new.pid != *pid)) {
            self.moving.remove(key);
        }
        if let Some(old) = old.filter(|_| moved) {
            self.index.remove(&old.pid, key);
        }
        if let Some(new) = new.filter(|_| moved)
            && self.index.insert(&new.pid, key)
        {
            self.nodes.notice(now.monotonic, new.pid.node());
            if self.nodes.is_dead(new.pid.node()) {
                self.hide();
            }
        }
        self.changes.push(change);
    }
}
