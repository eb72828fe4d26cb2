//! How a supervisor comes to run on a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use horde_cluster::{Cluster, HordeMeta, View};
use horde_process::{Node, Resolve, Scheme};
use horde_transport::Topic;

use crate::config::{Options, Redistribution};
use crate::core::Core;
use crate::frame;
use crate::supervisor::Supervisor;

/// Settings of a supervisor that is not started yet.
#[derive(Debug, Clone)]
#[must_use = "a builder starts nothing until `start` is called"]
pub struct Builder {
    name: String,
    options: Options,
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
    /// Something else of this node uses the supervisor's topic.
    #[error(transparent)]
    Topic(#[from] horde_transport::TopicTaken),
}

/// The supervisors of a node, by name.
#[derive(Debug, Default)]
struct Supervisors(Mutex<BTreeMap<String, Arc<Core>>>);

impl Builder {
    pub(crate) fn new(name: String) -> Self {
        Self { name, options: Options::default() }
    }

    /// All settings at once. Those of the member that starts the supervisor first hold for every member.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Tolerates `restarts` of one child within `within`; one more and that child has failed. Default: 3 in 5 s.
    pub fn max_restarts(mut self, restarts: u32, within: Duration) -> Self {
        (self.options.max_restarts, self.options.max_seconds) = (restarts, within);
        self
    }

    /// What joins do to running children. Default: nothing moves.
    pub fn redistribution(mut self, redistribution: Redistribution) -> Self {
        self.options.redistribution = redistribution;
        self
    }

    /// Starts it on this node, or finds it there already, and returns once it has caught up with the other members.
    ///
    /// # Errors
    /// [`SupervisorError`]; nothing runs then.
    pub async fn start(self, node: &Node) -> Result<Supervisor, SupervisorError> {
        let core = open(node, &self.name, &self.options)?;
        if core.options != self.options {
            return Err(SupervisorError::OptionsDiffer(self.name));
        }
        let mut ready = core.ready.subscribe();
        // The sender lives in `core`, which we hold.
        drop(ready.wait_for(|ready| *ready).await);
        Ok(Supervisor { core })
    }
}

/// Hosts on `node` every supervisor that another member of its cluster announces, from now on.
///
/// # Errors
/// [`SupervisorError::NoCluster`] when the node has none.
pub fn host(node: &Node) -> Result<Hosting, SupervisorError> {
    let cluster = cluster_of(node)?;
    let hosted = node.clone();
    let watch = cluster.watch(move |_, view| host_announced(&hosted, view));
    host_announced(node, &cluster.view());
    Ok(Hosting { _watch: watch })
}

/// Keeps a node hosting what others announce; dropped, it hosts nothing new.
#[derive(Debug)]
#[must_use = "dropping it ends the hosting"]
pub struct Hosting {
    _watch: horde_cluster::Watch,
}

const PREFIX: &str = "supervisor/";

fn host_announced(node: &Node, view: &View) {
    for member in view.alive().filter(|member| member.id != *node.id()) {
        for (horde, meta) in &member.meta.hordes {
            let Some(name) = horde.strip_prefix(PREFIX) else { continue };
            if find(node, name).is_some() {
                continue;
            }
            let opened = frame::decode::<Options>(&meta.config)
                .map_err(|error| error.to_string())
                .and_then(|options| open(node, name, &options).map_err(|error| error.to_string()));
            if let Err(error) = opened {
                tracing::warn!(node = %node.id(), supervisor = name, peer = %member.id, %error, "not hosted here");
            }
        }
    }
}

fn cluster_of(node: &Node) -> Result<Cluster, SupervisorError> {
    let cluster = node.get::<Cluster>().ok_or_else(|| SupervisorError::NoCluster(node.id().to_string()))?;
    Ok((*cluster).clone())
}

fn table(node: &Node) -> Arc<Supervisors> {
    node.insert(Supervisors::default());
    node.get::<Supervisors>().unwrap_or_default()
}

fn find(node: &Node, name: &str) -> Option<Arc<Core>> {
    table(node).0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// All supervisors that this node hosts.
#[must_use]
pub fn hosted(node: &Node) -> Vec<Supervisor> {
    let table = table(node);
    let cores = table.0.lock().unwrap_or_else(PoisonError::into_inner);
    cores.values().map(|core| Supervisor { core: core.clone() }).collect()
}

/// The supervisor of this name on this node, made if need be.
fn open(node: &Node, name: &str, options: &Options) -> Result<Arc<Core>, SupervisorError> {
    let topic = match name.len() {
        1..=100 => Topic::new(format!("{PREFIX}{name}")).map_err(|_| SupervisorError::Name(name.len()))?,
        length => return Err(SupervisorError::Name(length)),
    };
    let cluster = cluster_of(node)?;
    let table = table(node);
    let core = {
        let mut cores = table.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(core) = cores.get(name) {
            return Ok(core.clone());
        }
        let core = Core::new(name, options.clone(), node.clone(), cluster.clone(), topic);
        cores.insert(name.to_owned(), core.clone());
        core
    };
    let horde = core.horde.clone();
    let config = frame::encode(options).to_vec();
    cluster.update_meta(|meta| {
        meta.hordes.insert(horde, HordeMeta { ready: false, config });
    });
    if let Err(error) = core.connect() {
        table.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        cluster.update_meta(|meta| {
            meta.hordes.remove(&core.horde);
        });
        return Err(error.into());
    }
    let resolver: Arc<dyn Resolve> = core.clone();
    node.resolver(Scheme::Child(core.name.clone()), Arc::downgrade(&resolver));
    cluster.control().handle().spawn(core.clone().drive());
    Ok(core)
}
