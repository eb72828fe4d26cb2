//! The mesh over QUIC: one authenticated connection per pair of nodes. All of quinn stays in here.

mod accept;
mod bulk;
mod close;
mod config;
mod decoder;
mod dial;
mod endpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod greeting;
mod lane;
mod link;
mod links;
mod reader;
#[cfg(test)]
mod simulation;
mod socket;
mod status;
mod tether;
mod tls;
mod wire;

pub use config::{BindError, QuicConfig, Timing};
pub use endpoint::Quic;
pub use status::{DialFailure, DialState, DialStatus, PeerStats, Refused};
