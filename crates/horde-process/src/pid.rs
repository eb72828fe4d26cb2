//! Which process.

use std::fmt;

use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

/// One process: the life of the node it runs on, and its number there. Never reused.
///
/// Prints as `<node.incarnation.number>`. Orders by node, then number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid {
    node: NodeId,
    number: u64,
}

impl Pid {
    /// The process `number` of `node`. Number 0 is nobody: no process ever has it.
    #[must_use]
    pub fn new(node: NodeId, number: u64) -> Self {
        Self { node, number }
    }

    /// The life of the node on which the process runs or ran.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// The process's number on its node, from 1 up.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}.{}.{}>", self.node.name(), self.node.incarnation(), self.number)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
