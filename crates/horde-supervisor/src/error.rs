//! What can go wrong, and what it did to the child.

use horde_process::{ExitReason, Pid};
use serde::{Deserialize, Serialize};

/// Why a child was not started, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A child of this id runs; nothing was started.
    #[error("a child of this id runs already, as {0}; nothing was started")]
    AlreadyStarted(Pid),
    /// A child of this id has failed for good; nothing was started. `restart_child` starts it again.
    #[error("a child of this id has failed ({0}); nothing was started: restart or terminate it")]
    AlreadyFailed(ExitReason),
    /// No member can run this kind in this version. The child is kept as unplaceable and tried when the members change.
    #[error("no member runs kind `{kind}` in version {version}; the child waits for one that does")]
    Unplaceable {
        /// The kind.
        kind: String,
        /// The version of its arguments.
        version: u32,
    },
    /// The child's `init` failed; it does not run and is not kept.
    #[error("init failed: {0}; the child was not started")]
    Init(ExitReason),
    /// The child's `init` answered that there is nothing to do; it is not kept.
    #[error("init had nothing to start; the child is not kept")]
    Ignored,
    /// The child's name is held by another process; it does not run and is not kept.
    #[error("its name is held by {0}; the child was not started")]
    NameTaken(Pid),
    /// The arguments cannot be read, or the node refuses them; nothing was started.
    #[error("{0}; nothing was started")]
    BadArgs(String),
    /// The spec is over a limit; nothing was started.
    #[error("the spec has {size} bytes, the limit is {limit}; nothing was started")]
    TooBig {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// This side has no quorum; nothing was started.
    #[error("no quorum on this side; nothing was started")]
    NoQuorum,
    /// Too many starts wait here already; nothing was started.
    #[error("{0} starts wait here already; nothing was started")]
    Busy(usize),
    /// No child of this id is known here (to `restart_child`); nothing was started.
    #[error("no such child; nothing was started")]
    NotFound,
    /// The supervisor stops; nothing was started.
    #[error("this supervisor is stopping; nothing was started")]
    Stopping,
    /// The deadline passed first, or the child was ended before it was known to run: it may have started, or may yet.
    #[error("no answer in time, or ended meanwhile; the child `{id}` may have started or may yet start")]
    Unknown {
        /// The child's id, to look it up.
        id: String,
    },
}

/// Why a child was not terminated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateError {
    /// No child of this id is known here; nothing changed.
    #[error("no such child; nothing changed")]
    NotFound,
    /// It is marked as ended and will not run again, but its process has not ended yet.
    #[error("the child is marked as ended, but its process has not ended in time")]
    StillStopping,
}
