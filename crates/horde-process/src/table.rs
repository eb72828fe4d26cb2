//! The processes of one node, by number.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::cell::{Shared, lock};
use crate::{Node, Pid};

const SHARDS: usize = 16;

/// The processes that have not ended. Sharded, so that starts on several threads seldom meet.
#[derive(Default)]
pub(crate) struct Table {
    shards: [Mutex<HashMap<u64, Shared, BuildHasherDefault<Spread>>>; SHARDS],
    count: AtomicUsize,
    /// Processes whose end others are just being told of.
    burials: AtomicUsize,
    empty: Notify,
}

/// A process that ends is off the table before others have heard of its end: until this is dropped.
pub(crate) struct Burial<'a>(&'a Table);

impl Drop for Burial<'_> {
    fn drop(&mut self) {
        if self.0.burials.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

impl Table {
    pub(crate) fn insert(&self, number: u64, process: Shared) {
        self.count.fetch_add(1, Ordering::Relaxed);
        lock(self.shard(number)).insert(number, process);
    }

    pub(crate) fn get(&self, number: u64) -> Option<Shared> {
        lock(self.shard(number)).get(&number).cloned()
    }

    /// Begins to tell others of an end.
    pub(crate) fn burial(&self) -> Burial<'_> {
        self.burials.fetch_add(1, Ordering::Relaxed);
        Burial(self)
    }

    /// Takes a process off, within its [`Table::burial`].
    pub(crate) fn remove(&self, number: u64) {
        if lock(self.shard(number)).remove(&number).is_some() {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.shards.iter().flat_map(|shard| lock(shard).keys().copied().collect::<Vec<_>>()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Shared> {
        self.shards.iter().flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Waits until no process is left, and all who had to hear of an end have.
    pub(crate) async fn empty(&self) {
        loop {
            let notified = self.empty.notified();
            // Who is off the count is among the burials until it is done.
            if self.len() == 0 && self.burials.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }

    fn shard(&self, number: u64) -> &Mutex<HashMap<u64, Shared, BuildHasherDefault<Spread>>> {
        &self.shards[number as usize % SHARDS]
    }
}

/// Spreads numbers that were counted up: nobody outside chooses them. Those that follow one another in a shard lie side by side, 64
/// at a time, so that starts in a row write to the same cache lines; the blocks lie anywhere.
#[derive(Default)]
pub(crate) struct Spread(u64);

/// The bits by which a table tells entries of one place apart.
const TAG: u64 = 0x7F << 57;
/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let place = number / SHARDS as u64;
        let block = (place / 64).wrapping_mul(GOLDEN) >> 20;
        self.0 = ((block * 64 + place % 64) & !TAG) | (number.wrapping_mul(GOLDEN) & TAG);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Node {
    /// The process of this node that `pid` is.
    pub(crate) fn find(&self, pid: &Pid) -> Option<Shared> {
        if pid.node() == self.id() { self.0.table.get(pid.number()) } else { None }
    }
}
