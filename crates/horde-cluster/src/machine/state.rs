//! What the machine keeps of each connection and of each member.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use horde_transport::{NodeId, Peer};

use super::inquiry::Inquiry;
use super::wire::{Lifecycle, Record};
use crate::MemberStatus;

/// Heartbeats whose acknowledgement may still come.
const UNACKED: usize = 16;

/// One connection to another node.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// When a frame or an answer of it came last.
    pub(crate) heard: Duration,
    /// The latest moment after which it was certainly alive.
    pub(crate) proven: Duration,
    pub(crate) rtt: Option<Duration>,
    pub(crate) seq: u64,
    pub(crate) sent: VecDeque<(u64, Duration)>,
    pub(crate) got: u64,
    pub(crate) got_at: Duration,
    pub(crate) beat_at: Option<Duration>,
    pub(crate) next_beat: Duration,
    /// Heartbeats in a row whose digest differed from ours.
    pub(crate) odd: u32,
    pub(crate) pulled_at: Option<Duration>,
    /// When it was asked for its own record alone.
    pub(crate) asked_at: Option<Duration>,
    /// Whether its complete list has come.
    pub(crate) listed: bool,
    /// The life that holds its name, while that one is probed; nothing is told to a contested newcomer.
    pub(crate) contest: Option<Contest>,
}

/// A newcomer's wait for the life that holds its name.
#[derive(Debug)]
pub(crate) struct Contest {
    pub(crate) holder: NodeId,
    pub(crate) pending: Option<Record>,
}

impl Link {
    pub(crate) fn new(peer: Peer, now: Duration) -> Self {
        Self {
            peer,
            heard: now,
            proven: now,
            rtt: None,
            seq: 0,
            sent: VecDeque::new(),
            got: 0,
            got_at: now,
            beat_at: None,
            next_beat: now,
            odd: 0,
            pulled_at: None,
            asked_at: None,
            listed: false,
            contest: None,
        }
    }

    /// Notes that heartbeat `seq` went out.
    pub(crate) fn note_sent(&mut self, seq: u64, now: Duration) {
        if self.sent.len() == UNACKED {
            self.sent.pop_front();
        }
        self.sent.push_back((seq, now));
    }

    /// When the acknowledged heartbeat went out; forgets it and those before.
    pub(crate) fn take_ack(&mut self, ack: u64) -> Option<Duration> {
        let mut sent_at = None;
        while let Some(&(seq, at)) = self.sent.front() {
            if seq > ack {
                break;
            }
            sent_at = (seq == ack).then_some(at);
            self.sent.pop_front();
        }
        sent_at
    }

    /// Takes a round trip in. The figure falls fast and rises slowly: what a connection measures while its programs
    /// start says little of its network.
    pub(crate) fn measure(&mut self, sample: Duration) {
        self.rtt = Some(match self.rtt {
            None => sample,
            Some(rtt) if sample < rtt => (rtt + sample) / 2,
            Some(rtt) => (rtt * 7 + sample) / 8,
        });
    }
}

/// What this node thinks of a member's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    Suspect,
    Unreachable,
    Down,
}

/// One other member.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) record: Record,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) fate: Fate,
    /// When the fate, or the end of its life, was noted.
    pub(crate) changed: Duration,
    /// When it was first told of.
    pub(crate) told: Duration,
    /// When somebody told of it who does not call it Down.
    pub(crate) reached_elsewhere: Duration,
    /// Whether this node was ever connected to this life.
    pub(crate) met: bool,
    pub(crate) inquiry: Option<Inquiry>,
}

impl Known {
    pub(crate) fn new(record: Record, address: Option<SocketAddr>, now: Duration) -> Self {
        Self {
            record,
            address,
            fate: Fate::Live,
            changed: now,
            told: now,
            reached_elsewhere: now,
            met: false,
            inquiry: None,
        }
    }

    pub(crate) fn status(&self) -> MemberStatus {
        match (self.record.lifecycle, self.fate) {
            (Lifecycle::Left, _) => MemberStatus::Left,
            (_, Fate::Down) => MemberStatus::Down,
            (_, Fate::Suspect) => MemberStatus::Suspect,
            (_, Fate::Unreachable) => MemberStatus::Unreachable,
            (Lifecycle::Joining, Fate::Live) => MemberStatus::Joining,
            (Lifecycle::Up, Fate::Live) => MemberStatus::Up,
            (Lifecycle::Leaving, Fate::Live) => MemberStatus::Leaving,
        }
    }

    /// Neither Down nor Left.
    pub(crate) fn is_alive(&self) -> bool {
        self.status().is_alive()
    }
}
