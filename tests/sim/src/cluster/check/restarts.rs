//! Restarts are bounded by the intensity: a child that ended too often rests.

use horde_supervisor::ChildState;

use crate::cluster::World;

impl World {
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
