//! What must hold: some of it after each step, all of it once the faults have ended and the cluster had time to heal.

mod answers;
mod children;
mod down;
mod equal;
mod limits;
mod moves;
mod names;
mod overlap;
mod ready;
mod replicas;
mod restarts;
mod views;

pub(crate) use overlap::Claimed;

use super::World;

/// How many steps pass between two looks at all that a node's machines hold.
const EACH: u64 = 16;
/// How many events of the cluster pass between two looks at all nodes together.
pub(crate) const ALL: u64 = 256;

impl World {
    /// The cheap part, after each step of a node.
    pub(crate) fn check_step(&mut self, node: usize) {
        let sim = &self.nodes[node];
        if self.events.is_multiple_of(EACH) || self.plan.nodes == 1 {
            sim.names.check_invariants();
            sim.children.check_invariants();
            sim.membership.check_invariants();
            sim.leases.check_invariants();
        }
        if let Some(trouble) = self.names_are_read_where_they_are_written(node) {
            self.fail(trouble);
        }
    }

    /// What holds at any moment, of all nodes together: now and then.
    pub(crate) fn check_always(&mut self) {
        let trouble = self.equal_vectors_mean_equal_states().or_else(|| self.queues_are_bounded());
        if let Some(trouble) = trouble {
            self.fail(trouble);
        }
    }

    /// All of it; none when the cluster is whole.
    pub(crate) fn whole(&self) -> Option<String> {
        self.views_agree()
            .or_else(|| self.replicas_converged())
            .or_else(|| self.children_run_once())
            .or_else(|| self.nothing_runs_untracked())
            .or_else(|| self.what_ended_does_not_run())
            .or_else(|| self.names_have_owners())
            .or_else(|| self.owners_are_found())
            .or_else(|| self.restarts_are_bounded())
            .or_else(|| self.moves_are_done())
            .or_else(|| self.users_were_answered())
            .or_else(|| self.nothing_is_left_behind())
    }
}
