//! What a node decides about its membership before it starts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use horde_ring::LeaseTerms;
use horde_transport::NodeName;

use crate::Meta;

/// How a node joins, how fast it suspects, and how much it takes on.
///
/// All nodes of a cluster should hold the same times; different ones work, but then one node suspects sooner than another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// How many nodes make a cluster that starts from nothing, this one included. With it a node that finds nobody
    /// who is Up becomes Up once it knows that many; without it, after [`ClusterConfig::join_grace`]. Default none.
    pub expect: Option<usize>,
    /// The nodes whose majority decides under a quorum policy, by name, the same on all of them, this one included:
    /// nobody has quorum before all of them have agreed. At most 64: of more, their lists are refused with a warning, and
    /// nobody ever has quorum. Default none: the node follows the quorum that it
    /// finds in the cluster, without a vote.
    pub quorum: BTreeSet<NodeName>,
    /// How long leases last, and how long a node that is gone may still act: the same on all nodes. Default 2 s.
    pub lease: LeaseTerms,
    /// Addresses dialled from the start; its own may be among them. Others are learnt from members. Default none.
    pub seeds: Vec<SocketAddr>,
    /// Where this node accepts connections, as others should dial it; none when only the transport knows. Default none.
    pub address: Option<SocketAddr>,
    /// What this node tells the others of itself. Default: weight 1 and nothing else.
    pub meta: Meta,
    /// How often a node is heard by each other. Default 200 ms; sane 50 ms to 2 s.
    pub heartbeat: Duration,
    /// Silence after which a member is suspected. Default 800 ms; sane from 3 heartbeats on.
    pub suspect_after: Duration,
    /// How long others may take to say whether they still hear a suspect: who has not answered by then does not
    /// count. Default 300 ms; sane from one heartbeat and a round trip on.
    pub down_after: Duration,
    /// How long a peer may stay silent to probes after a crash hint, on a fast network. Default 4.5 ms. It grows to
    /// six measured round trips where these are longer, and with this node's own starvation.
    pub probe_window: Duration,
    /// How long a peer whose connection was lost without a crash hint may take to connect again before it is
    /// suspected. Default 400 ms; sane from a few attempts to dial up to the suspicion time.
    pub lost_grace: Duration,
    /// How long a member that others told of may take to be reached before it is suspected. Default 3 s.
    pub reach_grace: Duration,
    /// Without `expect`: how long a node with seeds looks for a cluster before it is one of its own. Default 2 s.
    /// A node without any address to dial waits 50 ms, and for the answers of those connected to it.
    pub join_grace: Duration,
    /// How long a member that has left is remembered. Default 60 s; sane from 10 s on.
    pub forget_left_after: Duration,
    /// How long the address of a member that is Down is still dialled. Default 10 min; sane from 10 s on. Afterwards it
    /// is dialled again when discovery has it, or when a member says that it reaches the node.
    pub redial_down_for: Duration,
    /// How many members are known at once, Down ones included. Default 64, the limit of the full mesh. At the limit
    /// the member that is Down longest is forgotten; if none is Down, the newcomer is refused with a reason.
    pub max_members: usize,
    /// Up to how many others are known, everything is told to all at once: newcomers, whole lists, each change as it comes,
    /// and of a suspect everybody is asked. Beyond, lists go only where digests differ, newcomers and changes that hurry
    /// nobody are gathered for some milliseconds, and of a suspect so many are asked. Default 64.
    pub eager_members: usize,
    /// The largest encoded [`Meta`], in bytes. Default and highest 32 KiB. Beyond: the change is not made.
    pub max_meta: usize,
    /// Addresses taken from one discovery strategy. Default 1,024. Beyond: the highest ones are left out and logged.
    pub max_addresses: usize,
    /// Events that wait for the watchers. Default 65,536. Beyond: the oldest are dropped and logged; the view stays right.
    pub max_events: usize,
    /// Spreads the heartbeats of different nodes. Default 0; the facade gives each start another.
    pub seed: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            expect: None,
            quorum: BTreeSet::new(),
            lease: LeaseTerms::default(),
            seeds: Vec::new(),
            address: None,
            meta: Meta::default(),
            heartbeat: Duration::from_millis(200),
            suspect_after: Duration::from_millis(800),
            down_after: Duration::from_millis(300),
            probe_window: Duration::from_micros(4500),
            lost_grace: Duration::from_millis(400),
            reach_grace: Duration::from_secs(3),
            join_grace: Duration::from_secs(2),
            forget_left_after: Duration::from_secs(60),
            redial_down_for: Duration::from_secs(600),
            max_members: 64,
            eager_members: 64,
            max_meta: 32 << 10,
            max_addresses: 1024,
            max_events: 65_536,
            seed: 0,
        }
    }
}
