//! Moves are no more than placement's difference, and with active redistribution no less.

use horde_supervisor::{ChildState, Redistribution};

use crate::cluster::World;

impl World {
    /// Invariant 6, its second half: what placement gives to another member has moved there.
    pub(super) fn moves_are_done(&self) -> Option<String> {
        if self.plan.options.redistribution != Redistribution::Active {
            return None;
        }
        let alive = self.nodes.iter().filter(|node| node.is_alive());
        let mut plans = alive.map(|node| (&node.id, node.children.plan()));
        plans.find(|(_, plan)| !plan.is_empty()).map(|(id, plan)| format!("{id:?} would still move {plan:?}"))
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
