//! What a process looks at first, and how senders wait for room.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Watch, Watchdog, alone, within};
use horde_process::{CallError, Context, ExitReason, Handle, Message, Node, Process, Ref, Shutdown, Stop};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// Waits for a permit, then counts itself.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u32, crate = "horde_process")]
struct Work(u32);

/// Links itself to a watchdog.
#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct Join(Ref<Watchdog>);

struct Busy;

/// What a test sees of the busy one.
#[derive(Default)]
struct Seen {
    permits: Option<Semaphore>,
    began: AtomicU32,
    handled: AtomicU32,
    sum: AtomicU32,
}

impl Process for Busy {
    const KIND: &'static str = "busy";
    const MAILBOX: usize = 8;
    type Args = ();
    type Deps = Arc<Seen>;
    type Messages = (Work, Join);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self)
    }
}

impl Handle<Work> for Busy {
    async fn handle(&mut self, work: Work, cx: &mut Context<Self>) -> u32 {
        let seen = Arc::clone(cx.deps());
        seen.began.fetch_add(1, Ordering::Relaxed);
        seen.permits.as_ref().unwrap().acquire().await.unwrap().forget();
        seen.sum.fetch_add(work.0, Ordering::Relaxed);
        seen.handled.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Handle<Join> for Busy {
    async fn handle(&mut self, join: Join, cx: &mut Context<Self>) {
        cx.link(&join.0.pid().unwrap());
    }
}

async fn busy() -> (Node, Arc<Seen>, Ref<Busy>) {
    let seen = Arc::new(Seen { permits: Some(Semaphore::new(0)), ..Seen::default() });
    let node = alone(|builder| builder.runs::<Busy>(Arc::clone(&seen)).runs::<Watchdog>(()));
    let busy = node.spawn::<Busy>(()).await.unwrap();
    (node, seen, busy)
}

async fn begun(seen: &Seen) {
    within(async {
        while seen.began.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stop_is_served_before_the_messages_that_were_queued_first() {
    let (node, seen, busy) = busy().await;
    let calls: Vec<_> = (0..4).map(|_| tokio::spawn(busy.call(Work(1)))).collect();
    begun(&seen).await;
    node.stop(&busy.pid().unwrap(), ExitReason::ShutdownWith("now".into()), Shutdown::Infinity);
    seen.permits.as_ref().unwrap().add_permits(10);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(within(call).await.unwrap());
    }
    let exited = Err(CallError::Exited(ExitReason::ShutdownWith("now".into())));
    assert_eq!(answers, [Ok(1), exited.clone(), exited.clone(), exited]);
    assert_eq!(seen.handled.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_exit_signal_is_served_before_the_messages_that_were_queued_first() {
    let (node, seen, busy) = busy().await;
    let dog = node.spawn::<Watchdog>(()).await.unwrap();
    within(busy.call(Join(dog.clone()))).await.unwrap();
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(busy.call(Work(1)))).collect();
    begun(&seen).await;
    let dog_pid = dog.pid().unwrap();
    let ended = dog.ended();
    node.stop(&dog_pid, ExitReason::Error("x".into()), Shutdown::Infinity);
    within(ended).await;
    seen.permits.as_ref().unwrap().add_permits(10);
    assert_eq!(within(busy.ended()).await, ExitReason::Error("x".into()).linked(&dog_pid));
    assert_eq!(seen.handled.load(Ordering::Relaxed), 1);
    drop(calls);
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_handler() {
    let (node, seen, busy) = busy().await;
    let call = tokio::spawn(busy.call(Work(1)));
    begun(&seen).await;
    node.stop(&busy.pid().unwrap(), ExitReason::Shutdown, Shutdown::BrutalKill);
    assert_eq!(within(call).await.unwrap(), Err(CallError::Exited(ExitReason::Killed)));
    assert_eq!(seen.handled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_send_waits_for_room_and_gives_its_message_back_when_there_is_none_in_time() {
    let (_node, seen, busy) = busy().await;
    // The one that is handled keeps its place until it is done.
    let mut sent = 0;
    let refused = loop {
        match within(busy.send(Work(1)).timeout(Duration::from_millis(5))).await {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((sent, refused.message.0), (8, 1));
    assert_eq!(refused.error, CallError::Full(busy.name().clone()));
    let waits: Vec<_> = (0..20)
        .map(|_| {
            let busy = busy.clone();
            tokio::spawn(async move { busy.send(Work(100)).await.map_err(|refused| refused.error) })
        })
        .collect();
    seen.permits.as_ref().unwrap().add_permits(1000);
    for wait in waits {
        assert_eq!(within(wait).await.unwrap(), Ok(()));
    }
    assert_eq!(within(busy.call(Work(0))).await, Ok(29));
    assert_eq!(seen.sum.load(Ordering::Relaxed), 2008);
}

#[tokio::test]
async fn a_send_to_nobody_says_so() {
    let (node, _seen, busy) = busy().await;
    let monitored = node.spawn::<Watchdog>(()).await.unwrap();
    within(monitored.call(Watch::monitor(&busy.pid().unwrap()))).await.unwrap();
    node.stop(&busy.pid().unwrap(), ExitReason::Shutdown, Shutdown::BrutalKill);
    within(busy.ended()).await;
    let refused = within(busy.send(Work(1))).await.unwrap_err();
    assert_eq!(refused.error, CallError::NoProcess(busy.name().clone()));
    let by_name = Ref::<Busy>::new(&node, "busy");
    assert!(within(by_name.send(Work(1))).await.unwrap_err().error.not_delivered());
}
