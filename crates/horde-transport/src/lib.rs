//! Node identity, the [`Network`] seam, an authenticated QUIC mesh and an in-memory network.

mod identity;
mod network;

pub use identity::{MAX_NAME, NameError, NodeId, NodeName};
pub use network::{
    DownReason, Event, Lane, MAX_TOPIC, Network, OnReply, Peer, RequestError, Responder, Role, SendError,
    Subscriber, Subscription, Topic, TopicTaken, TopicTooLong,
};
