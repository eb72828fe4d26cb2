//! How a node is built.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use horde_transport::{Network, NodeId};
use tokio::runtime::Handle;

use crate::kind::{AnyKind, KindOf, Kinds};
use crate::learned::Learned;
use crate::moved::Moved;
use crate::names::Names;
use crate::node::Inner;
use crate::reaper::Reaper;
use crate::remote::{self, Peers};
use crate::table::Table;
use crate::waits::Waits;
use crate::{Node, NodeError, Process};

/// Builds a [`Node`].
#[must_use = "a node runs once it is started"]
pub struct NodeBuilder {
    id: NodeId,
    network: Option<Arc<dyn Network>>,
    kinds: Vec<Arc<dyn AnyKind>>,
    stuck_after: Duration,
}

impl NodeBuilder {
    pub(crate) fn new(id: NodeId) -> Self {
        Self { id, network: None, kinds: Vec::new(), stuck_after: Duration::from_millis(100) }
    }

    /// The node can run `P`: its kind, the versions it reads, and its dependencies. Two with one kind fail in [`NodeBuilder::start`].
    pub fn runs<P: Process>(mut self, deps: P::Deps) -> Self {
        self.kinds.push(Arc::new(KindOf::<P>::new(deps)));
        self
    }

    /// Connects the node to others. Without it the node is alone.
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// How long a process that was ended where it awaits may take before it is reported stuck. Default 100 ms; at least 1 ms.
    pub fn stuck_after(mut self, grace: Duration) -> Self {
        self.stuck_after = grace.max(Duration::from_millis(1));
        self
    }

    /// Starts the node. The tokio runtime it is called in runs its processes; its timer must be enabled.
    ///
    /// # Errors
    /// [`NodeError`]: nothing runs.
    pub fn start(self) -> Result<Node, NodeError> {
        let runtime = Handle::try_current().map_err(|_| NodeError::NoRuntime)?;
        if let Some(network) = self.network.as_ref().filter(|network| *network.local() != self.id) {
            return Err(NodeError::OtherNetwork(network.local().clone()));
        }
        if cfg!(panic = "abort") {
            tracing::warn!(node = %self.id, "built with panic = \"abort\": a panic in one process ends the whole program");
        }
        let node = Node(Arc::new(Inner {
            id: self.id,
            runtime,
            network: self.network,
            topic: remote::topic(),
            subscription: Mutex::new(None),
            kinds: Kinds::new(self.kinds)?,
            table: Table::default(),
            names: Names::default(),
            learned: Learned::default(),
            moved: Moved::default(),
            waits: Waits::default(),
            peers: Peers::default(),
            services: RwLock::new(HashMap::new()),
            reaper: Reaper::new(self.stuck_after),
            numbers: AtomicU64::new(0),
            references: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        }));
        remote::subscribe(&node)?;
        Ok(node)
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.kind()).collect();
        f.debug_struct("NodeBuilder").field("id", &self.id).field("kinds", &kinds).finish_non_exhaustive()
    }
}
