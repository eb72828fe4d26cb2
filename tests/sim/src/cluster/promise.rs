//! What users were promised: what was acknowledged, and what may void it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_process::{ExitReason, Pid};
use horde_supervisor::{Restart, Spec};
use horde_transport::NodeId;

/// One life of a node.
pub(crate) type NodeLife = (usize, u64);

/// What users know, and what the world knows of what really was.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    started: BTreeMap<String, Promise>,
    ended: BTreeMap<String, Promise>,
    /// Up to which life a child may have ended.
    doubted: BTreeMap<String, u64>,
    /// Ends that were asked for and not answered yet.
    asked: BTreeMap<String, BTreeSet<(usize, u64, u64)>>,
    /// Every process that was ever started, and for which child.
    pids: BTreeMap<Pid, String>,
    /// When a user last asked for a start, counted.
    wished: BTreeMap<String, u64>,
    /// Ids that were ended and started so that nobody can tell which came last.
    muddled: BTreeSet<String>,
    /// The latest wish that was answered for good, counted.
    served: BTreeMap<String, u64>,
    count: u64,
    /// How often a child ended by itself, could not start, or lost its node.
    pub(crate) troubles: BTreeMap<String, u32>,
}

/// What was acknowledged.
#[derive(Debug)]
pub(crate) struct Promise {
    /// The node of the user, or that of one who knew when it died.
    pub(crate) by: NodeLife,
    /// The node that did it.
    on: NodeLife,
    /// The life of the child that was acknowledged.
    pub(crate) life: u64,
    /// When it was acknowledged.
    pub(crate) at: Duration,
    /// The same, counted in wishes.
    count: u64,
    /// Both have died, and nobody who lives had learnt of it.
    void: bool,
}

impl Promises {
    pub(crate) fn spawned(&mut self, id: &str, pid: &Pid) {
        self.pids.insert(pid.clone(), id.to_owned());
    }

    /// The nodes on which a process of the child was ever started.
    pub(crate) fn nodes_of(&self, id: &str) -> impl Iterator<Item = &NodeId> {
        self.pids.iter().filter(move |(_, child)| *child == id).map(|(pid, _)| pid.node())
    }

    /// Which child the process was started for.
    pub(crate) fn child_of(&self, pid: &Pid) -> Option<&str> {
        self.pids.get(pid).map(String::as_str)
    }

    /// A user wants a child: one that has ended may run again from now on.
    pub(crate) fn wish(&mut self, id: &str) {
        self.count += 1;
        self.wished.insert(id.to_owned(), self.count);
    }

    /// A wish has its answer, and comes to nothing more.
    pub(crate) fn served(&mut self, id: &str) {
        if let Some(wished) = self.wished.get(id) {
            self.served.insert(id.to_owned(), *wished);
        }
    }

    pub(crate) fn started(&mut self, id: &str, by: NodeLife, on: NodeLife, life: u64, at: Duration) {
        // Ended and forgotten, a child begins with its first life again; or the end has not come this far.
        if self.ended.remove(id).is_some_and(|promise| promise.life >= life) {
            self.muddled.insert(id.to_owned());
        }
        let count = self.count;
        self.started.insert(id.to_owned(), Promise { by, on, life, at, count, void: false });
    }

    /// The life of the child that a user of this node was told of; 0 for none.
    pub(crate) fn life_told(&self, by: NodeLife, id: &str) -> u64 {
        self.started.get(id).filter(|promise| promise.by == by).map_or(0, |promise| promise.life)
    }

    /// A wish came true, perhaps after an end that was asked for later.
    pub(crate) fn begun_anew(&mut self, id: &str) {
        self.ended.remove(id);
    }

    /// A user asks for the end of a child: until the answer it may run or not.
    pub(crate) fn ask_end(&mut self, id: &str, ticket: (usize, u64, u64)) {
        self.asked.entry(id.to_owned()).or_default().insert(ticket);
    }

    /// The end that was asked for was not confirmed: nobody knows.
    pub(crate) fn unsure(&mut self, id: &str, ticket: (usize, u64, u64)) {
        self.drop_ask(id, ticket);
        self.doubt(id, u64::MAX);
    }

    /// There was nothing to end.
    pub(crate) fn not_found(&mut self, id: &str, ticket: (usize, u64, u64)) {
        self.drop_ask(id, ticket);
    }

    /// The user of that ticket was told at that moment that `life` has ended; by then the child may have come to the life `now`.
    pub(crate) fn ended(&mut self, id: &str, ticket: (usize, u64, u64), at: Duration, life: u64, now: u64) {
        self.drop_ask(id, ticket);
        self.doubt(id, now);
        let (by, count) = ((ticket.0, ticket.1), self.count);
        self.ended.insert(id.to_owned(), Promise { by, on: by, life, at, count, void: false });
    }

    fn drop_ask(&mut self, id: &str, ticket: (usize, u64, u64)) {
        if let Some(asked) = self.asked.get_mut(id) {
            asked.remove(&ticket);
            if asked.is_empty() {
                self.asked.remove(id);
            }
        }
    }

    fn doubt(&mut self, id: &str, life: u64) {
        let doubted = self.doubted.entry(id.to_owned()).or_default();
        *doubted = (*doubted).max(life);
    }

    pub(crate) fn crashed_by_itself(&mut self, id: &str) {
        *self.troubles.entry(id.to_owned()).or_default() += 1;
    }

    /// A child's process ended and nobody had asked: perhaps that is its end.
    pub(crate) fn ended_by_itself(&mut self, id: &str, spec: &Spec, life: u64, reason: &ExitReason) {
        self.crashed_by_itself(id);
        let over = match spec.restart {
            Restart::Permanent => matches!(reason, ExitReason::NameConflict { .. }),
            Restart::Transient => matches!(reason, ExitReason::NameConflict { .. }) || reason.is_normal(),
            Restart::Temporary => true,
        };
        if over {
            self.doubt(id, life);
        }
    }

    /// A node has crashed: what only it and crashed nodes knew of is void. `knower` is a node that lives and knows of a life of
    /// a child, or of its end: who ended it being gone, that one keeps the word.
    pub(crate) fn crashed(
        &mut self,
        lives: impl Fn(NodeLife) -> bool,
        knower: impl Fn(&str, u64, bool) -> Option<NodeLife>,
    ) {
        let dead = |promise: &Promise| !lives(promise.by) && !lives(promise.on);
        for (id, promise) in &mut self.started {
            promise.void |= dead(promise) && knower(id, promise.life, false).is_none();
        }
        for (id, promise) in &mut self.ended {
            if dead(promise) {
                match knower(id, promise.life, true) {
                    Some(by) => promise.by = by,
                    None => promise.void = true,
                }
            }
        }
        let open = |(node, life, _): &(usize, u64, u64)| lives((*node, *life));
        let lost: Vec<String> = self
            .asked
            .iter()
            .filter(|(_, asked)| !asked.iter().all(open))
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            self.doubt(&id, u64::MAX);
        }
    }

    /// The children that must run exactly once, and since which life.
    pub(crate) fn must_run(&self) -> impl Iterator<Item = (&str, u64)> {
        let kept = self.started.iter().filter(|(id, promise)| {
            let doubted = self.doubted.get(*id).is_some_and(|life| *life >= promise.life);
            let unclear = self.asked.contains_key(*id) || self.muddled.contains(*id);
            !promise.void && !doubted && !unclear
        });
        kept.map(|(id, promise)| (id.as_str(), promise.life))
    }

    /// The children that a user has ended.
    pub(crate) fn must_not_run(&self) -> impl Iterator<Item = (&str, &Promise)> {
        let kept = self.ended.iter().filter(|(id, promise)| {
            let wished = self.wished.get(*id).is_some_and(|count| *count > promise.count);
            // What was wished before the end was asked for may have been served after it.
            let early =
                self.wished.get(*id).copied().unwrap_or(0) > self.served.get(*id).copied().unwrap_or(0);
            !promise.void && !wished && !early
        });
        kept.map(|(id, promise)| (id.as_str(), promise))
    }
}
