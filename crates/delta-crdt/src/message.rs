//! What replicas tell each other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::ReplicaId;
use crate::engine::few::{Few, Obs};
use crate::engine::store::Sib;

/// A message from one replica to another; opaque to who carries it.
///
/// It may be lost, doubled, delayed and overtaken: that costs time, never data. Cloning shares the writes inside.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Message<K, V> {
    /// Shards of the sender's map, as a power of two.
    pub(crate) shards: u8,
    pub(crate) body: Body<K, V>,
}

impl<K, V> Message<K, V> {
    /// True for the parts of a session, which may be many and large: they belong on a lane of their own, where they do not
    /// hold up writes.
    #[must_use]
    pub const fn is_bulk(&self) -> bool {
        matches!(self.body, Body::Fragment(_) | Body::Commit(_))
    }

    /// True if `other` surely takes as many bytes on the wire: both share their writes in memory, as one push to several
    /// neighbours does, or both are statuses with nothing but hashes. For who counts bytes without encoding.
    #[must_use]
    pub fn is_as_long_as(&self, other: &Self) -> bool {
        match (&self.body, &other.body) {
            (Body::Ops(a), Body::Ops(b)) => Arc::ptr_eq(&a.0, &b.0),
            (Body::Status(a), Body::Status(b)) => a.is_as_bare_as(b),
            _ => false,
        }
    }

    /// What kind of message it is, for logs and counters: `op`, `status`, `ask`, `pull`, `fragment`, `commit`, `credit`,
    /// `question`, `answer` or `ask links`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.body {
            Body::Ops(_) => "op",
            Body::Status(_) => "status",
            Body::Ask => "ask",
            Body::Pull(_) => "pull",
            Body::Fragment(_) => "fragment",
            Body::Commit(_) => "commit",
            Body::Credit(_) => "credit",
            Body::Question(_) => "question",
            Body::Answer(..) => "answer",
            Body::AskLinks => "ask links",
        }
    }
}

impl<K, V> fmt::Debug for Message<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}", self.kind())?;
        match &self.body {
            Body::Ops(batch) => write!(f, ", {} writes)", batch.0.ops.len()),
            Body::Status(status) => write!(f, ", {} shards, full: {})", status.sections.len(), status.full),
            Body::Ask | Body::AskLinks => write!(f, ")"),
            Body::Pull(pull) => write!(f, ", {} shards)", pull.shards.len()),
            Body::Fragment(part) => {
                write!(f, ", shard {}, {} keys, number {})", part.shard, part.entries.len(), part.number)
            }
            Body::Commit(commit) => write!(f, ", shard {}, {} fragments)", commit.shard, commit.fragments),
            Body::Credit(credit) => write!(f, ", shard {}, {} fragments)", credit.shard, credit.received),
            Body::Question(number) => write!(f, ", {number})"),
            Body::Answer(number, status) => write!(f, ", {number}, {} shards)", status.sections.len()),
        }
    }
}

#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Body<K, V> {
    Ops(Shared<Batch<K, V>>),
    Status(Box<Status>),
    /// The receiver shall tell all it holds: what the sender knows of it does not add up.
    Ask,
    Pull(Pull),
    Fragment(Fragment<K, V>),
    Commit(Commit),
    /// Confirms fragments, so that more are sent.
    Credit(Credit),
    /// The receiver shall say what it holds now, under this number.
    Question(u64),
    /// What the sender held when the question came: a full status.
    Answer(u64, Box<Status>),
    /// The receiver shall list its neighbours: their hash says nothing to the sender.
    AskLinks,
}

/// Shared by the messages to all neighbours.
#[derive(Debug, PartialEq)]
pub(crate) struct Shared<T>(pub(crate) Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Writes of one replica, in order. Origins are places in `origins`; the first is who wrote.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Batch<K, V> {
    pub(crate) origins: Vec<ReplicaId>,
    /// Stamps count from here.
    pub(crate) stamp: u64,
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "crate::wire::list",
            bound(deserialize = "K: serde::Deserialize<'de>, V: serde::Deserialize<'de>")
        )
    )]
    pub(crate) ops: Vec<Op<K, V>>,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Op<K, V> {
    pub(crate) seq: u64,
    pub(crate) stamp: i64,
    pub(crate) key: K,
    pub(crate) value: Option<V>,
    pub(crate) obs: Obs,
}

/// Eight bytes at full length on the wire, as hashes do not shrink.
pub(crate) type Digest = [u8; 8];

/// What the sender holds. Entries are those that changed since its last status to this receiver, none if they are too many, or all if
/// `full`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Status {
    /// Over the vectors of all shards.
    pub(crate) hash: Digest,
    /// Over the live dots of all shards.
    pub(crate) fingerprint: Digest,
    pub(crate) full: bool,
    pub(crate) links: Links,
    pub(crate) origins: Vec<ReplicaId>,
    pub(crate) sections: Vec<Section>,
}

/// The sender's neighbours.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Links {
    /// As told before.
    Same,
    /// They changed and are few, or were asked for.
    All(Vec<ReplicaId>),
    /// They changed and are many: the hash over the sender and them.
    Hash(Digest),
}

impl Status {
    /// True if both have nothing in them but hashes.
    fn is_as_bare_as(&self, other: &Self) -> bool {
        let bare = |status: &Self| status.origins.is_empty() && status.sections.is_empty();
        let links = |status: &Self| match status.links {
            Links::Same => Some(0),
            Links::Hash(_) => Some(8),
            Links::All(_) => None,
        };
        bare(self) && bare(other) && links(self).is_some() && links(self) == links(other)
    }
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Section {
    pub(crate) shard: u16,
    pub(crate) hash: Digest,
    pub(crate) fingerprint: Digest,
    /// Origin and number covered.
    pub(crate) entries: Vec<(u32, u64)>,
}

/// Asks for what is missing in some shards, by the own full vectors.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Pull {
    pub(crate) origins: Vec<ReplicaId>,
    pub(crate) shards: Vec<PullShard>,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PullShard {
    pub(crate) shard: u16,
    /// Chosen by who pulls; the answer bears it.
    pub(crate) session: u64,
    /// R9: equal vectors, different states. The answer is the whole shard.
    pub(crate) audit: bool,
    pub(crate) vector: Vec<(u32, u64)>,
}

/// Part of the answer to a pull. Origins are places in `origins`, numbers and stamps count from the bases given: siblings are made so,
/// and made absolute again, where they lie.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Fragment<K, V> {
    pub(crate) shard: u16,
    pub(crate) session: u64,
    /// Counts the sender's answers: a pull that comes twice is answered twice, from two states.
    pub(crate) answer: u64,
    pub(crate) number: u32,
    pub(crate) stamp: u64,
    /// Origins, and the number that theirs count from.
    pub(crate) origins: Vec<(ReplicaId, u64)>,
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "crate::wire::list",
            bound(deserialize = "K: serde::Deserialize<'de>, V: serde::Deserialize<'de>")
        )
    )]
    pub(crate) entries: Vec<(K, Few<Sib<V>>)>,
}

/// The end of a session: the sender's vector and floors in the state that the fragments show.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Commit {
    pub(crate) shard: u16,
    pub(crate) session: u64,
    pub(crate) answer: u64,
    pub(crate) fragments: u32,
    /// The fragments show the whole shard (R8).
    pub(crate) whole: bool,
    pub(crate) audit: bool,
    pub(crate) origins: Vec<ReplicaId>,
    pub(crate) vector: Vec<(u32, u64)>,
    pub(crate) floors: Vec<(u32, u64)>,
}

/// The credit that says that nobody wants the session.
pub(crate) const STOP: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Credit {
    pub(crate) shard: u16,
    pub(crate) answer: u64,
    /// Fragments received so far, or [`STOP`].
    pub(crate) received: u32,
}
