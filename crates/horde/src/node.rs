//! One member of a cluster.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use horde_cluster::{Cluster, ClusterConfig, Control, LagWatch, MemberEvent, Stopped, View, Watch};
use horde_process::Process;
#[cfg(feature = "quic")]
use horde_transport::{ClusterKey, Identity, Quic, QuicConfig};
use horde_transport::{MemoryNode, NodeId, NodeName, Subscription};

use crate::admin::{Drained, Ending};
use crate::{Network, NodeError, admin};

/// One member of a cluster. Cheap to clone; nothing is global, so many nodes live in one test.
///
/// It derefs to the node of its processes ([`horde_process::Node`]), which is what processes see of it.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    processes: horde_process::Node,
    cluster: Cluster,
    #[cfg(feature = "quic")]
    quic: Option<Arc<Quic>>,
    /// Hangs up on members that are down.
    _hangs_up: Watch,
    /// Tells the members when user code does not run.
    _lag: LagWatch,
    /// The network in memory lives as long as a node on it.
    _memory: Option<Network>,
    /// When it started: by a clock that nobody sets, and in Unix milliseconds.
    started: (Instant, u64),
    ending: Ending,
    /// Answers clients and operators.
    admin: OnceLock<Subscription>,
}

/// A node that may be gone.
#[derive(Debug, Clone)]
pub(crate) struct WeakNode(Weak<Inner>);

impl WeakNode {
    pub(crate) fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

/// How long a node that has moved its children stays to say so.
const SPREAD: Duration = Duration::from_millis(50);

impl Node {
    /// A node of this name. Names are unique in a cluster: a second living node of a name is refused.
    pub fn builder(name: impl AsRef<str>) -> NodeBuilder {
        NodeBuilder::new(name.as_ref())
    }

    /// The membership, as this node sees it.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// The members as seen now, read without a lock.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.cluster.view()
    }

    /// Waits until this node is a member.
    ///
    /// # Errors
    /// [`Stopped`] when it will never be: its name is taken, a later start has its place, or it has left.
    pub async fn ready(&self) -> Result<(), Stopped> {
        self.0.cluster.ready().await
    }

    /// Where it listens, with the port that was bound; none in memory.
    #[cfg(feature = "quic")]
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.quic.as_ref().map(|quic| quic.local_addr())
    }

    /// The QUIC mesh, for its figures and what it has to say about peers; none in memory.
    #[cfg(feature = "quic")]
    #[must_use]
    pub fn quic(&self) -> Option<&Arc<Quic>> {
        self.0.quic.as_ref()
    }

    /// Moves the children away with their state, says goodbye, and ends. Takes up to 10 s.
    pub async fn stop(self) {
        self.stop_within(Duration::from_secs(10)).await;
    }

    /// [`Node::stop`] with a deadline of your own. Returns how many children were not moved, in time or because nobody
    /// could run them: others start them anew, without their state, once this node has left.
    pub async fn stop_within(self, deadline: Duration) -> usize {
        self.end(deadline, |_| ()).await
    }

    /// Stops the node, once: who asks again waits for the first. `told` hears of it when the node has left the cluster,
    /// while its connections still stand.
    pub(crate) async fn end(&self, deadline: Duration, told: impl FnOnce(Drained)) -> usize {
        let mut done = self.0.ending.done.lock().await;
        if let Some(unmoved) = *done {
            return unmoved;
        }
        let begun = tokio::time::Instant::now();
        let left = || (begun + deadline).saturating_duration_since(tokio::time::Instant::now());
        let Inner { processes, cluster, .. } = &*self.0;
        cluster.announce_leaving();
        let before = admin::own_children(processes).len();
        let mut unmoved = 0;
        for supervisor in horde_supervisor::hosted(processes) {
            unmoved += supervisor.drain(left().mul_f32(0.8)).await;
        }
        let remaining = admin::left_behind(processes, &cluster.view(), left().mul_f32(0.1)).await;
        let unmoved = unmoved.max(remaining.len());
        if unmoved > 0 {
            tracing::warn!(node = %processes.id(), unmoved, "children were not moved");
        }
        for registry in horde_registry::registries(processes) {
            registry.names_moved(left().mul_f32(0.1)).await;
        }
        if before > 0 {
            // The others hear of the new copies when this node does, or a moment later: until then it still answers that they moved.
            tokio::time::sleep(left().mul_f32(0.1).min(SPREAD)).await;
        }
        // Only once nothing runs here any more do the others start it anew.
        processes.close(left().mul_f32(0.8)).await;
        cluster.leave(left()).await;
        told(Drained {
            node: processes.id().clone(),
            moved: before.saturating_sub(remaining.len()) as u64,
            unmoved: remaining.len() as u64,
            unmoved_ids: remaining.into_iter().take(admin::MAX_UNMOVED).collect(),
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        #[cfg(feature = "quic")]
        if let Some(quic) = &self.0.quic {
            quic.close(left().max(Duration::from_millis(100))).await;
        }
        *done = Some(unmoved);
        self.0.ending.ended.send_replace(Some(unmoved));
        unmoved
    }

    /// Waits until this node has stopped, whoever asked for it: [`Node::stop`], or an operator's drain. Returns how many
    /// children could not be moved in time. A node that was put out of its cluster has not stopped:
    /// see [`Cluster::stopped`].
    pub async fn ended(&self) -> usize {
        let mut ended = self.0.ending.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(unmoved) => unmoved.unwrap_or(0),
            // The sender lives in `self`: this does not come.
            Err(_) => std::future::pending().await,
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.0.ending.done.try_lock().map_or(true, |done| done.is_some())
    }

    pub(crate) fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.0))
    }

    /// When it started, in Unix milliseconds, and how long ago that is.
    pub(crate) fn since(&self) -> (u64, Duration) {
        (self.0.started.1, self.0.started.0.elapsed())
    }

    /// The cluster's name; none in memory.
    pub(crate) fn cluster_name(&self) -> Option<String> {
        #[cfg(feature = "quic")]
        return self.0.quic.as_ref().map(|quic| quic.cluster().to_string());
        #[cfg(not(feature = "quic"))]
        None
    }

    /// Runs until SIGTERM or Ctrl-C, then stops within `deadline`; a second signal ends it at once. Also returns when the
    /// node was drained by an operator (`horde drain`). Returns how many children could not be moved in time.
    ///
    /// # Errors
    /// When the signals cannot be listened for; the node runs on.
    pub async fn run_until_signal(self, deadline: Duration) -> std::io::Result<usize> {
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            unmoved = self.ended() => return Ok(unmoved),
        }
        tracing::info!(node = %self.id(), "stopping; a second signal ends it at once");
        tokio::select! {
            unmoved = self.stop_within(deadline) => Ok(unmoved),
            _ = interrupt.recv() => Ok(0),
            _ = terminate.recv() => Ok(0),
        }
    }
}

impl Deref for Node {
    type Target = horde_process::Node;

    fn deref(&self) -> &Self::Target {
        &self.0.processes
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", self.processes.id()).finish_non_exhaustive()
    }
}

type Registration = Box<dyn FnOnce(horde_process::NodeBuilder) -> horde_process::NodeBuilder + Send>;

/// Settings of a node that does not run yet.
#[must_use = "a builder starts nothing until `start` is called"]
pub struct NodeBuilder {
    name: String,
    kinds: Vec<Registration>,
    cluster: ClusterConfig,
    memory: Option<Network>,
    #[cfg(feature = "quic")]
    listen: Option<SocketAddr>,
    #[cfg(feature = "quic")]
    identity: Option<Result<Identity, NodeError>>,
}

impl NodeBuilder {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kinds: Vec::new(),
            cluster: ClusterConfig::default(),
            memory: None,
            #[cfg(feature = "quic")]
            listen: None,
            #[cfg(feature = "quic")]
            identity: None,
        }
    }

    /// This node can run `P`: its kind, the versions it reads, and its dependencies. Two with one kind fail in `start`.
    pub fn runs<P: Process>(mut self, deps: P::Deps) -> Self {
        self.kinds.push(Box::new(move |builder| builder.runs::<P>(deps)));
        self
    }

    /// Joins the nodes of a network in memory.
    pub fn network(mut self, network: &Network) -> Self {
        self.memory = Some(network.clone());
        self
    }

    /// Listens here for other nodes, by QUIC with mutual TLS. Port 0 takes a free one.
    #[cfg(feature = "quic")]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Belongs to `cluster` by a secret that all its nodes share (of at least 32 characters; see [`crate::generate_secret`]).
    /// Takes some tens of milliseconds.
    #[cfg(feature = "quic")]
    pub fn secret(mut self, cluster: &str, secret: &str) -> Self {
        self.identity = Some(
            ClusterKey::from_secret(cluster, secret).map(|key| Identity::secret(&key)).map_err(Into::into),
        );
        self
    }

    /// Proves who it is by certificates, or by a [`ClusterKey`] that several nodes of one OS process share.
    #[cfg(feature = "quic")]
    pub fn tls(mut self, identity: Identity) -> Self {
        self.identity = Some(Ok(identity));
        self
    }

    /// Looks for other nodes at these addresses. One that answers is enough: nodes tell each other of the rest.
    pub fn join(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.cluster.seeds.extend(addresses);
        self
    }

    /// A cluster that starts from nothing has this many nodes: until they know each other, none of them is ready.
    pub fn expect(mut self, nodes: usize) -> Self {
        self.cluster.expect = Some(nodes);
        self
    }

    /// The nodes that a quorum policy counts, by name and this one included, the same on all of them: a majority of them
    /// decides where children of a supervisor with [`crate::Quorum::Majority`] run. Until all of them have found each
    /// other, such children run nowhere. Nodes that join later follow without a vote, and need not name them.
    ///
    /// # Panics
    /// When a name is empty or longer than a node's name may be.
    pub fn quorum<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let name = |name: T| NodeName::new(name).expect("the names of expected nodes are node names");
        self.cluster.quorum = names.into_iter().map(name).collect();
        self.cluster.expect = Some(self.cluster.quorum.len());
        self
    }

    /// All settings of the membership at once. Replaces what [`Self::join`], [`Self::expect`] and
    /// [`Self::quorum`] set before.
    pub fn membership(mut self, config: ClusterConfig) -> Self {
        self.cluster = config;
        self
    }

    /// The zone it is in: replicas of one thing go to different zones first.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.cluster.meta.zone = Some(zone.into());
        self
    }

    /// Its share of the children, relative to the others. Default 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.cluster.meta.weight = weight;
        self
    }

    /// A label that others see.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cluster.meta.labels.insert(name.into(), value.into());
        self
    }

    /// Starts the node: it listens, looks for the others, joins them, and hosts the names and children that they announce.
    /// Returns once it is a member; with [`Self::expect`], where that may take until others have started, as soon as it
    /// listens: see [`Node::ready`]. The current tokio runtime runs its processes; the control plane has a thread of its own.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start(self) -> Result<Node, NodeError> {
        let (name, started) = (NodeName::new(&self.name)?, (Instant::now(), unix_ms()));
        let control = Control::start(format!("horde-{name}"))?;
        let mut config = self.cluster;
        #[cfg(feature = "quic")]
        let (network, quic): (Arc<dyn horde_transport::Network>, _) = match (&self.memory, self.listen) {
            (Some(memory), _) => (attach(memory, name, &control), None),
            (None, Some(address)) => {
                let identity = self.identity.ok_or(NodeError::NoIdentity)??;
                let _control = control.handle().enter();
                let quic = Quic::bind(QuicConfig::new(name, address, identity))?;
                config.address = Some(quic.local_addr());
                (quic.clone(), Some(quic))
            }
            (None, None) => return Err(NodeError::NoNetwork),
        };
        #[cfg(not(feature = "quic"))]
        let network: Arc<dyn horde_transport::Network> = match &self.memory {
            Some(memory) => attach(memory, name, &control),
            None => return Err(NodeError::NoNetwork),
        };
        let builder = horde_process::Node::builder(network.local().clone()).network(network.clone());
        let processes = self.kinds.into_iter().fold(builder, |builder, add| add(builder)).start()?;
        config.seed = network.local().incarnation();
        config.meta.version = env!("CARGO_PKG_VERSION").to_owned();
        config.meta.kinds = processes
            .kinds()
            .map(|(kind, reads)| (kind.to_owned(), (*reads.start(), *reads.end())))
            .collect();
        let wait = config.expect.is_none();
        let cluster = Cluster::start(config, network.clone(), control)?;
        // Whoever waits for an answer of a member that is down waits in vain. Should it live after all, it connects again;
        // in memory nobody dials, and a node that is killed there is hung up on by the network.
        let dials = self.memory.is_none();
        let hangs_up = cluster.watch(move |event, _| match event {
            MemberEvent::Down(node) if dials => network.disconnect(node, "it was declared down"),
            _ => {}
        });
        let lag = LagWatch::start(&cluster, processes.runtime());
        processes.insert(cluster.clone());
        horde_registry::host(&processes).map_err(|error| NodeError::Hosting(error.to_string()))?;
        horde_supervisor::host(&processes).map_err(|error| NodeError::Hosting(error.to_string()))?;
        let node = Node(Arc::new(Inner {
            processes,
            cluster,
            #[cfg(feature = "quic")]
            quic,
            _hangs_up: hangs_up,
            _lag: lag,
            _memory: self.memory,
            started,
            ending: Ending::default(),
            admin: OnceLock::new(),
        }));
        let answers = admin::serve(&node).map_err(|error| NodeError::Hosting(error.to_string()))?;
        drop(node.0.admin.set(answers));
        if wait {
            node.ready().await?;
        }
        Ok(node)
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("name", &self.name)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// Joins a network in memory, from the control plane's thread: heartbeats do not wait for user code there either.
fn attach(memory: &Network, name: NodeName, control: &Control) -> Arc<MemoryNode> {
    let _control = control.handle().enter();
    memory.memory().attach(NodeId::new(name, unix_ms()))
}

/// The incarnation of a start.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
