//! What the demo and its nodes say to each other: one JSON object a line, over the node's standard input and output.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::args::Quorum;

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
    /// Say how much really runs here: what is asked again and again.
    Count,
    /// Say who is here, and when that changed.
    Members,
    /// Say what the records here say of this child, and who holds its name.
    Explain { child: String },
    /// Lose everything to and from these addresses, or no longer.
    Cut { addresses: Vec<SocketAddr>, lost: bool },
}

/// What a node is told to be.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Be {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) listen: SocketAddr,
    pub(crate) join: Vec<SocketAddr>,
    /// The nodes that the demo starts with: a cluster that starts from nothing has as many, and a majority is one of them.
    pub(crate) first: Vec<String>,
    /// How many nodes are to be there, this one included, before it says that it is ready.
    pub(crate) together: usize,
    pub(crate) quorum: Quorum,
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
    /// It is done, or goes on.
    Done,
    /// What runs and ran here.
    Census { entries: Vec<Entry> },
    /// How many run here.
    Count { running: usize },
    /// The members that are up, as this node sees them, and when it saw others go down and come up.
    Members { up: Vec<String>, down: Vec<(String, u64)>, risen: Vec<(String, u64)> },
    /// What is known here of a child, in words.
    Explained { text: String },
    /// The last word of a node that was told to stop: how many of its children were not moved, and what ran here.
    Left { unmoved: usize, entries: Vec<Entry> },
    /// It could not do what was asked.
    Failed { error: String },
}

/// A tally of calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) answered: u64,
    /// By what went wrong.
    pub(crate) failed: BTreeMap<String, Failures>,
    /// Calls that were answered only when they were made again.
    pub(crate) again: u64,
    /// The longest that a call took, answered or not, in microseconds.
    pub(crate) slowest_us: u64,
    /// Answers per node.
    pub(crate) by_node: BTreeMap<String, u64>,
}

/// Calls that went wrong in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// When the first and the last of them failed, in Unix microseconds.
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
}

impl Calls {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().map(|failures| failures.count).sum()
    }

    pub(crate) fn all(&self) -> u64 {
        self.answered + self.failures()
    }

    /// Notes a call that failed at `at_us`.
    pub(crate) fn fail(&mut self, kind: &str, at_us: u64) {
        self.failed_more(kind, Failures { count: 1, first_us: at_us, last_us: at_us });
    }

    fn failed_more(&mut self, kind: &str, more: Failures) {
        let known = self.failed.entry(kind.to_owned()).or_insert(Failures { count: 0, ..more });
        known.count += more.count;
        known.first_us = known.first_us.min(more.first_us);
        known.last_us = known.last_us.max(more.last_us);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.again += other.again;
        self.slowest_us = self.slowest_us.max(other.slowest_us);
        for (kind, failures) in other.failed {
            self.failed_more(&kind, failures);
        }
        for (node, count) in other.by_node {
            *self.by_node.entry(node).or_default() += count;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_a_kind_are_counted_with_the_window_in_which_they_fell() {
        let (mut one, mut two) = (Calls::default(), Calls::default());
        one.fail("moved", 30);
        one.fail("moved", 20);
        two.fail("moved", 50);
        two.fail("interrupted", 5);
        one.add(two);
        assert_eq!(one.failures(), 4);
        assert_eq!(one.failed["moved"], Failures { count: 3, first_us: 20, last_us: 50 });
        assert_eq!(one.failed["interrupted"], Failures { count: 1, first_us: 5, last_us: 5 });
    }
}
