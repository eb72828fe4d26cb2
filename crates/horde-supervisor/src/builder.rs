//! How a supervisor comes to run on a node.

use std::time::Duration;

use horde_process::Node;

use crate::config::{Options, Quorum, Redistribution};
use crate::hosting::Supervisors;
use crate::supervisor::Supervisor;

/// Settings of a supervisor that is not started yet.
#[derive(Debug, Clone)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct Builder {
    name: String,
    options: Option<Options>,
}

/// Why a supervisor was not started; nothing runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The node is not part of a cluster.
    #[error("node `{0}` is not part of a cluster: start it with `horde::Node`, or attach a `Cluster` to it")]
    NoCluster(String),
    /// The name is empty or too long.
    #[error("a supervisor's name has 1 to 100 bytes, this one has {0}")]
    Name(usize),
    /// The cluster runs a supervisor of this name with other options, which stay.
    #[error("supervisor `{0}` already runs here with other options")]
    OptionsDiffer(String),
    /// The node hosts as many supervisors as it takes.
    #[error("this node hosts {0} supervisors already, its limit")]
    TooMany(usize),
    /// The node is no member and will not be one.
    #[error(transparent)]
    Stopped(#[from] horde_cluster::Stopped),
    /// Something else of this node uses the supervisor's topic.
    #[error(transparent)]
    Topic(#[from] horde_transport::TopicTaken),
}

/// How long a start waits for the members that are up to host the supervisor too.
const JOIN_PATIENCE: Duration = Duration::from_secs(1);

impl Builder {
    pub(crate) fn new(name: String) -> Self {
        Self { name, options: None }
    }

    /// All settings at once. Those of the member that starts the supervisor first hold for every member: others give the
    /// same, or none.
    pub fn options(mut self, options: Options) -> Self {
        self.options = Some(options);
        self
    }

    /// Tolerates `restarts` of one child within `within`; one more and that child has failed. Default: 3 in 5 s.
    pub fn max_restarts(self, restarts: u32, within: Duration) -> Self {
        self.option(|options| (options.max_restarts, options.max_seconds) = (restarts, within))
    }

    /// On which side of a partition children run. Default: on every side.
    pub fn quorum(self, quorum: Quorum) -> Self {
        self.option(|options| options.quorum = quorum)
    }

    /// What joins do to running children. Default: nothing moves.
    pub fn redistribution(self, redistribution: Redistribution) -> Self {
        self.option(|options| options.redistribution = redistribution)
    }

    fn option(mut self, set: impl FnOnce(&mut Options)) -> Self {
        set(self.options.get_or_insert_default());
        self
    }

    /// Starts it on this node, or finds it there already. Returns once it has caught up with the other members, and those
    /// that are up host it too, for which it waits up to a second.
    ///
    /// # Errors
    /// [`SupervisorError`]; nothing runs then.
    pub async fn start(self, node: &Node) -> Result<Supervisor, SupervisorError> {
        let supervisors = Supervisors::of(node)?;
        supervisors.cluster.ready().await?;
        let core = supervisors.open(&self.name, self.options.as_ref())?;
        let mut ready = core.ready.subscribe();
        // The sender lives in `core`, which we hold.
        drop(ready.wait_for(|ready| *ready).await);
        core.joined(JOIN_PATIENCE).await;
        Ok(Supervisor { core })
    }
}
