//! Discovery strategies over a network that writes down what is dialled.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use horde_cluster::{Cluster, ClusterConfig, Control, HostsFile, StaticList};
use horde_transport::{
    Lane, MemoryNetwork, MemoryNode, Network, NodeId, NodeName, OnReply, Peer, SendError, Subscriber,
    Subscription, Topic, TopicTaken,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// The in-memory network, with a record of what is dialled now.
#[derive(Debug)]
struct Dials {
    inner: Arc<MemoryNode>,
    now: Mutex<BTreeSet<SocketAddr>>,
    changed: mpsc::Sender<BTreeSet<SocketAddr>>,
}

impl Dials {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<SocketAddr>)) {
        let mut now = self.now.lock().unwrap();
        change(&mut now);
        let _test_over = self.changed.send(now.clone());
    }
}

impl Network for Dials {
    fn local(&self) -> &NodeId {
        self.inner.local()
    }

    fn peers(&self) -> Vec<Peer> {
        self.inner.peers()
    }

    fn send(&self, to: &NodeId, topic: &Topic, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        self.inner.send(to, topic, lane, frame)
    }

    fn request(&self, to: &NodeId, topic: &Topic, frame: Bytes, timeout: Duration, on_reply: OnReply) {
        self.inner.request(to, topic, frame, timeout, on_reply);
    }

    fn subscribe(&self, topic: &Topic, subscriber: Arc<dyn Subscriber>) -> Result<Subscription, TopicTaken> {
        self.inner.subscribe(topic, subscriber)
    }

    fn dial(&self, address: SocketAddr) {
        self.change(|now| {
            now.insert(address);
        });
    }

    fn undial(&self, address: SocketAddr) {
        self.change(|now| {
            now.remove(&address);
        });
    }

    fn disconnect(&self, peer: &NodeId, why: &str) {
        self.inner.disconnect(peer, why);
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

struct Node {
    cluster: Cluster,
    dials: mpsc::Receiver<BTreeSet<SocketAddr>>,
}

impl Node {
    fn start(seeds: Vec<SocketAddr>) -> Self {
        let control = Control::start("discovery").unwrap();
        let inner = {
            let _runtime = control.handle().enter();
            MemoryNetwork::new().attach(NodeId::new(NodeName::new("one").unwrap(), 1))
        };
        let (changed, dials) = mpsc::channel();
        let network = Arc::new(Dials { inner, now: Mutex::default(), changed });
        let config = ClusterConfig { seeds, address: Some(at(1)), ..ClusterConfig::default() };
        Self { cluster: Cluster::start(config, network, control).unwrap(), dials }
    }

    /// Waits until exactly these are dialled.
    fn dials(&self, wanted: &[u16]) {
        let wanted: BTreeSet<SocketAddr> = wanted.iter().map(|port| at(*port)).collect();
        while self.dials.recv_timeout(DEADLINE).expect("the addresses are dialled in time") != wanted {}
    }
}

/// A file of this test alone, gone with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("horde-{}-{name}", std::process::id()));
        let file = Self(path);
        file.write(text);
        file
    }

    /// Replaces the content at once, as a good editor does.
    fn write(&self, text: &str) {
        let next = self.0.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &self.0).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

#[test]
fn seeds_are_dialled_and_the_own_address_is_not() {
    let node = Node::start(vec![at(1), at(2), at(3)]);
    node.dials(&[2, 3]);
}

#[test]
fn what_one_strategy_alone_found_is_dialled_until_it_ends() {
    let node = Node::start(vec![at(2)]);
    node.dials(&[2]);
    let list = node.cluster.discover(StaticList::new([at(2), at(3)]));
    node.dials(&[2, 3]);
    drop(list);
    node.dials(&[2]);
}

#[test]
fn a_hosts_file_is_read_again_and_a_bad_one_keeps_the_last_good_set() {
    let file = File::new("hosts", "127.0.0.1:2\n127.0.0.1:3 # three\n");
    let node = Node::start(Vec::new());
    let _hosts = node.cluster.discover(HostsFile::new(&file.0).every(Duration::from_millis(10)));
    node.dials(&[2, 3]);
    file.write("this is no address\n");
    file.write("127.0.0.1:3\n127.0.0.1:4\n");
    node.dials(&[3, 4]);
}
