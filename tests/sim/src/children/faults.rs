//! Crashes, partitions, views, and what they do to messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use delta_crdt::Now;
use horde_process::ExitReason;
use horde_supervisor::machine::{Host, Presence};
use horde_supervisor::{Request, Response};
use horde_transport::{NodeId, RequestError, SendError};

use super::node::SimNode;
use super::{Happening, World};
use crate::oracle::tells_of;

impl World {
    pub(super) fn now(&self) -> Now {
        let unix_ms = 1_700_000_000_000 + self.queue.now.as_millis() as u64;
        Now { monotonic: self.queue.now, unix_ms }
    }

    /// The time, if that life of the node is the one that lives.
    pub(super) fn live(&self, node: usize, life: u64) -> Option<Now> {
        let sim = &self.nodes[node];
        (sim.alive && sim.life == life).then(|| self.now())
    }

    pub(super) fn index_of(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().find(|node| node.id == *id).map(|node| node.index)
    }

    pub(super) fn reach(&self, a: usize, b: usize) -> bool {
        self.nodes[a].alive && self.nodes[b].alive && self.side[a] == self.side[b]
    }

    pub(super) fn delay(&mut self) -> Duration {
        Duration::from_micros(self.rng.between(100, 20_000))
    }

    pub(super) fn ask(&mut self, from: usize, number: u64, to: &NodeId, request: Request, timeout: Duration) {
        let life = self.nodes[from].life;
        self.nodes[from].pending.insert(number);
        let target = self.index_of(to).filter(|to| self.reach(from, *to));
        let Some(target) = target else {
            let outcome = Err(RequestError::NotSent(SendError::NotConnected(to.clone())));
            return self.queue.after(Duration::ZERO, Happening::Reply { to: from, life, number, outcome });
        };
        if !self.rng.chance(self.loss / 2) {
            let (to_life, delay) = (self.nodes[target].life, self.delay());
            let ask = Happening::Ask { from, from_life: life, to: target, to_life, number, request };
            self.queue.after(delay, ask);
        }
        let outcome = Err(RequestError::Timeout);
        self.queue.after(timeout, Happening::Reply { to: from, life, number, outcome });
    }

    pub(super) fn respond(&mut self, node: usize, responder: u64, response: Response) {
        let Some((to, life, number)) = self.nodes[node].askers.remove(&responder) else { return };
        if self.reach(node, to) && !self.rng.chance(self.loss / 2) {
            let delay = self.delay();
            self.queue.after(delay, Happening::Reply { to, life, number, outcome: Ok(response) });
        }
    }

    /// Everybody's membership takes notice, each in its own time.
    pub(super) fn announce(&mut self) {
        for node in 0..self.nodes.len() {
            let (life, delay) = (self.nodes[node].life, Duration::from_millis(self.rng.between(1, 60)));
            self.queue.after(delay, Happening::View { node, life });
        }
    }

    pub(super) fn view(&mut self, node: usize, life: u64) {
        let Some(now) = self.live(node, life) else { return };
        let mut hosts = BTreeMap::new();
        for other in &self.nodes {
            let here = other.index == node || self.reach(node, other.index);
            let kinds = [("sim".to_owned(), (1, 1))].into();
            let presence = if here { Presence::Alive } else { Presence::Gone };
            hosts.insert(
                other.id.clone(),
                Host {
                    presence,
                    hosting: true,
                    ready: other.ready,
                    heard: true,
                    kinds,
                    weight: 1,
                    degraded: false,
                },
            );
        }
        self.nodes[node].machine.set_members(now, hosts);
        self.settle(node);
    }

    /// A process that runs crashes.
    pub(super) fn crash(&mut self, node: usize) {
        let up: Vec<u64> =
            self.nodes[node].processes.iter().filter(|(_, p)| p.up).map(|(pid, _)| *pid).collect();
        if let Some(pid) = up.get(self.rng.index(up.len())).copied() {
            let life = self.nodes[node].life;
            self.end(node, life, pid, ExitReason::Panicked("crash".to_owned()));
        }
    }

    pub(super) fn kill(&mut self, node: usize) {
        if !self.nodes[node].alive || self.nodes.iter().filter(|node| node.alive).count() < 2 {
            return;
        }
        self.history.note(self.queue.now, node, || "KILLED".to_owned());
        self.nodes[node].alive = false;
        self.nodes[node].processes.clear();
        let alive = || self.nodes.iter().filter(|node| node.alive);
        let lives: BTreeSet<(usize, u64)> = alive().map(|node| (node.index, node.life)).collect();
        let known = |id: &str, life: u64, ended: bool| {
            let mut records = alive().filter_map(|node| node.machine.record(&id.into()));
            records.any(|record| tells_of(record, life, ended))
        };
        self.oracle.crashed(|life| lives.contains(&life), known);
        self.announce();
    }

    pub(super) fn revive(&mut self, node: usize) {
        if self.nodes[node].alive {
            return;
        }
        let life = self.nodes[node].life + 1;
        self.history.note(self.queue.now, node, || format!("lives again as {life}"));
        self.nodes[node] = SimNode::new(node, life, &self.options);
        self.announce();
    }

    pub(super) fn cut(&mut self) {
        self.side = (0..self.nodes.len()).map(|_| self.rng.below(2)).collect();
        let sides = format!("cut {:?}", self.side);
        self.history.note(self.queue.now, 0, || sides);
        self.announce();
    }

    pub(super) fn heal(&mut self) {
        self.history.note(self.queue.now, 0, || "heal".to_owned());
        self.side.fill(0);
        self.announce();
    }

    /// The faults end.
    pub(super) fn quieten(&mut self) {
        self.loss = 0;
        self.heal();
    }
}
