//! Processes of two nodes on the in-memory network.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use common::{Add, Get, Sees, Silent, Tally, Watch, Watchdog, id, within};
use horde_process::local::{ChildSpec, Supervisor, SupervisorError};
use horde_process::{
    CallError, Context, ExitReason, Handle, Message, Node, NodeBuilder, Pid, Process, Ref, Shutdown, Stop,
};
use horde_transport::MemoryNetwork;
use serde::{Deserialize, Serialize};

fn on(network: &MemoryNetwork, name: &str, build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Node {
    build(Node::builder(id(name)).network(network.attach(id(name)))).start().unwrap()
}

/// Two nodes that run tallies and watchdogs.
fn pair() -> (MemoryNetwork, Node, Node) {
    let network = MemoryNetwork::new();
    let one = on(&network, "one", |builder| builder.runs::<Tally>(()).runs::<Watchdog>(()));
    let two = on(&network, "two", |builder| builder.runs::<Tally>(()).runs::<Watchdog>(()));
    (network, one, two)
}

#[tokio::test]
async fn calls_and_casts_reach_another_node_in_the_order_they_were_sent() {
    let (_network, one, two) = pair();
    let tally = two.spawn::<Tally>(1).await.unwrap();
    let from_one = Ref::<Tally>::new(&one, &tally);
    for by in 1..=100 {
        from_one.cast(Add { by }).unwrap();
    }
    let pid = tally.pid().unwrap();
    one.cast(&pid, &Add { by: 9 }).unwrap();
    assert_eq!(within(from_one.call(Add { by: 10 })).await, Ok(()));
    let sum = within(from_one.call(Get)).await.unwrap();
    assert!(sum == 1 + 10 + 5050 + 9, "{sum}");
}

#[tokio::test]
async fn each_way_to_fail_on_another_node_has_its_own_error() {
    let (network, one, two) = pair();
    let tally = two.spawn::<Tally>(0).await.unwrap();
    let pid = tally.pid().unwrap();
    let from_one = Ref::<Tally>::new(&one, &tally);
    assert_eq!(within(from_one.call(Silent)).await, Err(CallError::NoReply));

    let panicked = CallError::Exited(ExitReason::Panicked("over the limit by 1".into()));
    assert_eq!(within(from_one.call(Add { by: u64::MAX })).await, Err(panicked));
    assert_eq!(within(from_one.call(Get)).await, Err(CallError::NoProcess((&pid).into())));

    let nobody = Ref::<Tally>::new(&one, Pid::new(id("three"), 1));
    let error = within(nobody.call(Get)).await.unwrap_err();
    assert_eq!(error, CallError::NotConnected(id("three")));
    assert!(error.not_delivered());

    // An address of the wrong type: the message's name decides.
    let watchdog = two.spawn::<Watchdog>(()).await.unwrap();
    let wrong = Ref::<Tally>::new(&one, &watchdog);
    assert_eq!(within(wrong.call(Get)).await, Err(CallError::UnknownMessage { message: "get".into() }));
    let wrong_here = Ref::<Tally>::new(&two, &watchdog);
    assert_eq!(within(wrong_here.call(Get)).await, Err(CallError::UnknownMessage { message: "get".into() }));
    drop(network);
}

#[tokio::test]
async fn who_calls_a_process_that_has_moved_from_another_node_is_told_so() {
    let (_network, one, two) = pair();
    let tally = two.spawn::<Tally>(0).await.unwrap();
    let pid = tally.pid().unwrap();
    two.stop(&pid, ExitReason::Redistribution, Shutdown::Infinity);
    assert_eq!(within(tally.ended()).await, ExitReason::Redistribution);
    let from_one = Ref::<Tally>::new(&one, &tally);
    assert_eq!(within(from_one.call(Get)).await, Err(CallError::Moved((&pid).into())));
}

#[tokio::test]
async fn a_process_of_another_type_with_the_same_message_answers() {
    let (_network, one, two) = pair();
    let watchdog = two.spawn::<Watchdog>(()).await.unwrap();
    for node in [&one, &two] {
        let as_tally = Ref::<OnlySeen>::new(node, &watchdog);
        assert_eq!(within(as_tally.call(common::Seen)).await, Ok(vec![]));
        assert!(matches!(
            within(as_tally.call(Impostor("text".into()))).await,
            Err(CallError::BadPayload { message, .. }) if message == "watch"
        ));
    }
}

/// Takes `seen` as a watchdog does, and another `watch`.
struct OnlySeen;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "watch", crate = "horde_process")]
struct Impostor(String);

impl Process for OnlySeen {
    const KIND: &'static str = "only_seen";
    type Args = ();
    type Deps = ();
    type Messages = (common::Seen, Impostor);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<common::Seen> for OnlySeen {
    async fn handle(&mut self, _: common::Seen, _: &mut Context<Self>) -> Vec<String> {
        Vec::new()
    }
}

impl Handle<Impostor> for OnlySeen {
    async fn handle(&mut self, _: Impostor, _: &mut Context<Self>) {}
}

#[tokio::test]
async fn a_lost_node_ends_the_calls_links_and_monitors_that_wait_on_it() {
    let (network, one, two) = pair();
    let far = two.spawn::<Watchdog>(()).await.unwrap();
    let near = one.spawn::<Watchdog>(()).await.unwrap();
    let linked = one.spawn::<Watchdog>(()).await.unwrap();
    let far_pid = far.pid().unwrap();
    within(near.call(Watch::monitor(&far_pid))).await.unwrap();
    within(linked.call(Watch::link(&far_pid))).await.unwrap();
    let from_one = Ref::<Watchdog>::new(&one, &far);
    let call = tokio::spawn(async move { from_one.call(Watch::never()).await });
    // The far one has begun to handle the call once it has told so.
    while !within(far.call(common::Begun)).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let ended = linked.ended();
    network.kill(two.id());
    assert_eq!(within(call).await.unwrap(), Err(CallError::NodeDown(id("two"))));
    let down = ExitReason::NodeDown(id("two"));
    assert_eq!(within(ended).await, down.clone().linked(&far_pid));
    assert_eq!(near.seen(1).await, [format!("down {far_pid}: {down}")]);
}

#[tokio::test]
async fn links_and_monitors_reach_across_nodes() {
    let (_network, one, two) = pair();
    let far = two.spawn::<Watchdog>(()).await.unwrap();
    let far_pid = far.pid().unwrap();
    let near = one.spawn::<Watchdog>(()).await.unwrap();
    within(near.call(Watch::trap())).await.unwrap();
    within(near.call(Watch::link(&far_pid))).await.unwrap();
    within(near.call(Watch::monitor(&far_pid))).await.unwrap();
    // Signals and calls share a lane: this one comes behind the link and the monitor.
    within(Ref::<Watchdog>::new(&one, &far).call(common::Seen)).await.unwrap();
    two.stop(&far_pid, ExitReason::ShutdownWith("enough".into()), Shutdown::Infinity);
    let why = ExitReason::ShutdownWith("enough".into());
    let mut seen = near.seen(2).await;
    seen.sort();
    assert_eq!(seen, [format!("down {far_pid}: {why}"), format!("exit {far_pid}: {why}")]);

    // Nobody is there any more.
    within(near.call(Watch::monitor(&far_pid))).await.unwrap();
    assert_eq!(near.seen(3).await[2], format!("down {far_pid}: {}", ExitReason::NoProcess));
    within(near.call(Watch::link(&far_pid))).await.unwrap();
    assert_eq!(near.seen(4).await[3], format!("exit {far_pid}: {}", ExitReason::NoProcess));
}

#[tokio::test]
async fn an_address_travels_and_belongs_to_the_node_where_it_arrives() {
    let (_network, one, two) = pair();
    let tally = one.spawn::<Tally>(5).await.unwrap();
    let far = two.spawn::<Watchdog>(()).await.unwrap();
    let ask = common::Ask { whom: tally.clone() };
    assert_eq!(within(Ref::<Watchdog>::new(&one, &far).call(ask)).await, Ok(5));
}

#[tokio::test]
async fn a_supervisor_of_another_node_starts_children_of_kinds_there_and_none_of_closures() {
    let (_network, one, two) = pair();
    let there = within(Supervisor::dynamic().start_named(&two, "tallies")).await.unwrap();
    let from_one = Supervisor::at(&one, there.pid().unwrap());
    let tally = within(from_one.start_child(ChildSpec::<Tally>::of(5).id("five"))).await.unwrap();
    assert_eq!(tally.pid().unwrap().node(), two.id());
    assert_eq!(within(tally.call(Get)).await, Ok(5));
    let pinned = within(from_one.start_child(ChildSpec::run(|| async { Ok(()) }))).await.unwrap_err();
    assert!(matches!(pinned, SupervisorError::Call(CallError::BadPayload { .. })), "{pinned}");
    within(from_one.terminate_child("five")).await.unwrap();
    assert_eq!(within(from_one.count_children()).await.unwrap().specs, 0);
}
