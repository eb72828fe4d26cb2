//! Node identity, the [`Network`] seam, an authenticated QUIC mesh and an in-memory network.

#[cfg(any(feature = "memory", feature = "quic"))]
mod dispatch;
mod identity;
mod limits;
#[cfg(feature = "memory")]
mod memory;
mod network;
#[cfg(any(feature = "memory", feature = "quic"))]
mod pending;
#[cfg(feature = "quic")]
mod quic;
#[cfg(feature = "quic")]
mod trust;

pub use identity::{MAX_NAME, NameError, NodeId, NodeName};
pub use limits::Limits;
#[cfg(feature = "memory")]
pub use memory::{MemoryNetwork, MemoryNode};
pub use network::{
    DownReason, Event, Lane, MAX_TOPIC, Network, OnReply, Peer, RequestError, Responder, Role, SendError,
    Subscriber, Subscription, Topic, TopicTaken, TopicTooLong,
};
#[cfg(feature = "quic")]
pub use quic::{BindError, DialFailure, DialState, DialStatus, PeerStats, Quic, QuicConfig, Refused, Timing};
#[cfg(feature = "quic")]
pub use trust::{
    Authority, AuthorityError, ClusterKey, FileError, Identity, IdentityError, Issued, MIN_SECRET, PkiFiles,
    SecretError, generate_secret, read_secret_file,
};
