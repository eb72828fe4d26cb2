//! Every queue stays within its limit.

use crate::cluster::World;

impl World {
    /// Invariant 7.
    pub(super) fn queues_are_bounded(&self) -> Option<String> {
        self.nodes.iter().filter(|node| node.is_alive()).find_map(|node| {
            let mut queues =
                node.children.load().into_iter().chain(node.names.load()).chain(node.leases.load());
            let over = queues.find(|(_, count, limit)| count > limit);
            over.map(|(what, count, limit)| {
                format!("{count} {what} on {:?}, and {limit} is the limit", node.id)
            })
        })
    }
}
