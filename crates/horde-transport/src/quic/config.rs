//! What a QUIC network is given.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Identity, IdentityError, Limits, NodeId, NodeName, Role};

/// How a node takes part in a QUIC mesh.
#[derive(Debug, Clone)]
pub struct QuicConfig {
    /// The node's name, the same in each of its lives.
    pub name: NodeName,
    /// Which life of it this is. Default: the Unix time in milliseconds.
    pub incarnation: u64,
    /// Where to listen (UDP, and TCP for the tether). Port 0 takes a free one; `[::]` listens on IPv4 too where the system does so.
    pub listen: SocketAddr,
    /// Where others reach this node, when it is not where it listens. Default: none, the address that others see and the port bound.
    pub advertise: Option<SocketAddr>,
    /// How it proves who it is, and whom it believes. Names the cluster.
    pub identity: Identity,
    /// What it is. Default: [`Role::Node`].
    pub role: Role,
    /// Frame sizes and queue lengths.
    pub limits: Limits,
    /// Timeouts and intervals.
    pub timing: Timing,
    /// Nodes that are not let in, whatever their certificates say. Default: none. See [`crate::Quic::set_banned`].
    pub banned: BTreeSet<NodeName>,
    /// Connections at most; beyond, a newcomer is refused with the reason. Default 1,024.
    pub peers: usize,
    /// Handshakes of strangers at once; beyond, a stranger must first prove its address, and beyond four times as
    /// many it is turned away. Default 64.
    pub handshakes: usize,
    /// Whether to keep an idle TCP connection to each peer, which tells of its crash within a millisecond. Default: yes.
    pub tether: bool,
    /// Whether the kernel cuts large sends into datagrams (GSO). Default: yes; a third of the throughput without.
    pub segmentation_offload: bool,
    /// Bytes of one stream on their way at most. Default 640,000; sane from 64,000 to 8,000,000. Two streams of bulk data
    /// are on their way at once, and a heartbeat waits behind what is on its way already: 2.6 ms at 500 MB/s. Over a
    /// long distance a lane carries no more than this in each round trip: raise it there.
    pub stream_window: u32,
    /// Bytes of UDP buffer to ask the system for, each way. Default 4 MiB; what it grants is logged.
    pub socket_buffer: usize,
}

/// Timeouts and intervals of a QUIC network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// A connection without a sign of life for this long is lost. Default 3 s; keep it above the suspicion time of
    /// membership, which decides earlier.
    pub idle_timeout: Duration,
    /// A sign of life is asked for after this long without one. Default 1 s; below half of the idle timeout.
    pub keep_alive: Duration,
    /// How long a handshake may take, to its last word. Default 3 s.
    pub handshake: Duration,
    /// The first bound of the random pause between attempts to dial; it doubles. Default 50 ms.
    pub redial_min: Duration,
    /// The last bound of that pause. Default 5 s.
    pub redial_max: Duration,
    /// The round trip assumed before one is measured: a first packet that meets nobody is sent again after three of
    /// them, then after twice as long. Default 25 ms, for one data centre; give 333 ms for the open Internet (RFC 9002).
    pub initial_rtt: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(1),
            handshake: Duration::from_secs(3),
            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_secs(5),
            initial_rtt: Duration::from_millis(25),
        }
    }
}

impl QuicConfig {
    /// The defaults for a node of this name.
    #[must_use]
    pub fn new(name: NodeName, listen: SocketAddr, identity: Identity) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            name,
            incarnation: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            listen,
            advertise: None,
            identity,
            role: Role::Node,
            limits: Limits::default(),
            timing: Timing::default(),
            banned: BTreeSet::new(),
            peers: 1024,
            handshakes: 64,
            tether: true,
            segmentation_offload: true,
            stream_window: 640_000,
            socket_buffer: 4 << 20,
        }
    }

    /// The id that the node will have.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId::new(self.name.clone(), self.incarnation)
    }
}

/// A QUIC network could not be started; nothing is bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken.
    #[error("{0} is in use by another program; stop it, or listen on another port (port 0 takes a free one)")]
    InUse(SocketAddr),
    /// The system refused the address.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS does not take the configuration.
    #[error("TLS: {0}")]
    Tls(String),
    /// A time is out of its range.
    #[error("{0}")]
    Timing(&'static str),
    /// Called outside of a tokio runtime.
    #[error("a QUIC network must be started inside a tokio runtime")]
    NoRuntime,
}
