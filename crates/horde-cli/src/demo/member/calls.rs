//! Calls to children by name, and what became of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use horde::{CallError, ExitReason, Registry};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{AT_ONCE, name};
use crate::demo::protocol::{Calls, unix_us};
use crate::demo::worker::{Where, Worker};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Calls that go on until they are told to end.
pub(super) struct Calling {
    stop: watch::Sender<bool>,
    calls: JoinHandle<Calls>,
}

impl Calling {
    pub(super) fn begin(names: &Registry<String>, children: Vec<usize>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let calls = tokio::spawn(until(names.clone(), children, stopped));
        Self { stop, calls }
    }

    pub(super) async fn end(self) -> anyhow::Result<Calls> {
        self.stop.send_replace(true);
        Ok(self.calls.await?)
    }
}

/// Calls some children by name, each again as soon as it has answered, until told to stop.
async fn until(names: Registry<String>, children: Vec<usize>, stopped: watch::Receiver<bool>) -> Calls {
    let mut callers = JoinSet::new();
    for number in children {
        let (names, stopped) = (names.clone(), stopped.clone());
        callers.spawn(async move {
            let mut tally = Calls::default();
            while !*stopped.borrow() {
                let answered = tally.call(&names, number).await;
                tokio::time::sleep(Duration::from_millis(if answered { 2 } else { 1 })).await;
            }
            tally
        });
    }
    sum(callers).await
}

/// Calls every child by name until it has answered, for a while.
pub(super) async fn all(names: &Registry<String>, count: usize) -> Calls {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for number in 0..count {
        let names = names.clone();
        let permit = room.clone().acquire_owned().await;
        calls.spawn(async move {
            let _permit = permit;
            let mut tally = Calls::default();
            // A name that was just given anew may need a moment to be known here.
            let end = Instant::now() + PATIENCE;
            while !tally.call(&names, number).await && Instant::now() < end {
                tally.failed.clear();
                tally.again = 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tally
        });
    }
    sum(calls).await
}

async fn sum(mut calls: JoinSet<Calls>) -> Calls {
    let mut total = Calls::default();
    while let Some(tally) = calls.join_next().await {
        match tally {
            Ok(tally) => total.add(tally),
            Err(_) => total.fail("a caller panicked", unix_us()),
        }
    }
    total
}

impl Calls {
    /// Calls one child by name, and notes what came of it.
    async fn call(&mut self, names: &Registry<String>, number: usize) -> bool {
        let begun = Instant::now();
        let answer = names.via::<Worker>(name(number).as_str()).call(Where).timeout(PATIENCE).await;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us = self.slowest_us.max(took);
        match answer {
            Ok(node) => {
                self.answered += 1;
                *self.by_node.entry(node).or_default() += 1;
                true
            }
            Err(error) => {
                self.fail(kind(&error), unix_us());
                false
            }
        }
    }
}

/// What went wrong with a call, in a word or two.
fn kind(error: &CallError) -> &'static str {
    match error {
        CallError::NoProcess(_) => "no process",
        CallError::NotConnected { .. } => "not connected",
        CallError::NodeDown(_) => "interrupted",
        CallError::Moved(_) | CallError::Exited(ExitReason::Redistribution) => "moved",
        CallError::Exited(_) => "exited",
        CallError::Timeout(_) => "timeout",
        CallError::NoReply => "no reply",
        _ => "other",
    }
}
