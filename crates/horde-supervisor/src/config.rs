//! What a supervisor is set to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happens to running children when a node joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Redistribution {
    /// Nothing moves.
    #[default]
    Passive,
    /// Children that placement now gives to another member move there, a few at a time.
    Active,
}

/// On which side of a partition children run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Quorum {
    /// On every side: children of members out of reach run again at once. During a partition a child may run on both
    /// sides; once it heals, one copy of each ends.
    #[default]
    None,
    /// Where a majority of the expected nodes (`ClusterConfig::quorum`) acknowledges the node's lease. Other nodes stop
    /// their children when their lease ends; what they ran runs elsewhere only after that, some two seconds after they
    /// were found Down. It cannot help when more than half of the expected nodes are gone: then nothing runs. Nor can it
    /// keep a process that was paused from acting when it wakes up, before its stop reaches it: ask `Context::may_act`
    /// before an effect on the outside, or have the resource check the fencing token.
    Majority,
}

/// A supervisor's settings: the same on every node that hosts it, announced by the one that starts it first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How many restarts of one child within `max_seconds` are tolerated. Default 3 (OTP's). One more and it is `Failed`;
    /// its siblings are untouched.
    pub max_restarts: u32,
    /// The window of `max_restarts`. Default 5 s.
    pub max_seconds: Duration,
    /// The pause before the second restart within the window; doubled for each further one. Default 50 ms.
    pub backoff: Duration,
    /// A node that dies within this time of starting a child counts as a restart of that child. Default 30 s.
    pub settle: Duration,
    /// Whether children run elsewhere when their node dies. Default yes; without it they wait for it to come back.
    pub takeover: bool,
    /// On which side of a partition children run. Default on every side.
    pub quorum: Quorum,
    /// What joins do to running children. Default passive.
    pub redistribution: Redistribution,
    /// How many children a node moves away at once when it redistributes. Default 32, sane 1 to 1,000; the others wait.
    pub max_moves: usize,
    /// How many inits a node runs at once for takeovers and moves. Default 512, sane 1 to 10,000; the others wait in order.
    pub max_starting: usize,
    /// How many starts may wait on a node for an answer. Default 100,000; one more is refused with `Busy`.
    pub max_waiting: usize,
    /// The largest spec in bytes, arguments included. Default 64 KiB; a larger one is refused with `TooBig`.
    pub max_spec: usize,
    /// How long an ended child's record is kept at least before it is forgotten: longer, until every member has it. Default 60 s.
    /// Two clusters that first hear of each other later than that both keep what they run: an end in one is none in the other.
    pub ended_retention: Duration,
    /// How long a member may take to answer a request before it is repeated. Default 1 s.
    pub request_timeout: Duration,
    /// How long a hand-over may take before its target is given up. Default 5 s.
    pub handover_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_restarts: 3,
            max_seconds: Duration::from_secs(5),
            backoff: Duration::from_millis(50),
            settle: Duration::from_secs(30),
            takeover: true,
            quorum: Quorum::None,
            redistribution: Redistribution::Passive,
            max_moves: 32,
            max_starting: 512,
            max_waiting: 100_000,
            max_spec: 64 * 1024,
            ended_retention: Duration::from_secs(60),
            request_timeout: Duration::from_secs(1),
            handover_timeout: Duration::from_secs(5),
        }
    }
}
