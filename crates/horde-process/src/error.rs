//! What can go wrong, in groups by what happened.

use std::time::Duration;

use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use crate::{ExitReason, Name, Pid};

/// Why a message has no answer. [`CallError::not_delivered`] tells whether it is safe to send it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody is there. Not delivered.
    #[error("there is no process {0}; the message was not delivered")]
    NoProcess(Name),
    /// It has ended here to move to another node, where its name will find it. Not delivered.
    #[error("{0} moves to another node; the message was not delivered")]
    Moved(Name),
    /// Its mailbox is full, and stayed so until the deadline of a call. Not delivered.
    #[error("the mailbox of {0} is full; the message was not delivered")]
    Full(Name),
    /// The process does not take a message of this name: its node runs another build, or a name leads to another kind. Not delivered.
    #[error("the process does not take `{message}`; it was not delivered")]
    UnknownMessage {
        /// The message's name.
        message: String,
    },
    /// The message did not encode here, or does not decode there. Not delivered.
    #[error("`{message}` does not encode or decode: {why}; it was not delivered")]
    BadPayload {
        /// The message's name.
        message: String,
        /// What the codec says.
        why: String,
    },
    /// The address was deserialised where no node was known: `Ref::new` binds it. Not delivered.
    #[error("the address belongs to no node (make it with `Ref::new`); the message was not delivered")]
    Unbound,
    /// There is no connection to its node. Not delivered.
    #[error("node {0} is not connected; the message was not delivered")]
    NotConnected(NodeId),
    /// The message is too big for the network. Not delivered.
    #[error("{size} bytes are over the network's limit of {limit}; the message was not delivered")]
    TooBig {
        /// Its size in bytes, encoded.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Too much waits to be sent to its node. Not delivered.
    #[error("the queue to node {0} is full; the message was not delivered")]
    Congested(NodeId),
    /// The network refused the message, for the reason in the text. Not delivered.
    #[error("the network refused the message: {0}; it was not delivered")]
    Unsendable(String),
    /// No answer within this time. Perhaps handled, or it may still be.
    #[error("no answer within {0:?}; the message may have been handled")]
    Timeout(Duration),
    /// The connection to its node broke before the answer. Perhaps handled.
    #[error("node {0} went down before the answer; the message may have been handled")]
    NodeDown(NodeId),
    /// It ended before the answer. Perhaps handled.
    #[error("the process ended before the answer: {0}; the message may have been handled")]
    Exited(ExitReason),
    /// It dropped the right to answer. Handled.
    #[error("the process took the message and gave no answer")]
    NoReply,
    /// The answer did not encode there, or does not decode here. Handled.
    #[error("the message was handled, but its answer does not encode or decode: {0}")]
    BadReply(String),
}

impl CallError {
    /// True if the message certainly did not reach a handler: sending it again cannot do it twice.
    #[must_use]
    pub fn not_delivered(&self) -> bool {
        match self {
            Self::NoProcess(_) | Self::Full(_) | Self::UnknownMessage { .. } | Self::BadPayload { .. } => {
                true
            }
            Self::Unbound | Self::NotConnected(_) | Self::TooBig { .. } | Self::Moved(_) => true,
            Self::Congested(_) | Self::Unsendable(_) => true,
            Self::Timeout(_) | Self::NodeDown(_) | Self::Exited(_) | Self::NoReply | Self::BadReply(_) => {
                false
            }
        }
    }
}

/// Why a process was not started from bytes. Nothing was started, nobody will hear of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This node was not built with the kind.
    #[error("this node cannot run `{0}`: say `.runs::<..>(..)` on its builder; nothing was started")]
    UnknownKind(String),
    /// This build does not read arguments of that version.
    #[error("`{kind}` does not read version {version} of its arguments here; nothing was started")]
    Version {
        /// The kind.
        kind: String,
        /// The version of the arguments.
        version: u32,
    },
    /// The arguments do not decode.
    #[error("the arguments do not decode: {0}; nothing was started")]
    BadArgs(String),
    /// The node takes no more processes: it is closing.
    #[error("the node is closing; nothing was started")]
    Closing,
}

/// How a start failed after it had begun. The process is gone, and so is its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StartFailure {
    /// `init` or `resume` ended with this reason, or panicked; or it was stopped before it was done.
    #[error("it did not start: {0}")]
    Init(ExitReason),
    /// `init` had nothing to run.
    #[error("it had nothing to run")]
    Ignored,
    /// Another process holds the name.
    #[error("its name belongs to {0}; it was not started")]
    NameTaken(Pid),
    /// The name cannot be given.
    #[error("its name was refused: {0}; it was not started")]
    NameRefused(String),
}

/// Why `Node::spawn` has no process to show. Nothing runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// It was not started.
    #[error(transparent)]
    NotStarted(#[from] StartError),
    /// It began to start, and failed.
    #[error(transparent)]
    Failed(#[from] StartFailure),
}

/// Why a node was not built. Nothing runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Two processes have one kind.
    #[error("two processes have the kind `{0}`; the node was not started")]
    DuplicateKind(&'static str),
    /// A kind is empty or over 64 bytes.
    #[error("a kind has 1 to 64 bytes, `{0}` has not; the node was not started")]
    BadKind(&'static str),
    /// The network belongs to another node.
    #[error("the network belongs to {0:?}; the node was not started")]
    OtherNetwork(NodeId),
    /// The network already carries a node's processes.
    #[error("the network already has a node; this one was not started")]
    NetworkTaken,
    /// It was built outside a tokio runtime.
    #[error("a node is built inside a tokio runtime, which then runs its processes; it was not started")]
    NoRuntime,
}
