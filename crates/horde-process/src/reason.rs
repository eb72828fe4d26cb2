//! Why a process ended.

use std::fmt;

use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use crate::Pid;

/// Why a process ended, or why it is asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExitReason {
    /// It was done.
    Normal,
    /// Its supervisor or its node asked it to stop.
    Shutdown,
    /// It was asked to stop, and told why.
    ShutdownWith(String),
    /// It was ended where it awaited, without a word: brutal kill, or over its shutdown timeout.
    Killed,
    /// It panicked; the panic's message.
    Panicked(String),
    /// It gave up with an error; its text.
    Error(String),
    /// It lost a name to another process.
    NameConflict {
        /// The registry's name.
        registry: String,
        /// The key, as text for people.
        key: String,
        /// Who holds the name now.
        winner: Pid,
    },
    /// Another copy of the same child won.
    Superseded {
        /// The copy that goes on.
        winner: Pid,
    },
    /// It is to run on another node.
    Redistribution,
    /// Its side of the cluster may not run it.
    NoQuorum,
    /// Its node is gone, or out of reach.
    NodeDown(NodeId),
    /// There was no such process.
    NoProcess,
    /// A process that it was linked to ended.
    Linked {
        /// The process that ended first.
        from: Pid,
        /// Why that one ended; never itself `Linked`.
        reason: Box<ExitReason>,
    },
}

impl ExitReason {
    /// An error's text as a reason.
    pub fn error(error: impl fmt::Display) -> Self {
        Self::Error(error.to_string())
    }

    /// True if a transient child is not started again after it, as OTP has it: `Normal`, `Shutdown`, `ShutdownWith`, and the
    /// ends that somebody decided for the good of the cluster (`Superseded`, `Redistribution`, `NoQuorum`).
    /// A linked end is as normal as the end it came from.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        match self {
            Self::Normal | Self::Shutdown | Self::ShutdownWith(_) => true,
            Self::Superseded { .. } | Self::Redistribution | Self::NoQuorum => true,
            Self::Linked { reason, .. } => reason.is_normal(),
            Self::Killed | Self::Panicked(_) | Self::Error(_) | Self::NameConflict { .. } => false,
            Self::NodeDown(_) | Self::NoProcess => false,
        }
    }

    /// What a process linked to `from` ends with when `from` ends with `self`: names the first of a chain.
    #[must_use]
    pub fn linked(self, from: &Pid) -> Self {
        match self {
            linked @ Self::Linked { .. } => linked,
            reason => Self::Linked { from: from.clone(), reason: Box::new(reason) },
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("it was done"),
            Self::Shutdown => f.write_str("it was asked to stop"),
            Self::ShutdownWith(why) => write!(f, "it was asked to stop: {why}"),
            Self::Killed => f.write_str("it was killed"),
            Self::Panicked(message) => write!(f, "it panicked: {message}"),
            Self::Error(text) => write!(f, "it failed: {text}"),
            Self::NameConflict { registry, key, winner } => {
                write!(f, "it lost the name {key} in {registry} to {winner}")
            }
            Self::Superseded { winner } => write!(f, "its copy {winner} goes on"),
            Self::Redistribution => f.write_str("it moves to another node"),
            Self::NoQuorum => f.write_str("its side of the cluster has no quorum"),
            Self::NodeDown(node) => write!(f, "its node {node} is down"),
            Self::NoProcess => f.write_str("there is no such process"),
            Self::Linked { from, reason } => write!(f, "{from}, to which it was linked, ended: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use horde_transport::NodeName;

    use super::*;

    #[test]
    fn a_chain_of_links_names_the_first_that_ended() {
        let node = NodeId::new(NodeName::new("one").unwrap(), 1);
        let (first, second) = (Pid::new(node.clone(), 1), Pid::new(node, 2));
        let reason = ExitReason::Killed.linked(&first).linked(&second);
        assert_eq!(reason, ExitReason::Linked { from: first, reason: Box::new(ExitReason::Killed) });
        assert!(!reason.is_normal());
        assert!(ExitReason::Shutdown.linked(&second).is_normal());
    }
}
