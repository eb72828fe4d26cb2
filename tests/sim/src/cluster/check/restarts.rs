//! Restarts are bounded by the intensity: a child that ended too often rests.

use horde_process::ClaimRank;
use horde_supervisor::ChildState;

use crate::cluster::World;
use crate::cluster::process::Child;

impl World {
    /// A child of this node has ended by itself.
    pub(crate) fn note_end(&mut self, node: usize, child: &Child) {
        let now = self.time(node).monotonic;
        let ClaimRank { life, generation, .. } = child.claim.rank;
        let ends = self.nodes[node].ends_of.entry(child.id.clone()).or_insert((life, generation, Vec::new()));
        if (ends.0, ends.1) != (life, generation) {
            *ends = (life, generation, Vec::new());
        }
        ends.2.push(now);
    }

    /// A child is started here: not once more within the window than the intensity allows. What comes from elsewhere, or by a
    /// user's hand, begins anew, also when it was here before it went elsewhere.
    pub(crate) fn check_intensity(&mut self, node: usize, child: &Child) {
        let now = self.time(node).monotonic;
        let (window, most) = (self.plan.options.max_seconds, self.plan.options.max_restarts);
        let ClaimRank { life, generation, .. } = child.claim.rank;
        let Some(ends) = self.nodes[node].ends_of.get_mut(&child.id) else { return };
        if (ends.0, ends.1 + 1) != (life, generation) {
            self.nodes[node].ends_of.remove(&child.id);
            return;
        }
        ends.1 = generation;
        ends.2.retain(|at| *at + window >= now);
        let count = ends.2.len();
        if count > most as usize {
            self.fail(format!(
                "{} is started on n{node} after {count} ends within {window:?}; {most} is the intensity",
                child.id
            ));
        }
    }
    /// Invariant 5: whatever runs has not ended by itself too often, and nobody fails for good without cause.
    pub(super) fn restarts_are_bounded(&self) -> Option<String> {
        for node in self.nodes.iter().filter(|node| node.is_alive()) {
            for (id, record) in node.children.records() {
                let troubles = self.promises.troubles.get(id.as_str()).copied().unwrap_or(0);
                let conflict = matches!(
                    &record.state,
                    ChildState::Failed(horde_process::ExitReason::NameConflict { .. })
                );
                let failed = matches!(record.state, ChildState::Failed(_));
                if failed && !conflict && troubles + self.downs == 0 {
                    return Some(format!("{id} failed without cause:{}", self.records_of(id.as_str())));
                }
            }
        }
        None
    }
}
