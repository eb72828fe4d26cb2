//! Names by the process that holds them.

use std::collections::{BTreeMap, BTreeSet};

use horde_process::Pid;
use horde_transport::NodeId;

use super::Key;

/// Each name under its holder: what a dead node leaves, and what one process holds.
#[derive(Debug, Default)]
pub(super) struct Index {
    nodes: BTreeMap<NodeId, BTreeSet<(u64, Key)>>,
}

impl Index {
    /// True when it is the node's first.
    pub(super) fn insert(&mut self, pid: &Pid, key: &Key) -> bool {
        let name = (pid.number(), key.clone());
        match self.nodes.get_mut(pid.node()) {
            Some(names) => {
                names.insert(name);
                false
            }
            None => {
                self.nodes.insert(pid.node().clone(), BTreeSet::from([name]));
                true
            }
        }
    }

    pub(super) fn remove(&mut self, pid: &Pid, key: &Key) {
        if let Some(names) = self.nodes.get_mut(pid.node()) {
            names.remove(&(pid.number(), key.clone()));
            if names.is_empty() {
                self.nodes.remove(pid.node());
            }
        }
    }

    /// The names of one process.
    pub(super) fn of(&self, pid: &Pid) -> impl Iterator<Item = &Key> {
        let number = pid.number();
        let names = self.nodes.get(pid.node()).into_iter();
        names
            .flat_map(move |names| names.range((number, Key::new(&[]))..))
            .take_while(move |(n, _)| *n == number)
            .map(|(_, key)| key)
    }

    /// Up to `limit` names of `node` after `cursor`.
    pub(super) fn page(&self, node: &NodeId, cursor: Option<&(u64, Key)>, limit: usize) -> Vec<(u64, Key)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = cursor.map_or(Unbounded, Excluded);
        let names = self.nodes.get(node).into_iter();
        names.flat_map(|names| names.range((from, Unbounded))).take(limit).cloned().collect()
    }

    pub(super) fn has_node(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    pub(super) fn has(&self, pid: &Pid, key: &Key) -> bool {
        self.nodes.get(pid.node()).is_some_and(|names| names.contains(&(pid.number(), key.clone())))
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.values().map(BTreeSet::len).sum()
    }
}
