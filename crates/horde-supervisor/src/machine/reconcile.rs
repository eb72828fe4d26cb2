//! What runs against what the records say, in both directions.

use std::collections::BTreeSet;
use std::sync::Arc;

use delta_crdt::Change;
use horde_process::{ExitReason, State};
use horde_transport::NodeId;

use super::faults::Fault;
use super::run::{Phase, Why};
use super::{ChildId, ChildState, Children, Duration, Effect, Now, Record};
use crate::config::Quorum;
use crate::error::StartError;
use crate::frame::{Launch, LaunchKind, Wish};

/// How long a record may name an owner that was never seen here before the child is taken over.
const STRANGER: Duration = Duration::from_secs(10);

impl Children {
    /// Takes in changes of the records: first what is indexed by them, then what they mean for the runs here, since that
    /// may change records again.
    pub(super) fn absorb(&mut self, now: Now, changes: Vec<Change<ChildId, Arc<Record>>>) {
        let ids: Vec<ChildId> = changes.iter().map(|change| change.key().clone()).collect();
        for change in changes {
            if let Some(old) = change.old() {
                self.unindex(change.key(), old);
            }
            if let Some(new) = change.value() {
                self.index(now, change.key(), new);
            }
            self.changes.push(change);
        }
        for id in ids {
            match self.replica.get(&id).cloned() {
                Some(record) => self.shown(now, &id, &record),
                None => self.give_up_launches(&id),
            }
            self.seal_end(now, &id);
            self.arbitrate(now, &id);
        }
    }

    /// An end that stands beside a record of a copy from another side of a split is written once more, over both: who never saw that
    /// record would else collect the end alone, and the copy would be wanted again.
    fn seal_end(&mut self, now: Now, id: &ChildId) {
        let Some(record) = self.replica.get(id).filter(|record| record.is_over()).cloned() else { return };
        let mut others = self.replica.siblings(id).filter_map(|sibling| sibling.value);
        let beside = others.any(|other| !other.is_over());
        drop(others);
        if beside && self.ready && (self.run_of.contains_key(id) || self.roster.coordinates(id)) {
            self.put(now, id.clone(), Record::clone(&record));
        }
    }

    fn index(&mut self, now: Now, id: &ChildId, record: &Record) {
        if !record.is_wanted() {
            self.ended.insert(id.clone(), now.monotonic);
            return;
        }
        match record.state {
            ChildState::Failed(_) => {}
            ChildState::Unplaceable => drop(self.unplaceable.insert(id.clone())),
            _ => drop(self.owned.entry(record.owner.clone()).or_default().insert(id.clone())),
        }
    }

    fn unindex(&mut self, id: &ChildId, record: &Record) {
        self.ended.remove(id);
        self.unplaceable.remove(id);
        if let Some(children) = self.owned.get_mut(&record.owner) {
            children.remove(id);
            if children.is_empty() {
                self.owned.remove(&record.owner);
            }
        }
    }

    /// A record is there: whoever waited for it goes on.
    fn shown(&mut self, now: Now, id: &ChildId, record: &Arc<Record>) {
        self.show_acknowledged(now, id, record);
        if let Some(coordination) = self.coordinations.get(id).filter(|c| c.is_shown_by(record)) {
            match (&coordination.done, record.pid()) {
                (Some(_), _) => drop(self.coordinations.remove(id)),
                (None, Some(pid)) if record.request == coordination.wish.request => {
                    self.coordinated(id, Ok(pid.clone()))
                }
                (None, Some(pid)) => self.coordinated(id, Err(StartError::AlreadyStarted(pid.clone()))),
                (None, None) => {}
            }
        }
        if self.waiters.contains_key(id) {
            self.wake_waiters(id, record);
        }
        if self.roster.is_gone(&record.owner) && !self.patience.is_late(now.monotonic, id, &record.owner) {
            self.take_over(now, id);
        }
    }

    /// Compares the run of a child here with its record. The higher claim stays, once it runs; the lower one ends, or is
    /// written again. A claim that runs nothing never ends a copy that runs.
    pub(super) fn arbitrate(&mut self, now: Now, id: &ChildId) {
        let Some(token) = self.run_of.get(id).copied() else { return };
        let Some(run) = self.runs.get(&token) else { return };
        let Some(record) = self.replica.get(id) else {
            return self.write_running(now, token);
        };
        if record.ends(run.rank.life) {
            return self.stop_run(now, token, Why::Ended, ExitReason::Shutdown);
        }
        let rank = record.rank();
        if rank == run.rank && record.is_wanted() {
            return;
        }
        if self.faults.has(Fault::LoserWritesAgain) && rank > run.rank {
            let generation = record.generation + 1;
            return self.reclaim(now, token, generation, None);
        }
        if rank < run.rank {
            return self.write_running(now, token);
        }
        let lost =
            matches!(record.state, ChildState::Starting | ChildState::Moving) && self.is_lost(&record.owner);
        if !record.is_wanted() || record.state == ChildState::Unplaceable || lost {
            let generation = record.generation + 1;
            return self.reclaim(now, token, generation, None);
        }
        let reason = match (record.pid(), &record.state) {
            (Some(_), _) if matches!(run.phase, Phase::HandingOver { .. }) => ExitReason::Redistribution,
            (Some(winner), _) => ExitReason::Superseded { winner: winner.clone() },
            (None, ChildState::Failed(_)) => ExitReason::Shutdown,
            // The other copy does not run yet.
            (None, _) => return,
        };
        self.stop_run(now, token, Why::Superseded, reason);
    }

    /// The claim above that of a running copy came to nothing, or is given up for it: the copy takes its place. It starts
    /// again for that, with the state it is given or its own, since its name and its fencing token rest on its claim.
    pub(super) fn reclaim(&mut self, now: Now, token: u64, generation: u64, state: Option<State>) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        if matches!(run.phase, Phase::Running) {
            run.rank.generation = generation;
            run.given = state;
            self.stop_run(now, token, Why::Reclaim, ExitReason::Redistribution);
        }
    }

    /// A copy that takes the place of a higher claim has ended, and starts under that claim.
    pub(super) fn start_reclaimed(&mut self, now: Now, token: u64, own: Option<State>) {
        let Some(mut run) = self.runs.remove(&token) else { return };
        let state = run.given.take().or(own);
        run.rank.stamp = self.replica.stamp(now).to_bits();
        run.phase = Phase::Starting(None);
        run.pid = None;
        self.begin(run, state);
    }

    /// The periodic comparison: cheap, and complete over time.
    pub(super) fn tick(&mut self, now: Now) {
        if !self.ready {
            return;
        }
        self.heal_strangers(now);
        self.heal(now);
        self.offer_again(now);
        self.restart_untracked(now);
        let running: Vec<ChildId> = self.run_of.keys().cloned().collect();
        for id in running {
            self.arbitrate(now, &id);
        }
        self.redistribute(now);
        self.forget_ended(now);
        self.forget_acknowledged(now);
    }

    /// Whether what `owner` ran is to run elsewhere: it is gone, or nobody here has ever seen it.
    pub(super) fn is_lost(&self, owner: &NodeId) -> bool {
        self.roster.is_gone(owner) || self.strangers.get(owner).is_some_and(|since| *since == Duration::MAX)
    }

    fn heal_strangers(&mut self, now: Now) {
        if self.options.quorum != Quorum::None {
            // Whoever the membership does not list any more, or has never listed, and whose lease may not be over for all that.
            let in_doubt = |node: &&NodeId| !self.roster.lists(node) && !self.roster.is_gone(node);
            self.effects.extend(self.owned.keys().filter(in_doubt).cloned().map(Effect::Doubt));
            return;
        }
        let unseen: Vec<NodeId> =
            self.owned.keys().filter(|node| !self.roster.is_known(node)).cloned().collect();
        self.strangers.retain(|node, _| unseen.contains(node));
        for node in unseen {
            let since = *self.strangers.entry(node.clone()).or_insert(now.monotonic);
            if since == Duration::MAX || since + STRANGER <= now.monotonic {
                self.strangers.insert(node.clone(), Duration::MAX);
                for id in self.owned.get(&node).cloned().unwrap_or_default() {
                    self.take_over(now, &id);
                }
            }
        }
    }

    /// A record says that a child runs here, and it does not: it runs again.
    fn restart_untracked(&mut self, now: Now) {
        if self.draining {
            return;
        }
        let nothing = BTreeSet::new();
        let mine = self.owned.get(&self.me).unwrap_or(&nothing);
        self.patience.recall(now.monotonic, mine, |node| self.roster.is_gone(node));
        let elsewhere = |id: &ChildId| self.patience.is_handed(id) || self.queued.contains_key(id);
        let lost: Vec<ChildId> =
            mine.iter().filter(|id| !self.run_of.contains_key(*id) && !elsewhere(id)).cloned().collect();
        for id in lost {
            let Some(record) = self.replica.get(&id).cloned() else { continue };
            if let Some(to) = self.patience.take_offer(&id) {
                self.offer_anew(now, &id, &record, to);
                continue;
            }
            let launch = Launch {
                wish: Wish {
                    id: id.clone(),
                    spec: record.spec.clone(),
                    request: record.request,
                    again: false,
                },
                life: record.life,
                generation: record.generation + 1,
                strikes: record.strikes,
                state: None,
                kind: LaunchKind::Takeover,
            };
            self.launch(now, launch, Vec::new());
        }
    }

    /// Forgets ended children once everybody knows that they have ended.
    fn forget_ended(&mut self, now: Now) {
        let retention = self.options.ended_retention;
        let old: Vec<ChildId> = self
            .ended
            .iter()
            .filter(|(id, since)| **since + retention <= now.monotonic && self.roster.coordinates(id))
            .filter(|(id, _)| self.replica.is_stable(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            if let Some(change) = self.replica.remove(now, &id) {
                self.absorb(now, vec![change]);
            }
        }
    }

    /// What must hold after every input.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_invariants(&self) {
        self.replica.check_invariants();
        for (id, token) in &self.run_of {
            assert!(
                self.runs.get(token).is_some_and(|run| run.wish.id == *id),
                "run_of names no run of {id}"
            );
        }
        assert_eq!(self.run_of.len(), self.runs.len(), "each run has its child's slot");
        assert!(self.queue.iter().all(|id| self.queued.contains_key(id)), "each queued child has its launch");
        for (owner, children) in &self.owned {
            for id in children {
                assert!(
                    self.replica.get(id).is_some_and(|record| record.owner == *owner),
                    "{id} is not {owner}'s"
                );
            }
        }
    }
}
