//! Moves are no more than placement's difference, and with active redistribution no less.

use horde_ring::{KeyHash, Member, Members, Rendezvous};
use horde_supervisor::{ChildState, Redistribution};
use horde_transport::NodeId;

use crate::cluster::World;

impl World {
    /// Invariant 6, its second half: what placement gives to another member has moved there. Where that is follows from the
    /// names of the members and of the child alone, however many there are.
    pub(super) fn moves_are_done(&self) -> Option<String> {
        if self.plan.options.redistribution != Redistribution::Active {
            return None;
        }
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        if alive().any(|node| node.leaving.is_some()) {
            return None;
        }
        let hashed = |id: &NodeId| Member::hashed(id.clone(), KeyHash::of(id.name().as_str())).weight(1);
        let members: Members<NodeId> = alive().map(|node| hashed(&node.id)).collect();
        let placement = Rendezvous::new(members);
        for node in alive() {
            if let Some(first) = node.children.plan().first() {
                return Some(format!("{:?} would still move {first:?}", node.id));
            }
            for (id, record) in node.children.records().filter(|(_, record)| record.pid().is_some()) {
                let runs = |member: &Member<NodeId>| {
                    alive().any(|node| node.id == *member.id() && record.spec.version <= node.version)
                };
                let host = horde_ring::Placement::owner_among(&placement, KeyHash::of(id.as_str()), &runs);
                if host.is_some_and(|host| *host != record.owner) {
                    return Some(format!("{id} belongs to {host:?} and runs on {:?}", record.owner));
                }
            }
        }
        None
    }

    /// Its first half: who moves a child away leaves, or placement gives it to another.
    pub(crate) fn check_move(&mut self, node: usize, child: &str) {
        let sim = &self.nodes[node];
        let record = sim.children.record(&child.into());
        let moving =
            record.is_some_and(|record| record.state == ChildState::Moving && record.owner == sim.id);
        if moving && sim.leaving.is_none() && self.plan.options.redistribution != Redistribution::Active {
            self.fail(format!("n{node} moves {child} away, and nobody asked for moves"));
        }
    }
}
