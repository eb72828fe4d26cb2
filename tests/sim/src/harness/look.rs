//! The cluster seen from above: what no user can see at one moment.

use std::fmt;
use std::time::Duration;

use horde_process::Pid;

use super::Process;
use super::child::{child_name, key_name};
use super::room::Room;
use crate::cluster::{Body, Hosted, World};

/// All nodes at one moment of virtual time.
#[derive(Clone, Copy)]
pub struct Look<'a>(pub(super) &'a World);

/// A copy of a child that runs somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copy {
    /// The node.
    pub node: usize,
    /// The process.
    pub pid: Pid,
    /// Its `init` has answered.
    pub started: bool,
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("now", &self.now()).field("nodes", &self.nodes()).finish()
    }
}

impl<'a> Look<'a> {
    /// Virtual time since the first node started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.queue.now
    }

    /// How many nodes there have been, those included that are gone.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.nodes.len()
    }

    /// Whether a node runs: neither dead nor paused.
    #[must_use]
    pub fn is_up(&self, node: usize) -> bool {
        self.0.nodes.get(node).is_some_and(|node| node.body == Body::Up)
    }

    /// Whether a node holds its lease. Without a quorum policy no node does.
    #[must_use]
    pub fn holds_lease(&self, node: usize) -> bool {
        self.0.nodes.get(node).is_some_and(|node| node.leases.standing().held)
    }

    /// How many members a node takes for alive.
    #[must_use]
    pub fn members(&self, node: usize) -> usize {
        self.0.nodes.get(node).map_or(0, |node| node.membership.view().alive().count())
    }

    /// Which node a process runs on, if it does.
    #[must_use]
    pub fn node_of(&self, pid: &Pid) -> Option<usize> {
        let mut nodes = self.0.nodes.iter().filter(|node| node.body != Body::Dead);
        let node = nodes.find(|node| node.id == *pid.node())?;
        node.processes.contains_key(&pid.number()).then_some(node.index)
    }

    /// The processes of a child on all nodes that are not dead: one in a cluster that is whole; more for a while after a split.
    #[must_use]
    pub fn copies(&self, id: &str) -> Vec<Copy> {
        let mut copies = Vec::new();
        for node in self.0.nodes.iter().filter(|node| node.body != Body::Dead) {
            for (number, process) in &node.processes {
                if process.child.as_ref().is_some_and(|child| child.id == id) {
                    let pid = Pid::new(node.id.clone(), *number);
                    copies.push(Copy { node: node.index, pid, started: process.up });
                }
            }
        }
        copies
    }

    /// The processes of a kind that run, with what is in them.
    pub fn processes<P: Process>(&self) -> impl Iterator<Item = (Pid, &'a P)> {
        let alive = self.0.nodes.iter().filter(|node| node.body != Body::Dead);
        alive.flat_map(|node| {
            node.processes.iter().filter_map(|(number, process)| match &process.guest {
                Some(Hosted::Runs(guest)) => {
                    let room = guest.as_any().downcast_ref::<Room<P>>()?;
                    Some((Pid::new(node.id.clone(), *number), &room.process))
                }
                _ => None,
            })
        })
    }

    /// Where a name leads, by what a node knows.
    #[must_use]
    pub fn finds(&self, node: usize, key: &str) -> Option<Pid> {
        self.0.resolve(node, &key_name(key))
    }

    /// Where a child runs, by what a node knows.
    #[must_use]
    pub fn whereis(&self, node: usize, id: &str) -> Option<Pid> {
        self.0.resolve(node, &child_name(id))
    }

    /// Frames, and bytes about, that all nodes have sent.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        (self.0.net.messages, self.0.net.bytes)
    }

    /// What is not as it should be in a cluster that has healed: none if all of the simulator's own checks hold.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.whole()
    }
}
