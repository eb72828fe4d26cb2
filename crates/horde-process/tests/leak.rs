//! A million processes come and go: the heap is as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/common.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::alone;
use horde_process::{Context, ExitReason, Handle, Message, Node, Process, Ref, Stop};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts bytes asked for and given back: exact, whatever the machine does. The only test of this binary.
#[global_allocator]
static HEAP: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const ALL: usize = 1_000_000;
const AT_ONCE: usize = 1_000;
/// What may differ: buffers that grew, names that are freed in lots. A thousandth of what the processes took.
const SLACK: isize = 512 * 1024;

#[derive(Serialize, Deserialize, Message)]
#[message(crate = "horde_process")]
enum Do {
    Monitor(Ref<Fly>),
    End,
    Crash,
}

/// Counts itself while it lives; some have a timer, a helper or a link.
struct Fly(Arc<AtomicUsize>);

impl Process for Fly {
    const KIND: &'static str = "fly";
    type Args = usize;
    type Deps = Arc<AtomicUsize>;
    type Messages = (Do,);

    async fn init(number: usize, cx: &mut Context<Self>) -> Result<Self, Stop> {
        cx.deps().fetch_add(1, Ordering::Relaxed);
        match number % 16 {
            0 => drop(cx.every(std::time::Duration::from_secs(60), Self::tick)),
            1 => cx.spawn(std::future::pending()),
            _ => {}
        }
        Ok(Self(Arc::clone(cx.deps())))
    }
}

impl Fly {
    async fn tick(&mut self, _: &mut Context<Self>) {}
}

impl Drop for Fly {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle<Do> for Fly {
    async fn handle(&mut self, what: Do, cx: &mut Context<Self>) {
        match what {
            Do::Monitor(other) => drop(cx.monitor(&other)),
            Do::End => cx.stop(ExitReason::Normal),
            Do::Crash => cx.stop(ExitReason::Error("x".into())),
        }
    }
}

async fn come_and_go(node: &Node, count: usize) {
    for round in 0..count / AT_ONCE {
        let mut all: Vec<Ref<Fly>> = Vec::with_capacity(AT_ONCE);
        for number in 0..AT_ONCE {
            let fly = match number % 16 {
                2 => node.spawn_named::<Fly>(format!("{round}.{number}").as_str(), number).await,
                _ => node.spawn::<Fly>(number).await,
            };
            all.push(fly.unwrap());
        }
        for (number, one) in all.iter().enumerate() {
            if number % 16 == 3 {
                one.cast(Do::Monitor(all[number - 1].clone())).unwrap();
            }
            one.cast(if number % 16 == 4 { Do::Crash } else { Do::End }).unwrap();
        }
        for one in &all {
            one.ended().await;
        }
    }
    while node.runtime().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_million_processes_no_task_no_entry_and_no_byte_is_left() {
    let count = Arc::new(AtomicUsize::new(0));
    let node = alone(|builder| builder.runs::<Fly>(Arc::clone(&count)));
    come_and_go(&node, 20 * AT_ONCE).await;
    let region = Region::new(HEAP);
    come_and_go(&node, ALL).await;
    let change = region.change();
    let left = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    assert_eq!((node.process_count(), count.load(Ordering::Relaxed)), (0, 0));
    assert!(left < SLACK, "{left} bytes of {} are left", change.bytes_allocated);
}
