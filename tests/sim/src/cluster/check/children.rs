//! Children: what was acknowledged runs exactly once, what runs is named by a record, what has ended does not run.

use std::collections::BTreeMap;

use delta_crdt::Change;
use horde_process::Name;
use horde_registry::machine::Key;
use horde_supervisor::{ChildState, Record, Spec};
use horde_transport::NodeId;

use crate::cluster::World;
use crate::cluster::process::Process;
use crate::cluster::promise::Promise;

impl World {
    /// Where a copy of each child runs.
    fn copies(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut copies: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            for child in node.processes.values().filter_map(|process| process.child.as_ref()) {
                copies.entry(&child.id).or_default().push(node.index);
            }
        }
        copies
    }

    /// Invariants 1 and 9: exactly once, and no longer without a copy than healing takes.
    pub(super) fn children_run_once(&self) -> Option<String> {
        let copies = self.copies();
        if let Some((id, nodes)) = copies.iter().find(|(_, nodes)| nodes.len() > 1) {
            return Some(format!("{id} runs on {nodes:?}; its records:{}", self.records_of(id)));
        }
        for (id, life) in self.promises.must_run() {
            let count = copies.get(id).map_or(0, Vec::len);
            if count != 1 && !self.may_rest(id) {
                let records = self.records_of(id);
                return Some(format!(
                    "{id} was acknowledged in life {life} and runs {count} times; its records:{records}"
                ));
            }
        }
        None
    }

    /// Whether a child that should run may be without a copy: it failed as often as it may, or nobody runs its version, or
    /// a process that lives has its name, which it waits for.
    fn may_rest(&self, id: &str) -> bool {
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        let Some(record) = alive().find_map(|node| node.children.record(&id.into())) else { return false };
        match &record.state {
            ChildState::Failed(_) => {
                let troubles = self.promises.troubles.get(id).copied().unwrap_or(0);
                // Whoever loses sight of its node counts that against the child.
                troubles + self.downs > self.plan.options.max_restarts
            }
            ChildState::Starting => self.another_has_its_name(id, &record.spec),
            ChildState::Unplaceable => !alive().any(|node| record.spec.version <= node.version),
            _ => false,
        }
    }

    /// Whether a living process that is no copy of this child holds the child's name.
    fn another_has_its_name(&self, id: &str, spec: &Spec) -> bool {
        let Some((Name::Registry { key, .. }, _)) = &spec.name else { return false };
        let key = Key::new(key);
        let other = |process: &Process| {
            process.names.contains(&key) && process.child.as_ref().is_none_or(|child| child.id != id)
        };
        self.nodes.iter().any(|node| node.is_alive() && node.processes.values().any(other))
    }

    /// A record goes only when its child has ended: an end is a value, and a takeover replaces a record, it never removes one. What a
    /// living node runs that an operator had forgotten has ended by his word, which those may have collected who heard it.
    pub(crate) fn check_removals(&mut self, node: usize) {
        let sim = &mut self.nodes[node];
        let ready = sim.children.is_ready();
        let changes = sim.children.take_changes();
        sim.learn_children(self.queue.now, &changes);
        let shall_run = |old: &Record| old.is_wanted() && !self.vouched.contains(&old.owner);
        let wanted = changes.into_iter().find_map(|change| match change {
            Change::Removed { key, old } if ready && shall_run(&old) => Some(key),
            _ => None,
        });
        if let Some(id) = wanted {
            self.fail(format!("the record of {id}, which shall run, is removed on n{node}"));
        }
    }

    /// Invariant 2: no process runs that no record names.
    pub(super) fn nothing_runs_untracked(&self) -> Option<String> {
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            for (number, process) in &node.processes {
                let Some(child) = &process.child else { continue };
                let record = node.children.record(&child.id.as_str().into());
                let pid = record.and_then(|record| record.pid());
                let tracked = pid.is_some_and(|pid| *pid.node() == node.id && pid.number() == *number);
                if !tracked {
                    let records = self.records_of(&child.id);
                    return Some(format!(
                        "process {number} of {} on {:?} is named by no record:{records}",
                        child.id, node.id
                    ));
                }
            }
        }
        None
    }

    /// Invariant 8: what was acknowledged as ended runs again only if a user started it anew.
    pub(super) fn what_ended_does_not_run(&self) -> Option<String> {
        for (id, promise) in self.promises.must_not_run() {
            let life = promise.life;
            // It ran on a node that was forgotten and lived, or of another cluster: whoever heard that one knows it as running still.
            let elsewhere = |ran: &NodeId| self.vouched.contains(ran) || self.met_too_late(promise, ran);
            for node in self.nodes.iter().filter(|node| node.is_alive()) {
                let mut children = node.processes.values().filter_map(|process| process.child.as_ref());
                let ghost = children.find(|child| child.id == id && child.claim.rank.life <= life);
                if let Some(ghost) = ghost.filter(|_| !self.promises.nodes_of(id).any(elsewhere)) {
                    return Some(format!(
                        "{id} was ended in life {life} and runs in life {} on {:?}:{}",
                        ghost.claim.rank.life,
                        node.id,
                        self.records_of(id)
                    ));
                }
            }
        }
        None
    }

    /// Whether the node whose user ended a child first heard of `other` when nobody kept ended records so old any more: two
    /// clusters until then.
    fn met_too_late(&self, promise: &Promise, other: &NodeId) -> bool {
        let (node, life) = promise.by;
        let sim = &self.nodes[node];
        let met = sim.met.get(other).filter(|_| sim.life == life && sim.is_alive());
        met.is_some_and(|met| promise.at + self.plan.options.ended_retention <= *met)
    }
}
