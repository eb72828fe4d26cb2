//! What nodes say to each other about leases: postcard behind a version byte.

use std::collections::BTreeSet;

use bytes::Bytes;
use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use super::promising::Promised;
use crate::machine::VERSION;

/// The most voters of a configuration; a frame that names more is refused.
pub const MAX_VOTERS: usize = 64;
/// The largest frame taken, in bytes.
const MAX_FRAME: usize = 32 << 10;

/// A frame of the topic `quorum`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseFrame {
    /// The sender accepts this list of the expected nodes as the first configuration.
    Accept {
        /// The expected nodes, in these lives.
        voters: BTreeSet<NodeId>,
    },
    /// This configuration holds.
    Agreed {
        /// Its epoch.
        epoch: u64,
        /// Its voters.
        voters: BTreeSet<NodeId>,
        /// What they have promised, if the sender knows: no voter goes by the configuration without.
        promised: Option<Promised>,
    },
    /// Paxos, phase 1: asks a voter to accept nothing of a lower ballot for this epoch.
    Prepare {
        /// The epoch to be chosen.
        epoch: u64,
        /// The attempt.
        ballot: (u64, NodeId),
    },
    /// Answers [`LeaseFrame::Prepare`].
    Prepared {
        /// As asked.
        epoch: u64,
        /// As asked.
        ballot: (u64, NodeId),
        /// What the sender has accepted for this epoch already.
        accepted: Option<((u64, NodeId), BTreeSet<NodeId>)>,
    },
    /// Paxos, phase 2: asks to accept these voters for this epoch.
    Propose {
        /// The epoch to be chosen.
        epoch: u64,
        /// The attempt.
        ballot: (u64, NodeId),
        /// The voters of the epoch.
        voters: BTreeSet<NodeId>,
    },
    /// Answers [`LeaseFrame::Propose`].
    Accepted {
        /// As asked.
        epoch: u64,
        /// As asked.
        ballot: (u64, NodeId),
        /// What the sender has promised so far.
        promised: Promised,
    },
    /// The sender renews its lease.
    Renew {
        /// Counts the sender's heartbeats in this term.
        number: u64,
        /// The sender's term.
        term: u64,
        /// The epoch that the sender knows of; 0 for none.
        epoch: u64,
    },
    /// Acknowledges [`LeaseFrame::Renew`].
    Granted {
        /// As renewed.
        number: u64,
        /// As renewed.
        term: u64,
        /// The configuration in which it counts; 0 for none.
        epoch: u64,
    },
    /// Not acknowledged: the node has promised so.
    Refused {
        /// The term that is refused.
        term: u64,
    },
    /// Asks for the promise not to acknowledge this life any more, in this term or an earlier one.
    Accuse {
        /// Which life.
        accused: NodeId,
        /// The highest term of it that the accuser knows of.
        term: u64,
        /// Which question of the accuser's this is.
        round: u64,
    },
    /// The promise; said again to ask whether it is still relied on.
    Promise {
        /// Which life.
        accused: NodeId,
        /// Up to which of its terms.
        term: u64,
        /// As asked.
        round: u64,
        /// The epoch that the promising node has accepted.
        epoch: u64,
        /// The voters of that epoch, if the node does not know yet whether it holds.
        next: BTreeSet<NodeId>,
    },
    /// To an accuser: the accused is in a later term than the promise was given for, and nobody acknowledges that one
    /// before the accuser knows.
    Later {
        /// Which life.
        accused: NodeId,
        /// Its term.
        term: u64,
    },
    /// Acknowledges [`LeaseFrame::Later`].
    Noted {
        /// Which life.
        accused: NodeId,
        /// As told.
        term: u64,
    },
    /// The accused lives and nothing was replaced: the promise may be taken back.
    Withdraw {
        /// Which life.
        accused: NodeId,
        /// Questions up to this one are void.
        round: u64,
    },
    /// Acknowledges [`LeaseFrame::Withdraw`].
    Withdrawn {
        /// Which life.
        accused: NodeId,
        /// As withdrawn.
        round: u64,
    },
}

/// Why bytes are no frame. They were ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseFrameError {
    /// Empty, or over the limit of 32 KiB.
    #[error("a quorum frame has 1 to {MAX_FRAME} bytes, not {0}")]
    Size(usize),
    /// Of a version this build does not read.
    #[error("a quorum frame of version {0} cannot be read by this build (it reads {VERSION})")]
    Version(u8),
    /// Not a frame, or more than one.
    #[error("not a quorum frame of version {VERSION}")]
    Malformed,
    /// More voters than a configuration may have.
    #[error("a configuration of {0} voters is over the limit of {MAX_VOTERS}")]
    TooManyVoters(usize),
}

impl LeaseFrame {
    /// The frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let frame = postcard::to_extend(self, vec![VERSION]);
        Bytes::from(frame.expect("growing a vector and serialising plain data cannot fail"))
    }

    /// Whether it may be sent.
    pub(super) fn fits(&self) -> bool {
        self.encode().len() <= MAX_FRAME
    }

    fn voters(&self) -> Option<&BTreeSet<NodeId>> {
        match self {
            Self::Accept { voters } | Self::Agreed { voters, .. } | Self::Propose { voters, .. } => {
                Some(voters)
            }
            Self::Prepared { accepted: Some((_, voters)), .. } | Self::Promise { next: voters, .. } => {
                Some(voters)
            }
            _ => None,
        }
    }

    /// Reads a frame. Never panics; allocates no more than the bytes warrant.
    ///
    /// # Errors
    /// [`LeaseFrameError`]: nothing was read.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeaseFrameError> {
        let (version, body) = match bytes.split_first() {
            Some(parts) if bytes.len() <= MAX_FRAME => parts,
            _ => return Err(LeaseFrameError::Size(bytes.len())),
        };
        if *version != VERSION {
            return Err(LeaseFrameError::Version(*version));
        }
        match postcard::take_from_bytes::<Self>(body) {
            Ok((frame, [])) => match frame.voters() {
                Some(voters) if voters.len() > MAX_VOTERS => {
                    Err(LeaseFrameError::TooManyVoters(voters.len()))
                }
                _ => Ok(frame),
            },
            _ => Err(LeaseFrameError::Malformed),
        }
    }
}
