//! Nodes under arbitrary verdicts, delays, losses, clocks and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_ring::LeaseTerms;
use horde_transport::{NodeId, NodeName};

use super::super::{LeaseOutput, Leases};
use crate::machine::jitter::Jitter;
use crate::{Member, MemberStatus, Meta, View};

const HEARTBEAT: Duration = Duration::from_millis(200);

pub(super) fn id(number: usize, life: u64) -> NodeId {
    NodeId::new(NodeName::new(format!("n{number}")).unwrap(), life)
}

pub(super) fn names(count: usize) -> BTreeSet<NodeName> {
    (0..count).map(|number| id(number, 1).name().clone()).collect()
}

pub(super) struct Node {
    pub(super) leases: Leases,
    /// The clock runs at this many thousandths of true time.
    rate: u32,
    pub(super) verdicts: BTreeMap<NodeId, MemberStatus>,
    idle_at: Option<u64>,
    was_held: bool,
    /// It holds its lease and knew, since it took it up, that every other member had synced or was given up.
    ready: bool,
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    /// When it arrives, number for order, from, to.
    pub(super) flying: BTreeMap<(u64, u64), (NodeId, NodeId, Bytes)>,
    sent: u64,
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    pub(super) loss: u64,
    chance: Jitter,
}

impl World {
    pub(super) fn new(seed: u64, voters: usize, followers: usize) -> Self {
        let mut chance = Jitter::new(seed, b"leases");
        let mut nodes = BTreeMap::new();
        for number in 0..voters + followers {
            let expected = if number < voters { names(voters) } else { BTreeSet::new() };
            let rate = 990 + u32::try_from(below(&mut chance, 21)).unwrap();
            nodes.insert(id(number, 1), node(id(number, 1), expected, rate, 0));
        }
        let loss = below(&mut chance, 3) * 10;
        let mut world =
            Self { now_ms: 0, nodes, flying: BTreeMap::new(), sent: 0, cut: BTreeSet::new(), loss, chance };
        world.all_see(MemberStatus::Up);
        world
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        below(&mut self.chance, bound)
    }

    pub(super) fn clock(&self, node: &NodeId) -> Duration {
        Duration::from_micros(self.now_ms * u64::from(self.nodes[node].rate))
    }

    /// Those on one side hear each other, and find the others Down.
    pub(super) fn sides(&mut self, sides: &[&[usize]]) {
        let side = |number: usize| sides.iter().position(|side| side.contains(&number));
        let all: Vec<usize> = sides.iter().flat_map(|side| side.iter().copied()).collect();
        self.cut.clear();
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b) {
            let together = side(a) == side(b);
            let (from, to) = (id(a, 1), id(b, 1));
            if !together {
                self.cut.insert((from.clone(), to.clone()));
            }
            let status = if together { MemberStatus::Up } else { MemberStatus::Down };
            if let Some(node) = self.nodes.get_mut(&from) {
                node.verdicts.insert(to, status);
            }
        }
        all.iter().for_each(|number| self.show(&id(*number, 1)));
    }

    pub(super) fn all_see(&mut self, status: MemberStatus) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in &ids {
            for other in &ids {
                self.nodes.get_mut(seer).unwrap().verdicts.insert(other.clone(), status);
            }
            self.show(seer);
        }
    }

    pub(super) fn everybody_sees(&mut self, member: &NodeId, status: MemberStatus) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in ids {
            self.nodes.get_mut(&seer).unwrap().verdicts.insert(member.clone(), status);
            self.show(&seer);
        }
    }

    /// Tells a node its own view of the members, whatever is true.
    pub(super) fn show(&mut self, seer: &NodeId) {
        let now = self.clock(seer);
        let node = self.nodes.get_mut(seer).unwrap();
        let member = |(id, status): (&NodeId, &MemberStatus)| {
            let falsely = id == seer && *status != MemberStatus::Leaving;
            let status = if falsely { MemberStatus::Up } else { *status };
            let meta = Arc::new(Meta::default());
            (id.clone(), Member { id: id.clone(), address: None, status, meta })
        };
        let members = node.verdicts.iter().map(member).collect();
        let view =
            View { version: 1, local: seer.clone(), members, stopped: None, forgotten: BTreeMap::new() };
        node.leases.members(now, &view);
        self.settle(seer);
    }

    pub(super) fn settle(&mut self, at: &NodeId) {
        while let Some(output) = self.nodes.get_mut(at).unwrap().leases.poll_output() {
            if let LeaseOutput::Send { to, frame } = output {
                let lost = self.below(100) < self.loss || self.cut.contains(&(at.clone(), to.clone()));
                let delay = 1 + if self.below(20) == 0 { self.below(400) } else { self.below(20) };
                self.sent += 1;
                if !lost {
                    self.flying.insert((self.now_ms + delay, self.sent), (at.clone(), to, frame));
                }
            }
        }
        let (now, delay) = (self.now_ms, self.below(150));
        let node = self.nodes.get_mut(at).unwrap();
        let held = node.leases.standing().held;
        if node.was_held && !held {
            node.idle_at = Some(now + delay);
            node.ready = false;
        }
        node.was_held = held;
        let given_up = &node.leases.standing().given_up;
        let settled = node.verdicts.iter().all(|(id, status)| status.is_alive() || given_up.contains(id));
        node.ready |= held && settled;
    }

    pub(super) fn step(&mut self) {
        self.now_ms += 1;
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now_ms {
                break;
            }
            let (from, to, frame) = entry.remove();
            if self.nodes.contains_key(&to) && !self.cut.contains(&(from.clone(), to.clone())) {
                let now = self.clock(&to);
                self.nodes.get_mut(&to).unwrap().leases.frame(now, &from, &frame);
                self.settle(&to);
            }
        }
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            let now = self.clock(&id);
            let at = self.now_ms;
            let node = self.nodes.get_mut(&id).unwrap();
            let stopped = node.idle_at.take_if(|idle| *idle <= at).is_some();
            let due = node.leases.poll_timeout().is_some_and(|due| due <= now);
            if stopped {
                node.leases.set_idle(now, true);
            }
            if due {
                node.leases.handle_timeout(now);
            }
            if stopped || due {
                self.settle(&id);
            }
        }
        self.check();
    }

    /// Nobody who may replace a node finds that node still acting.
    pub(super) fn check(&self) {
        for (seer, node) in self.nodes.iter().filter(|(_, node)| node.leases.standing().held) {
            for gone in &node.leases.standing().given_up {
                let Some(other) = self.nodes.get(gone) else { continue };
                let given_up = &other.leases.standing().given_up;
                let both = other.leases.standing().held && given_up.contains(seer);
                assert!(!both, "at {} ms {seer} and {gone} hold leases and gave each other up", self.now_ms);
                let acts = other.leases.held_until().is_some_and(|until| self.clock(gone) < until);
                assert!(
                    !(acts && other.ready),
                    "at {} ms {seer} has given up {gone}, which acts\n{node:#?}\n{other:#?}",
                    self.now_ms,
                    node = node.leases,
                    other = other.leases
                );
            }
        }
    }

    /// Anything may happen: verdicts true and false, links cut and healed, restarts.
    pub(super) fn disturb(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        let (a, b) = (self.pick(&ids), self.pick(&ids));
        match self.below(10) {
            0 | 1 => drop(self.cut.insert((a.clone(), b.clone()))),
            2 => self.cut.clear(),
            3 if self.below(4) == 0 => self.restart(&a),
            4..=6 => {
                let status = match self.below(4) {
                    0 => MemberStatus::Suspect,
                    1 => MemberStatus::Unreachable,
                    _ => MemberStatus::Down,
                };
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, status);
                self.show(&a);
            }
            _ => {
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, MemberStatus::Up);
                self.show(&a);
            }
        }
    }

    /// The same without restarts.
    pub(super) fn upset(&mut self) {
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        let (a, b) = (self.pick(&ids), self.pick(&ids));
        match self.below(8) {
            0 | 1 => drop(self.cut.insert((a, b))),
            2 => self.cut.clear(),
            choice => {
                let status = if choice < 6 { MemberStatus::Down } else { MemberStatus::Up };
                self.nodes.get_mut(&a).unwrap().verdicts.insert(b, status);
                self.show(&a);
            }
        }
    }

    pub(super) fn leases(&self) -> Vec<&Leases> {
        self.nodes.values().map(|node| &node.leases).collect()
    }

    pub(super) fn pick(&mut self, ids: &[NodeId]) -> NodeId {
        ids[usize::try_from(self.below(ids.len() as u64)).unwrap()].clone()
    }

    /// The process is killed and another one starts under its name.
    pub(super) fn restart(&mut self, old: &NodeId) {
        let Node { leases, rate, .. } = self.nodes.remove(old).unwrap();
        let later = NodeId::new(old.name().clone(), old.incarnation() + 1);
        let mut next = node(later.clone(), leases.expected.clone(), rate, self.now_ms * u64::from(rate));
        next.verdicts = self.nodes.keys().map(|id| (id.clone(), MemberStatus::Up)).collect();
        next.verdicts.insert(later.clone(), MemberStatus::Up);
        self.nodes.insert(later.clone(), next);
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for seer in ids {
            let node = self.nodes.get_mut(&seer).unwrap();
            node.verdicts.remove(old);
            node.verdicts.insert(later.clone(), MemberStatus::Up);
            self.show(&seer);
        }
    }

    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    pub(super) fn holders(&self) -> usize {
        self.nodes.values().filter(|node| node.leases.standing().held).count()
    }
}

pub(super) fn node(id: NodeId, expected: BTreeSet<NodeName>, rate: u32, started_us: u64) -> Node {
    let now = Duration::from_micros(started_us);
    let mut leases = Leases::new(id.clone(), expected, LeaseTerms::default(), HEARTBEAT, now);
    leases.want(now);
    let verdicts = BTreeMap::from([(id, MemberStatus::Up)]);
    Node { leases, rate, verdicts, idle_at: None, was_held: false, ready: false }
}

pub(super) fn below(chance: &mut Jitter, bound: u64) -> u64 {
    chance.next() % bound.max(1)
}
