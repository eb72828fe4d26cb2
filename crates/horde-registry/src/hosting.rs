//! The registries of one node: those started here, and those that other members announce.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use horde_cluster::{Cluster, MemberEvent, View, Watch};
use horde_process::Node;

use crate::driver::{TOPIC_PREFIX, topic_of};
use crate::error::StartError;
use crate::rules::Rules;
use crate::untyped::RegistryCore;

/// Registries that one node hosts. A further one is refused, and not hosted when others announce it.
pub const MAX_REGISTRIES: usize = 256;

/// Makes `node` host every registry that another member of its cluster announces, from now on and without types.
///
/// A registry is whole on each node that hosts it: with this, a name registered anywhere is found here, and what this
/// node knows of names outlives the others. Idempotent. A [`Registry`](crate::Registry) started later attaches to what is hosted.
///
/// # Errors
/// [`StartError::NoCluster`] when the node has no [`Cluster`] among its services; nothing was changed.
pub fn host(node: &Node) -> Result<(), StartError> {
    let registries = Registries::of(node)?;
    let mut watch = lock(&registries.watch);
    if watch.is_some() {
        return Ok(());
    }
    let weak = Arc::downgrade(&registries);
    *watch = Some(registries.cluster.watch(move |event, view| {
        let news = matches!(event, MemberEvent::Joined(_) | MemberEvent::Up(_) | MemberEvent::Meta(_));
        if let (true, Some(registries)) = (news, weak.upgrade()) {
            registries.adopt(view);
        }
    }));
    drop(watch);
    registries.adopt(&registries.cluster.view());
    Ok(())
}

/// The registry `name` as `node` hosts it, without types; none when it does not.
#[must_use]
pub fn hosted(node: &Node, name: &str) -> Option<RegistryCore> {
    let registries = node.get::<Service>()?;
    lock(&registries.0.open).get(name).cloned()
}

/// The registries that `node` hosts, by name, without types.
#[must_use]
pub fn registries(node: &Node) -> Vec<RegistryCore> {
    node.get::<Service>().map(|service| lock(&service.0.open).values().cloned().collect()).unwrap_or_default()
}

/// How the registries are found among a node's services.
struct Service(Arc<Registries>);

/// The node has closed and let its services go.
impl Drop for Service {
    fn drop(&mut self) {
        lock(&self.0.watch).take();
        lock(&self.0.open).values().for_each(RegistryCore::close);
    }
}

#[derive(Debug)]
pub(crate) struct Registries {
    node: Node,
    cluster: Cluster,
    open: Mutex<BTreeMap<String, RegistryCore>>,
    watch: Mutex<Option<Watch>>,
}

impl Registries {
    /// The registries of `node`; the first call makes them its service.
    pub(crate) fn of(node: &Node) -> Result<Arc<Self>, StartError> {
        if let Some(service) = node.get::<Service>() {
            return Ok(Arc::clone(&service.0));
        }
        let cluster = Cluster::clone(&*node.get::<Cluster>().ok_or(StartError::NoCluster)?);
        let (open, watch) = (Mutex::default(), Mutex::default());
        node.insert(Service(Arc::new(Self { node: node.clone(), cluster, open, watch })));
        // Another thread may have been first: its service is the one.
        node.get::<Service>().map(|service| Arc::clone(&service.0)).ok_or(StartError::NoCluster)
    }

    /// The registry `name`, hosted from now on if it was not. Without `rules` it has those of whoever hosts it already.
    pub(crate) fn open(&self, name: &str, rules: Option<&Rules>) -> Result<RegistryCore, StartError> {
        let mut open = lock(&self.open);
        let announced = || self.announced(name);
        let theirs = open.get(name).map(|core| core.rules().clone()).or_else(announced);
        if let (Some(theirs), Some(ours)) = (&theirs, rules)
            && theirs != ours
        {
            let (theirs, ours) = (format!("{theirs:?}"), format!("{ours:?}"));
            return Err(StartError::RulesDiffer { name: name.to_owned(), theirs, ours });
        }
        if let Some(core) = open.get(name) {
            return Ok(core.clone());
        }
        if open.len() >= MAX_REGISTRIES {
            return Err(StartError::TooMany { limit: MAX_REGISTRIES });
        }
        let rules = theirs.or_else(|| rules.cloned()).unwrap_or_default();
        let core = RegistryCore::start(name, rules, &self.node, &self.cluster)?;
        open.insert(name.to_owned(), core.clone());
        Ok(core)
    }

    /// The rules of the registry `name` as the lowest of its other hosts announces them.
    fn announced(&self, name: &str) -> Option<Rules> {
        let (view, topic) = (self.cluster.view(), topic_of(name));
        let mut others = view.hosting(&topic).filter(|member| member.id != *self.cluster.local());
        others.find_map(|member| Rules::decode(&member.meta.hordes.get(&topic)?.config))
    }

    /// Hosts what others announce.
    fn adopt(&self, view: &View) {
        for member in view.alive().filter(|member| member.id != *self.cluster.local()) {
            for (topic, horde) in &member.meta.hordes {
                let Some(name) = topic.strip_prefix(TOPIC_PREFIX) else { continue };
                if lock(&self.open).contains_key(name) {
                    continue;
                }
                let (node, by) = (self.cluster.local(), &member.id);
                if Rules::decode(&horde.config).is_none() {
                    tracing::warn!(%node, topic, %by, "a registry has rules that this version cannot read; it is not hosted here");
                } else if let Err(error) = self.open(name, None) {
                    tracing::warn!(%node, topic, %by, %error, "an announced registry is not hosted here");
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
