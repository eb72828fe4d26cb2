//! Kinds of processes, as a node's builder takes them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use common::{Get, Tally, Watchdog, alone, id, within};
use horde_process::{Context, Node, NodeError, Process, SpawnError, StartError, Stop, Versions};
use horde_transport::MemoryNetwork;

macro_rules! kind {
    ($name:ident, $kind:expr) => {
        struct $name;

        impl Process for $name {
            const KIND: &'static str = $kind;
            const ARGS: Versions = Versions::only(3).reading(2..=4);
            type Args = ();
            type Deps = &'static str;
            type Messages = ();

            async fn init((): (), cx: &mut Context<Self>) -> Result<Self, Stop> {
                cx.inform(*cx.deps().as_ref())?;
                Ok(Self)
            }
        }
    };
}

kind!(Same, "tally");
kind!(Nameless, "");
kind!(Long, "a kind that has many more than the sixty-four bytes that a kind may have");
kind!(Good, "good");

#[tokio::test]
async fn two_processes_of_one_kind_and_kinds_without_a_proper_name_fail_when_the_node_is_built() {
    let builder = || Node::builder(id("one"));
    let twice = builder().runs::<Tally>(()).runs::<Same>("deps").start().unwrap_err();
    assert_eq!(twice, NodeError::DuplicateKind("tally"));
    assert_eq!(builder().runs::<Nameless>("deps").start().unwrap_err(), NodeError::BadKind(""));
    assert!(matches!(builder().runs::<Long>("deps").start().unwrap_err(), NodeError::BadKind(_)));
}

#[tokio::test]
async fn a_network_belongs_to_one_node() {
    let network = MemoryNetwork::new();
    let one = network.attach(id("one"));
    let other = Node::builder(id("two")).network(one.clone()).start().unwrap_err();
    assert_eq!(other, NodeError::OtherNetwork(id("one")));
    let _node = Node::builder(id("one")).network(one.clone()).start().unwrap();
    assert_eq!(Node::builder(id("one")).network(one).start().unwrap_err(), NodeError::NetworkTaken);
}

#[test]
fn a_node_is_built_inside_a_runtime() {
    assert_eq!(Node::builder(id("one")).start().unwrap_err(), NodeError::NoRuntime);
}

#[tokio::test]
async fn a_node_knows_its_kinds_their_versions_and_gives_them_their_dependencies() {
    let node = alone(|builder| builder.runs::<Tally>(()).runs::<Good>("injected"));
    let kinds: Vec<_> = node.kinds().collect();
    assert_eq!(kinds, [("good", 2..=4), ("tally", 1..=1)]);
    let can = [1, 2, 4, 5].map(|version| node.can_run("good", version));
    assert_eq!(can, [false, true, true, false]);
    let (_good, info) = node.spawn_with_info::<Good>(()).await.unwrap();
    assert_eq!(info.unwrap().decode::<String>().unwrap(), "injected");
    let unknown = node.spawn::<Watchdog>(()).await.unwrap_err();
    assert_eq!(unknown, SpawnError::NotStarted(StartError::UnknownKind("watchdog".into())));
    let tally = node.spawn::<Tally>(1).await.unwrap();
    assert_eq!(within(tally.call(Get)).await, Ok(1));
}

#[tokio::test]
async fn a_future_can_have_a_name_and_frees_it() {
    let node = alone(|builder| builder);
    let (go, ahead) = tokio::sync::oneshot::channel::<()>();
    let work = async {
        ahead.await?;
        Ok(())
    };
    let pid = node.run_named("job", work).await.unwrap();
    assert_eq!(node.resolve(&"job".into()), Some(pid.clone()));
    assert!(node.run_named("job", async { Ok(()) }).await.is_err());
    go.send(()).unwrap();
    within(async {
        while node.resolve(&"job".into()).is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!node.is_alive(&pid));
}
