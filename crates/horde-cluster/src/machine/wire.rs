//! The frames that members send each other: postcard behind a version byte.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use crate::Meta;

/// The version this build writes and reads.
pub const VERSION: u8 = 1;
/// The largest frame taken, in bytes: what the control lane carries.
pub const MAX_FRAME: usize = 64 << 10;
/// How full a frame of records may be before the next record goes into another one.
pub(crate) const RECORDS_BUDGET: usize = 30 << 10;

/// Where a member stands by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Not yet ready to act.
    Joining,
    /// A full member.
    Up,
    /// About to leave.
    Leaving,
    /// Gone for good.
    Left,
}

/// What is known of one member. Only the member itself changes it, and raises `version` when it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who.
    pub id: NodeId,
    /// Where it accepts connections.
    pub address: Option<SocketAddr>,
    /// Rises with each change that the member makes.
    pub version: u64,
    /// Rises when the member refutes a verdict; a verdict names the counter that it is about.
    pub counter: u64,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// What it tells of itself.
    pub meta: Arc<Meta>,
}

/// A record as told by somebody, with the teller's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What the teller knows of the member.
    pub record: Record,
    /// Whether the member is Down for the teller.
    pub down: bool,
}

/// What an observer knows of a suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Answer {
    /// It proved to be alive after the question came.
    Alive,
    /// It is silent here too.
    Silent,
    /// Not observed from here.
    Unknown,
}

/// Why a peer is not taken as a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A live node has the name.
    NameTaken {
        /// The live node.
        holder: NodeId,
        /// Where it listens.
        address: Option<SocketAddr>,
    },
    /// A higher incarnation of the name is a member.
    Superseded {
        /// The higher incarnation.
        by: NodeId,
        /// Where it listens.
        address: Option<SocketAddr>,
    },
    /// The refusing member's limit is reached.
    Full {
        /// That limit.
        limit: u64,
    },
    /// An operator had that life of the peer forgotten.
    Forgotten {
        /// The life that is meant.
        life: NodeId,
    },
}

/// One heartbeat: proof of life, measure of the round trip, and a digest by which a lost frame is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Counts the sender's heartbeats on this connection.
    pub seq: u64,
    /// The latest heartbeat of the receiver that the sender has got; 0 for none.
    pub ack: u64,
    /// How long ago that one came, in microseconds.
    pub held_us: u64,
    /// The version of the sender's own record.
    pub version: u64,
    /// The sender's own refutation counter.
    pub counter: u64,
    /// Digest of all members the sender knows.
    pub digest: u32,
}

/// What members say to each other on the topic `membership`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// The sender's own record: on connecting and at each change.
    Own(Record),
    /// Members the sender knows; `last` ends a complete list, which may take several frames.
    Members {
        /// Some of them.
        told: Vec<Told>,
        /// Whether this ends a complete list.
        last: bool,
    },
    /// Asks for the receiver's own record, and for its complete list unless the digests agree: then an empty one says so.
    Pull {
        /// Of all members that the sender knows, as in its heartbeats.
        digest: u32,
    },
    /// A heartbeat.
    Beat(Beat),
    /// Asks whether the receiver hears a member.
    Ask {
        /// Which member.
        about: NodeId,
        /// Comes back with the answer.
        round: u64,
    },
    /// Answers [`Frame::Ask`].
    Answer {
        /// Which member.
        about: NodeId,
        /// As asked.
        round: u64,
        /// What the sender knows.
        answer: Answer,
    },
    /// The sender has declared a member Down.
    Down {
        /// Which member.
        about: NodeId,
        /// The member's refutation counter that the verdict is about.
        counter: u64,
    },
    /// The receiver is not taken as a member.
    Refused(Refusal),
    /// The sender has noted that the receiver left.
    Bye,
    /// Asked as a request: is the node `to` there?
    Probe {
        /// The life that is meant.
        to: NodeId,
    },
    /// Answers [`Frame::Probe`].
    Here,
    /// Lives that are forgotten for good: none of them, and no earlier one of its name, is a member again.
    Forgotten {
        /// Some of them.
        lives: Vec<NodeId>,
    },
    /// Asks for the receiver's own record alone.
    Who,
}

/// Why bytes are not a frame. They were ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No bytes at all.
    #[error("a membership frame has at least one byte; it was ignored")]
    Empty,
    /// Over [`MAX_FRAME`].
    #[error("a membership frame of {0} bytes is over the limit of {MAX_FRAME}; it was ignored")]
    TooBig(usize),
    /// Of a version this build does not read.
    #[error(
        "a membership frame of version {0} cannot be read by this build (it reads {VERSION}); it was ignored"
    )]
    Version(u8),
    /// Not a frame, or more than one.
    #[error("not a membership frame of version {VERSION}; it was ignored")]
    Malformed,
}

impl Frame {
    /// The frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let frame = postcard::to_extend(self, vec![VERSION]);
        Bytes::from(frame.expect("growing a vector and serialising plain data cannot fail"))
    }

    /// Reads a frame. Never panics; allocates no more than the bytes warrant.
    ///
    /// # Errors
    /// [`FrameError`]: nothing was read.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > MAX_FRAME {
            return Err(FrameError::TooBig(bytes.len()));
        }
        let (version, body) = bytes.split_first().ok_or(FrameError::Empty)?;
        if *version != VERSION {
            return Err(FrameError::Version(*version));
        }
        match postcard::take_from_bytes(body) {
            Ok((frame, [])) => Ok(frame),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// The encoded size of a meta, in bytes.
pub(crate) fn meta_size(meta: &Meta) -> usize {
    postcard::to_extend(meta, Vec::new()).map_or(usize::MAX, |bytes| bytes.len())
}

/// The encoded size of a record as told, in bytes.
pub(crate) fn told_size(told: &Told) -> usize {
    postcard::to_extend(told, Vec::new()).map_or(usize::MAX, |bytes| bytes.len())
}
