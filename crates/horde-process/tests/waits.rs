//! Deadlines of calls: kept on the node's list while they are far off, by a timer of the call's own when they are near.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::time::Duration;

use common::{alone, within};
use horde_process::{CallError, Context, Handle, Message, Process, Ref, Reply, Serve, Stop};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Kept, and answered when somebody says so.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
struct Later;

/// Answered at once.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = u64, crate = "horde_process")]
struct Now(u64);

/// Answers all who wait, and says how many did.
#[derive(Serialize, Deserialize, Message)]
#[message(reply = usize, crate = "horde_process")]
struct Answer;

#[derive(Default)]
struct Slow(Vec<Reply<u64>>);

impl Process for Slow {
    const KIND: &'static str = "slow";
    type Args = ();
    type Deps = ();
    type Messages = (Later, Now, Answer);

    async fn init((): (), _: &mut Context<Self>) -> Result<Self, Stop> {
        Ok(Self::default())
    }
}

impl Serve<Later> for Slow {
    async fn serve(&mut self, _: Later, reply: Reply<u64>, _: &mut Context<Self>) {
        self.0.push(reply);
    }
}

impl Handle<Now> for Slow {
    async fn handle(&mut self, Now(number): Now, _: &mut Context<Self>) -> u64 {
        number
    }
}

impl Handle<Answer> for Slow {
    async fn handle(&mut self, _: Answer, _: &mut Context<Self>) -> usize {
        self.0.drain(..).filter(Reply::is_wanted).map(|reply| reply.send(7)).count()
    }
}

async fn slow() -> Ref<Slow> {
    alone(|node| node.runs::<Slow>(())).spawn::<Slow>(()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_at_its_deadline_be_it_near_or_far() {
    let slow = slow().await;
    for patience in [1, 100, 249, 250, 251, 300, 400, 1_000, 4_999, 60_000].map(Duration::from_millis) {
        let start = Instant::now();
        assert_eq!(slow.call(Later).timeout(patience).await, Err(CallError::Timeout(patience)));
        let taken = start.elapsed();
        // tokio's timers are good to a millisecond.
        assert!(
            taken >= patience && taken <= patience + Duration::from_millis(2),
            "{taken:?} of {patience:?}"
        );
    }
    // None of them is wanted any more.
    assert_eq!(slow.call(Answer).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn calls_of_different_patience_do_not_mind_one_another() {
    let slow = slow().await;
    let start = Instant::now();
    let calls: Vec<_> = (1..=200_u64)
        .map(|at| {
            let slow = slow.clone();
            tokio::spawn(async move {
                let patience = Duration::from_millis(at * 37);
                let outcome = slow.call(Later).timeout(patience).await;
                (outcome, patience, start.elapsed())
            })
        })
        .collect();
    for call in calls {
        let (outcome, patience, taken) = call.await.unwrap();
        assert_eq!(outcome, Err(CallError::Timeout(patience)));
        assert!(
            taken >= patience && taken <= patience + Duration::from_millis(2),
            "{taken:?} of {patience:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_polled_by_several_tasks_in_turn_is_answered_to_the_last() {
    let slow = slow().await;
    let mut call = Box::pin(slow.call(Later).timeout(Duration::from_secs(30)));
    for _ in 0..3 {
        // Each of these polls it with a waker of its own, and goes away.
        let polled = async move {
            tokio::select! {
                biased;
                _ = &mut call => unreachable!("nobody answered"),
                () = tokio::task::yield_now() => {}
            }
            (call,)
        };
        (call,) = tokio::spawn(polled).await.unwrap();
    }
    assert_eq!(slow.call(Answer).await, Ok(1));
    assert_eq!(call.await, Ok(7));
}

#[tokio::test]
async fn a_call_that_is_dropped_is_not_wanted_any_more() {
    let slow = slow().await;
    {
        let mut call = Box::pin(slow.call(Later));
        tokio::select! {
            biased;
            _ = &mut call => unreachable!("nobody answered"),
            answer = slow.call(Now(3)) => assert_eq!(answer, Ok(3)),
        }
    }
    assert_eq!(within(slow.call(Answer)).await, Ok(0));
}

/// The runtime whose task went over the list is gone: who waits in another sees to it from there.
#[test]
fn a_deadline_holds_when_the_runtime_that_watched_it_is_gone() {
    let new = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (home, first, second): (Runtime, Runtime, Runtime) = (new(), new(), new());
    let slow = home.block_on(home.spawn(slow())).unwrap();
    let patience = Duration::from_millis(600);
    let other = slow.clone();
    // The first call of the node: its runtime has the list.
    drop(first.spawn(async move { other.call(Later).timeout(Duration::from_secs(60)).await }));
    let other = slow.clone();
    home.block_on(home.spawn(async move {
        within(async { while other.call(Answer).await != Ok(1) {} }).await;
    }))
    .unwrap();
    let waits = second.spawn(async move { slow.call(Later).timeout(patience).await });
    first.shutdown_background();
    let outcome = second.block_on(within(waits)).unwrap();
    assert_eq!(outcome, Err(CallError::Timeout(patience)));
}
