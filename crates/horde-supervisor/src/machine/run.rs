//! One run of a child on this node.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use horde_process::{ClaimRank, Pid, State};
use horde_transport::NodeId;

use super::coordinate::Caller;
use crate::frame::{Launch, LaunchKind, Wish};

/// What runs, starts, stops or waits here for a child.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) wish: Wish,
    /// Its claim: what a record must name for this run to be the child's.
    pub(super) rank: ClaimRank,
    pub(super) strikes: u32,
    pub(super) pid: Option<Pid>,
    pub(super) phase: Phase,
    /// When it was restarted lately.
    pub(super) restarts: VecDeque<Duration>,
    /// Who wants to hear that it runs.
    pub(super) origins: Vec<Origin>,
    /// Who wants to hear that it has ended.
    pub(super) enders: Vec<Caller>,
    /// The state with which it takes the place of a higher claim.
    pub(super) given: Option<State>,
    /// A launch of the same child that waits until this run's slot is free.
    pub(super) after: Option<(Launch, Vec<Origin>)>,
    /// The generation of a higher claim, and its state, whose place it takes once it runs.
    pub(super) raised: Option<(u64, Option<State>)>,
}

impl Run {
    /// A run of which nobody waits for anything yet.
    pub(super) fn new(wish: Wish, rank: ClaimRank, strikes: u32, phase: Phase) -> Self {
        Self {
            wish,
            rank,
            strikes,
            pid: None,
            phase,
            restarts: VecDeque::new(),
            origins: Vec::new(),
            enders: Vec::new(),
            given: None,
            after: None,
            raised: None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// `init` runs. A takeover or move leaves the record that stands alone until it has answered; a restart is `None`.
    Starting(Option<LaunchKind>),
    Running,
    /// It was told to stop.
    Stopping(Why),
    /// It ended and waits for its restart.
    Backoff,
    /// It has ended here and is handed to another member: who was offered it in vain, and who is asked now.
    HandingOver {
        state: Option<State>,
        tried: BTreeSet<NodeId>,
        asked: Option<NodeId>,
        /// Who was offered it and gave no answer: it may run there, so nobody else is asked while that one is here.
        unsure: Option<NodeId>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The child has ended for good.
    Ended,
    /// Another copy of it won.
    Superseded,
    /// It moves.
    Moving,
    /// A user restarts it.
    Restart,
    /// It takes the place of a higher claim that runs nothing.
    Reclaim,
    /// This node's lease is over.
    NoQuorum,
}

/// Who asked for a run.
#[derive(Debug)]
pub(super) enum Origin {
    /// The coordination of its start on this node.
    Coordination,
    /// Another member.
    Member { responder: u64 },
    /// This node took it over.
    Takeover { from: NodeId },
    /// A user of this node who restarts it.
    User { ticket: u64 },
}
