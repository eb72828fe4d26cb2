//! What becomes of a dead node's names.
//!
//! Each key has one coordinator among the living hosts, which removes it at once when the node has left, was forgotten
//! or replaced, and after `purge_after` when it is down. `sweep_interval` later, and again at each such interval, every
//! node removes what it still finds.

use delta_crdt::Now;
use horde_ring::{KeyHash, Member, Members, Placement, Rendezvous};
use horde_transport::NodeId;

use super::faults::Fault;
use super::view::Standing;
use super::{Key, Names};

/// Who coordinates which key among `hosts`.
pub(super) fn coordinators<'a>(hosts: impl IntoIterator<Item = &'a NodeId>) -> Rendezvous<NodeId> {
    // By name alone: a node that starts again coordinates what it did before.
    let member = |id: &NodeId| Member::hashed(id.clone(), KeyHash::of(id.name().as_str()));
    Rendezvous::new(hosts.into_iter().map(member).collect::<Members<NodeId>>())
}

impl Names {
    /// One step: at most `purge_batch` names of one dead node.
    pub(super) fn purge(&mut self, now: Now) {
        if self.faults.has(Fault::KeepsTheDead) {
            return;
        }
        let Some((node, known)) = self.nodes.due(now.monotonic) else { return };
        let grace = match known.standing {
            Standing::Gone => std::time::Duration::ZERO,
            _ => self.config.purge_after,
        };
        let overdue = now.monotonic >= known.since + grace + self.config.sweep_interval;
        let cursor = known.cursor.take();
        let page = self.index.page(&node, cursor.as_ref(), self.config.purge_batch);
        for (_, key) in &page {
            if overdue || self.coordinates(key) {
                self.erase(now, key);
            }
        }
        if let Some(known) = self.nodes.get_mut(&node) {
            if page.len() == self.config.purge_batch {
                known.cursor = page.into_iter().next_back();
                return;
            }
            known.turn = Some(now.monotonic + self.config.sweep_interval);
        }
        if !self.index.has_node(&node) {
            self.nodes.cleared(&node);
            self.hide();
        }
    }

    fn coordinates(&self, key: &Key) -> bool {
        self.coordinators.owner(KeyHash::of(key.as_bytes())) == Some(&self.local)
    }
}
