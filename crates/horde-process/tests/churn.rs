//! Many processes come and go: nothing of them stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Tally, Watch, Watchdog, alone, within};
use horde_process::{Context, ExitReason, Handle, Message, Process, Ref, Shutdown, Stop};
use serde::{Deserialize, Serialize};

/// Counts itself while it lives.
struct Alive(Arc<AtomicUsize>);

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
struct End;

impl Process for Alive {
    const KIND: &'static str = "alive";
    type Args = ();
    type Deps = Arc<AtomicUsize>;
    type Messages = (End,);

    async fn init((): (), cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.deps().fetch_add(1, Ordering::Relaxed);
        cx.every(std::time::Duration::from_secs(60), Self::tick);
        cx.spawn(std::future::pending());
        Ok(Self(Arc::clone(cx.deps())))
    }
}

impl Alive {
    async fn tick(&mut self, _: &mut Context<Self>) {}
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle<End> for Alive {
    async fn handle(&mut self, _: End, cx: &mut Context<Self>) {
        cx.stop(ExitReason::Normal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_end_leave_no_task_no_entry_and_no_state() {
    let count = Arc::new(AtomicUsize::new(0));
    let node = alone(|builder| builder.runs::<Alive>(Arc::clone(&count)));
    for round in 0..100 {
        let mut all: Vec<Ref<Alive>> = Vec::new();
        for at in 0..100 {
            all.push(node.spawn_named::<Alive>(format!("{round}.{at}").as_str(), ()).await.unwrap());
        }
        for one in &all {
            one.cast(End).unwrap();
        }
        for one in &all {
            assert_eq!(within(one.ended()).await, ExitReason::Normal);
        }
    }
    // The end of the last one is told before it is off the list.
    within(async {
        while node.process_count() > 0 || count.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((node.process_count(), node.processes()), (0, vec![]));
    assert_eq!(count.load(Ordering::Relaxed), 0);
    assert_eq!(node.resolve(&"99.99".into()), None);
    // The tasks of the last processes and helpers end on their own after the processes are off the list.
    within(async {
        while node.runtime().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_order_of_links_and_ends_nobody_linked_to_an_ended_one_lives_on() {
    let node = alone(|builder| builder.runs::<Watchdog>(()).runs::<Tally>(()));
    for _ in 0..200 {
        let first = node.spawn::<Watchdog>(()).await.unwrap();
        let second = node.spawn::<Watchdog>(()).await.unwrap();
        let (one, two) = (first.pid().unwrap(), second.pid().unwrap());
        // The link, from both sides at once, races with the end of one of them.
        let linking = tokio::spawn({
            let (first, second) = (first.clone(), second.clone());
            async move {
                drop(first.cast(Watch::link(&two)));
                drop(second.cast(Watch::link(&one)));
            }
        });
        node.stop(&first.pid().unwrap(), ExitReason::Error("x".into()), Shutdown::BrutalKill);
        assert_eq!(within(first.ended()).await, ExitReason::Killed);
        linking.await.unwrap();
        let reason = within(second.ended()).await;
        assert!(matches!(reason, ExitReason::Linked { .. }), "{reason}");
    }
    assert_eq!(node.process_count(), 0);
}
