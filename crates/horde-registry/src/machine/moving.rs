//! Names of children whose copies come and go: a move does not lose the name, and no copy that lives stays without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use delta_crdt::Now;

use super::{Entry, Held, Key, Names};

/// Names of living local processes that another copy of their child holds: theirs again once that copy is gone.
#[derive(Debug, Default)]
pub(super) struct Outranked {
    entries: BTreeMap<Key, Arc<Entry>>,
    /// The same by process number.
    of: BTreeMap<u64, BTreeSet<Key>>,
}

impl Outranked {
    pub(super) fn insert(&mut self, key: &Key, entry: Arc<Entry>) {
        self.remove(key);
        self.of.entry(entry.pid.number()).or_default().insert(key.clone());
        self.entries.insert(key.clone(), entry);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        if let Some(keys) = self.of.get_mut(&entry.pid.number()) {
            keys.remove(key);
            if keys.is_empty() {
                self.of.remove(&entry.pid.number());
            }
        }
    }

    pub(super) fn forget(&mut self, process: u64) {
        for key in self.of.remove(&process).unwrap_or_default() {
            self.entries.remove(&key);
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }
}

impl Names {
    /// Gives each living local copy that lost its name to another copy of its child, the name back if that copy is gone.
    pub(super) fn retake(&mut self, now: Now) {
        let keys: Vec<Key> = self.outranked.keys().cloned().collect();
        for key in keys {
            self.retake_one(now, &key);
        }
    }

    /// True if `key` is, or is now, the name of a local copy that lives.
    pub(super) fn retake_one(&mut self, now: Now, key: &Key) -> bool {
        let Some(ours) = self.outranked.entries.get(key).cloned() else { return false };
        let winner = self.replica.get(key).cloned();
        let lost = match &winner {
            None => false,
            Some(winner) if winner.pid == ours.pid => false,
            Some(winner) if self.nodes.is_dead(winner.pid.node()) => false,
            Some(winner) => !(ours.same_child(winner) && self.config.order.keeps(&ours, winner)),
        };
        if lost {
            return false;
        }
        self.outranked.remove(key);
        self.holders.entry(ours.pid.number()).or_default().insert(key.clone());
        let overruled =
            winner.as_ref().filter(|winner| winner.pid != ours.pid).map(|winner| winner.pid.clone());
        self.held.insert(key.clone(), Held { entry: Arc::clone(&ours), overruled });
        if winner.is_none_or(|winner| winner.pid != ours.pid) {
            self.write(now, key, ours);
        }
        true
    }

    /// Whether the name is kept for the new copy of a child that has ended here.
    pub(super) fn is_moving(&self, key: &Key, holder: &Entry) -> bool {
        self.moving.get(key).is_some_and(|(pid, _)| *pid == holder.pid)
    }

    /// Whether a name leads here though its process has moved: its new copy has not taken it yet.
    #[must_use]
    pub fn awaits_new_copies(&self) -> bool {
        !self.moving.is_empty()
    }

    /// No new copy has come in time: the names go.
    pub(super) fn give_up_moves(&mut self, now: Now) {
        while self.moved.front().is_some_and(|(until, _)| *until <= now.monotonic) {
            let Some((until, key)) = self.moved.pop_front() else { return };
            // The same name may have moved once more since.
            let due = self.moving.get(&key).is_some_and(|(_, later)| *later == until);
            let Some((pid, _)) = due.then(|| self.moving.remove(&key)).flatten() else { continue };
            if self.replica.get(&key).is_some_and(|entry| entry.pid == pid) {
                self.erase(now, &key);
            }
        }
    }
}
