//! The end of shutdown timeouts, on a thread of its own: processes that spin may hold every worker of the runtime.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::Node;
use crate::cell::lock;
use crate::node::Inner;

/// When to look at which process, and what for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    number: u64,
    /// Kill it first; else only see whether it is gone.
    kill: bool,
}

/// Ends what does not stop in time, and reports what does not end. Its thread starts with its first task and ends with its node.
pub(crate) struct Reaper {
    grace: Duration,
    thread: Mutex<Option<mpsc::Sender<Due>>>,
}

impl Reaper {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, thread: Mutex::new(None) }
    }

    /// Kills the process after `timeout` unless it is gone by then.
    pub(crate) fn kill_after(&self, node: &Node, number: u64, timeout: Duration) {
        let Some(at) = Instant::now().checked_add(timeout) else { return };
        self.add(node, Due { at, number, kill: true });
    }

    /// Reports the process, which was killed just now, unless it is gone after the grace.
    pub(crate) fn check(&self, node: &Node, number: u64) {
        self.add(node, Due { at: Instant::now() + self.grace, number, kill: false });
    }

    fn add(&self, node: &Node, due: Due) {
        let mut thread = lock(&self.thread);
        let sender = thread.get_or_insert_with(|| begin(node, self.grace));
        if let Err(mpsc::SendError(due)) = sender.send(due) {
            // The thread is gone only if a watcher panicked on it: begin another.
            *thread = Some(begin(node, self.grace));
            if let Some(sender) = &*thread {
                // A thread that cannot even begin was said in an event.
                drop(sender.send(due));
            }
        }
    }
}

fn begin(node: &Node, grace: Duration) -> mpsc::Sender<Due> {
    let (sender, inbox) = mpsc::channel();
    let weak = Arc::downgrade(&node.0);
    let name = format!("reaper-{}", node.id());
    if let Err(error) = thread::Builder::new().name(name).spawn(move || reap(&inbox, &weak, grace)) {
        tracing::error!(node = %node.id(), %error, "no thread for shutdown timeouts: they do not end until the next stop");
    }
    sender
}

fn reap(inbox: &mpsc::Receiver<Due>, node: &Weak<Inner>, grace: Duration) {
    let mut heap: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    loop {
        let received = match heap.peek() {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(Reverse(due)) => inbox.recv_timeout(due.at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(due) => heap.push(Reverse(due)),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let Some(node) = node.upgrade().map(Node) else { return };
                let again = heap.pop().and_then(|Reverse(due)| act(&node, due, grace));
                heap.extend(again.map(Reverse));
            }
        }
    }
}

fn act(node: &Node, due: Due, grace: Duration) -> Option<Due> {
    let process = node.0.table.get(due.number)?;
    let core = process.core();
    if due.kill {
        core.kill();
        return Some(Due { at: Instant::now() + grace, number: due.number, kill: false });
    }
    tracing::warn!(pid = %core.pid(), "a process is stuck: its shutdown is over and its task does not end");
    if let Some((watcher, token)) = &core.watch {
        watcher.stuck(*token, core.pid().clone());
    }
    None
}
