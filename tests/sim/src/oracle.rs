//! What the users of the children's world were promised.

use std::collections::{BTreeMap, BTreeSet};

use horde_supervisor::{End, Record, Wanted};

/// One life of a node.
pub(crate) type NodeLife = (usize, u64);

/// What users know of the children.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    started: BTreeMap<String, Promise>,
    /// Ends that were acknowledged, by whom they are known at least.
    ended: BTreeMap<String, Promise>,
    /// Ends that were asked for: who asked does not know whether the child runs.
    doubted: BTreeSet<String>,
}

/// What was acknowledged.
#[derive(Debug)]
struct Promise {
    /// The node of the user.
    by: NodeLife,
    /// The node that did it.
    on: NodeLife,
    /// The life of the child that was acknowledged.
    life: u64,
    /// Both have died, and nobody who lives had learnt of it: the promise is void.
    void: bool,
}

impl Oracle {
    pub(crate) fn started(&mut self, id: &str, by: NodeLife, on: NodeLife, life: u64) {
        self.ended.remove(id);
        self.started.insert(id.to_owned(), Promise { by, on, life, void: false });
    }

    /// A user asks for the end of a child: from now on it may run or not.
    pub(crate) fn doubted(&mut self, id: &str) {
        self.doubted.insert(id.to_owned());
    }

    /// The user was told that the child has ended.
    pub(crate) fn ended(&mut self, id: &str, by: NodeLife, life: u64) {
        self.ended.insert(id.to_owned(), Promise { by, on: by, life, void: false });
    }

    /// A node has crashed: what only it and crashed nodes knew of is void. `knows` says whether a life of a child, or its
    /// end, is known to a node that lives.
    pub(crate) fn crashed(
        &mut self,
        lives: impl Fn(NodeLife) -> bool,
        knows: impl Fn(&str, u64, bool) -> bool,
    ) {
        let dead = |promise: &Promise| !lives(promise.by) && !lives(promise.on);
        for (id, promise) in &mut self.started {
            promise.void |= dead(promise) && !knows(id, promise.life, false);
        }
        for (id, promise) in &mut self.ended {
            promise.void |= dead(promise) && !knows(id, promise.life, true);
        }
    }

    /// The children that must run exactly once.
    pub(crate) fn must_run(&self) -> impl Iterator<Item = &str> {
        let kept = self.started.iter().filter(|(id, promise)| !promise.void && !self.doubted.contains(*id));
        kept.map(|(id, _)| id.as_str())
    }

    /// The children that a user has ended, and nobody started since.
    pub(crate) fn must_not_run(&self) -> impl Iterator<Item = &str> {
        self.ended.iter().filter(|(_, promise)| !promise.void).map(|(id, _)| id.as_str())
    }
}

/// Whether who has this record knows that the child came to that life, or that it was ended in it. An attempt that failed says nothing
/// of what ran on another side of a split.
pub(crate) fn tells_of(record: &Record, life: u64, ended: bool) -> bool {
    let failed = record.wanted == Wanted::Ended(End::NotStarted);
    record.life > life || record.life == life && if ended { record.is_over() } else { !failed }
}
