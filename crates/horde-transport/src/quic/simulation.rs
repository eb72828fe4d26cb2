//! Real quinn over sockets in memory, under tokio's paused clock: a seed replays exactly.

mod conformance;
mod network;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use self::network::{Packet, SimNetwork};
use super::{Quic, QuicConfig};
use crate::dispatch::lock;
use crate::{ClusterKey, DownReason, Event, Identity, Lane, Network, NodeId, NodeName, Subscription, Topic};

const NODES: u16 = 4;

/// One event that a subscriber heard, and whose.
type Heard = Arc<Mutex<Vec<(Duration, NodeId, String)>>>;

struct Node {
    quic: Arc<Quic>,
    heard: Heard,
    _subscription: Subscription,
}

fn config(number: u16) -> QuicConfig {
    static KEY: OnceLock<ClusterKey> = OnceLock::new();
    let key = KEY
        .get_or_init(|| ClusterKey::from_secret("simulation", "a secret of the simulation's nodes").unwrap());
    let name = NodeName::new(format!("node-{number}")).unwrap();
    let mut config = QuicConfig::new(name, network::address(number), Identity::secret(key));
    config.incarnation = 1;
    config
}

fn start(network: &SimNetwork, number: u16, seed: u64) -> Node {
    let socket = network.socket(number);
    let quic = Quic::simulated(config(number), socket, seed.wrapping_mul(1000) + u64::from(number));
    let heard = Heard::default();
    let (log, start) = (heard.clone(), Instant::now());
    let subscriber = move |event| {
        let entry = match event {
            Event::Up(peer) => (peer.id, "up".to_owned()),
            Event::Down { peer, reason } => (peer, format!("down {reason:?}")),
            Event::Frame { from, frame, .. } => {
                (from, format!("{}", u32::from_le_bytes(frame[..].try_into().unwrap())))
            }
            _ => return,
        };
        lock(&log).push((start.elapsed(), entry.0, entry.1));
    };
    let subscription = quic.subscribe(&Topic::new("count").unwrap(), Arc::new(subscriber)).unwrap();
    Node { quic, heard, _subscription: subscription }
}

/// Sends numbers to everybody, for ever.
async fn count(quic: Arc<Quic>) {
    let topic = Topic::new("count").unwrap();
    for number in 0u32.. {
        for peer in quic.peers() {
            let _not_connected =
                quic.send(&peer.id, &topic, Lane::Control, Bytes::copy_from_slice(&number.to_le_bytes()));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn meshed(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| node.quic.peers().len() == nodes.len() - 1)
}

async fn until_meshed(nodes: &[Node], what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !meshed(nodes) {
        assert!(
            Instant::now() < deadline,
            "{what}: {:?}",
            nodes.iter().map(|n| n.quic.dial_status()).collect::<Vec<_>>()
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// What every subscriber relies on: `Up` and `Down` alternate, frames come between them, in order.
fn check(heard: &Heard, local: &NodeId) {
    let mut up: BTreeMap<NodeId, Option<u32>> = BTreeMap::new();
    for (when, peer, what) in lock(heard).iter() {
        match what.as_str() {
            "up" => {
                assert!(up.insert(peer.clone(), None).is_none(), "{local}: {peer} is up twice at {when:?}")
            }
            what if what.starts_with("down") => {
                assert!(up.remove(peer).is_some(), "{local}: {peer} is down twice at {when:?}");
            }
            number => {
                let number = Some(number.parse::<u32>().unwrap());
                let last =
                    up.get_mut(peer).unwrap_or_else(|| panic!("{local}: a frame of {peer} while it is down"));
                assert!(*last < number, "{local}: {peer} sent {number:?} after {last:?}");
                *last = number;
            }
        }
    }
}

/// Four nodes dial each other at once over a lossy network, are cut in two, heal, and one says goodbye.
async fn story(seed: u64, loss: u64) -> Vec<Packet> {
    let network = SimNetwork::new(seed, loss);
    let mut nodes: Vec<Node> = (0..NODES).map(|number| start(&network, number, seed)).collect();
    let counting: Vec<_> = nodes.iter().map(|node| tokio::spawn(count(node.quic.clone()))).collect();
    for node in &nodes {
        for other in (0..NODES).filter(|other| network::address(*other) != node.quic.local_addr()) {
            node.quic.dial(network::address(other));
        }
    }
    until_meshed(&nodes, "all meet").await;
    sleep(Duration::from_secs(2)).await;

    network.cut(true);
    sleep(Duration::from_secs(8)).await;
    for node in &nodes {
        assert_eq!(node.quic.peers().len(), 1, "each side sees its own half");
    }
    network.cut(false);
    until_meshed(&nodes, "the halves meet again").await;
    sleep(Duration::from_secs(1)).await;

    counting.iter().for_each(tokio::task::JoinHandle::abort);
    let leaving = nodes.remove(usize::try_from(seed % u64::from(NODES)).unwrap());
    leaving.quic.close(Duration::from_secs(10)).await;
    check(&leaving.heard, leaving.quic.local());
    sleep(Duration::from_secs(1)).await;
    for node in &nodes {
        check(&node.heard, node.quic.local());
        let last = lock(&node.heard).iter().rfind(|(_, peer, _)| peer == leaving.quic.local()).cloned();
        let told = last.map(|(_, _, what)| what).unwrap_or_default();
        // A connection that was on its way up when the node began to leave is turned away instead.
        let expected =
            told == format!("down {:?}", DownReason::Goodbye) || told.contains("this node is leaving");
        assert!(expected, "{} hears the goodbye, not {told}", node.quic.local());
    }
    network.trace()
}

fn run(seed: u64, loss: u64) -> Vec<Packet> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(story(seed, loss))
}

#[test]
fn a_hundred_seeds_of_loss_cut_and_goodbye() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (first, seeds) = (number("HORDE_FIRST_SEED", 1), number("HORDE_SEEDS", 100));
    let half = |offset: u64| {
        for seed in (first..first + seeds).filter(|seed| seed % 2 == offset) {
            let told = std::panic::catch_unwind(|| run(seed, seed % 10));
            assert!(told.is_ok(), "seed {seed} fails: see above");
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| half(0));
        half(1);
    });
}

/// How long four nodes take to be whole again after an outage of eight seconds.
async fn outage(seed: u64) -> Duration {
    let network = SimNetwork::new(seed, 0);
    let nodes: Vec<Node> = (0..NODES).map(|number| start(&network, number, seed)).collect();
    for node in &nodes {
        for other in (0..NODES).filter(|other| network::address(*other) != node.quic.local_addr()) {
            node.quic.dial(network::address(other));
        }
    }
    until_meshed(&nodes, "all meet").await;
    network.cut(true);
    sleep(Duration::from_secs(8)).await;
    assert!(!meshed(&nodes));
    network.cut(false);
    let healed = Instant::now();
    until_meshed(&nodes, "the halves meet again").await;
    healed.elapsed()
}

#[test]
fn lost_peers_are_dialled_again_and_again_without_long_pauses() {
    let times = (1..=20).map(|seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(outage(seed))
    });
    let longest = times.max().unwrap();
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_doubted_and_lives_keeps_its_connection() {
    for (seed, dialler) in [(1, 0), (2, 1)] {
        let network = SimNetwork::new(seed, 0);
        let nodes: Vec<Node> = (0..2).map(|number| start(&network, number, seed)).collect();
        let dialler = &nodes[dialler];
        let address =
            nodes.iter().map(|node| node.quic.local_addr()).find(|at| *at != dialler.quic.local_addr());
        dialler.quic.dial(address.unwrap());
        until_meshed(&nodes, "both meet").await;
        let link = dialler.quic.inner.links.all().remove(0);
        let mut dials = dialler.quic.dial_changes();
        link.doubt(true);
        while link.is_doubted() {
            dials.changed().await.unwrap();
        }
        sleep(Duration::from_secs(10)).await;
        assert!(link.is_live(), "it was dialled anew, and the peer said that this one stands");
        for node in &nodes {
            assert_eq!(lock(&node.heard).len(), 1, "{:?}", lock(&node.heard));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialler_whose_address_changes_keeps_its_connection() {
    for seed in 1..=10 {
        let network = SimNetwork::new(seed, seed % 3);
        let nodes: Vec<Node> = (0..2).map(|number| start(&network, number, seed)).collect();
        nodes[0].quic.dial(network::address(1));
        until_meshed(&nodes, "both meet").await;
        let counting: Vec<_> = nodes.iter().map(|node| tokio::spawn(count(node.quic.clone()))).collect();
        sleep(Duration::from_secs(1)).await;
        let before = lock(&nodes[1].heard).len();
        // As behind a router that forgot it: its datagrams come from elsewhere, and only what is sent there reaches it.
        network.moves(0, 7);
        sleep(Duration::from_secs(10)).await;
        counting.iter().for_each(tokio::task::JoinHandle::abort);
        for node in &nodes {
            check(&node.heard, node.quic.local());
            let downs = lock(&node.heard).iter().filter(|(_, _, what)| what.starts_with("down")).count();
            assert_eq!(downs, 0, "seed {seed}: {:?}", lock(&node.heard).last());
            assert!(lock(&node.heard).len() > before + 150, "seed {seed}: frames go on");
        }
    }
}

#[test]
fn a_seed_replays_to_the_packet() {
    for seed in [3, 5, 8] {
        let (one, two) = (run(seed, 5), run(seed, 5));
        let differ = one.iter().zip(&two).position(|(a, b)| a != b);
        assert!(one == two, "seed {seed} differs at packet {differ:?} of {} and {}", one.len(), two.len());
    }
}
