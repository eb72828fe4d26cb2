//! One child of a local supervisor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Pid, Restart, Shutdown};

/// Whether a child has children of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Role {
    /// It has none.
    #[default]
    Worker,
    /// It is a supervisor: given all the time it takes to stop, unless its spec says otherwise.
    Supervisor,
}

/// What the machine knows of a child's spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Its id; unique in a static supervisor.
    pub id: String,
    /// The kind of its process.
    pub kind: String,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether it has children.
    pub role: Role,
    /// Whether its end may end the supervisor.
    pub significant: bool,
}

/// What is wished for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// That it runs.
    Up,
    /// It ended by itself, or had nothing to run: a restart of its group brings it up.
    Rest,
    /// Somebody terminated it: it stays down until somebody restarts it.
    Down,
    /// That it is forgotten once it has no process.
    Gone,
}

/// What there is of its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    None,
    Starting,
    Up(Pid),
    Stopping { pid: Option<Pid>, stuck: bool },
}

impl Life {
    pub(super) fn pid(&self) -> Option<&Pid> {
        match self {
            Self::Up(pid) => Some(pid),
            Self::Stopping { pid, .. } => pid.as_ref(),
            Self::None | Self::Starting => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) traits: Traits,
    pub(super) want: Want,
    pub(super) life: Life,
    /// It stops, or waits to be, for a restart of its group.
    pub(super) bounce: bool,
    /// When it may start; none if at once.
    pub(super) due: Option<Duration>,
    /// It has run before.
    pub(super) begun: bool,
    /// Who hears of its start.
    pub(super) starter: Option<u64>,
    /// Who hears of its end.
    pub(super) waiters: Vec<u64>,
    /// Restarts in a row, and when the last of them was due.
    pub(super) streak: u32,
    pub(super) last_due: Duration,
}

impl Child {
    pub(super) fn new(traits: Traits, starter: u64) -> Self {
        Self {
            traits,
            want: Want::Up,
            life: Life::None,
            bounce: false,
            due: None,
            begun: false,
            starter: Some(starter),
            waiters: Vec::new(),
            streak: 0,
            last_due: Duration::ZERO,
        }
    }

    pub(super) fn info(&self) -> ChildInfo {
        let state = match &self.life {
            Life::Up(pid) => ChildState::Running(pid.clone()),
            Life::Starting => ChildState::Starting,
            Life::Stopping { pid: Some(pid), stuck: true } => ChildState::Stuck(pid.clone()),
            Life::Stopping { .. } => ChildState::Stopping,
            Life::None if self.want == Want::Up => ChildState::Restarting,
            Life::None => ChildState::Resting,
        };
        let Traits { id, kind, restart, role, .. } = self.traits.clone();
        ChildInfo { id, kind, restart, role, state }
    }
}

/// One line of `which_children`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id.
    pub id: String,
    /// The kind of its process.
    pub kind: String,
    /// When it is started again.
    pub restart: Restart,
    /// Whether it has children.
    pub role: Role,
    /// What there is of its process.
    pub state: ChildState,
}

impl ChildInfo {
    /// Its process, if one runs.
    #[must_use]
    pub fn pid(&self) -> Option<&Pid> {
        match &self.state {
            ChildState::Running(pid) | ChildState::Stuck(pid) => Some(pid),
            _ => None,
        }
    }
}

/// What there is of a child's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChildState {
    /// It starts for the first time, or again.
    Starting,
    /// It runs.
    Running(Pid),
    /// It waits for its next start.
    Restarting,
    /// It was asked to stop.
    Stopping,
    /// It was stopped and does not end.
    Stuck(Pid),
    /// It does not run, and is not about to.
    Resting,
}

/// The answer of `count_children`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All children, running or not.
    pub specs: usize,
    /// Those that have a process.
    pub active: usize,
    /// Supervisors among them, running or not.
    pub supervisors: usize,
    /// The others.
    pub workers: usize,
}
