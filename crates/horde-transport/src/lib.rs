//! Node identity, the [`Network`] seam, an authenticated QUIC mesh and an in-memory network.
//!
//! ```text
//!   subscribers, send, request        whoever is above: membership, registry, supervisor, processes
//!  - - - - - - - - - - - - - - - - -  trait Network
//!   Dispatch                          who hears what, in which order; requests that wait
//!   MemoryNetwork  |  Quic            what carries it
//! ```
//!
//! Invariant: a peer's `Up` comes before its first frame and its `Down` after its last, at every subscriber.
//! Invariant: no callback is called under a lock, nor on the stack of `send`, `request` or `subscribe`.
//! Invariant: `on_reply` is called once for each request, whatever happens to the connection or the runtime.
//! Invariant: a connection is bound to one life of each of two nodes by its greeting, so frames need not name it.
//!
//! The README has a compiled example of two nodes; `docs/security.md` says what is protected and what is not.

#[cfg(test)]
extern crate self as horde_transport; // tests in here share files with those of the outside

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
    Authority, AuthorityError, Certificate, ClusterKey, FileError, Identity, IdentityError, Issued,
    MIN_SECRET, PkiFiles, SecretError, generate_secret, read_certificates, read_secret_file, write_new_file,
};

/// What the fuzz targets call; no part of the interface.
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::quic::fuzzing::{lane, link, names};
}

/// The README's example is compiled and run.
#[cfg(all(doctest, feature = "quic"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the page on security.
#[cfg(all(doctest, feature = "quic"))]
#[doc = include_str!("../docs/security.md")]
struct Security;
