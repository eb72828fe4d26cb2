//! Whole nodes in one program: processes, membership and registry over the in-memory network.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::future::Future;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use horde_cluster::{Cluster, ClusterConfig, Control};
use horde_process::{Context, ExitReason, Handle, Message, Node, Process, Ref, SpawnError, Stop};
use horde_registry::{Event, EventsError, OwnerError, RegisterError, Registry, StartError, host, hosted};
use horde_transport::{MemoryNetwork, Network, NodeId, NodeName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process", reply = String)]
struct Where;

struct Idle;

impl Process for Idle {
    const KIND: &'static str = "idle";
    type Args = ();
    type Deps = ();
    type Messages = (Where,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Idle)
    }
}

impl Handle<Where> for Idle {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> String {
        cx.node().id().to_string()
    }
}

struct Host {
    node: Node,
    cluster: Cluster,
    network: MemoryNetwork,
}

impl Host {
    /// A node that joins those attached to `network`, or is the first.
    async fn start(network: &MemoryNetwork, name: &str) -> Self {
        let id = NodeId::new(NodeName::new(name).unwrap(), 1);
        let link: Arc<dyn Network> = network.attach(id.clone());
        let node = Node::builder(id).network(link.clone()).runs::<Idle>(()).start().unwrap();
        let expect = (!link.peers().is_empty()).then_some(2);
        let config = ClusterConfig { expect, ..ClusterConfig::default() };
        let cluster = Cluster::start(config, link, Control::start(name).unwrap()).unwrap();
        assert!(node.insert(cluster.clone()));
        cluster.ready().await.unwrap();
        host(&node).unwrap();
        Self { node, cluster, network: network.clone() }
    }

    async fn names<V: Serialize + DeserializeOwned>(&self) -> Registry<String, V> {
        within(Registry::builder("names").start(&self.node)).await.unwrap()
    }

    async fn spawn(&self) -> Ref<Idle> {
        self.node.spawn::<Idle>(()).await.unwrap()
    }

    fn id(&self) -> &NodeId {
        self.cluster.local()
    }
}

async fn hosts<const N: usize>(names: [&str; N]) -> Vec<Host> {
    let network = MemoryNetwork::new();
    let mut hosts = Vec::new();
    for name in names {
        hosts.push(Host::start(&network, name).await);
    }
    // All see all.
    for host in &hosts {
        let (mut changed, all) = (watch(&host.cluster), hosts.len());
        while host.cluster.view().alive().count() < all {
            within(changed.1.recv()).await.unwrap();
        }
        drop(changed.0.take());
    }
    hosts
}

type Changed = (Option<horde_cluster::Watch>, tokio::sync::mpsc::UnboundedReceiver<()>);

fn watch(cluster: &Cluster) -> Changed {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let watch = cluster.watch(move |_, _| {
        let _ = sender.send(());
    });
    (Some(watch), receiver)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

/// Waits for `found`, looking at each change of the registry.
async fn until<V, T>(names: &Registry<String, V>, found: impl Fn(&Registry<String, V>) -> Option<T>) -> T
where
    V: Serialize + DeserializeOwned,
{
    let mut events = names.subscribe();
    loop {
        if let Some(found) = found(names) {
            return found;
        }
        match within(events.next()).await {
            Ok(_) | Err(EventsError::Lagged(_) | EventsError::OtherType(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_registrations_at_once_exactly_one_wins() {
    let hosts = hosts(["one"]).await;
    let names = hosts[0].names::<()>().await;
    let mut processes = Vec::new();
    for _ in 0..20 {
        processes.push(hosts[0].spawn().await.pid().unwrap());
    }
    let barrier = Barrier::new(processes.len());
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let register = |pid| {
            barrier.wait();
            names.register(pid, "one".to_owned(), ())
        };
        let threads: Vec<_> = processes.iter().map(|pid| scope.spawn(move || register(pid))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let holder = names.whereis("one").unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let taken = Err(RegisterError::AlreadyRegistered(holder));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 19);
    assert_eq!(names.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lookup_right_after_its_registration_finds_it() {
    let hosts = hosts(["one"]).await;
    let names = hosts[0].names::<u32>().await;
    let pid = hosts[0].spawn().await.pid().unwrap();
    for number in 0..1000 {
        let key = format!("name-{number}");
        names.register(&pid, key.clone(), number).unwrap();
        assert_eq!(names.lookup(&key), Some((pid.clone(), number)));
    }
    assert_eq!((names.count(), names.keys(&pid).len()), (1000, 1000));
    let odd = names.select(|key, _, value| (value % 2 == 1).then_some(key));
    assert_eq!(odd.len(), 500);
    names.update_value(&pid, "name-7", 70).unwrap();
    assert_eq!(names.lookup("name-7"), Some((pid.clone(), 70)));
    names.unregister(&pid, "name-7").unwrap();
    assert_eq!(names.unregister(&pid, "name-7"), Err(OwnerError::NotRegistered));
    assert_eq!(names.lookup("name-7"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_found_and_called_from_nodes_that_were_only_told_of_the_registry() {
    let hosts = hosts(["one", "two", "three"]).await;
    let names = hosts[0].names::<()>().await;
    let process = hosts[0].spawn().await;
    names.register(&process.pid().unwrap(), "ada".to_owned(), ()).unwrap();
    // Nobody starts the registry on the third; it hosts it all the same.
    let elsewhere = hosts[1].names::<()>().await;
    let found = until(&elsewhere, |names| names.whereis("ada")).await;
    assert_eq!(Some(found), process.pid());
    assert_eq!(within(elsewhere.via::<Idle>("ada").call(Where)).await.unwrap(), "one");
    let third = hosted(&hosts[2].node, "names").unwrap();
    within(third.ready()).await;
    let typed = hosts[2].names::<()>().await;
    until(&typed, |names| names.whereis("ada")).await;
    assert_eq!(third.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_names_of_a_process_that_ends_go_on_all_nodes() {
    let hosts = hosts(["one", "two"]).await;
    let (here, there) = (hosts[0].names::<()>().await, hosts[1].names::<()>().await);
    let process = hosts[0].spawn().await;
    let pid = process.pid().unwrap();
    here.register(&pid, "ada".to_owned(), ()).unwrap();
    until(&there, |names| names.whereis("ada")).await;
    hosts[0].node.stop(&pid, ExitReason::Shutdown, horde_process::Shutdown::default());
    within(process.ended()).await;
    until(&there, |names| names.whereis("ada").is_none().then_some(())).await;
    until(&here, |names| names.whereis("ada").is_none().then_some(())).await;
    assert_eq!(here.register(&pid, "ada".to_owned(), ()), Err(RegisterError::NoProcess(pid)));
    assert_eq!(here.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_closes_takes_its_names_back_before_it_is_silent() {
    let hosts = hosts(["one", "two"]).await;
    let (here, there) = (hosts[0].names::<()>().await, hosts[1].names::<()>().await);
    let pid = hosts[0].spawn().await.pid().unwrap();
    here.register(&pid, "ada".to_owned(), ()).unwrap();
    until(&there, |names| names.whereis("ada")).await;
    assert_eq!(hosts[0].node.close(DEADLINE).await, 0);
    // The membership still runs: it is the registry's own last word that the other hears.
    until(&there, |names| names.whereis("ada").is_none().then_some(())).await;
    assert_eq!(there.core().keys(&pid), []);
    assert!(hosted(&hosts[0].node, "names").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_names_of_a_killed_node_are_not_found_elsewhere() {
    let hosts = hosts(["one", "two", "three"]).await;
    let mut names = Vec::new();
    for host in &hosts {
        names.push(host.names::<()>().await);
    }
    for (host, names) in hosts.iter().zip(&names) {
        let pid = host.spawn().await.pid().unwrap();
        for number in 0..100 {
            names.register(&pid, format!("{}-{number}", host.id()), ()).unwrap();
        }
    }
    for names in &names {
        until(names, |names| (names.count() == 300).then_some(())).await;
    }
    hosts[2].network.kill(hosts[2].id());
    for names in &names[..2] {
        until(names, |names| names.whereis("three-7").is_none().then_some(())).await;
        assert_eq!(names.count(), 200);
        assert!(names.whereis("one-7").is_some() && names.whereis("two-7").is_some());
    }
    // And a survivor may take one.
    let pid = hosts[0].spawn().await.pid().unwrap();
    names[0].register(&pid, "three-7".to_owned(), ()).unwrap();
    assert_eq!(until(&names[1], |names| names.whereis("three-7")).await, pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_sides_that_give_one_name_the_younger_holder_ends_with_a_name_conflict() {
    let hosts = hosts(["one", "two"]).await;
    let (here, there) = (hosts[0].names::<()>().await, hosts[1].names::<()>().await);
    let (older, younger) = (hosts[0].spawn().await, hosts[1].spawn().await);
    hosts[0].network.cut(hosts[0].id(), hosts[1].id());
    let mut conflicts = there.subscribe();
    here.register(&older.pid().unwrap(), "ada".to_owned(), ()).unwrap();
    there.register(&younger.pid().unwrap(), "ada".to_owned(), ()).unwrap();
    hosts[0].network.heal(hosts[0].id(), hosts[1].id());
    let winner = older.pid().unwrap();
    let reason = within(younger.ended()).await;
    let expected =
        ExitReason::NameConflict { registry: "names".into(), key: "ada".into(), winner: winner.clone() };
    assert_eq!(reason, expected);
    assert_eq!(until(&there, |names| names.whereis("ada").filter(|pid| *pid == winner)).await, winner);
    loop {
        if let Event::Conflict { loser, .. } = within(conflicts.next()).await.unwrap() {
            assert_eq!(Some(loser), younger.pid());
            break;
        }
    }
    assert!(hosts[0].node.is_alive(&winner));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_can_start_under_a_name_and_a_second_cannot() {
    let hosts = hosts(["one", "two"]).await;
    let (here, there) = (hosts[0].names::<()>().await, hosts[1].names::<()>().await);
    let name = here.via::<Idle>("ada");
    let process = hosts[0].node.spawn_named::<Idle>(&name, ()).await.unwrap();
    let pid = process.pid().unwrap();
    assert_eq!(here.lookup("ada"), Some((pid.clone(), ())), "without a value it is nil, which reads as ()");
    let second = hosts[0].node.spawn_named::<Idle>(&name, ()).await;
    assert!(matches!(second, Err(SpawnError::Failed(_))), "{second:?}");
    assert_eq!(within(until(&there, |names| names.whereis("ada"))).await, pid);
    assert_eq!(within(there.via::<Idle>("ada").call(Where)).await.unwrap(), "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_node_holds_all_names_when_start_returns() {
    let hosts = hosts(["one", "two"]).await;
    let here = hosts[0].names::<()>().await;
    let pid = hosts[0].spawn().await.pid().unwrap();
    for number in 0..500 {
        here.register(&pid, format!("name-{number}"), ()).unwrap();
    }
    let late = Host::start(&hosts[0].network, "late").await;
    let names = late.names::<()>().await;
    assert_eq!(names.count(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_be_is_refused_with_the_reason() {
    let hosts = hosts(["one", "two"]).await;
    let alone = Node::builder(NodeId::new(NodeName::new("alone").unwrap(), 1)).start().unwrap();
    let none = Registry::<String>::builder("names").start(&alone).await;
    assert_eq!(none.err(), Some(StartError::NoCluster));
    let unnamed = Registry::<String>::builder("").start(&hosts[0].node).await;
    assert_eq!(unnamed.err(), Some(StartError::BadName(String::new())));
    let names = Registry::<String, String>::builder("small")
        .max_key(8)
        .max_value(8)
        .start(&hosts[0].node)
        .await
        .unwrap();
    let other = Registry::<String>::builder("small").max_key(9).start(&hosts[0].node).await;
    assert!(matches!(other, Err(StartError::RulesDiffer { .. })));
    let pid = hosts[0].spawn().await.pid().unwrap();
    let long = names.register(&pid, "much too long".to_owned(), String::new());
    assert!(matches!(long, Err(RegisterError::TooBig { size: 14, limit: 8, .. })), "{long:?}");
    let foreign = hosts[1].spawn().await.pid().unwrap();
    assert_eq!(
        names.register(&foreign, "x".to_owned(), String::new()),
        Err(RegisterError::NotLocal(foreign))
    );
}
