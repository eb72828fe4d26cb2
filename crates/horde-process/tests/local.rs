//! Processes of one node.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Add, Get, Silent, Tally, alone, within};
use horde_process::{
    CallError, Context, ExitReason, Handle, Message, Name, NameTaken, Process, Ref, Reply, Serve, SpawnError,
    StartFailure, Stop,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_process_handles_its_messages_in_the_order_they_were_sent() {
    let node = alone(|builder| builder.runs::<Tally>(()));
    let tally = node.spawn::<Tally>(3).await.unwrap();
    for by in 1..=100 {
        tally.cast(Add { by }).unwrap();
    }
    assert_eq!(within(tally.call(Get)).await, Ok(3 + 5050));
}

#[tokio::test]
async fn a_panic_is_an_exit_reason_and_the_answer_of_its_call() {
    let node = alone(|builder| builder.runs::<Tally>(()));
    let tally = node.spawn::<Tally>(0).await.unwrap();
    let ended = tally.ended();
    let reason = ExitReason::Panicked("over the limit by 1".into());
    assert_eq!(within(tally.call(Add { by: u64::MAX })).await, Err(CallError::Exited(reason.clone())));
    assert_eq!(within(ended).await, reason);
    assert_eq!(tally.cast(Add { by: 1 }), Err(CallError::NoProcess(tally.name().clone())));
}

#[tokio::test]
async fn a_reply_that_is_dropped_says_so_at_once() {
    let node = alone(|builder| builder.runs::<Tally>(()));
    let tally = node.spawn::<Tally>(0).await.unwrap();
    assert_eq!(within(tally.call(Silent)).await, Err(CallError::NoReply));
}

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Block;

#[derive(Serialize, Deserialize, Message)]
#[message(reply = u32, crate = "horde_process")]
struct Later(u32);

/// Waits for a permit at each `Block`; keeps the answer of `Later` until the next `Block`.
struct Gate {
    kept: Vec<(u32, Reply<u32>)>,
}

impl Process for Gate {
    const KIND: &'static str = "gate";
    const MAILBOX: usize = 2;
    type Args = ();
    type Deps = Arc<Semaphore>;
    type Messages = (Block, Later);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self { kept: Vec::new() })
    }
}

impl Handle<Block> for Gate {
    async fn handle(&mut self, _: Block, cx: &mut Context<Self>) {
        cx.deps().acquire().await.unwrap().forget();
        for (number, reply) in self.kept.drain(..) {
            reply.send(number);
        }
    }
}

impl Serve<Later> for Gate {
    async fn serve(&mut self, later: Later, reply: Reply<u32>, _: &mut Context<Self>) {
        self.kept.push((later.0, reply));
    }
}

async fn gate() -> (Arc<Semaphore>, Ref<Gate>) {
    let permits = Arc::new(Semaphore::new(0));
    let node = alone(|builder| builder.runs::<Gate>(Arc::clone(&permits)));
    (permits, node.spawn::<Gate>(()).await.unwrap())
}

#[tokio::test]
async fn a_full_mailbox_hands_a_cast_back_and_lets_a_call_wait() {
    let (permits, gate) = gate().await;
    gate.cast(Block).unwrap();
    // The gate takes the block and waits for a permit; two more fill its mailbox.
    let refused = loop {
        match gate.try_cast(Later(1)) {
            Ok(()) => tokio::task::yield_now().await,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.message.0, 1);
    assert_eq!(refused.error, CallError::Full(gate.name().clone()));
    let full = within(gate.call(Later(2)).timeout(Duration::from_millis(1))).await;
    assert_eq!(full, Err(CallError::Full(gate.name().clone())));
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { gate.call(Later(3)).await }
    });
    permits.add_permits(1000);
    while !waits.is_finished() {
        // Each block that comes behind the call lets its answer go.
        within(gate.call(Block)).await.unwrap();
    }
    assert_eq!(waits.await.unwrap(), Ok(3));
}

#[tokio::test]
async fn a_call_over_its_time_is_dropped_unhandled() {
    let (permits, gate) = gate().await;
    gate.cast(Block).unwrap();
    let patience = Duration::from_millis(1);
    assert_eq!(within(gate.call(Block).timeout(patience)).await, Err(CallError::Timeout(patience)));
    assert_eq!(gate.call(Block).timeout(Duration::ZERO).await, Err(CallError::Timeout(Duration::ZERO)));
    permits.add_permits(2);
    within(gate.call(Block)).await.unwrap();
    assert_eq!(permits.available_permits(), 0);
}

#[tokio::test]
async fn a_name_belongs_to_one_process_until_it_ends() {
    let node = alone(|builder| builder.runs::<Tally>(()));
    let first = node.spawn_named::<Tally>("tally", 1).await.unwrap();
    let taken = node.spawn_named::<Tally>("tally", 2).await.unwrap_err();
    let pid = first.pid().unwrap();
    assert_eq!(taken, SpawnError::Failed(StartFailure::NameTaken(pid.clone())));
    assert_eq!(node.register("tally", &pid), Err(NameTaken::AlreadyRegistered(pid.clone())));
    let by_name = Ref::<Tally>::new(&node, "tally");
    assert_eq!(within(by_name.call(Get)).await, Ok(1));
    let ended = first.ended();
    node.stop(&pid, ExitReason::Shutdown, horde_process::Shutdown::default());
    assert_eq!(within(ended).await, ExitReason::Shutdown);
    assert_eq!(by_name.pid(), None);
    assert_eq!(within(by_name.call(Get)).await, Err(CallError::NoProcess(Name::local("tally"))));
    node.spawn_named::<Tally>("tally", 3).await.unwrap();
    assert_eq!(within(by_name.call(Get)).await, Ok(3));
}

#[tokio::test]
async fn an_address_in_a_message_belongs_to_the_node_that_reads_it() {
    let node = alone(|builder| builder.runs::<Tally>(()));
    let tally = node.spawn::<Tally>(4).await.unwrap();
    let bytes = horde_process::encode(&tally).unwrap();
    let unbound: Ref<Tally> = horde_process::decode(&bytes).unwrap();
    assert_eq!(unbound, tally);
    assert_eq!(within(unbound.call(Get)).await, Err(CallError::Unbound));
    let bound = Ref::<Tally>::new(&node, unbound.name());
    assert_eq!(within(bound.call(Get)).await, Ok(4));
}

#[tokio::test]
async fn two_nodes_of_one_test_do_not_see_each_other() {
    let one = alone(|builder| builder.runs::<Tally>(()));
    let two = alone(|builder| builder.runs::<Tally>(()));
    let tally = one.spawn_named::<Tally>("tally", 1).await.unwrap();
    assert_eq!(two.resolve(&Name::local("tally")), None);
    assert!(one.is_alive(&tally.pid().unwrap()));
    assert_eq!(two.process_count(), 0);
    let across = Ref::<Tally>::new(&two, &tally);
    assert!(within(across.call(Get)).await.unwrap_err().not_delivered());
}
