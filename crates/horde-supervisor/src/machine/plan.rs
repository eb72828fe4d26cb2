//! What a rebalance would move.

use horde_transport::NodeId;

use super::{ChildId, Children};

/// A running child that placement gives to another member than the one that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMove {
    /// Which child.
    pub id: ChildId,
    /// Who runs it.
    pub from: NodeId,
    /// Who would run it.
    pub to: NodeId,
}

impl Children {
    /// Compares where children run with where placement, by itself, puts them: what a rebalance would move, in order of
    /// ids. Children that wait, move or are pinned are left out, and so are those whose owner is not here: they are taken
    /// over, not moved. Nothing is changed.
    #[must_use]
    pub fn plan(&self) -> Vec<PlannedMove> {
        let moves = self.replica.iter().filter(|(_, record)| record.pid().is_some() && !record.spec.pinned);
        let here = moves.filter(|(_, record)| record.owner == self.me || self.roster.is_here(&record.owner));
        let away = here.filter_map(|(id, record)| {
            let to = self.roster.moves_to(id, &record.spec, &record.owner)?;
            Some(PlannedMove { id: id.clone(), from: record.owner.clone(), to: to.clone() })
        });
        let mut plan: Vec<PlannedMove> = away.collect();
        plan.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        plan
    }
}
