//! A member that is Down and will not come back is forgotten, and what the layers do then.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use horde::{
    ChildSpec, Context, Handle, MemberStatus, Message, Network, Node, NodeId, Options, Process, Registry,
    Stop, Stopped, Supervisor,
};
use serde::{Deserialize, Serialize};

const SOON: Duration = Duration::from_secs(30);

struct Echo;

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(reply = String)]
struct Where;

impl Process for Echo {
    const KIND: &'static str = "echo";
    type Args = ();
    type Deps = ();
    type Messages = (Where,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Where> for Echo {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> String {
        cx.node().id().to_string()
    }
}

async fn start(name: &str, network: &Network) -> Node {
    Node::builder(name).network(network).runs::<Echo>(()).start().await.unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // tidy: sleep, several events lead to it
    }
}

async fn is_down(on: &Node, whom: &NodeId) {
    let down = |view: &horde::View| {
        view.get(whom).is_some_and(|member| member.status == MemberStatus::Down).then_some(())
    };
    tokio::time::timeout(SOON, on.cluster().wait_for(down)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_waited_for_their_node_run_elsewhere_once_it_is_forgotten() {
    let network = Network::in_memory();
    let (one, two) = (start("one", &network).await, start("two", &network).await);
    let options = Options { takeover: false, ..Options::default() };
    let children = Supervisor::builder("children").options(options).start(&one).await.unwrap();
    until("both take part", || children.ready_members().len() == 2).await;
    let mut there = Vec::new();
    for number in 0..16 {
        let id = format!("child-{number}");
        let child = children.start_child(ChildSpec::<Echo>::of(()).id(&id)).await.unwrap();
        if child.call(Where).await.unwrap() == "two" {
            there.push(id);
        }
    }
    assert!(!there.is_empty());
    network.memory().kill(two.id());
    is_down(&one, two.id()).await;
    assert!(there.iter().all(|id| children.whereis(id).is_none()));
    assert_eq!(one.cluster().forget(two.id()), Ok(true));
    let runs_here = || there.iter().all(|id| children.whereis(id).is_some_and(|pid| pid.node() == one.id()));
    until("what ran on the forgotten node runs here", runs_here).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_life_that_returns_stops_and_brings_nothing_back() {
    let network = Network::in_memory();
    let (one, two) = (start("one", &network).await, start("two", &network).await);
    let names: Registry<String> = Registry::builder("names").start(&one).await.unwrap();
    let theirs: Registry<String> = Registry::builder("names").start(&two).await.unwrap();
    let child = two.spawn::<Echo>(()).await.unwrap().pid().unwrap();
    theirs.register(&child, "before".into(), ()).unwrap();
    until("the name is found on the other node", || names.whereis("before").is_some()).await;
    network.memory().isolate(two.id());
    is_down(&one, two.id()).await;
    theirs.register(&child, "during".into(), ()).unwrap();
    one.cluster().forget(two.id()).unwrap();
    assert!(one.view().get(two.id()).is_none() && one.view().is_down(two.id()));
    until("its names are gone", || names.count() == 0).await;

    network.memory().rejoin(two.id());
    let stopped = tokio::time::timeout(SOON, two.cluster().stopped()).await.unwrap();
    assert_eq!(stopped, Stopped::Forgotten);
    assert!(one.view().get(two.id()).is_none());
    assert!(names.whereis("before").is_none() && names.whereis("during").is_none());

    // A new life of the name is a newcomer like any other.
    let again = start("two", &network).await;
    let up = |view: &horde::View| {
        view.get(again.id()).is_some_and(|member| member.status == MemberStatus::Up).then_some(())
    };
    tokio::time::timeout(SOON, one.cluster().wait_for(up)).await.unwrap();
    assert!(one.view().is_forgotten(two.id()));
}
