//! The supervisors of one node: those started here, and those that other members announce.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use horde_cluster::{Cluster, HordeMeta, View, Watch};
use horde_process::{Node, Scheme};
use horde_transport::Topic;

use crate::builder::SupervisorError;
use crate::config::Options;
use crate::core::Core;
use crate::frame;
use crate::supervisor::Supervisor;

/// Supervisors that one node hosts. A further one is refused, and not hosted when others announce it.
pub const MAX_SUPERVISORS: usize = 256;

const PREFIX: &str = "supervisor/";

/// Hosts on `node` every supervisor that another member of its cluster announces, until the node closes.
///
/// # Errors
/// [`SupervisorError::NoCluster`] when the node has none.
pub fn host(node: &Node) -> Result<(), SupervisorError> {
    let supervisors = Supervisors::of(node)?;
    let weak = Arc::downgrade(&supervisors);
    let watch = supervisors.cluster.watch(move |_, view| {
        if let Some(supervisors) = weak.upgrade() {
            supervisors.adopt(view);
        }
    });
    *lock(&supervisors.watch) = Some(watch);
    supervisors.adopt(&supervisors.cluster.view());
    Ok(())
}

/// The supervisors that `node` hosts, by name.
#[must_use]
pub fn hosted(node: &Node) -> Vec<Supervisor> {
    let service = node.get::<Service>();
    let cores = service.map(|service| lock(&service.0.cores).values().cloned().collect::<Vec<_>>());
    cores.unwrap_or_default().into_iter().map(|core| Supervisor { core }).collect()
}

/// How the supervisors are found among a node's services.
struct Service(Arc<Supervisors>);

/// The node has closed and let its services go.
impl Drop for Service {
    fn drop(&mut self) {
        drop(lock(&self.0.watch).take());
        for core in std::mem::take(&mut *lock(&self.0.cores)).into_values() {
            core.disconnect();
        }
    }
}

/// The supervisors of a node.
pub(crate) struct Supervisors {
    node: Node,
    pub(crate) cluster: Cluster,
    cores: Mutex<BTreeMap<String, Arc<Core>>>,
    watch: Mutex<Option<Watch>>,
}

impl Supervisors {
    pub(crate) fn of(node: &Node) -> Result<Arc<Self>, SupervisorError> {
        if let Some(service) = node.get::<Service>() {
            return Ok(service.0.clone());
        }
        let cluster =
            node.get::<Cluster>().ok_or_else(|| SupervisorError::NoCluster(node.id().to_string()))?;
        let (cores, watch) = (Mutex::default(), Mutex::default());
        node.insert(Service(Arc::new(Self {
            node: node.clone(),
            cluster: (*cluster).clone(),
            cores,
            watch,
        })));
        // Another thread may have been first; there is one by now in any case.
        let service =
            node.get::<Service>().ok_or_else(|| SupervisorError::NoCluster(node.id().to_string()))?;
        Ok(service.0.clone())
    }

    fn adopt(&self, view: &View) {
        for member in view.alive().filter(|member| member.id != *self.node.id()) {
            for (horde, meta) in &member.meta.hordes {
                let Some(name) = horde.strip_prefix(PREFIX) else { continue };
                if lock(&self.cores).contains_key(name) {
                    continue;
                }
                let options = frame::decode::<Options>(&meta.config).map_err(|error| error.to_string());
                let opened = options.and_then(|_| self.open(name, None).map_err(|error| error.to_string()));
                if let Err(error) = opened {
                    let (node, peer) = (self.node.id(), &member.id);
                    tracing::warn!(%node, supervisor = name, %peer, %error, "an announced supervisor is not hosted here");
                }
            }
        }
    }

    /// The options of a supervisor as the lowest of its other hosts announces them.
    fn announced(&self, horde: &str) -> Option<Options> {
        let view = self.cluster.view();
        let mut others = view.hosting(horde).filter(|member| member.id != *self.node.id());
        others.find_map(|member| frame::decode(&member.meta.hordes.get(horde)?.config).ok())
    }

    /// The supervisor of this name on this node, made if need be. Without options it has those of whoever hosts it already.
    pub(crate) fn open(&self, name: &str, options: Option<&Options>) -> Result<Arc<Core>, SupervisorError> {
        let topic = match name.len() {
            1..=100 => {
                Topic::new(format!("{PREFIX}{name}")).map_err(|_| SupervisorError::Name(name.len()))?
            }
            length => return Err(SupervisorError::Name(length)),
        };
        let core = {
            let mut cores = lock(&self.cores);
            let theirs =
                cores.get(name).map(|core| core.options.clone()).or_else(|| self.announced(topic.as_str()));
            if theirs.as_ref().is_some_and(|theirs| options.is_some_and(|ours| ours != theirs)) {
                return Err(SupervisorError::OptionsDiffer(name.to_owned()));
            }
            if let Some(core) = cores.get(name) {
                return Ok(core.clone());
            }
            let options = theirs.or_else(|| options.cloned()).unwrap_or_default();
            if cores.len() >= MAX_SUPERVISORS {
                return Err(SupervisorError::TooMany(MAX_SUPERVISORS));
            }
            let core = Core::new(name, options, self.node.clone(), self.cluster.clone(), topic);
            cores.insert(name.to_owned(), core.clone());
            core
        };
        let config = frame::encode(&core.options).to_vec();
        self.cluster.update_meta(|meta| {
            meta.hordes.insert(core.horde.clone(), HordeMeta { ready: false, config });
        });
        if let Err(error) = core.connect() {
            lock(&self.cores).remove(name);
            self.cluster.update_meta(|meta| {
                meta.hordes.remove(&core.horde);
            });
            return Err(error.into());
        }
        self.node.resolver(Scheme::Child(core.name.clone()), core.resolver());
        self.cluster.control().handle().spawn(core.clone().drive());
        Ok(core)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
