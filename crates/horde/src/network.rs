//! The network of nodes that share an OS process.

use horde_transport::MemoryNetwork;

/// A network in memory: nodes attached to it see each other at once. For tests and examples; nodes in different OS
/// processes are connected by [`crate::NodeBuilder::listen`].
#[derive(Debug, Clone)]
pub struct Network(MemoryNetwork);

impl Network {
    /// An empty network.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(MemoryNetwork::new())
    }

    /// The network itself, to cut, heal and kill nodes on it.
    #[must_use]
    pub fn memory(&self) -> &MemoryNetwork {
        &self.0
    }
}
