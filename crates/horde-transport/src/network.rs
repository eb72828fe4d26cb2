//! The seam between everything that talks to other nodes and what carries it.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::NodeId;

/// The longest topic, in bytes.
pub const MAX_TOPIC: usize = 128;

/// What a frame is about: one subscriber on each node receives it. Text such as `registry/names`; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic of this text.
    ///
    /// # Errors
    /// [`TopicTooLong`] when the text is empty or over [`MAX_TOPIC`] bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TopicTooLong> {
        match text.as_ref().len() {
            1..=MAX_TOPIC => Ok(Self(text.as_ref().into())),
            length => Err(TopicTooLong(length)),
        }
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// A topic is empty or over [`MAX_TOPIC`] bytes long; carries its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic has 1 to {MAX_TOPIC} bytes, this one has {0}")]
pub struct TopicTooLong(pub usize);

/// Which of a peer's streams carries a frame. Order holds within a lane of one connection, never across lanes, and never
/// between frames of [`Lane::Bulk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Membership and heartbeats: small, first.
    Control,
    /// Replication of maps.
    Sync,
    /// Calls, casts and their answers.
    Calls,
    /// Large payloads, each on a stream of its own.
    Bulk,
}

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// A member of the cluster.
    Node,
    /// A command-line client that looks, and is never a member.
    Client,
    /// A client that may also drain, forget and recover.
    Operator,
}

/// The other end of a connection, authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is, as its certificate says.
    pub id: NodeId,
    /// Where it accepts connections, if it says so; none in memory.
    pub address: Option<SocketAddr>,
    /// What it may do.
    pub role: Role,
}

/// Why a peer's connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer said goodbye.
    Goodbye,
    /// We closed it.
    Disconnected,
    /// The same node was attached again in its place; in memory only.
    Replaced,
    /// The connection was lost; the text says how.
    Lost(String),
}

/// What a subscriber hears of its topic and of the peers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer is connected. Comes before any frame of it, and once for each present peer on subscribing.
    Up(Peer),
    /// A peer's connection ended. Frames sent to it and not yet delivered may be lost.
    Down {
        /// Whose connection.
        peer: NodeId,
        /// Why it ended.
        reason: DownReason,
    },
    /// The kernel closed the peer's tether: its OS process is likely gone. A hint, never a verdict.
    CrashHint {
        /// Whose tether.
        peer: NodeId,
    },
    /// A frame sent to this topic.
    Frame {
        /// Who sent it.
        from: NodeId,
        /// On which lane.
        lane: Lane,
        /// What it holds.
        frame: Bytes,
    },
    /// A request sent to this topic.
    Request {
        /// Who asks.
        from: NodeId,
        /// What it holds.
        frame: Bytes,
        /// How long the asker still waits.
        timeout: Duration,
        /// Where the answer goes.
        responder: Responder,
    },
}

/// Receives the events of a topic, on the network's thread, in order for each peer: it must be short and never block.
pub trait Subscriber: Send + Sync + 'static {
    /// Takes one event.
    fn event(&self, event: Event);

    /// Whether it wants to hear of peers in this role. Of all others it hears nothing, neither that they come and go nor
    /// what they send: a frame is dropped, a request is answered as if nobody subscribed. Default: members of the cluster
    /// alone, so that a command-line client has no say in what it was not let into.
    fn admits(&self, role: Role) -> bool {
        role == Role::Node
    }
}

impl<F: Fn(Event) + Send + Sync + 'static> Subscriber for F {
    fn event(&self, event: Event) {
        self(event);
    }
}

/// The right to answer one request, once. Dropped, the asker gets [`RequestError::Unanswered`].
pub struct Responder(Option<Answer>);

type Answer = Box<dyn FnOnce(Option<Bytes>) + Send>;

impl Responder {
    /// Wraps what carries the answer back: called once, with `None` when the responder is dropped.
    pub fn new(answer: impl FnOnce(Option<Bytes>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers the request.
    pub fn send(mut self, frame: Bytes) {
        if let Some(answer) = self.0.take() {
            answer(Some(frame));
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(None);
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

/// Takes the outcome of a request, once, on the network's thread: it must be short and never block.
pub type OnReply = Box<dyn FnOnce(Result<Bytes, RequestError>) + Send>;

/// Why a frame was not sent. Nothing left this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection to the node (or only to another incarnation of it).
    #[error("not connected to {0:?}; the frame was not sent")]
    NotConnected(NodeId),
    /// The lane's queue is at its limit.
    #[error("the queue to {0:?} is full; the frame was not sent")]
    Full(NodeId),
    /// The frame is over the limit of its lane.
    #[error("a frame of {size} bytes is over the limit of {limit}; it was not sent")]
    TooBig {
        /// The frame's size in bytes.
        size: usize,
        /// The lane's limit in bytes.
        limit: usize,
    },
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request never left this node.
    #[error(transparent)]
    NotSent(#[from] SendError),
    /// The peer has no subscriber for the topic: nothing ran there.
    #[error("nobody there subscribes to the topic; nothing ran")]
    NoSuchTopic,
    /// The connection broke before the answer: it may have run.
    #[error("the connection broke before the answer; the request may have run")]
    Interrupted,
    /// No answer in time: it may have run, or may still run.
    #[error("no answer in time; the request may have run")]
    Timeout,
    /// The subscriber dropped the request without an answer.
    #[error("the peer dropped the request without an answer")]
    Unanswered,
}

/// A topic already has a subscriber on this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic {0} already has a subscriber on this node; the earlier one stays")]
pub struct TopicTaken(pub Topic);

/// Keeps a subscription; dropped, it ends.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    /// Runs `end` when the subscription is dropped.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// Frames and requests between nodes: the only thing that registry, supervisor, processes and membership see of a network.
///
/// `send` is at most once and keeps order within a lane while the connection holds; nothing is sent again by itself.
/// Every frame names the incarnation it is for: another incarnation of that name never receives it.
/// A node may send to itself: delivered like any other frame.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// The node this network belongs to.
    fn local(&self) -> &NodeId;

    /// The peers connected now.
    fn peers(&self) -> Vec<Peer>;

    /// Queues `frame` for the topic's subscriber on `to`, and does not wait.
    ///
    /// # Errors
    /// [`SendError`]: the frame was not sent.
    fn send(&self, to: &NodeId, topic: &Topic, lane: Lane, frame: Bytes) -> Result<(), SendError>;

    /// Sends a request to the topic's subscriber on `to`; `on_reply` is called exactly once, at the latest after `timeout`.
    fn request(&self, to: &NodeId, topic: &Topic, frame: Bytes, timeout: Duration, on_reply: OnReply);

    /// Makes `subscriber` the one subscriber of `topic` on this node.
    ///
    /// # Errors
    /// [`TopicTaken`] when there is one already.
    fn subscribe(&self, topic: &Topic, subscriber: Arc<dyn Subscriber>) -> Result<Subscription, TopicTaken>;

    /// Keeps trying to connect to whoever listens at `address`, until [`Network::undial`]. Idempotent. No effect in memory.
    fn dial(&self, address: SocketAddr);

    /// Stops trying to connect to `address`; a connection that stands stays.
    fn undial(&self, address: SocketAddr);

    /// Closes the connection to `peer`, telling it why. It may connect again.
    fn disconnect(&self, peer: &NodeId, why: &str);
}
