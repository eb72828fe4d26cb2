//! One entry of the view, and what happens to it.

use std::net::SocketAddr;
use std::sync::Arc;

use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use crate::Meta;

/// One node as this node sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is, in which life.
    pub id: NodeId,
    /// Where it accepts connections, if known; none in memory.
    pub address: Option<SocketAddr>,
    /// How it is.
    pub status: MemberStatus,
    /// What it told of itself last.
    pub meta: Arc<Meta>,
}

/// How a member is, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberStatus {
    /// It is here and does not yet know enough to act.
    Joining,
    /// It is a full member.
    Up,
    /// This node does not hear it, and asks the others.
    Suspect,
    /// This node does not hear it, but others do: it is not Down.
    Unreachable,
    /// It will leave, and hands over what it has.
    Leaving,
    /// It is gone without a word, by agreement of those who are left. It is Up again if this same life returns.
    Down,
    /// It has left for good.
    Left,
}

impl MemberStatus {
    /// Whether the node may still run: everything but Down and Left.
    #[must_use]
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::Down | Self::Left)
    }
}

/// One change of the view. The view that comes with it holds the outcome, perhaps of later changes too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// A member was first heard of.
    Joined(NodeId),
    /// A member is Up: it became ready, or came back after Down in the same life.
    Up(NodeId),
    /// This node does not hear a member any more.
    Suspect(NodeId),
    /// A suspected or unreachable member is heard again; of the local node: others called it Down, and it has objected.
    Refuted(NodeId),
    /// This node does not hear a member, others do.
    Unreachable(NodeId),
    /// A member is gone, or was replaced by a higher incarnation of its name.
    Down(NodeId),
    /// A member will leave.
    Leaving(NodeId),
    /// A member has left.
    Left(NodeId),
    /// A member told something new of itself.
    Meta(NodeId),
    /// A member that was Down was forgotten for good: it is in the view no more.
    Forgotten(NodeId),
}

impl MemberEvent {
    /// Whom it is about.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        match self {
            Self::Joined(id)
            | Self::Up(id)
            | Self::Suspect(id)
            | Self::Refuted(id)
            | Self::Unreachable(id)
            | Self::Down(id)
            | Self::Leaving(id)
            | Self::Left(id)
            | Self::Meta(id)
            | Self::Forgotten(id) => id,
        }
    }
}

/// Why the local node is no member any more. It is for good: a new life of the program may join again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// It left, as asked.
    #[error("this node has left the cluster")]
    Left,
    /// It wanted to join under a name that a live node has.
    #[error("name `{}` is taken by a live node{}; this node did not join: stop the other one or take another name",
        holder, at(address.as_ref()))]
    NameTaken {
        /// The live node.
        holder: NodeId,
        /// Where it listens, if known.
        address: Option<SocketAddr>,
    },
    /// A higher incarnation of its name is in the cluster.
    #[error("a later start of node `{}`{} has taken its place (incarnation {} over {ours}); this node is out", by, at(address.as_ref()), by.incarnation())]
    Superseded {
        /// The higher incarnation.
        by: NodeId,
        /// Where it listens, if known.
        address: Option<SocketAddr>,
        /// This node's own incarnation.
        ours: u64,
    },
    /// The cluster has as many members as it takes.
    #[error("the cluster has reached its limit of {limit} members; this node did not join")]
    Full {
        /// The limit of the member that refused.
        limit: usize,
    },
    /// An operator had this life of the node forgotten while it was away.
    #[error(
        "this node was forgotten while it was away, and its work runs elsewhere; start it anew to join again"
    )]
    Forgotten,
}

fn at(address: Option<&SocketAddr>) -> String {
    address.map(|address| format!(" at {address}")).unwrap_or_default()
}
