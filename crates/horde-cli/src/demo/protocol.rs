//! What the demo and its nodes say to each other: one JSON object a line, over the node's standard input and output.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// From the demo to a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The first line: who you are.
    Be(Be),
    /// Start children `from..to`, named `worker-N`.
    StartChildren { from: usize, to: usize },
    /// Call every child by name, once.
    CallAll { count: usize },
    /// Call these children by name, again and again, until `StopCalls`.
    CallMany { children: Vec<usize> },
    /// Stop the calls and report them.
    StopCalls,
    /// Say what really runs and ran here.
    Census,
    /// Say who is here, and when that changed.
    Members,
}

/// What a node is told to be.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Be {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) listen: SocketAddr,
    pub(crate) join: Vec<SocketAddr>,
    pub(crate) expect: usize,
}

impl std::fmt::Debug for Be {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Be").field("name", &self.name).field("join", &self.join).finish_non_exhaustive()
    }
}

/// From a node to the demo: one answer to each order, in turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// It listens here; it is not yet ready.
    Listening { address: SocketAddr },
    /// All expected members are here and their maps have synced.
    Ready,
    /// What became of the starts.
    Started { failed: Vec<String> },
    /// What became of one round of calls.
    Called(Calls),
    /// Calls go on.
    Calling,
    /// What runs and ran here.
    Census { entries: Vec<Entry> },
    /// The members that are up, as this node sees them, and when it saw others go down.
    Members { up: Vec<String>, down: Vec<(String, u64)> },
    /// It could not do what was asked.
    Failed { error: String },
}

/// A tally of calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) answered: u64,
    /// By what went wrong.
    pub(crate) failed: std::collections::BTreeMap<String, u64>,
    /// The longest that a call took, answered or not, in microseconds.
    pub(crate) slowest_us: u64,
    /// Answers per node.
    pub(crate) by_node: std::collections::BTreeMap<String, u64>,
}

impl Calls {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// One run of a child, as the process itself noted it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) pid: String,
    pub(crate) generation: u64,
    /// Unix microseconds.
    pub(crate) started_us: u64,
    /// Unix microseconds; none while it runs.
    pub(crate) ended_us: Option<u64>,
}

/// The time in Unix microseconds: the nodes of a demo share one clock.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
