//! The handle that users hold.

use std::sync::Arc;
use std::time::Duration;

use horde_process::{ExitReason, Name, Pid, Process, Ref};
use horde_transport::NodeId;
use tokio::sync::broadcast;

use crate::builder::Builder;
use crate::child_spec::ChildSpec;
use crate::core::Core;
use crate::error::{StartError, TerminateError};
use crate::machine::{Answer, Event, PlannedMove};
use crate::record::{ChildId, ChildState, Record};

/// Children across the cluster. Cheap to clone; reads never wait.
#[derive(Debug, Clone)]
pub struct Supervisor {
    pub(crate) core: Arc<Core>,
}

/// How long `terminate_child` and `restart_child` wait for the process.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

impl Supervisor {
    /// A supervisor of this name. Members of the cluster that start the same name share its children.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Starts the child where it belongs, and answers when its `init` has returned. It runs on whichever member placement
    /// gives it to, is found under its id from every member, and runs again elsewhere when its node dies.
    ///
    /// # Errors
    /// [`StartError`]: each variant says what happened to the child.
    pub async fn start_child<P: Process>(&self, spec: ChildSpec<P>) -> Result<Ref<P>, StartError> {
        let (id, timeout) = (spec.id.clone(), spec.timeout);
        let spec = Arc::new(spec.wire()?);
        let id = id.unwrap_or_else(|| self.core.feed(|machine, _| machine.fresh_id()));
        let answer = self.core.ask(|machine, now| machine.start(now, id.clone(), spec.clone(), timeout));
        let pid = started(answer.await)?;
        // Who started it finds it by name at once, on whichever node it runs.
        if pid.node() != self.core.node.id() {
            self.core
                .node
                .learn(Name::Child { supervisor: self.core.name.clone(), id: id.shared() }, pid.clone());
            if let Some((name, _)) = &spec.name {
                self.core.node.learn(name.clone(), pid.clone());
            }
        }
        Ok(Ref::new(&self.core.node, pid))
    }

    /// The running child of this id, or a new one: one per side while views agree.
    ///
    /// # Errors
    /// [`StartError`], but for `AlreadyStarted`.
    pub async fn find_or_start<P: Process>(&self, spec: ChildSpec<P>) -> Result<Ref<P>, StartError> {
        match self.start_child(spec).await {
            Err(StartError::AlreadyStarted(pid)) => Ok(Ref::new(&self.core.node, pid)),
            result => result,
        }
    }

    /// Ends a child for good, wherever it runs, and waits up to 10 s for its process to end. From the moment of the call no
    /// member starts it again, unless a user does.
    ///
    /// # Errors
    /// [`TerminateError`] says where the child stands.
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), TerminateError> {
        let id = ChildId::from(id);
        match self.core.ask(|machine, now| machine.terminate(now, &id, ORDER_TIMEOUT)).await {
            Ok(Answer::Terminated(result)) => result,
            Ok(Answer::Started(_)) | Err(_) => Err(TerminateError::StillStopping),
        }
    }

    /// Stops a running child and starts it again where it is; starts a failed one anew, where placement says.
    ///
    /// # Errors
    /// [`StartError`]: each variant says what happened to the child.
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<Pid, StartError> {
        let id = ChildId::from(id);
        started(self.core.ask(|machine, now| machine.restart(now, &id, ORDER_TIMEOUT)).await)
    }

    /// The address of the child with this id, wherever and whichever copy it is.
    #[must_use]
    pub fn via<P: Process>(&self, id: &str) -> Ref<P> {
        let name = Name::Child { supervisor: self.core.name.clone(), id: id.into() };
        Ref::new(&self.core.node, name)
    }

    /// The process of a child, while one runs on a member that is not down.
    #[must_use]
    pub fn whereis(&self, id: impl AsRef<str>) -> Option<Pid> {
        self.core.pid_of(&ChildId::from(id))
    }

    /// All children that shall run: running, starting, moving, failed and unplaceable ones.
    #[must_use]
    pub fn which_children(&self) -> Vec<Child> {
        let view = self.core.view.pin();
        view.iter()
            .filter(|(_, record)| record.is_wanted())
            .map(|(id, record)| Child::of(id, record))
            .collect()
    }

    /// How many children run, on all members.
    #[must_use]
    pub fn count_children(&self) -> usize {
        self.core.view.pin().values().filter(|record| record.pid().is_some()).count()
    }

    /// The members that host this supervisor and are here.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        self.core.cluster.view().hosting(&self.core.horde).map(|member| member.id.clone()).collect()
    }

    /// The members that host this supervisor, are here and have caught up: those that coordinate and run children.
    #[must_use]
    pub fn ready_members(&self) -> Vec<NodeId> {
        let view = self.core.cluster.view();
        let hosting = view.hosting(&self.core.horde);
        let ready = hosting
            .filter(|member| member.meta.hordes.get(&self.core.horde).is_some_and(|horde| horde.ready));
        ready.filter(|member| member.status.is_alive()).map(|member| member.id.clone()).collect()
    }

    /// What a rebalance would move now: each running child that placement, by itself, gives to another member than the one
    /// that runs it, in order of ids. Nothing moves; takes time by the number of children.
    #[must_use]
    pub fn rebalance_plan(&self) -> Vec<PlannedMove> {
        self.core.feed(|machine, _| machine.plan())
    }

    /// News of the children on this node. A reader that lags is told how many it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    /// Moves all children of this node to other members, with their state where they hand it over, and takes no new ones.
    /// Returns how many are still here when the deadline has passed: 0 when all have moved. Announce that the node leaves
    /// first (`Cluster::announce_leaving`), so that nobody places new ones here.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let mut changes = self.core.events.subscribe();
        self.core.feed(|machine, now| machine.drain(now));
        let drained = async {
            while self.core.feed(|machine, _| !machine.is_drained()) {
                if let Err(broadcast::error::RecvError::Closed) = changes.recv().await {
                    return;
                }
            }
        };
        // The count below says whether the deadline cut it short.
        drop(tokio::time::timeout(deadline, drained).await);
        self.core.feed(|machine, _| machine.running_here())
    }
}

fn started(answer: Result<Answer, tokio::sync::oneshot::error::RecvError>) -> Result<Pid, StartError> {
    match answer {
        Ok(Answer::Started(result)) => result,
        Ok(Answer::Terminated(_)) | Err(_) => Err(StartError::Stopping),
    }
}

/// One child, as the records say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Child {
    /// Its id.
    pub id: ChildId,
    /// The kind it runs.
    pub kind: String,
    /// Who runs it, or answers for it.
    pub node: NodeId,
    /// Where it stands.
    pub status: Status,
    /// Its generation: raised by each restart, takeover and move.
    pub generation: u64,
}

/// Where a child stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Its `init` runs, or a restart waits for its backoff.
    Starting,
    /// It runs as this process.
    Running(Pid),
    /// It is between two members.
    Moving,
    /// No member can run it now.
    Unplaceable,
    /// It failed for good.
    Failed(ExitReason),
}

impl Child {
    fn of(id: &ChildId, record: &Record) -> Self {
        let status = match &record.state {
            ChildState::Starting => Status::Starting,
            ChildState::Running(pid) => Status::Running(pid.clone()),
            ChildState::Moving => Status::Moving,
            ChildState::Unplaceable => Status::Unplaceable,
            ChildState::Failed(reason) => Status::Failed(reason.clone()),
        };
        Self {
            id: id.clone(),
            kind: record.spec.kind.clone(),
            node: record.owner.clone(),
            status,
            generation: record.generation,
        }
    }
}
