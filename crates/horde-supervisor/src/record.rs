//! What the cluster knows of one child, and which of two records holds.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use delta_crdt::{Contender, Key, Winner};
use horde_process::{ClaimRank, ExitReason, Pid};
use horde_transport::NodeId;
use serde::{Deserialize, Serialize};

use crate::spec::Spec;

/// A child's id: unique in its supervisor across the cluster. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl<T: AsRef<str>> From<T> for ChildId {
    fn from(id: T) -> Self {
        Self(id.as_ref().into())
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Key for ChildId {
    fn stable_hash(&self) -> u64 {
        twox_hash::XxHash3_64::oneshot(self.0.as_bytes())
    }
}

/// One user's wish to start a child, minted once: a retry that finds itself in the record is the same start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// A hash of the requesting node and its incarnation.
    pub origin: u64,
    /// Counts the requests of that node.
    pub number: u64,
}

/// Whether a child shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// It shall run.
    Run,
    /// It has ended, and does not run again unless a user starts it anew.
    Ended(End),
}

/// Why a child does not run any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// A user terminated it.
    Terminated,
    /// It ended by itself, and its restart type says that this is the end.
    Finished(ExitReason),
    /// Its first start failed. Ends that attempt alone.
    NotStarted,
    /// It is temporary and its node is gone.
    NodeDown,
}

/// Where a child stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildState {
    /// Its `init` runs, or a restart waits for its backoff.
    Starting,
    /// It runs as this process of the owner.
    Running(Pid),
    /// Its owner has stopped it to hand it to another member.
    Moving,
    /// No member can run it now; tried again when the members change.
    Unplaceable,
    /// It failed for good: restart it by hand.
    Failed(ExitReason),
}

/// What the cluster knows of one child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What to start.
    pub spec: Arc<Spec>,
    /// Raised only when a user starts an id that has ended.
    pub life: u64,
    /// Whether it shall run.
    pub wanted: Wanted,
    /// Raised by each takeover, move and restart.
    pub generation: u64,
    /// The epoch of the agreed configuration in which it was claimed; 0 without a quorum policy.
    pub config_epoch: u64,
    /// When this claim was made (a hybrid logical clock stamp).
    pub stamp: u64,
    /// Who runs it, or answers for it.
    pub owner: NodeId,
    /// The start that made this life.
    pub request: RequestId,
    /// Where it stands.
    pub state: ChildState,
    /// How often in a row its node went down soon after it was started there.
    pub strikes: u32,
}

impl Record {
    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<&Pid> {
        match (&self.wanted, &self.state) {
            (Wanted::Run, ChildState::Running(pid)) => Some(pid),
            _ => None,
        }
    }

    /// Whether it shall run.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted == Wanted::Run
    }

    /// The claim of its owner.
    #[must_use]
    pub fn rank(&self) -> ClaimRank {
        ClaimRank {
            life: self.life,
            config_epoch: self.config_epoch,
            generation: self.generation,
            stamp: self.stamp,
            owner: self.owner.clone(),
        }
    }

    /// Whether it has ended whatever other records of its life say. A start that failed ends that attempt alone: another
    /// member may have taken the child over meanwhile.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(&self.wanted, Wanted::Ended(end) if *end != End::NotStarted)
    }

    /// Whether it tells of more than attempts to start it, which may have failed before one did not.
    pub(crate) fn has_run(&self) -> bool {
        self.state != ChildState::Starting || self.is_over()
    }

    /// Whether it ends every run of that life.
    #[must_use]
    pub fn ends(&self, life: u64) -> bool {
        self.life > life || self.life == life && self.is_over()
    }

    /// The order of concurrent records: life, then ended over wanted, and wanted over an attempt that failed, then the claim.
    fn order(&self) -> (u64, (bool, bool), ClaimRank) {
        (self.life, (self.is_over(), self.is_wanted()), self.rank())
    }
}

/// Which of two concurrent records of one child holds, the same on every node.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByClaim;

impl Winner<Arc<Record>> for ByClaim {
    fn compare(&self, a: &Contender<'_, Arc<Record>>, b: &Contender<'_, Arc<Record>>) -> Ordering {
        a.value.order().cmp(&b.value.order())
    }
}
