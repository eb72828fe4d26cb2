//! What a replica wants its driver to do, and what it reports.

use alloc::vec::Vec;
use core::fmt;

use crate::{Change, Message, ReplicaId};

/// What [`Replica::poll_output`](crate::Replica::poll_output) returns.
#[derive(Clone, PartialEq)]
pub enum Output<K, V> {
    /// Send `message` to `to`. If it is lost, the next status brings a pull; nothing else is needed.
    Send {
        /// The receiver.
        to: ReplicaId,
        /// What to send.
        message: Message<K, V>,
    },
    /// What others' writes changed: one list for each pushed message, one for each session of a shard. A session names each key
    /// once, a push once per write; writes that waited for either are in the same list. Local writes return theirs instead.
    /// If it is lost, subscribers miss it: nothing repeats it.
    Changed(Vec<Change<K, V>>),
    /// For the first time since `peer_up` or `catch_up`, all that this neighbour said it holds is held here. After `catch_up` that
    /// is what it held when it was asked, or later.
    Synced {
        /// The neighbour.
        peer: ReplicaId,
    },
    /// Something that an operator should know of.
    Warning(Warning),
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Output<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "Send {{ {to:?}, {message:?} }}"),
            Self::Changed(changes) => f.debug_tuple("Changed").field(changes).finish(),
            Self::Synced { peer } => write!(f, "Synced {{ {peer:?} }}"),
            Self::Warning(warning) => f.debug_tuple("Warning").field(warning).finish(),
        }
    }
}

/// Something that an operator should know of; each says what happened to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A write bears a stamp beyond `max_drift` ahead of the wall clock.
    #[error(
        "a write of {origin} is stamped {ahead_ms} ms ahead: it was kept and ordered by its stamp, the own clock stays"
    )]
    ClockAhead {
        /// Who wrote.
        origin: ReplicaId,
        /// By how much.
        ahead_ms: u64,
    },
    /// Two replicas hold different states under equal vectors, which is a bug.
    #[error("shard {shard} differs from that of {peer} under equal vectors: repairing it by union")]
    Diverged {
        /// The other one.
        peer: ReplicaId,
        /// The part of the map.
        shard: u16,
    },
    /// More writes wait for earlier ones than `max_parked` allows.
    #[error("shard {shard} holds all the waiting writes it may: {dropped} were dropped and will be pulled")]
    ParkingFull {
        /// The part of the map.
        shard: u16,
        /// Writes of this part dropped from one message.
        dropped: usize,
    },
    /// A session brought more keys than `max_staged` allows.
    #[error(
        "a session of shard {shard} with {peer} brings more keys than may be staged: nothing of it was applied, and it is tried again"
    )]
    StagingFull {
        /// Who holds so many.
        peer: ReplicaId,
        /// The part of the map.
        shard: u16,
    },
    /// A peer's map has another number of shards.
    #[error("{peer} has a map of 2^{theirs} shards, this one has 2^{ours}: they do not exchange")]
    Shards {
        /// The peer.
        peer: ReplicaId,
        /// Its shards, as a power of two.
        theirs: u8,
        /// Shards here, as a power of two.
        ours: u8,
    },
    /// A message does not make sense. What came before the mistake, such as earlier writes of a push, is sound by itself and was
    /// taken in.
    #[error("a message of {peer} makes no sense: it was ignored from the mistake on")]
    Nonsense {
        /// Who sent it.
        peer: ReplicaId,
    },
    /// Somebody else writes under this replica's id: two lives share one epoch.
    #[error(
        "{peer} knows writes of this replica that it never made: it was started twice under one epoch; they were refused"
    )]
    Impostor {
        /// Who told.
        peer: ReplicaId,
    },
    /// A limit on origins or peers is reached.
    #[error("a message of {peer} was refused: the limit on known replicas or peers is reached")]
    TooMany {
        /// Who sent it.
        peer: ReplicaId,
    },
    /// Tombstones were dropped before all members covered them.
    #[error(
        "{dropped} tombstones of shard {shard} were dropped early: members that missed them get the whole shard"
    )]
    CollectedEarly {
        /// The part of the map.
        shard: u16,
        /// How many.
        dropped: usize,
    },
}

/// Counters and sizes of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys that show a value.
    pub live: usize,
    /// Tombstones held.
    pub tombstones: usize,
    /// Writes that wait for an earlier one.
    pub parked: usize,
    /// Replica lives known: some 50 bytes each, and 152 in each shard that knows of it or of a later one, for ever.
    pub origins: usize,
    /// Bytes of the store and its indexes, without what keys and values own elsewhere.
    pub bytes: usize,
    /// Writes applied that others pushed.
    pub applied: u64,
    /// Pushed writes that were known already.
    pub repeated: u64,
    /// Pushed writes that were dropped because too many waited.
    pub refused: u64,
    /// Sessions applied.
    pub sessions: u64,
    /// Sessions given up.
    pub aborted: u64,
    /// Writes with a stamp too far ahead.
    pub clock_ahead: u64,
    /// Times that a shard differed under equal vectors.
    pub diverged: u64,
}
