//! Children under `Quorum::Majority`: they never run twice, and nothing runs without a majority.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use horde::{ChildSpec, Context, Network, Node, Process, Quorum, StartError, Stop, Supervisor};

const CHILDREN: usize = 30;
const DEADLINE: Duration = Duration::from_secs(30);

/// Every run of every child, as the processes themselves note it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Run>>>);

struct Run {
    child: String,
    node: String,
    begun: Instant,
    ended: Option<Instant>,
}

impl Log {
    fn running(&self) -> BTreeMap<String, Vec<String>> {
        let mut running: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for run in self.0.lock().unwrap().iter().filter(|run| run.ended.is_none()) {
            running.entry(run.child.clone()).or_default().push(run.node.clone());
        }
        running
    }

    /// How many pairs of runs of one child were there at once.
    fn overlaps(&self) -> usize {
        let runs = self.0.lock().unwrap();
        let over = |a: &Run, b: &Run| a.child == b.child && a.ended.is_none_or(|ended| ended > b.begun);
        let later = |(at, run)| runs.iter().skip(at + 1).filter(move |other| over(run, other)).count();
        runs.iter().enumerate().map(later).sum()
    }
}

/// A child that notes when it begins and when it is gone, however it ends.
struct Worker {
    log: Arc<Log>,
    number: usize,
}

impl Process for Worker {
    const KIND: &'static str = "worker";
    type Args = String;
    type Deps = Log;
    type Messages = ();

    async fn init(child: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        let log = cx.deps().clone();
        let node = cx.node().id().name().to_string();
        let number = {
            let mut runs = log.0.lock().unwrap();
            runs.push(Run { child, node, begun: Instant::now(), ended: None });
            runs.len() - 1
        };
        Ok(Self { log, number })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.log.0.lock().unwrap()[self.number].ended = Some(Instant::now());
    }
}

async fn start(name: &str, network: &Network, log: &Log) -> Node {
    let node = Node::builder(name).network(network).quorum(["n1", "n2", "n3"]);
    node.runs::<Worker>(log.clone()).start().await.unwrap()
}

async fn cluster(network: &Network, log: &Log) -> Vec<(Node, Supervisor)> {
    let mut nodes = Vec::new();
    for name in ["n1", "n2", "n3"] {
        nodes.push(start(name, network, log).await);
    }
    let mut members = Vec::new();
    for node in nodes {
        node.ready().await.unwrap();
        let children = Supervisor::builder("children").quorum(Quorum::Majority).start(&node).await.unwrap();
        members.push((node, children));
    }
    members
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await; // tidy: sleep, several events lead to it
    }
}

async fn start_children(children: &Supervisor) {
    for number in 0..CHILDREN {
        let id = format!("worker-{number}");
        children.start_child(ChildSpec::<Worker>::of(id.clone()).id(id)).await.unwrap();
    }
}

fn each_runs_once_on(log: &Log, nodes: &[&str]) -> bool {
    let running = log.running();
    let once = |on: &Vec<String>| on.len() == 1 && nodes.contains(&on[0].as_str());
    running.len() == CHILDREN && running.values().all(once)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_minority_stops_its_children_before_the_majority_runs_them_and_takes_its_place_again_after_the_heal()
 {
    let (network, log) = (Network::in_memory(), Log::default());
    let nodes = cluster(&network, &log).await;
    start_children(&nodes[0].1).await;
    assert!(each_runs_once_on(&log, &["n1", "n2", "n3"]));
    let lone = nodes[2].0.id().clone();
    assert!(log.running().values().any(|on| on[0] == "n3"), "n3 has its share");
    network.memory().isolate(&lone);
    eventually("all children run on the majority's side", || each_runs_once_on(&log, &["n1", "n2"])).await;
    assert_eq!(log.overlaps(), 0, "no child ran twice at any moment");
    assert!(!nodes[2].0.cluster().may_act(), "the lone node may not act");
    assert!(nodes[0].0.cluster().may_act());
    let refused = ChildSpec::<Worker>::of("late".into()).id("late").timeout(Duration::from_millis(200));
    assert_eq!(nodes[2].1.start_child(refused).await.unwrap_err(), StartError::NoQuorum);
    network.memory().rejoin(&lone);
    let back = || nodes.iter().all(|(_, children)| children.ready_members().len() == 3);
    eventually("the lone node takes part again", back).await;
    nodes[2].1.start_child(ChildSpec::<Worker>::of("after".into()).id("after")).await.unwrap();
    nodes[0].1.terminate_child("after").await.unwrap();
    assert!(each_runs_once_on(&log, &["n1", "n2", "n3"]));
    assert_eq!(log.overlaps(), 0, "no child ran twice at any moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_children_of_a_killed_node_run_again_and_without_a_majority_nothing_does() {
    let (network, log) = (Network::in_memory(), Log::default());
    let mut nodes = cluster(&network, &log).await;
    start_children(&nodes[0].1).await;
    let (second, _) = nodes.pop().unwrap();
    network.memory().isolate(second.id());
    eventually("all children run on two", || each_runs_once_on(&log, &["n1", "n2"])).await;
    let (first, _) = nodes.pop().unwrap();
    network.memory().isolate(first.id());
    eventually("nothing runs where no majority is", || log.running().is_empty()).await;
    network.memory().rejoin(first.id());
    eventually("two of three run all again", || each_runs_once_on(&log, &["n1", "n2"])).await;
    assert_eq!(log.overlaps(), 0, "no child ran twice at any moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn until_all_expected_nodes_have_agreed_nothing_starts() {
    let (network, log) = (Network::in_memory(), Log::default());
    let (one, two) = (start("n1", &network, &log).await, start("n2", &network, &log).await);
    let waiting = tokio::time::timeout(Duration::from_millis(500), one.ready());
    assert!(waiting.await.is_err(), "two of three are not yet a cluster");
    let three = start("n3", &network, &log).await;
    for node in [&one, &two, &three] {
        node.ready().await.unwrap();
    }
    let children = Supervisor::builder("children").quorum(Quorum::Majority).start(&one).await.unwrap();
    start_children(&children).await;
    assert!(each_runs_once_on(&log, &["n1", "n2", "n3"]));
    // A later node names nobody: it finds the quorum, and children run on it too.
    let four = Node::builder("n4").network(&network).runs::<Worker>(log.clone()).start().await.unwrap();
    eventually("the newcomer takes part", || children.ready_members().contains(four.id())).await;
    four.stop().await;
    assert_eq!(log.overlaps(), 0);
}
