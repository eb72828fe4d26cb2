//! The handle to a running membership.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horde_transport::{Network, NodeId, Role, Subscription, Topic, TopicTaken, TopicTooLong};
use tokio::task::AbortHandle;

use crate::discovery::{Discovering, Discovery, Found};
use crate::driver::{Driver, TOPIC};
use crate::lease::{self, LeaseDriver, LeaseTenant};
use crate::machine::{ForgetError, Input, Leases, Membership, Standing};
use crate::{ClusterConfig, Control, MemberEvent, MemberStatus, Meta, MetaTooBig, Stopped, View, Watch};

/// This node's membership: who is here, and what this node tells of itself. Cheap to clone.
///
/// When the last clone is dropped, the node falls silent without a word, and the others find it Down; use
/// [`Cluster::leave`] to go in good order. What is kept in a watcher should hold a `Weak` or a handle of its own:
/// a clone inside a watcher keeps the membership running for ever.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    driver: Arc<Driver>,
    control: Control,
    task: AbortHandle,
    sources: AtomicU64,
    leases: Arc<LeaseDriver>,
    leasing: AbortHandle,
    _seen: Watch,
    _subscriptions: [Subscription; 2],
}

/// Why the membership did not start. Nothing runs, and no other node was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Something else on this node subscribes to the topic of the membership: most likely another `Cluster`.
    #[error("the membership did not start: {0}; one network carries one cluster")]
    TopicTaken(#[from] TopicTaken),
    /// The topic's name is refused.
    #[error("the membership did not start: {0}")]
    Topic(#[from] TopicTooLong),
    /// The configured meta is too large.
    #[error("the membership did not start: {0}")]
    Meta(#[from] MetaTooBig),
}

impl Cluster {
    /// Joins over `network`, with the driver on the thread of `control`. The node is Joining until [`Cluster::ready`].
    ///
    /// # Errors
    /// [`ClusterError`]: nothing was started.
    pub fn start(
        config: ClusterConfig,
        network: Arc<dyn Network>,
        control: Control,
    ) -> Result<Self, ClusterError> {
        let topic = Topic::new(TOPIC)?;
        let max_events = config.max_events;
        let local = network.local().clone();
        let leases =
            Leases::new(local, config.quorum.clone(), config.lease, config.heartbeat, Duration::ZERO);
        let leases = LeaseDriver::new(leases, network.clone(), Topic::new(lease::TOPIC)?);
        let machine = Membership::new(network.local().clone(), config, Duration::ZERO)?;
        let driver = Driver::new(machine, network, topic.clone(), max_events);
        let network = driver.network();
        let nodes = network.peers().into_iter().filter(|peer| peer.role == Role::Node);
        driver.input(Input::Present(nodes.map(|peer| peer.id).collect()));
        let subscription = driver.network().subscribe(&topic, driver.clone())?;
        let told = Arc::downgrade(&leases);
        let seen = driver.watchers.add(Arc::new(move |_, view| {
            if let Some(leases) = told.upgrade() {
                leases.members(view);
            }
        }));
        leases.members(&driver.view());
        let quorum = driver.network().subscribe(&Topic::new(lease::TOPIC)?, leases.clone())?;
        let task = control.handle().spawn(driver.clone().run()).abort_handle();
        let leasing = control.handle().spawn(leases.clone().run()).abort_handle();
        let sources = AtomicU64::new(0);
        let _subscriptions = [subscription, quorum];
        Ok(Self(Arc::new(Inner {
            driver,
            control,
            task,
            sources,
            leases,
            leasing,
            _seen: seen,
            _subscriptions,
        })))
    }

    /// Who this node is.
    #[must_use]
    pub fn local(&self) -> &NodeId {
        self.network().local()
    }

    /// What carries the frames.
    #[must_use]
    pub fn network(&self) -> &Arc<dyn Network> {
        self.0.driver.network()
    }

    /// The thread of the control plane.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.0.control
    }

    /// The members as seen now: a snapshot, read without a lock.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.driver.view()
    }

    /// Calls `watcher` for each event from now on, in order, on the control thread, without a lock, after its view was
    /// published. It must be short and never block. Read [`Cluster::view`] after this call for what was before.
    ///
    /// A watcher that panics is logged and called again. If watchers fall `max_events` behind, the oldest events are
    /// dropped and logged; the view stays right.
    pub fn watch(&self, watcher: impl Fn(&MemberEvent, &Arc<View>) + Send + Sync + 'static) -> Watch {
        self.0.driver.watchers.add(Arc::new(watcher))
    }

    /// Where this node stands under the quorum of `ClusterConfig::quorum`: whether it holds its lease, and whom it has
    /// given up.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.0.leases.standing()
    }

    /// Whether this node's lease runs at this very moment: asked before an effect on the outside. Always false before
    /// all expected nodes have agreed, and on a node on which nothing rests on the lease.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.0.leases.may_act()
    }

    /// From now on something on this node rests on its lease: it asks for one, and calls `changed` after each change of
    /// [`Cluster::standing`], from any thread, without a lock. `changed` must be short; read the standing in it, since
    /// calls may overtake each other.
    pub fn rest_on_lease(&self, changed: impl Fn() + Send + Sync + 'static) -> LeaseTenant {
        self.0.leases.rest(changed)
    }

    /// Changes what this node tells of itself, and tells all members at once.
    ///
    /// `change` runs under the machine's lock: it must not call the cluster. A meta over `max_meta` bytes is logged as
    /// an error and nothing is changed; [`Cluster::try_update_meta`] returns that error.
    pub fn update_meta(&self, change: impl FnOnce(&mut Meta)) {
        if let Err(error) = self.try_update_meta(change) {
            tracing::error!(node = %self.local(), %error, "the meta was not updated");
        }
    }

    /// As [`Cluster::update_meta`]; true when it changed something.
    ///
    /// # Errors
    /// [`MetaTooBig`]: nothing was changed.
    pub fn try_update_meta(&self, change: impl FnOnce(&mut Meta)) -> Result<bool, MetaTooBig> {
        self.0.driver.with(|machine, now| {
            let mut meta = machine.meta().clone();
            change(&mut meta);
            machine.set_meta(now, meta)
        })
    }

    /// Dials what `strategy` finds, until the returned guard is dropped. Several run at once; seeds are one of them.
    pub fn discover(&self, strategy: impl Discovery) -> Discovering {
        let number = self.0.sources.fetch_add(1, Ordering::Relaxed);
        let source = format!("{} {number}", strategy.name());
        Discovering::start(self.control(), strategy, Found::new(&self.0.driver, source))
    }

    /// Waits until this node is Up.
    ///
    /// # Errors
    /// [`Stopped`] when it will never be: its name is taken, a later start has its place, or it has left.
    pub async fn ready(&self) -> Result<(), Stopped> {
        self.wait_for(|view| match (&view.stopped, view.get(&view.local).map(|member| member.status)) {
            (Some(stopped), _) => Some(Err(stopped.clone())),
            (None, Some(MemberStatus::Up | MemberStatus::Leaving)) => Some(Ok(())),
            _ => None,
        })
        .await
    }

    /// Waits until this node is no member any more, and says why.
    pub async fn stopped(&self) -> Stopped {
        self.wait_for(|view| view.stopped.clone()).await
    }

    /// Tells all members that this node will leave: they place nothing here any more. Returns at once.
    pub fn announce_leaving(&self) {
        self.0.driver.input(Input::Leaving);
    }

    /// Forgets a member that is Down and will not come back: it goes from the view here at once and on the other members as
    /// they hear of it, at the latest when they connect again; nobody dials it or waits for it any longer. Should that life
    /// return after all, it is turned away and stops; a new start of the name joins like any newcomer. False when it was
    /// forgotten before. Say it on one side of a partition only: both sides that forgot each other stop when they meet.
    ///
    /// # Errors
    /// [`ForgetError`]; nothing was changed.
    pub fn forget(&self, node: &NodeId) -> Result<bool, ForgetError> {
        self.0.driver.with(|machine, now| machine.forget(now, node))
    }

    /// Leaves: Leaving if not yet announced, then Left, then waits until every connected member has noted it, at most
    /// `deadline`. Afterwards this membership is over; members that noted nothing find this node Down.
    pub async fn leave(&self, deadline: Duration) {
        self.0.driver.with(|machine, now| machine.handle(now, Input::Leave { by: now + deadline }));
        self.stopped().await;
    }

    /// Waits until `found` finds in the members what it looks for. It is asked at each change of the view, and at once.
    pub async fn wait_for<T>(&self, found: impl Fn(&View) -> Option<T>) -> T {
        let mut versions = self.0.driver.versions();
        loop {
            versions.borrow_and_update();
            if let Some(found) = found(&self.view()) {
                return found;
            }
            if versions.changed().await.is_err() {
                // The driver that publishes is held by `self`: this does not come.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
        self.leasing.abort();
    }
}
