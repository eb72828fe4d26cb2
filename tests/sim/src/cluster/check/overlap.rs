//! Under a quorum no two copies of a child run at once, but while a node that stood still wakes up. An operator who has a
//! living node forgotten vouches for its end with his word; the lease does not.

use std::time::Duration;

use horde_process::ClaimRank;
use horde_supervisor::Quorum;

use crate::cluster::World;
use crate::cluster::node::SimNode;
use crate::cluster::process::Child;

/// So long a node that goes on may take to stop what it may run no more.
const WAKING: Duration = Duration::from_millis(250);

/// So long a lease holds that is not renewed.
const LEASE: Duration = Duration::from_millis(2_200);

/// So long it takes two that claimed a child to learn of each other where frames are lost: what repairs that may be lost too.
const IF_LOST: Duration = Duration::from_secs(10);

/// A child as a node has it: the generation in which it claimed it, and the one that its restarts here came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed {
    life: u64,
    since: u64,
    latest: u64,
}

impl SimNode {
    /// A process of a child is started here: the generation in which this node claimed the child.
    fn note_claim(&mut self, child: &Child) -> u64 {
        let ClaimRank { life, generation, .. } = child.claim.rank;
        let restarted = |claim: &&Claimed| claim.life == life && claim.latest + 1 == generation;
        let since = self.claims.get(&child.id).filter(restarted).map_or(generation, |claim| claim.since);
        self.claims.insert(child.id.clone(), Claimed { life, since, latest: generation });
        since
    }
}

impl World {
    /// Who was started twice, and what has become of it when the lease of one side is over.
    pub(crate) fn check_twins(&mut self) {
        let now = self.queue.now;
        let due: Vec<(String, u64)> =
            self.twins.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.twins.remove(&key);
            let (id, life) = key;
            let runs = |node: &&SimNode| {
                let mut children = node.processes.values().filter_map(|process| process.child.as_ref());
                let awake = node.runs() && node.turned + WAKING <= now && !self.vouched.contains(&node.id);
                awake && children.any(|copy| copy.id == id && copy.claim.rank.life == life)
            };
            let nodes: Vec<usize> = self.nodes.iter().filter(runs).map(|node| node.index).collect();
            if nodes.len() > 1 {
                let records = self.records_of(&id);
                self.fail(format!(
                    "{id} was started twice and still runs on {nodes:?}, under a quorum:{records}"
                ));
            }
        }
    }

    /// Invariant 4: a process of a child was started here.
    pub(crate) fn check_overlap(&mut self, node: usize, number: u64) {
        if self.plan.options.quorum != Quorum::Majority {
            return;
        }
        let process = self.nodes[node].processes.get(&number).and_then(|process| process.child.as_ref());
        let Some(child) = process.cloned() else { return };
        let claimed = self.nodes[node].note_claim(&child);
        if self.vouched.contains(&self.nodes[node].id) {
            return;
        }
        let elsewhere = self.nodes.iter().filter(|other| {
            let awake = other.runs() && other.turned + WAKING <= self.queue.now;
            other.index != node && awake && !self.vouched.contains(&other.id)
        });
        let mut copies = elsewhere.filter(|other| {
            let mut children = other.processes.values().filter_map(|process| process.child.as_ref());
            children.any(|copy| copy.id == child.id && copy.claim.rank.life == child.claim.rank.life)
        });
        if let Some(other) = copies.next() {
            let key = (child.id.clone(), child.claim.rank.life);
            let theirs = other.claims.get(&child.id).filter(|claim| claim.life == key.1);
            let (alike, other) = (theirs.is_some_and(|claim| claim.since == claimed), other.id.clone());
            if claimed == 1 || alike {
                // Claimed on two sides, neither of which knows of the other: until the lease of one is over.
                let learns = if self.plan.loses() { IF_LOST } else { LEASE };
                self.twins.entry(key).or_insert(self.queue.now + learns + WAKING);
                return;
            }
            if self.twins.get(&key).is_some_and(|until| self.queue.now < *until) {
                return;
            }
            let wakes = self.nodes[node].turned + WAKING > self.queue.now;
            if wakes && self.nodes[node].born() + WAKING < self.queue.now {
                // What waited while it stood still comes before the look at the clock.
                self.twins.insert(key, self.queue.now + WAKING);
                return;
            }
            let (id, records) = (&child.id, self.records_of(&child.id));
            self.fail(format!("{id} is started on n{node} and runs on {other:?}, under a quorum:{records}"));
        }
    }
}
