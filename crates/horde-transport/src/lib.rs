//! Node identity, the [`Network`] seam, an authenticated QUIC mesh and an in-memory network.

#[cfg(feature = "memory")]
mod dispatch;
mod identity;
mod limits;
#[cfg(feature = "memory")]
mod memory;
mod network;
#[cfg(feature = "memory")]
mod pending;

pub use identity::{MAX_NAME, NameError, NodeId, NodeName};
pub use limits::Limits;
#[cfg(feature = "memory")]
pub use memory::{MemoryNetwork, MemoryNode};
pub use network::{
    DownReason, Event, Lane, MAX_TOPIC, Network, OnReply, Peer, RequestError, Responder, Role, SendError,
    Subscriber, Subscription, Topic, TopicTaken, TopicTooLong,
};
