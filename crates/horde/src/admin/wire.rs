//! The frames on the topic `admin`: postcard behind a version byte.

use bytes::Bytes;
use horde_cluster::MemberStatus;
use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use super::page::{Cursor, Page};
use super::report::{
    ChildFilter, ChildReport, Drained, Forgotten, MemberReport, MoveReport, NameReport, StatusReport,
};
use super::rights::Refusal;

/// The version that this build writes and reads.
const VERSION: u8 = 1;
/// The largest request taken, in bytes.
const MAX_REQUEST: usize = 16 << 10;

/// What a node is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The node, and the cluster as it sees it.
    Status,
    /// The members as it sees them, from after `after` on.
    Members {
        after: Option<Cursor>,
        limit: u32,
    },
    Children {
        filter: ChildFilter,
        after: Option<Cursor>,
        limit: u32,
    },
    Names {
        registry: Option<String>,
        after: Option<Cursor>,
        limit: u32,
    },
    /// What a rebalance would move.
    Plan {
        supervisor: Option<String>,
        after: Option<Cursor>,
        limit: u32,
    },
    /// Drain the member of this name (or `name@incarnation`): answered when it has left.
    Drain {
        node: String,
        within_ms: u64,
    },
    /// Forget the member of this name (or `name@incarnation`), on all members.
    Forget {
        node: String,
    },
    /// From member to member: an operator wants you drained.
    DrainYourself {
        life: NodeId,
        within_ms: u64,
    },
    /// From member to member: how is this life for you?
    Standing {
        life: NodeId,
    },
    /// From member to member: an operator wants this life forgotten.
    ForgetLife {
        life: NodeId,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Response {
    Refused(Refusal),
    Status(StatusReport),
    Members(Page<MemberReport>),
    Children(Page<ChildReport>),
    Names(Page<NameReport>),
    Plan(Page<MoveReport>),
    Drained(Drained),
    Forgotten(Forgotten),
    /// To `Standing` and `ForgetLife`: how the life is now; none when nothing is known of it.
    Standing(Option<MemberStatus>),
}

/// Why bytes are no frame of this version. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("it is of version {0:?} of the admin protocol, and {VERSION} is read")]
    Version(Option<u8>),
    #[error("{0} bytes are over the limit of {MAX_REQUEST}")]
    TooBig(usize),
    #[error("not a frame of version {VERSION} of the admin protocol")]
    Malformed,
}

impl Request {
    pub(crate) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Self, FrameError> {
        if frame.len() > MAX_REQUEST {
            return Err(FrameError::TooBig(frame.len()));
        }
        decode(frame)
    }
}

impl Response {
    pub(crate) fn encode(&self) -> Bytes {
        encode(self)
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Self, FrameError> {
        decode(frame)
    }
}

fn encode(frame: &impl Serialize) -> Bytes {
    let bytes = postcard::to_extend(frame, vec![VERSION]);
    Bytes::from(bytes.expect("growing a vector and serialising plain data cannot fail"))
}

fn decode<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, FrameError> {
    match frame.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((read, [])) => Ok(read),
            _ => Err(FrameError::Malformed),
        },
        first => Err(FrameError::Version(first.map(|(version, _)| *version))),
    }
}

#[cfg(test)]
pub(super) mod tests;
