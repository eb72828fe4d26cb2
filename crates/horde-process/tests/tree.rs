//! Local supervisors: real processes under them, nested too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Get, Tally, alone, within};
use horde_process::local::{ChildSpec, ChildState, Refusal, Strategy, Supervisor, SupervisorError};
use horde_process::{
    Context, ExitReason, Handle, Message, Name, Node, Process, Ref, Restart, Shutdown, SpawnError,
    StartFailure, Stop,
};
use serde::{Deserialize, Serialize};

/// What the children of a test have done, in order.
type Log = Arc<Mutex<Vec<String>>>;

/// Logs its start and its end; does as it is told.
struct Worker {
    name: String,
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
enum Do {
    Crash,
    End,
    Fail,
}

impl Process for Worker {
    const KIND: &'static str = "worker";
    type Args = String;
    type Deps = Log;
    type Messages = (Do,);

    async fn init(name: String, cx: &mut Context<Self>) -> Result<Self, Stop> {
        if name == "ignored" {
            return Err(Stop::ignore());
        }
        if name == "broken" {
            panic!("no start");
        }
        cx.inform(&name.len())?;
        cx.deps().lock().unwrap().push(format!("+{name}"));
        Ok(Self { name })
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Context<Self>) {
        cx.deps().lock().unwrap().push(format!("-{}", self.name));
    }
}

impl Handle<Do> for Worker {
    async fn handle(&mut self, what: Do, cx: &mut Context<Self>) {
        match what {
            Do::Crash => panic!("crashed"),
            Do::End => cx.stop(ExitReason::Normal),
            Do::Fail => cx.stop(ExitReason::Error("failed".into())),
        }
    }
}

/// A worker that was given what its supervisor gives to all.
struct Pair;

impl Process for Pair {
    const KIND: &'static str = "pair";
    type Args = (String, u64);
    type Deps = Log;
    type Messages = ();

    async fn init((extra, own): (String, u64), cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.deps().lock().unwrap().push(format!("{extra} {own}"));
        Ok(Self)
    }
}

fn node() -> (Node, Log) {
    let log = Log::default();
    let deps = Arc::clone(&log);
    let node = alone(|builder| {
        builder
            .runs::<Worker>(Arc::clone(&deps))
            .runs::<Pair>(Arc::clone(&deps))
            .runs::<Tally>(())
            .runs::<Slow>(())
    });
    (node, log)
}

fn worker(name: &str) -> ChildSpec<Worker> {
    ChildSpec::of(name.to_owned()).id(name).named(name)
}

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// Waits until `done` holds.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    within(async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn running(supervisor: &Supervisor) -> usize {
    let all = supervisor.which_children().await.unwrap_or_default();
    all.iter().filter(|child| matches!(child.state, ChildState::Running(_))).count()
}

async fn tree(node: &Node, strategy: Strategy) -> Supervisor {
    let builder = Supervisor::builder().strategy(strategy);
    let builder = ["a", "b", "c"].into_iter().fold(builder, |builder, name| builder.child(worker(name)));
    within(builder.start(node)).await.unwrap()
}

#[tokio::test]
async fn each_strategy_restarts_its_children_in_order_and_stops_them_in_reverse() {
    for (strategy, expected) in [
        (Strategy::OneForOne, vec!["+b"]),
        (Strategy::RestForOne, vec!["-c", "+b", "+c"]),
        (Strategy::OneForAll, vec!["-c", "-a", "+a", "+b", "+c"]),
    ] {
        let (node, log) = node();
        let tree = tree(&node, strategy).await;
        assert_eq!(lines(&log), ["+a", "+b", "+c"]);
        Ref::<Worker>::new(&node, "b").cast(Do::Crash).unwrap();
        until(async || log.lock().unwrap().len() >= expected.len()).await;
        until(async || running(&tree).await == 3).await;
        assert_eq!(lines(&log), expected, "{strategy:?}");
        assert_eq!(within(tree.stop(ExitReason::Shutdown)).await, ExitReason::Shutdown);
        assert_eq!(lines(&log), ["-c", "-b", "-a"]);
        assert_eq!(node.process_count(), 0);
    }
}

#[tokio::test]
async fn each_restart_type_holds_for_real_ends() {
    let (node, log) = node();
    let tree = Supervisor::builder().max_restarts(100, Duration::from_secs(60));
    let tree = tree
        .child(worker("p"))
        .child(worker("t").restart(Restart::Transient))
        .child(worker("x").restart(Restart::Temporary));
    let tree = within(tree.start(&node)).await.unwrap();
    lines(&log);
    for (name, what, again) in [
        ("p", Do::End, true),
        ("p", Do::Crash, true),
        ("t", Do::Fail, true),
        ("t", Do::End, false),
        ("x", Do::Crash, false),
    ] {
        let address = Ref::<Worker>::new(&node, name);
        let pid = address.pid().unwrap();
        address.cast(what).unwrap();
        until(async || !node.is_alive(&pid)).await;
        until(async || {
            let children = tree.which_children().await.unwrap();
            let child = children.iter().find(|child| child.id == name);
            match child.map(|child| &child.state) {
                Some(ChildState::Running(new)) => again && *new != pid,
                Some(ChildState::Resting) => !again,
                None => name == "x",
                _ => false,
            }
        })
        .await;
    }
    let counts = within(tree.count_children()).await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.workers, counts.supervisors), (2, 1, 2, 0));
}

#[tokio::test]
async fn static_children_are_terminated_restarted_and_deleted_by_id() {
    let (node, log) = node();
    let tree = tree(&node, Strategy::OneForOne).await;
    let refused = within(tree.start_child(worker("a"))).await.unwrap_err();
    let pid = Ref::<Worker>::new(&node, "a").pid().unwrap();
    assert_eq!(refused, SupervisorError::Refused(Refusal::AlreadyStarted(pid.clone())));
    let running = SupervisorError::Refused(Refusal::Running(pid));
    assert_eq!(within(tree.delete_child("a")).await, Err(running));
    within(tree.terminate_child("a")).await.unwrap();
    assert_eq!(node.resolve(&Name::local("a")), None);
    let present = SupervisorError::Refused(Refusal::AlreadyPresent);
    assert_eq!(within(tree.start_child(worker("a"))).await, Err(present));
    lines(&log);
    within(tree.restart_child::<Worker>("a")).await.unwrap();
    assert_eq!(lines(&log), ["+a"]);
    within(tree.terminate_child("a")).await.unwrap();
    within(tree.delete_child("a")).await.unwrap();
    let none = SupervisorError::Refused(Refusal::NotFound);
    assert_eq!(within(tree.terminate_child("a")).await, Err(none));
    let ids: Vec<_> =
        within(tree.which_children()).await.unwrap().into_iter().map(|child| child.id).collect();
    assert_eq!(ids, ["b", "c"]);
}

#[tokio::test]
async fn a_tree_whose_child_does_not_start_leaves_nothing() {
    let (node, log) = node();
    let builder = Supervisor::builder().child(worker("a")).child(worker("ignored")).child(worker("broken"));
    let error = within(builder.start_named(&node, "tree")).await.unwrap_err();
    let SpawnError::Failed(StartFailure::Init(ExitReason::ShutdownWith(why))) = error else {
        panic!("{error:?}");
    };
    assert!(why.contains("`broken`") && why.contains("no start"), "{why}");
    assert_eq!(lines(&log), ["+a", "-a"]);
    assert_eq!((node.process_count(), node.resolve(&Name::local("tree"))), (0, None));
}

#[tokio::test]
async fn a_dynamic_supervisor_has_children_that_come_and_go() {
    let (node, log) = node();
    let builder = Supervisor::dynamic().max_children(2).extra_argument(&"extra".to_owned());
    let supervisor = within(builder.start(&node)).await.unwrap();
    within(supervisor.start_child(ChildSpec::<Pair>::of_extra::<String, u64>(7))).await.unwrap();
    assert_eq!(lines(&log), ["extra 7"]);
    let (child, info) = within(supervisor.start_child_with_info(worker("four"))).await.unwrap();
    assert_eq!(info.unwrap().decode::<usize>(), Ok(4));
    let full = within(supervisor.start_child(worker("b"))).await.unwrap_err();
    assert_eq!(full, SupervisorError::Refused(Refusal::MaxChildren(2)));
    within(supervisor.terminate_child(child.pid().unwrap())).await.unwrap();
    assert_eq!(within(supervisor.count_children()).await.unwrap().specs, 1);
    for name in ["ignored", "broken"] {
        let error = within(supervisor.start_child(worker(name))).await.unwrap_err();
        assert!(matches!(error, SupervisorError::Refused(Refusal::NotStarted(_))), "{error}");
    }
    let wrong = ChildSpec::<Pair>::of((String::new(), 1)).id("plain");
    within(supervisor.start_child(wrong)).await.unwrap();
    within(supervisor.terminate_child("plain")).await.unwrap();
    let ended = within(supervisor.start_child(ChildSpec::run(|| async { Ok(()) }))).await.unwrap();
    within(ended.ended()).await;
    until(async || supervisor.count_children().await.unwrap().specs == 1).await;
}

#[tokio::test]
async fn more_restarts_than_tolerated_end_the_supervisor_and_all_its_children() {
    let (node, _log) = node();
    let tree = tree(&node, Strategy::OneForOne).await;
    let ended = tree.address().ended();
    for _ in 0..4 {
        until(async || Ref::<Worker>::new(&node, "b").cast(Do::Crash).is_ok()).await;
        let crashed = Ref::<Worker>::new(&node, "b").pid();
        until(async || crashed.as_ref().is_none_or(|pid| !node.is_alive(pid))).await;
    }
    assert_eq!(within(ended).await, ExitReason::Shutdown);
    assert_eq!(node.process_count(), 0);
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_children_along_and_is_started_again_with_their_names_free() {
    let (node, log) = node();
    let inner = Supervisor::builder().child(worker("a")).child(worker("b"));
    let outer = Supervisor::builder().child(ChildSpec::supervisor(inner).id("inner").named("inner"));
    let outer = within(outer.start(&node)).await.unwrap();
    for _ in 0..3 {
        let inner = Supervisor::at(&node, "inner");
        let (killed, old) = (inner.pid().unwrap(), Ref::<Worker>::new(&node, "a").pid().unwrap());
        node.stop(&killed, ExitReason::Killed, Shutdown::BrutalKill);
        until(async || inner.pid().is_some_and(|pid| pid != killed) && running(&inner).await == 2).await;
        assert!(!node.is_alive(&old));
    }
    assert_eq!(within(outer.count_children()).await.unwrap().supervisors, 1);
    assert_eq!(within(outer.stop(ExitReason::Shutdown)).await, ExitReason::Shutdown);
    assert_eq!(lines(&log)[8..], ["-b", "-a"]);
    assert_eq!(node.process_count(), 0);
}

/// Horde's nested supervision: a parent with a dynamic supervisor and, after it, a task that adds a child to it.
async fn nested(node: &Node, strategy: Strategy) -> (Supervisor, Supervisor) {
    let adds = node.clone();
    let task = ChildSpec::run(move || {
        let horde = Supervisor::at(&adds, "horde");
        async move {
            let spec = ChildSpec::<Tally>::of(1).named("tally");
            horde.start_child(spec).await.map(drop)?;
            Ok(())
        }
    });
    let horde = Supervisor::dynamic().max_restarts(1, Duration::from_secs(60));
    let parent = Supervisor::builder()
        .strategy(strategy)
        .child(ChildSpec::supervisor(horde).named("horde"))
        .child(task.restart(Restart::Transient));
    let parent = within(parent.start(node)).await.unwrap();
    let horde = Supervisor::at(node, "horde");
    until(async || active(&horde).await == Some(1)).await;
    (parent, horde)
}

async fn active(horde: &Supervisor) -> Option<usize> {
    let children = horde.which_children().await.ok()?;
    Some(children.iter().filter(|child| child.pid().is_some()).count())
}

async fn kill(node: &Node, name: &str) {
    let pid = node.resolve(&Name::local(name)).unwrap();
    node.stop(&pid, ExitReason::Killed, Shutdown::BrutalKill);
    until(async || !node.is_alive(&pid)).await;
}

async fn named(node: &Node, name: &str) {
    until(async || node.resolve(&Name::local(name)).is_some()).await;
}

#[tokio::test]
async fn nested_a_child_can_restart_once() {
    let (node, _log) = node();
    let (_parent, horde) = nested(&node, Strategy::OneForOne).await;
    let before = horde.pid();
    kill(&node, "tally").await;
    until(async || active(&horde).await == Some(1)).await;
    assert_eq!(horde.pid(), before);
    assert_eq!(within(Ref::<Tally>::new(&node, "tally").call(Get)).await, Ok(1));
}

#[tokio::test]
async fn nested_a_crashed_supervisor_comes_back_empty_alone_and_filled_with_the_rest() {
    for (strategy, expected) in [(Strategy::OneForOne, 0), (Strategy::RestForOne, 1)] {
        let (node, _log) = node();
        let (_parent, horde) = nested(&node, strategy).await;
        kill(&node, "horde").await;
        named(&node, "horde").await;
        until(async || active(&horde).await == Some(expected)).await;
        assert_eq!(node.resolve(&Name::local("tally")).is_some(), expected == 1);
    }
}

#[tokio::test]
async fn nested_a_child_that_crashes_twice_is_gone_alone_and_restored_with_the_rest() {
    for (strategy, expected) in [(Strategy::OneForOne, 0), (Strategy::RestForOne, 1)] {
        let (node, _log) = node();
        let (_parent, horde) = nested(&node, strategy).await;
        let before = horde.pid().unwrap();
        kill(&node, "tally").await;
        until(async || active(&horde).await == Some(1)).await;
        kill(&node, "tally").await;
        until(async || horde.pid().is_some_and(|pid| pid != before)).await;
        until(async || active(&horde).await == Some(expected)).await;
    }
}

#[tokio::test]
async fn a_slow_start_and_a_crashing_child_do_not_keep_the_supervisor_from_answering() {
    let (node, _log) = node();
    let builder = Supervisor::dynamic().max_restarts(u32::MAX, Duration::from_secs(1));
    let supervisor = within(builder.start(&node)).await.unwrap();
    for _ in 0..2 {
        let (supervisor, slow) = (supervisor.clone(), ChildSpec::<Slow>::of(()).id("slow"));
        tokio::spawn(async move { supervisor.start_child(slow).await });
    }
    let failing =
        ChildSpec::run(|| async { Err(Stop::because(ExitReason::Killed)) }).restart(Restart::Permanent);
    within(supervisor.start_child(failing)).await.unwrap();
    until(async || supervisor.which_children().await.unwrap().len() == 3).await;
}

/// Never comes to the end of its `init`.
struct Slow;

impl Process for Slow {
    const KIND: &'static str = "slow";
    type Args = ();
    type Deps = ();
    type Messages = ();

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_closing_node_lets_supervisors_stop_their_children_in_order() {
    let (node, log) = node();
    let inner = Supervisor::builder().child(worker("c")).child(worker("d"));
    let outer =
        Supervisor::builder().child(worker("a")).child(ChildSpec::supervisor(inner)).child(worker("e"));
    within(outer.start(&node)).await.unwrap();
    lines(&log);
    assert_eq!(within(node.close(Duration::from_secs(10))).await, 0);
    assert_eq!(lines(&log), ["-e", "-d", "-c", "-a"]);
}

#[tokio::test]
async fn a_child_of_closures_does_not_travel_and_one_of_a_kind_does() {
    let (node, _log) = node();
    let supervisor = within(Supervisor::dynamic().start(&node)).await.unwrap();
    let spec: horde_process::local::Spec = ChildSpec::<Tally>::of(3).into();
    let bytes = horde_process::encode(&spec).unwrap();
    assert!(horde_process::decode::<horde_process::local::Spec>(&bytes).is_ok());
    let pinned: horde_process::local::Spec = ChildSpec::run(|| async { Ok(()) }).into();
    assert!(horde_process::encode(&pinned).is_err());
    drop(supervisor);
}
