//! Real drivers over the in-memory network.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use horde_cluster::{
    Cluster, ClusterConfig, Control, HordeMeta, MemberEvent, MemberStatus, Stopped, View, Watch,
};
use horde_transport::{MemoryNetwork, MemoryNode, NodeId, NodeName};

const DEADLINE: Duration = Duration::from_secs(20);

fn id(name: &str, incarnation: u64) -> NodeId {
    NodeId::new(NodeName::new(name).unwrap(), incarnation)
}

/// One node: its control thread, its end of the network, its membership, and what it was told.
struct Node {
    cluster: Cluster,
    end: Arc<MemoryNode>,
    events: mpsc::Receiver<(MemberEvent, Arc<View>, Instant)>,
    _watch: Watch,
}

impl Node {
    fn start(network: &MemoryNetwork, id: NodeId, config: ClusterConfig) -> Self {
        let control = Control::start(id.to_string()).unwrap();
        let end = {
            let _runtime = control.handle().enter();
            network.attach(id)
        };
        let cluster = Cluster::start(config, end.clone(), control).unwrap();
        let (sender, events) = mpsc::channel();
        let watch = cluster.watch(move |event, view| {
            let _test_over = sender.send((event.clone(), view.clone(), Instant::now()));
        });
        Self { cluster, end, events, _watch: watch }
    }

    fn id(&self) -> &NodeId {
        self.cluster.local()
    }

    /// Waits for `event`; when it came.
    fn hears(&self, event: &MemberEvent) -> Instant {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok((came, _, at)) if came == *event => return at,
                Ok(_) => {}
                Err(_) => panic!("{:?} never heard {event:?}; it sees {:#?}", self.id(), self.cluster.view()),
            }
        }
    }

    /// Waits until the view is as wanted.
    fn sees(&self, what: &str, wanted: impl Fn(&View) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !wanted(&self.cluster.view()) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{:?} never saw {what}; it sees {:#?}", self.id(), self.cluster.view());
            let _woken = self.events.recv_timeout(left.min(Duration::from_millis(50)));
        }
    }
}

fn of_three() -> ClusterConfig {
    ClusterConfig { expect: Some(3), ..ClusterConfig::default() }
}

fn three() -> (MemoryNetwork, Vec<Node>) {
    let network = MemoryNetwork::new();
    let nodes: Vec<Node> =
        ["one", "two", "three"].iter().map(|name| Node::start(&network, id(name, 1), of_three())).collect();
    for node in &nodes {
        node.sees("three members that are Up", |view| {
            view.members.len() == 3 && view.members.values().all(|m| m.status == MemberStatus::Up)
        });
    }
    (network, nodes)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await }).expect("in time")
}

#[test]
fn three_nodes_find_each_other_and_are_up() {
    let (_network, nodes) = three();
    for node in &nodes {
        assert_eq!(block_on(node.cluster.ready()), Ok(()));
        assert_eq!(node.cluster.view().alive().count(), 3);
    }
}

#[test]
fn a_killed_node_is_down_on_both_survivors() {
    let (network, nodes) = three();
    let killed = nodes[2].id().clone();
    let start = Instant::now();
    network.kill(&killed);
    for node in &nodes[..2] {
        let at = node.hears(&MemberEvent::Down(killed.clone()));
        println!("{}: Down after {:?}", node.id(), at - start);
        assert!(node.cluster.view().is_down(&killed));
    }
}

#[test]
fn a_false_hint_changes_nothing() {
    let (network, nodes) = three();
    network.hint(nodes[2].id());
    nodes[2].cluster.update_meta(|meta| meta.weight = 7);
    for node in &nodes[..2] {
        let event = loop {
            let (event, _, _) = node.events.recv_timeout(DEADLINE).unwrap();
            if !matches!(event, MemberEvent::Joined(_) | MemberEvent::Up(_)) {
                break event;
            }
        };
        assert_eq!(event, MemberEvent::Meta(nodes[2].id().clone()));
    }
}

#[test]
fn a_node_that_leaves_has_left_everywhere_and_knows_it() {
    let (_network, nodes) = three();
    let leaver = nodes[0].id().clone();
    block_on(nodes[0].cluster.leave(DEADLINE));
    assert_eq!(nodes[0].cluster.view().stopped, Some(Stopped::Left));
    assert_eq!(block_on(nodes[0].cluster.ready()), Err(Stopped::Left));
    for node in &nodes[1..] {
        assert_eq!(
            node.cluster.view().status(&leaver),
            Some(MemberStatus::Left),
            "noted before leave returned"
        );
        node.hears(&MemberEvent::Leaving(leaver.clone()));
        node.hears(&MemberEvent::Left(leaver.clone()));
    }
}

#[test]
fn a_change_of_meta_is_seen_everywhere() {
    let (_network, nodes) = three();
    let config = vec![1, 2, 3];
    nodes[1].cluster.update_meta(|meta| {
        meta.zone = Some("b".into());
        meta.hordes.insert("registry/names".into(), HordeMeta { ready: true, config: config.clone() });
    });
    for node in &nodes {
        node.sees("the horde", |view| view.hosting("registry/names").count() == 1);
        let view = node.cluster.view();
        let host = view.hosting("registry/names").next().unwrap();
        assert_eq!((&host.id, host.meta.zone.as_deref()), (nodes[1].id(), Some("b")));
        assert_eq!(host.meta.hordes["registry/names"].config, config);
    }
}

#[test]
fn a_meta_over_the_limit_is_refused_and_changes_nothing() {
    let network = MemoryNetwork::new();
    let node =
        Node::start(&network, id("one", 1), ClusterConfig { max_meta: 64, ..ClusterConfig::default() });
    let error = node.cluster.try_update_meta(|meta| meta.version = "x".repeat(100)).unwrap_err();
    assert_eq!(error.limit, 64);
    assert_eq!(node.cluster.view().get(node.id()).unwrap().meta.version, "");
}

#[test]
fn a_cut_makes_both_sides_down_for_each_other_and_the_heal_brings_the_same_life_back() {
    let (network, nodes) = three();
    let far = nodes[2].id().clone();
    network.isolate(&far);
    for node in &nodes[..2] {
        node.hears(&MemberEvent::Down(far.clone()));
    }
    nodes[2].sees("itself alone", |view| view.alive().count() == 1);
    network.rejoin(&far);
    for node in &nodes {
        node.sees("three members that are Up", |view| {
            view.members.len() == 3 && view.members.values().all(|m| m.status == MemberStatus::Up)
        });
    }
    nodes[2].hears(&MemberEvent::Refuted(far));
}

#[test]
fn a_silent_node_is_down_and_back_when_it_speaks_again() {
    let (network, nodes) = three();
    let stopped = nodes[1].id().clone();
    network.silence(&stopped, true);
    let start = Instant::now();
    for node in [&nodes[0], &nodes[2]] {
        let at = node.hears(&MemberEvent::Down(stopped.clone()));
        println!("{}: Down after {:?} of silence", node.id(), at - start);
    }
    network.silence(&stopped, false);
    for node in &nodes {
        node.sees("three members alive", |view| {
            view.members.values().filter(|member| member.status == MemberStatus::Up).count() == 3
        });
    }
}

#[test]
fn one_broken_connection_is_unreachable_never_down() {
    let (network, nodes) = three();
    let (a, b) = (nodes[0].id().clone(), nodes[1].id().clone());
    network.cut(&a, &b);
    nodes[0].sees("the other unreachable", |view| view.status(&b) == Some(MemberStatus::Unreachable));
    nodes[1].sees("the other unreachable", |view| view.status(&a) == Some(MemberStatus::Unreachable));
    assert!(nodes[2].cluster.view().members.values().all(|member| member.status == MemberStatus::Up));
    network.heal(&a, &b);
    nodes[0].sees("the other Up", |view| view.status(&b) == Some(MemberStatus::Up));
    nodes[1].sees("the other Up", |view| view.status(&a) == Some(MemberStatus::Up));
}

#[test]
fn a_restarted_node_takes_the_place_of_its_former_life() {
    let (network, nodes) = three();
    let (old, new) = (nodes[0].id().clone(), id("one", 2));
    network.kill(&old);
    let again = Node::start(&network, new.clone(), of_three());
    assert_eq!(block_on(again.cluster.ready()), Ok(()));
    for node in &nodes[1..] {
        node.sees("the new life Up", |view| view.status(&new) == Some(MemberStatus::Up));
        assert!(node.cluster.view().is_down(&old));
        assert_eq!(node.cluster.view().members.len(), 3);
    }
}

#[test]
fn a_late_joiner_learns_everybody_and_everybodys_meta_before_it_is_ready() {
    let (network, nodes) = three();
    nodes[0].cluster.update_meta(|meta| meta.labels = BTreeMap::from([("disk".into(), "ssd".into())]));
    nodes[1].sees("the label", |view| !view.get(nodes[0].id()).unwrap().meta.labels.is_empty());
    nodes[2].sees("the label", |view| !view.get(nodes[0].id()).unwrap().meta.labels.is_empty());
    let four = Node::start(&network, id("four", 1), of_three());
    assert_eq!(block_on(four.cluster.ready()), Ok(()));
    let view = four.cluster.view();
    assert_eq!(view.alive().count(), 4);
    assert_eq!(view.get(nodes[0].id()).unwrap().meta.labels["disk"], "ssd");
}

#[test]
fn a_lone_node_is_up_by_itself_and_a_dropped_handle_ends_it() {
    let network = MemoryNetwork::new();
    let node = Node::start(&network, id("one", 1), ClusterConfig::default());
    assert_eq!(block_on(node.cluster.ready()), Ok(()));
    let Node { cluster, end, .. } = node;
    drop(cluster);
    let control = Control::start("again").unwrap();
    let again = Cluster::start(ClusterConfig::default(), end, control);
    assert!(again.is_ok(), "the topic is free again: {again:?}");
}

#[test]
fn a_node_whose_network_is_slow_to_tell_of_its_peers_does_not_begin_alone() {
    let network = MemoryNetwork::new();
    let one = Node::start(&network, id("one", 1), ClusterConfig::default());
    assert_eq!(block_on(one.cluster.ready()), Ok(()));
    // Its tasks wait until somebody drives this runtime.
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = {
        let _entered = idle.enter();
        network.attach(id("two", 1))
    };
    let cluster = Cluster::start(ClusterConfig::default(), end, Control::start("two").unwrap()).unwrap();
    let (sender, events) = mpsc::channel();
    let _watch = cluster.watch(move |event, view| {
        let _test_over = sender.send((event.clone(), view.alive().count()));
    });
    assert!(events.recv_timeout(Duration::from_millis(200)).is_err(), "it is Up though it has a peer");
    let ready = async { tokio::time::timeout(DEADLINE, cluster.ready()).await };
    assert_eq!(idle.block_on(ready), Ok(Ok(())));
    assert_eq!(cluster.view().alive().count(), 2);
}

#[test]
fn nodes_started_right_after_each_other_find_themselves_in_one_cluster() {
    for _ in 0..10 {
        let network = MemoryNetwork::new();
        let nodes: Vec<Node> = ["one", "two", "three"]
            .map(|name| Node::start(&network, id(name, 1), ClusterConfig::default()))
            .into();
        for node in &nodes {
            assert_eq!(block_on(node.cluster.ready()), Ok(()));
            node.sees("three", |view| view.alive().count() == 3);
        }
    }
}
