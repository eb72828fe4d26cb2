//! What the machine asks of its driver.

use std::collections::BTreeSet;
use std::sync::Arc;

use horde_process::Pid;
use horde_transport::NodeId;

use super::{Entry, Key};

/// The replica's messages, as they travel between the hosts of one registry.
pub type Message = delta_crdt::Message<Key, Arc<Entry>>;

/// A name whose holder or value changed.
pub type Change = delta_crdt::Change<Key, Arc<Entry>>;

/// What the driver must do, and what happens if it is lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send `message` to `to`. Lost: the peers' next Status repairs it.
    Send {
        /// The host it is for.
        to: NodeId,
        /// What it gets.
        message: Message,
    },
    /// Publish these changes to readers, in order. Lost: readers see old names.
    Changed(Vec<Change>),
    /// The names of these nodes, and of no others, are hidden from readers. Lost: readers see dead names.
    Hidden(BTreeSet<NodeId>),
    /// Tell a local process that it lost `key` to `winner`. Lost: it lives on and believes it has its name.
    Signal {
        /// The loser.
        pid: Pid,
        /// The name.
        key: Key,
        /// Who holds it now.
        winner: Pid,
    },
    /// Announce that this node's copy can be synced from. Comes once. Lost: others wait for another host.
    Ready,
    /// Tell the user.
    Warning(delta_crdt::Warning),
}
