//! Names and restarts over real QUIC, several nodes in one program.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use horde_cluster::{Cluster, ClusterConfig, Control, MemberEvent, MemberStatus, Stopped, View, Watch};
use horde_transport::{BindError, ClusterKey, Identity, Network, NodeId, NodeName, Quic, QuicConfig};
use tokio::runtime::Runtime;

const DEADLINE: Duration = Duration::from_secs(30);

fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

fn identity() -> Identity {
    static KEY: OnceLock<ClusterKey> = OnceLock::new();
    let key =
        KEY.get_or_init(|| ClusterKey::from_secret("tests", "a secret of the tests, long enough").unwrap());
    Identity::secret(key)
}

/// One node: the threads of its network and of its membership, and what it was told.
struct Node {
    cluster: Cluster,
    quic: Arc<Quic>,
    runtime: Runtime,
    events: mpsc::Receiver<MemberEvent>,
    _watch: Watch,
}

/// What a test varies.
#[derive(Clone)]
struct Start {
    id: NodeId,
    listen: SocketAddr,
    seeds: Vec<SocketAddr>,
    expect: Option<usize>,
    tether: bool,
}

impl Start {
    fn new(id: NodeId) -> Self {
        Self { id, listen: ([127, 0, 0, 1], 0).into(), seeds: Vec::new(), expect: Some(3), tether: true }
    }

    /// Binds, if need be once the former life's socket is closed.
    fn bind(&self) -> Arc<Quic> {
        let end = Instant::now() + DEADLINE;
        loop {
            let mut config = QuicConfig::new(self.id.name().clone(), self.listen, identity());
            (config.incarnation, config.tether) = (self.id.incarnation(), self.tether);
            match Quic::bind(config) {
                Err(BindError::InUse(_)) if Instant::now() < end => std::thread::yield_now(),
                bound => return bound.unwrap(),
            }
        }
    }

    fn start(&self) -> Node {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let quic = runtime.block_on(async { self.bind() });
        let config =
            ClusterConfig { expect: self.expect, seeds: self.seeds.clone(), ..ClusterConfig::default() };
        let cluster =
            Cluster::start(config, quic.clone(), Control::start(self.id.to_string()).unwrap()).unwrap();
        let (sender, events) = mpsc::channel();
        let watch = cluster.watch(move |event, _| {
            let _test_over = sender.send(event.clone());
        });
        Node { cluster, quic, runtime, events, _watch: watch }
    }
}

impl Node {
    fn id(&self) -> &NodeId {
        self.cluster.local()
    }

    fn address(&self) -> SocketAddr {
        self.quic.local_addr()
    }

    fn ready(&self) -> Result<(), Stopped> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ready = async { tokio::time::timeout(DEADLINE, self.cluster.ready()).await };
        runtime.block_on(ready).unwrap_or_else(|_| panic!("not ready: {:#?}", self.cluster.view()))
    }

    /// What it hears, up to and with `last`.
    fn hears_until(&self, last: &MemberEvent) -> Vec<MemberEvent> {
        let mut heard = Vec::new();
        while heard.last() != Some(last) {
            let event = self.events.recv_timeout(DEADLINE);
            heard.push(event.unwrap_or_else(|_| panic!("{:?} heard {heard:?} and no {last:?}", self.id())));
        }
        heard
    }

    fn sees(&self, what: &str, wanted: impl Fn(&View) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !wanted(&self.cluster.view()) {
            assert!(Instant::now() < end, "{:?} never saw {what}: {:#?}", self.id(), self.cluster.view());
            let _woken = self.events.recv_timeout(Duration::from_millis(20));
        }
    }

    /// Ends at once and without a word, as by SIGKILL: the kernel closes its sockets. Its address.
    fn kill(self) -> SocketAddr {
        let address = self.address();
        self.runtime.shutdown_background();
        address
    }
}

fn three(tether: bool) -> Vec<Node> {
    let first = Start { tether, ..Start::new(id("one", 1)) }.start();
    let seeds = vec![first.address()];
    let others = ["two", "three"]
        .map(|name| Start { tether, seeds: seeds.clone(), ..Start::new(id(name, 1)) }.start());
    let nodes: Vec<Node> = [first].into_iter().chain(others).collect();
    let up = |view: &View| view.members.values().filter(|m| m.status == MemberStatus::Up).count() == 3;
    for node in &nodes {
        node.sees("three that are Up, and their connections", |view| {
            up(view) && node.quic.peers().len() == 2
        });
    }
    if tether {
        for node in &nodes {
            node.sees("tethers", |_| node.quic.stats().iter().all(|stats| stats.tethered));
        }
    }
    nodes
}

#[test]
fn a_duplicate_of_a_live_nodes_name_is_told_so_and_disturbs_nobody() {
    let nodes = three(true);
    let holder = &nodes[1];
    let meta = MemberEvent::Meta(holder.id().clone());
    // What is seen may not have been told yet: it was, once this is.
    holder.cluster.update_meta(|meta| meta.weight = 3);
    for node in &nodes {
        node.hears_until(&meta);
    }
    let taken = Stopped::NameTaken { holder: holder.id().clone(), address: Some(holder.address()) };
    // It knows the first node, or the holder alone, or all; it founds a cluster of its own if it must.
    let addresses: Vec<SocketAddr> = nodes.iter().map(Node::address).collect();
    let known = [vec![addresses[0]], vec![addresses[1]], vec![addresses[2]], addresses];
    for (life, (seeds, expect)) in
        (2..).zip(known.into_iter().flat_map(|seeds| [(seeds.clone(), None), (seeds, Some(3))]))
    {
        let double = Start { seeds, expect, ..Start::new(id("two", life)) }.start();
        assert_eq!(double.ready(), Err(taken.clone()));
        let text = double.ready().unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("name `two` is taken by a live node at {}", holder.address())),
            "{text}"
        );
    }
    // Whatever was told of the holder was told before this.
    holder.cluster.update_meta(|meta| meta.weight = 7);
    for node in &nodes {
        assert_eq!(node.hears_until(&meta), std::slice::from_ref(&meta));
    }
}

#[test]
fn a_node_that_is_killed_and_started_again_at_once_is_taken_in_quickly() {
    for (tether, same_port) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut nodes = three(tether);
        let old = nodes.pop().unwrap();
        let (former, seeds) = (old.id().clone(), vec![nodes[0].address()]);
        let address = old.kill();
        let listen = if same_port { address } else { ([127, 0, 0, 1], 0).into() };
        let start = Instant::now();
        let again = Start { listen, seeds, tether, ..Start::new(id("three", 2)) }.start();
        assert_eq!(again.ready(), Ok(()));
        println!("tether {tether}, same port {same_port}: Up again after {:?}", start.elapsed());
        for node in &nodes {
            node.sees("the new life", |view| view.status(again.id()) == Some(MemberStatus::Up));
            assert!(node.cluster.view().is_down(&former));
            node.sees("one connection to it", |_| node.quic.peers().len() == 2);
        }
        assert_eq!(again.cluster.view().alive().count(), 3);
    }
}
