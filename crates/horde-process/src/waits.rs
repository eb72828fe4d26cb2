//! Those who wait for an answer until some time that is still far off: a list instead of a timer for each.
//!
//! Most calls are answered long before their deadline, and a timer made and dropped for each costs more than the call itself. A caller
//! is noted here, which is one push; a task goes over the list now and then, and reminds those whose time is nearly over: they take a
//! timer of their own then, so that their deadline is as exact as any.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::Node;
use crate::cell::lock;
use crate::node::Inner;

/// A deadline nearer than this is the caller's own timer's.
pub(crate) const NEAR: Duration = Duration::from_millis(250);
/// How often the list is gone over; well below [`NEAR`].
const TICK: Duration = Duration::from_millis(100);
const SHARDS: usize = 16;
/// A shard drops those who have left when it holds this many, or twice as many as waited when it last did.
const LEAST: usize = 64;

/// A caller who waits.
pub(crate) trait Waiting: Send + Sync {
    /// It waits no more.
    fn has_left(&self) -> bool;
    /// Off the list now: wakes it, so that it looks at its deadline itself.
    fn remind(&self);
}

type Entry = (Instant, Arc<dyn Waiting>);

/// The callers of one node that wait. Sharded by the process called, whose mailbox has a lock of its own anyway.
pub(crate) struct Waits {
    shards: [Mutex<Shard>; SHARDS],
    /// There is a task that goes over the list.
    swept: AtomicBool,
}

struct Shard {
    entries: Vec<Entry>,
    full: usize,
}

impl Default for Waits {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { entries: Vec::new(), full: LEAST });
        Self { shards: std::array::from_fn(|_| shard()), swept: AtomicBool::new(false) }
    }
}

impl Waits {
    fn push(&self, number: u64, entry: Entry) {
        let mut shard = lock(&self.shards[number as usize % SHARDS]);
        if shard.entries.len() >= shard.full {
            shard.entries.retain(|(_, who)| !who.has_left());
            shard.full = LEAST.max(2 * shard.entries.len());
        }
        shard.entries.push(entry);
    }

    /// Takes off the list who has left and whose time is over before `soon`; answers the latter, and whether anybody still waits.
    fn sweep(&self, soon: Instant) -> (Vec<Arc<dyn Waiting>>, bool) {
        let (mut near, mut some) = (Vec::new(), false);
        for shard in &self.shards {
            let entries = &mut lock(shard).entries;
            entries.retain(|(_, who)| !who.has_left());
            near.extend(entries.extract_if(.., |(at, _)| *at <= soon).map(|(_, who)| who));
            some |= !entries.is_empty();
        }
        (near, some)
    }

    fn all(&self) -> Vec<Arc<dyn Waiting>> {
        let take = |shard: &Mutex<Shard>| std::mem::take(&mut lock(shard).entries);
        self.shards.iter().flat_map(take).map(|(_, who)| who).collect()
    }

    fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).entries.is_empty())
    }
}

impl Node {
    /// Notes that `who` waits until `at` for the process of this number.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timer enabled, unless the list is gone over already.
    pub(crate) fn note_wait(&self, number: u64, at: Instant, who: Arc<dyn Waiting>) {
        let waits = &self.0.waits;
        waits.push(number, (at, who));
        if !waits.swept.load(Ordering::Acquire) && !waits.swept.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Sweep(Some(Arc::downgrade(&self.0)))));
        }
    }
}

/// The task that goes over the list, while anybody is on it.
async fn sweep(mut task: Sweep) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(node) = task.0.as_ref().and_then(Weak::upgrade) else { return };
        let soon = tokio::time::Instant::now().into_std() + NEAR;
        let (near, some) = node.waits.sweep(soon);
        near.into_iter().for_each(|who| who.remind());
        if some {
            continue;
        }
        node.waits.swept.store(false, Ordering::Release);
        // Whoever came in between saw a task at work.
        if node.waits.is_empty() || node.waits.swept.swap(true, Ordering::AcqRel) {
            task.0 = None;
            return;
        }
    }
}

/// The task's hold on its node. When a runtime drops the task before its end, those on the list are reminded: they note themselves
/// again, and begin another task in a runtime that lives.
struct Sweep(Option<Weak<Inner>>);

impl Drop for Sweep {
    fn drop(&mut self) {
        let Some(node) = self.0.as_ref().and_then(Weak::upgrade) else { return };
        node.waits.swept.store(false, Ordering::Release);
        node.waits.all().into_iter().for_each(|who| who.remind());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Caller(AtomicBool);

    impl Waiting for Caller {
        fn has_left(&self) -> bool {
            self.0.load(Ordering::Acquire)
        }

        fn remind(&self) {}
    }

    #[test]
    fn the_list_holds_at_most_twice_those_who_wait() {
        let (waits, at) = (Waits::default(), Instant::now());
        let stays: Vec<_> = (0..100).map(|_| Arc::new(Caller(AtomicBool::new(false)))).collect();
        for who in &stays {
            waits.push(1, (at, Arc::clone(who) as Arc<_>));
        }
        for _ in 0..10_000 {
            waits.push(1, (at, Arc::new(Caller(AtomicBool::new(true)))));
            assert!(lock(&waits.shards[1]).entries.len() <= 200 + LEAST);
        }
        let (near, some) = waits.sweep(at);
        assert_eq!((near.len(), some, waits.is_empty()), (100, false, true));
    }
}
