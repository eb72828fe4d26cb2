//! One node: what its processes share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use horde_transport::{Network, NodeId, Subscription, Topic};
use tokio::runtime::Handle;

use crate::cell::lock;
use crate::kind::Kinds;
use crate::learned::Learned;
use crate::moved::Moved;
use crate::names::Names;
use crate::reaper::Reaper;
use crate::remote::Peers;
use crate::table::Table;
use crate::waits::Waits;
use crate::{
    Claim, ExitReason, Info, Name, NodeBuilder, Pid, Process, Ref, Shutdown, SpawnError, Start, StartError,
    Watcher,
};

tokio::task_local! {
    /// The node whose process runs, or whose frame is decoded: a `Ref` deserialised meanwhile belongs to it.
    pub(crate) static NODE: Node;
}

/// One node's processes, names and services. Clone is cheap. Nothing is global: many nodes live in one test.
///
/// Processes keep their node alive; [`Node::close`] ends them.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: NodeId,
    pub(crate) runtime: Handle,
    pub(crate) network: Option<Arc<dyn Network>>,
    pub(crate) topic: Topic,
    pub(crate) subscription: Mutex<Option<Subscription>>,
    pub(crate) kinds: Kinds,
    pub(crate) table: Table,
    pub(crate) names: Names,
    pub(crate) learned: Learned,
    pub(crate) moved: Moved,
    pub(crate) waits: Waits,
    pub(crate) peers: Peers,
    pub(crate) services: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(crate) reaper: Reaper,
    pub(crate) numbers: AtomicU64,
    pub(crate) references: AtomicU64,
    pub(crate) closing: AtomicBool,
}

impl Node {
    /// Begins to build a node.
    pub fn builder(id: NodeId) -> NodeBuilder {
        NodeBuilder::new(id)
    }

    /// Who this node is.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.0.id
    }

    /// What connects it to other nodes; `None` if it is alone.
    #[must_use]
    pub fn network(&self) -> Option<&Arc<dyn Network>> {
        self.0.network.as_ref()
    }

    /// The runtime that runs its processes: the one in which it was built.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// The kinds it can run, with the versions of arguments that it reads, in order of their names.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, RangeInclusive<u32>)> + '_ {
        self.0.kinds.iter()
    }

    /// True if it can run `kind` from arguments of `version`.
    #[must_use]
    pub fn can_run(&self, kind: &str, version: u32) -> bool {
        self.0.kinds.reads(kind).is_some_and(|reads| reads.contains(&version))
    }

    /// Keeps a service of an upper layer with the node, one of each type; false if one of this type is there, which stays.
    pub fn insert<T: Any + Send + Sync>(&self, value: T) -> bool {
        let mut services = self.0.services.write().unwrap_or_else(PoisonError::into_inner);
        let free = !services.contains_key(&TypeId::of::<T>());
        if free {
            services.insert(TypeId::of::<T>(), Arc::new(value));
        }
        free
    }

    /// The service of this type.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let services = self.0.services.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(services.get(&TypeId::of::<T>())?).downcast().ok()
    }

    /// Takes the service of this type away.
    #[must_use]
    pub fn take<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let mut services = self.0.services.write().unwrap_or_else(PoisonError::into_inner);
        services.remove(&TypeId::of::<T>())?.downcast().ok()
    }

    /// Starts `P` here, outside any supervisor, with the dependencies given to the builder; answers when `init` has returned.
    ///
    /// # Errors
    /// [`SpawnError`]: nothing runs.
    pub async fn spawn<P: Process>(&self, args: P::Args) -> Result<Ref<P>, SpawnError> {
        Ok(self.0.kinds.spawn(self, args, None).await?.0)
    }

    /// As [`Node::spawn`], with what `init` told its starter ([`crate::Context::inform`]).
    ///
    /// # Errors
    /// [`SpawnError`]: nothing runs.
    pub async fn spawn_with_info<P: Process>(
        &self,
        args: P::Args,
    ) -> Result<(Ref<P>, Option<Info>), SpawnError> {
        self.0.kinds.spawn(self, args, None).await
    }

    /// As [`Node::spawn`], under a name: registered before `init` runs, free again if the start fails.
    ///
    /// # Errors
    /// [`SpawnError`]: nothing runs; among them that another process holds the name.
    pub async fn spawn_named<P: Process>(
        &self,
        name: impl Into<Name>,
        args: P::Args,
    ) -> Result<Ref<P>, SpawnError> {
        Ok(self.0.kinds.spawn(self, args, Some((name.into(), Vec::new()))).await?.0)
    }

    /// Starts a process of a registered kind from bytes and does not wait; the watcher hears the outcome, by `token`.
    /// The pid is allotted at once.
    ///
    /// # Errors
    /// [`StartError`]: nothing was started, and the watcher hears nothing.
    pub fn start(&self, start: Start, watcher: Arc<dyn Watcher>, token: u64) -> Result<Pid, StartError> {
        self.0.kinds.start(self, start, watcher, token)
    }

    /// Stops a process of this node and does not wait: it is asked, and after its time ended where it awaits; if it does not await
    /// either, its watcher hears `stuck`. Its watcher hears `exited`, with [`ExitReason::Killed`] if time ran out.
    /// Nothing happens when there is no such process here.
    pub fn stop(&self, pid: &Pid, reason: ExitReason, shutdown: Shutdown) {
        let Some(process) = self.find(pid) else { return };
        match shutdown {
            Shutdown::BrutalKill => {
                process.core().kill();
                self.0.reaper.check(self, pid.number());
            }
            Shutdown::Timeout(timeout) => {
                process.0.signal(&mut |control| control.stop(reason.clone()));
                self.0.reaper.kill_after(self, pid.number(), timeout);
            }
            Shutdown::Infinity => {
                process.0.signal(&mut |control| control.stop(reason.clone()));
            }
        }
    }

    /// True if `pid` is a process of this node that has not ended.
    #[must_use]
    pub fn is_alive(&self, pid: &Pid) -> bool {
        self.find(pid).is_some()
    }

    /// The claim under which a process of this node runs.
    #[must_use]
    pub fn claim(&self, pid: &Pid) -> Option<Claim> {
        self.find(pid)?.core().claim.as_deref().cloned()
    }

    /// The processes of this node, in order of their numbers.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        let mut numbers = self.0.table.numbers();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| Pid::new(self.id().clone(), number)).collect()
    }

    /// How many processes run on this node.
    #[must_use]
    pub fn process_count(&self) -> usize {
        self.0.table.len()
    }

    /// Ends the node: takes no more processes, stops all it has, each with its own shutdown, and waits for them up to `patience`.
    /// Then it leaves its network and lets its services go. Answers how many processes did not end.
    pub async fn close(&self, patience: Duration) -> usize {
        self.0.closing.store(true, Ordering::Release);
        for process in self.0.table.all() {
            let core = process.core();
            if core.watch.as_ref().is_some_and(|(watcher, _)| watcher.stops_them()) {
                continue;
            }
            self.stop(core.pid(), ExitReason::Shutdown, core.shutdown);
        }
        // Time over is an outcome: the count tells it.
        drop(tokio::time::timeout(patience, self.0.table.empty()).await);
        let subscription = lock(&self.0.subscription).take();
        drop(subscription);
        self.0.peers.clear();
        self.0.names.clear();
        let services = std::mem::take(&mut *self.0.services.write().unwrap_or_else(PoisonError::into_inner));
        drop(services);
        self.0.table.len()
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn next_reference(&self) -> u64 {
        self.0.references.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.id())
    }
}
