//! What goes into the machine of a local supervisor, and what comes out.

use serde::{Deserialize, Serialize};

use super::{Key, Traits};
use crate::{ExitReason, Pid, Shutdown, SpawnError};

/// Which child is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The one of this id; of a dynamic supervisor, the oldest.
    Id(String),
    /// The one that runs as this process.
    Pid(Pid),
}

/// Why a supervisor did not do what it was asked to. Nothing was changed, unless it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A child of this id runs; nothing was started.
    #[error("a child of this id runs already, as {0}; nothing was started")]
    AlreadyStarted(Pid),
    /// A child of this id is there and does not run; nothing was started. `restart_child` starts it again.
    #[error("a child of this id is there already; nothing was started: restart or delete it")]
    AlreadyPresent,
    /// It has as many children as it takes; nothing was started.
    #[error("the supervisor has {0} children, its limit; nothing was started")]
    MaxChildren(usize),
    /// The spec contradicts itself or the supervisor, as the text says; nothing was started.
    #[error("{0}; nothing was started")]
    BadSpec(String),
    /// The child did not start, or had nothing to run. It is not kept, unless `restart_child` was asked, or a static child ignored.
    #[error("{0}")]
    NotStarted(SpawnError),
    /// There is no such child.
    #[error("no such child; nothing was changed")]
    NotFound,
    /// It runs; nothing was changed.
    #[error("the child runs, as {0}; nothing was changed")]
    Running(Pid),
    /// It starts, stops, or waits for its next start; nothing was changed.
    #[error("the child is about to start or to stop; nothing was changed")]
    Restarting,
    /// It was stopped and does not end: it spins or blocks. It keeps its place and its name, and will not be started again.
    #[error("the child was stopped and does not end, as {0}; it keeps its place")]
    Stuck(Pid),
    /// The supervisor stops; nothing was started.
    #[error("the supervisor is stopping; nothing was started")]
    Stopping,
    /// As many wait for this supervisor as it lets wait; nothing was changed.
    #[error("{0} wait for this supervisor already; nothing was changed")]
    Busy(usize),
}

/// What a request came to: the process that runs now, if one was to start.
pub type Answer = Result<Option<Pid>, Refusal>;

/// What happens to the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody asks for a new child, after all others in the order.
    Start {
        /// Who asks, for [`Output::Answer`].
        request: u64,
        /// What it is.
        child: Traits,
    },
    /// Somebody asks for the end of a child. A static one is kept at rest.
    Terminate {
        /// Who asks.
        request: u64,
        /// Which.
        which: Which,
    },
    /// Somebody asks for a static child that does not run.
    Restart {
        /// Who asks.
        request: u64,
        /// Which.
        which: Which,
    },
    /// Somebody wants a static child that does not run off the list.
    Delete {
        /// Who asks.
        request: u64,
        /// Which.
        which: Which,
    },
    /// A start that the driver was told to make has an outcome.
    Started {
        /// Which child.
        key: Key,
        /// Its process, or why there is none.
        outcome: Result<Pid, SpawnError>,
    },
    /// A child's process has ended.
    Exited {
        /// Which child.
        key: Key,
        /// Why.
        reason: ExitReason,
    },
    /// A child's process was stopped and does not end.
    Stuck {
        /// Which child.
        key: Key,
    },
    /// The supervisor is to end: all children stop, then comes [`Output::Done`].
    Stop,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Start the child's process, and say [`Input::Started`] once. Lost, the child never runs.
    Start {
        /// Which child.
        key: Key,
    },
    /// Stop the child's process. What becomes of it is heard as `Exited`, `Started` with a failure, or `Stuck`.
    Stop {
        /// Which child.
        key: Key,
        /// How.
        shutdown: Shutdown,
    },
    /// The child's start is not needed any more.
    Forget {
        /// Which child.
        key: Key,
    },
    /// Tell who asked.
    Answer {
        /// Who.
        request: u64,
        /// What.
        answer: Answer,
    },
    /// End the supervisor for this reason; its children are being stopped already.
    End(ExitReason),
    /// All children have stopped, or are stuck: the supervisor may go.
    Done,
    /// Say it in an event; nothing depends on it.
    Report(Report),
}

/// What operators read; OTP's supervisor reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A child ended by itself.
    ChildTerminated {
        /// Its id.
        id: String,
        /// Its process.
        pid: Pid,
        /// Why.
        reason: ExitReason,
    },
    /// A child did not start again.
    StartError {
        /// Its id.
        id: String,
        /// Why.
        why: SpawnError,
    },
    /// More restarts than are tolerated, or a significant child ended: the supervisor ends.
    Shutdown {
        /// The child that was the last straw.
        id: String,
        /// Why.
        why: &'static str,
    },
    /// A child that was stopped ended otherwise than it was asked to, or does not end.
    ShutdownError {
        /// Its id.
        id: String,
        /// How it ended; `None` if it is stuck.
        reason: Option<ExitReason>,
    },
}
