//! What can be told to a user about dialling, refusals and connections.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::close::Ended;
use crate::dispatch::lock;
use crate::{NodeId, Peer};

/// Refusals remembered.
const REMEMBERED: usize = 32;
/// The same refusal is not logged again for so long.
const QUIET: Duration = Duration::from_secs(10);

/// How it goes with an address that is dialled. Prints as a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialStatus {
    /// Where.
    pub address: SocketAddr,
    /// How it goes.
    pub state: DialState,
}

/// How it goes with an address that is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialState {
    /// The first attempt is under way.
    Trying,
    /// A connection to this node stands.
    Connected(NodeId),
    /// The address is our own: nothing more is tried.
    Yourself,
    /// The last attempt failed; another follows.
    Failing {
        /// Attempts so far without success.
        attempts: u32,
        /// Why the last one failed.
        last: DialFailure,
    },
}

/// Why an attempt to connect failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialFailure {
    /// Nobody answered in time.
    NoAnswer,
    /// The peer turned us away; its reason.
    RefusedUs(String),
    /// We turned the peer away; our reason.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => {
                f.write_str("gives no answer (is a node running there, and is its UDP port open?)")
            }
            Self::RefusedUs(why) => write!(f, "refused us: {why}"),
            Self::Refused(why) => write!(f, "was refused by us: {why}"),
            Self::Failed(why) => write!(f, "cannot be connected to: {why}"),
        }
    }
}

impl fmt::Display for DialStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.address)?;
        match &self.state {
            DialState::Trying => f.write_str(" is being dialled"),
            DialState::Connected(id) => write!(f, " is connected: {id:?}"),
            DialState::Yourself => f.write_str(" is this node itself"),
            DialState::Failing { last, .. } => write!(f, " {last}"),
        }
    }
}

impl From<Ended> for DialFailure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::NoAnswer => Self::NoAnswer,
            Ended::RefusedUs(why) => Self::RefusedUs(why),
            Ended::Refused(why) => Self::Refused(why),
            Ended::Lost(why) => Self::Failed(why),
            Ended::Duplicate => Self::Failed("another connection stands, but is not seen here".into()),
            Ended::Yourself => Self::Failed("it is this node".into()),
            Ended::Goodbye => Self::Failed("the peer is leaving".into()),
        }
    }
}

/// A stranger that dialled us and did not become a peer. Prints as a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it came from.
    pub address: SocketAddr,
    /// Whether it turned us away, rather than we it.
    pub by_them: bool,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, reason, .. } = self;
        if self.by_them {
            write!(f, "{address} refused us: {reason}")
        } else {
            write!(f, "refused {address}: {reason}")
        }
    }
}

/// The last refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<VecDeque<(Instant, Refused)>>);

impl Refusals {
    /// Remembers a refusal; true if it should be logged.
    pub(crate) fn add(&self, refused: Refused) -> bool {
        let (mut last, now) = (lock(&self.0), Instant::now());
        let same =
            |other: &Refused| other.address.ip() == refused.address.ip() && other.reason == refused.reason;
        if let Some((when, other)) = last.iter_mut().find(|(_, other)| same(other)) {
            let loud = when.elapsed() >= QUIET;
            if loud {
                *when = now;
            }
            *other = refused;
            return loud;
        }
        if last.len() >= REMEMBERED {
            last.pop_front();
        }
        last.push_back((now, refused));
        true
    }

    pub(crate) fn all(&self) -> Vec<Refused> {
        lock(&self.0).iter().map(|(_, refused)| refused.clone()).collect()
    }
}

/// Figures of one connection, since it is up.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerStats {
    /// Whose.
    pub peer: Peer,
    /// How long it is up.
    pub up: Duration,
    /// The round trip as QUIC sees it.
    pub round_trip: Duration,
    /// Bytes sent in UDP datagrams.
    pub sent_bytes: u64,
    /// Bytes received in UDP datagrams.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets that had to be taken for lost.
    pub lost_packets: u64,
    /// Bytes of frames that wait to be handed to QUIC.
    pub queued_bytes: usize,
    /// Whether the crash tether is bound now.
    pub tethered: bool,
}
