//! Under a quorum no two copies of a child run at once, but while a node that stood still wakes up.

use std::time::Duration;

use horde_supervisor::Quorum;

use crate::cluster::World;

/// So long a node that goes on may take to stop what it may run no more.
const WAKING: Duration = Duration::from_millis(250);

impl World {
    /// Invariant 4: a process of a child was started here.
    pub(crate) fn check_overlap(&mut self, node: usize, number: u64) {
        if self.plan.options.quorum != Quorum::Majority {
            return;
        }
        let process = self.nodes[node].processes.get(&number).and_then(|process| process.child.as_ref());
        let Some(child) = process.cloned() else { return };
        let elsewhere = self.nodes.iter().filter(|other| {
            let awake = other.runs() && other.turned + WAKING <= self.queue.now;
            other.index != node && awake
        });
        let mut copies = elsewhere.filter(|other| {
            let mut children = other.processes.values().filter_map(|process| process.child.as_ref());
            children.any(|copy| copy.id == child.id && copy.claim.rank.life == child.claim.rank.life)
        });
        if let Some(other) = copies.next().map(|other| other.id.clone()) {
            let (id, records) = (&child.id, self.records_of(&child.id));
            self.doubt(format!("{id} is started on n{node} and runs on {other:?}, under a quorum:{records}"));
        }
    }
}
