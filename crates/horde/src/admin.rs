//! Looking into a running cluster and steering it, from outside: what `horde status` and its siblings stand on.
//!
//! Every node answers on a topic of its own, to whom its certificate gives the right: a client looks, an operator also
//! drains and forgets, and neither is ever a member.

#[cfg(feature = "quic")]
mod client;
mod collect;
mod page;
mod report;
mod rights;
mod service;
mod steer;
mod wire;

#[cfg(feature = "quic")]
pub use client::{Client, ClientBuilder, ClientError};
pub use report::{
    ChildCounts, ChildFilter, ChildPhase, ChildReport, Drained, Forgotten, HordeReport, Listing,
    MemberReport, MoveReport, NameReport, StatusReport,
};
pub use rights::Refusal;

pub(crate) use collect::{MAX_UNMOVED, left_behind, own_children};
pub(crate) use service::serve;
pub(crate) use steer::Ending;

/// Where nodes are asked.
const TOPIC: &str = "admin";
