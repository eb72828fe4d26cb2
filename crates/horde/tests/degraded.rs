//! A node whose user code does not run: it stays a member, and nothing new is placed on it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use horde::{ChildSpec, Context, Handle, Message, Network, Node, Process, Stop, Supervisor};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

const CHILDREN: usize = 30;
const DEADLINE: Duration = Duration::from_secs(30);
const WORKERS: usize = 2;

/// Says where it runs.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = String)]
struct Where;

struct Worker;

impl Process for Worker {
    const KIND: &'static str = "worker";
    type Args = String;
    type Deps = ();
    type Messages = (Where,);

    async fn init(_: String, _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Where> for Worker {
    async fn handle(&mut self, _: Where, cx: &mut Context<Self>) -> String {
        cx.node().id().name().to_string()
    }
}

async fn start(name: &str, network: Network) -> (Node, Supervisor) {
    let node = Node::builder(name).network(&network).expect(2).runs::<Worker>(()).start().await.unwrap();
    node.ready().await.unwrap();
    let children = Supervisor::builder("children").start(&node).await.unwrap();
    (node, children)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap()
}

/// Blocks every worker of `user` until the sender is dropped; returns once all are.
fn block(user: &Runtime) -> mpsc::Sender<()> {
    let (blocked, all_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    for _ in 0..WORKERS {
        let (blocked, released) = (blocked.clone(), released.clone());
        user.spawn(async move {
            blocked.send(()).unwrap();
            // As user code does that waits for a file, a lock or a long computation.
            let _released = released.lock().unwrap().recv();
        });
    }
    for _ in 0..WORKERS {
        all_blocked.recv_timeout(DEADLINE).unwrap();
    }
    release
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await; // tidy: sleep, several events lead to it
    }
}

/// Starts as many children, with ids that begin so; answers how many run on each of the two.
async fn spread(children: &Supervisor, ids: &str) -> (usize, usize) {
    let mut names = Vec::new();
    for number in 0..CHILDREN {
        let id = format!("{ids}-{number}");
        let child = children.start_child(ChildSpec::<Worker>::of(id.clone()).id(id)).await.unwrap();
        names.push(child.call(Where).await.unwrap());
    }
    let one = names.iter().filter(|name| *name == "one").count();
    (one, CHILDREN - one)
}

/// Two takes part a moment after it is told.
async fn until_both_have_some(children: &Supervisor, ids: &str) {
    let deadline = Instant::now() + DEADLINE;
    for round in 0.. {
        if let (1.., 1..) = spread(children, &format!("{ids}-{round}")).await {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "nothing is placed on one of the two: {:?}",
            children.ready_members()
        );
    }
}

#[test]
fn children_go_where_user_code_runs() {
    let (ours, theirs, network) = (runtime(), runtime(), Network::in_memory());
    let other = theirs.spawn(start("two", network.clone()));
    let ((one, children), (two, _kept)) =
        ours.block_on(async { (start("one", network.clone()).await, other.await.unwrap()) });
    ours.block_on(async {
        let id = two.id().clone();
        until_both_have_some(&children, "before").await;
        let release = block(&theirs);
        let degraded = || one.view().get(&id).is_some_and(|member| member.is_degraded());
        eventually("it is told that two runs no user code", degraded).await;
        assert_eq!(spread(&children, "meanwhile").await, (CHILDREN, 0));
        assert_eq!(children.ready_members().len(), 2, "two is a member all the while");
        drop(release);
        eventually("two runs user code again", || !degraded()).await;
        until_both_have_some(&children, "after").await;
    });
    theirs.shutdown_background();
}
