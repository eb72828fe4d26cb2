//! A local supervisor, to who uses it.

use std::time::Duration;

use super::builder::SupervisorBuilder;
use super::spec::ChildSpec;
use super::tree::{
    CountChildren, DeleteChild, RestartChild, StartChild, Started, TerminateChild, Tree, WhichChildren,
};
use crate::machine::{ChildInfo, Counts, Refusal, Which};
use crate::{CallError, ExitReason, Info, Name, Node, Pid, Process, Ref, Shutdown};

/// Children of one node. A handle: cheap to clone; the supervisor is a process, and runs on when all its handles are dropped.
///
/// What it is asked waits for the child's `init` or end, however long that takes; other questions are answered meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor(Ref<Tree>);

/// Why a local supervisor did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It was not reached, or ended first.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// As long as it takes.
const FOR_EVER: Duration = Duration::MAX;

impl Supervisor {
    /// A static supervisor: its children have an order and ids that differ, and are kept when they have ended.
    pub fn builder() -> SupervisorBuilder {
        SupervisorBuilder::new(false)
    }

    /// A dynamic supervisor: each child alone, forgotten when it has ended; all stop at once.
    pub fn dynamic() -> SupervisorBuilder {
        SupervisorBuilder::new(true)
    }

    /// The supervisor behind a pid or name.
    #[must_use]
    pub fn at(node: &Node, name: impl Into<Name>) -> Self {
        Self(Ref::new(node, name))
    }

    pub(super) fn of(tree: Ref<Tree>) -> Self {
        Self(tree)
    }

    /// Its address, for links and monitors, and to send it elsewhere.
    #[must_use]
    pub fn address(&self) -> &Ref<Tree> {
        &self.0
    }

    /// Its process now; `None` for a name that nobody holds.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.0.pid()
    }

    /// Starts a child, after all others in the order, and answers when its `init` has returned.
    ///
    /// # Errors
    /// [`SupervisorError`]: no process was started, or it has gone again; the child is not kept (a static one that ignored is).
    pub async fn start_child<P: Process>(&self, spec: ChildSpec<P>) -> Result<Ref<P>, SupervisorError> {
        Ok(self.start_child_with_info(spec).await?.0)
    }

    /// As [`Supervisor::start_child`], with what `init` told its starter.
    ///
    /// # Errors
    /// As [`Supervisor::start_child`].
    pub async fn start_child_with_info<P: Process>(
        &self,
        spec: ChildSpec<P>,
    ) -> Result<(Ref<P>, Option<Info>), SupervisorError> {
        self.begun(self.0.call(StartChild(spec.into())).timeout(FOR_EVER).await??)
    }

    /// Stops a child as its spec says, and answers when it has ended. A static child is kept at rest, also through restarts of its
    /// group, until it is restarted or deleted; a temporary or dynamic one is forgotten.
    ///
    /// # Errors
    /// [`SupervisorError`]; [`Refusal::Stuck`] when it does not end.
    pub async fn terminate_child(&self, which: impl Into<Which>) -> Result<(), SupervisorError> {
        Ok(self.0.call(TerminateChild(which.into())).timeout(FOR_EVER).await??)
    }

    /// Starts a static child that is at rest.
    ///
    /// # Errors
    /// [`SupervisorError`]; the child is at rest as before.
    pub async fn restart_child<P: Process>(&self, id: impl Into<Which>) -> Result<Ref<P>, SupervisorError> {
        Ok(self.begun(self.0.call(RestartChild(id.into())).timeout(FOR_EVER).await??)?.0)
    }

    /// Forgets a static child that is at rest.
    ///
    /// # Errors
    /// [`SupervisorError`]; nothing was changed.
    pub async fn delete_child(&self, id: impl Into<Which>) -> Result<(), SupervisorError> {
        Ok(self.0.call(DeleteChild(id.into())).timeout(FOR_EVER).await??)
    }

    /// The children in the order of their start. Answered at once, whatever the children do.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        self.0.call(WhichChildren).await
    }

    /// How many there are. Answered at once, whatever the children do.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn count_children(&self) -> Result<Counts, CallError> {
        self.0.call(CountChildren).await
    }

    /// Stops it and its children: a static one in reverse order, a dynamic one all at once, each as its spec says. Answers why it
    /// ended, which is `reason` unless it was ending already. For a supervisor of this node that is nobody's child.
    pub async fn stop(&self, reason: ExitReason) -> ExitReason {
        let ended = self.0.ended();
        if let (Ok(node), Some(pid)) = (self.0.node(), self.pid()) {
            node.stop(&pid, reason, Shutdown::Infinity);
        }
        ended.await
    }

    fn begun<P: Process>(&self, started: Started) -> Result<(Ref<P>, Option<Info>), SupervisorError> {
        Ok((Ref::new(self.0.node()?, started.pid), started.info))
    }
}

impl From<&str> for Which {
    fn from(id: &str) -> Self {
        Self::Id(id.to_owned())
    }
}

impl From<String> for Which {
    fn from(id: String) -> Self {
        Self::Id(id)
    }
}

impl From<&Pid> for Which {
    fn from(pid: &Pid) -> Self {
        Self::Pid(pid.clone())
    }
}

impl From<Pid> for Which {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}
