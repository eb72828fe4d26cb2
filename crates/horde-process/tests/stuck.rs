//! Children of a local supervisor that do not end when they are stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::{Get, Tally, alone, within};
use horde_process::local::{ChildSpec, ChildState, Refusal, Supervisor, SupervisorError};
use horde_process::{
    CallError, Context, ExitReason, Handle, Message, Name, Process, Ref, Restart, Shutdown, Stop,
};
use serde::{Deserialize, Serialize};

/// What holds the bad ones.
struct Hold {
    spins: AtomicBool,
    spinning: AtomicBool,
    gate: Mutex<Option<Receiver<()>>>,
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
enum Be {
    /// Awaits for ever.
    Awaiting,
    /// Loops without an await, until it is released.
    Spinning,
    /// Waits on the thread itself, until it is released.
    Blocking,
}

struct Bad;

impl Process for Bad {
    const KIND: &'static str = "bad";
    type Args = ();
    type Deps = Arc<Hold>;
    type Messages = (Be,);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Be> for Bad {
    async fn handle(&mut self, be: Be, cx: &mut Context<Self>) {
        let hold = Arc::clone(cx.deps());
        match be {
            Be::Awaiting => std::future::pending().await,
            Be::Spinning => {
                hold.spinning.store(true, Ordering::Release);
                while hold.spins.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }
            Be::Blocking => {
                let gate = hold.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
                // The other end is dropped: an error, and the end of the wait.
                assert!(gate.is_none_or(|gate| gate.recv().is_err()));
            }
        }
    }
}

fn bad(id: &str) -> ChildSpec<Bad> {
    let shutdown = Shutdown::Timeout(Duration::from_millis(5));
    ChildSpec::of(()).id(id).named(id).restart(Restart::Permanent).shutdown(shutdown)
}

async fn until(done: impl Fn() -> bool) {
    within(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_spins_and_one_that_blocks_are_stuck_and_the_supervisor_answers_and_starts_no_second_copy() {
    let (opener, gate) = channel();
    let hold = Arc::new(Hold {
        spins: AtomicBool::new(true),
        spinning: AtomicBool::new(false),
        gate: Mutex::new(Some(gate)),
    });
    let deps = Arc::clone(&hold);
    // Long enough for what does await to end, on a busy machine too.
    let grace = Duration::from_millis(500);
    let node = alone(|builder| builder.runs::<Bad>(deps).runs::<Tally>(()).stuck_after(grace));
    let tree = Supervisor::builder()
        .child(bad("awaits"))
        .child(bad("spins"))
        .child(bad("blocks"))
        .child(ChildSpec::<Tally>::of(1).named("good"));
    let tree = within(tree.start(&node)).await.unwrap();

    let awaiting = Ref::<Bad>::new(&node, "awaits");
    let call = tokio::spawn(awaiting.call(Be::Awaiting));
    Ref::<Bad>::new(&node, "spins").cast(Be::Spinning).unwrap();
    Ref::<Bad>::new(&node, "blocks").cast(Be::Blocking).unwrap();
    until(|| hold.spinning.load(Ordering::Acquire) && hold.gate.lock().unwrap().is_none()).await;

    // The one that awaits ends within its time, and its caller hears it.
    within(tree.terminate_child("awaits")).await.unwrap();
    assert_eq!(within(call).await.unwrap(), Err(CallError::Exited(ExitReason::Killed)));
    for id in ["spins", "blocks"] {
        let pid = node.resolve(&Name::local(id)).unwrap();
        let stuck = SupervisorError::Refused(Refusal::Stuck(pid.clone()));
        assert_eq!(within(tree.terminate_child(id)).await, Err(stuck.clone()));
        // Its place and its name stay taken.
        let taken = SupervisorError::Refused(Refusal::AlreadyStarted(pid.clone()));
        assert_eq!(within(tree.start_child(bad(id))).await, Err(taken));
        assert_eq!(within(tree.restart_child::<Bad>(id)).await, Err(stuck));
        assert_eq!(node.resolve(&Name::local(id)), Some(pid.clone()));
        let children = within(tree.which_children()).await.unwrap();
        let child = children.iter().find(|child| child.id == id).unwrap();
        assert_eq!(child.state, ChildState::Stuck(pid));
    }
    assert_eq!(within(Ref::<Tally>::new(&node, "good").call(Get)).await, Ok(1));
    assert_eq!(within(tree.count_children()).await.unwrap().active, 3);

    hold.spins.store(false, Ordering::Release);
    drop(opener);
    until(|| ["spins", "blocks"].iter().all(|id| node.resolve(&Name::local(id)).is_none())).await;
    for id in ["awaits", "spins", "blocks"] {
        within(async {
            // The supervisor hears of the end a moment after the name is free.
            while tree.restart_child::<Bad>(id).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert_eq!(within(tree.stop(ExitReason::Shutdown)).await, ExitReason::Shutdown);
    assert_eq!(node.process_count(), 0);
}
