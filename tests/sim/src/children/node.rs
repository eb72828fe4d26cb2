//! A node of the children's world: its machine, and the processes that really run on it.

use std::collections::{BTreeMap, BTreeSet};

use horde_process::{Claim, Pid};
use horde_supervisor::Options;
use horde_supervisor::machine::Children;
use horde_transport::{NodeId, NodeName};

/// A process that runs.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) child: String,
    pub(super) token: u64,
    /// Its `init` has answered.
    pub(super) up: bool,
    /// It was told to stop while its `init` ran.
    pub(super) stopped: bool,
}

pub(super) struct SimNode {
    pub(super) id: NodeId,
    pub(super) index: usize,
    pub(super) life: u64,
    pub(super) alive: bool,
    pub(super) ready: bool,
    pub(super) machine: Children,
    pub(super) processes: BTreeMap<u64, Running>,
    /// Requests of ours without an outcome.
    pub(super) pending: BTreeSet<u64>,
    /// Who waits for our answer: node, its life, its request.
    pub(super) askers: BTreeMap<u64, (usize, u64, u64)>,
    pub(super) wake: u64,
    next: u64,
}

impl SimNode {
    pub(super) fn new(index: usize, life: u64, options: &Options) -> Self {
        let name = NodeName::new(format!("n{index}")).expect("a valid name");
        let id = NodeId::new(name, life);
        Self {
            machine: Children::new(id.clone(), "sim", options.clone()),
            id,
            index,
            life,
            alive: true,
            ready: false,
            processes: BTreeMap::new(),
            pending: BTreeSet::new(),
            askers: BTreeMap::new(),
            wake: 0,
            next: 0,
        }
    }

    pub(super) fn spawn(&mut self, token: u64, claim: &Claim) -> Pid {
        self.next += 1;
        let running = Running { child: claim.child.to_string(), token, up: false, stopped: false };
        self.processes.insert(self.next, running);
        Pid::new(self.id.clone(), self.next)
    }

    /// The `init` of a token has answered: its process, and whether it was told to stop meanwhile.
    pub(super) fn arrive(&mut self, token: u64, fails: bool) -> Option<(u64, bool)> {
        let (number, running) = self.processes.iter_mut().find(|(_, running)| running.token == token)?;
        let (number, stopped) = (*number, running.stopped);
        running.up = true;
        if fails || stopped {
            self.processes.remove(&number);
        }
        Some((number, stopped))
    }

    /// A process ends, unless its `init` still runs: then it ends with it.
    pub(super) fn finish(&mut self, pid: u64) -> Option<u64> {
        let running = self.processes.get_mut(&pid)?;
        if !running.up {
            running.stopped = true;
            return None;
        }
        self.processes.remove(&pid).map(|running| running.token)
    }

    pub(super) fn expect_answer(&mut self, from: usize, life: u64, number: u64) -> u64 {
        self.next += 1;
        self.askers.insert(self.next, (from, life, number));
        self.next
    }
}
