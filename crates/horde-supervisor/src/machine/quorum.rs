//! Children that rest on a lease: stopped when it is lost, and run again once this node knows what became of them.

use std::collections::BTreeSet;
use std::time::Duration;

use horde_process::{ExitReason, Shutdown};
use horde_transport::NodeId;

use super::coordinate::Caller;
use super::faults::Fault;
use super::run::{Origin, Phase, Run, Why};
use super::{Answer, ChildId, ChildState, Children, Effect, End, Now, Record, Restart, Wish};
use crate::config::Quorum;
use crate::error::StartError;
use crate::frame::{Launch, LaunchKind, Response};

/// How long a child may take to stop once the lease is lost: well within the margin after which others replace it.
const NO_QUORUM_STOP: Duration = Duration::from_millis(100);

impl Children {
    /// Where this node stands under the quorum: whether it holds its lease, in which epoch, and whose leases are over.
    /// Without a quorum policy nothing follows from it.
    pub fn set_standing(&mut self, now: Now, held: bool, epoch: u64, given_up: BTreeSet<NodeId>) {
        if self.options.quorum == Quorum::None {
            return;
        }
        self.epoch = epoch;
        let changed = self.roster.give_up(given_up);
        match (self.leased, held) {
            (true, false) => self.lapse(now),
            (false, true) => self.take_up(now),
            // The lease may have come and gone before this was told of it: nothing here rested on it.
            (false, false) => self.tell_idle(),
            (true, true) => {}
        }
        self.ready_if_caught_up(now);
        if changed && self.ready {
            self.heal(now);
            self.offer_again(now);
        }
    }

    /// The lease is lost: nothing is decided here any more, and everything that runs stops.
    fn lapse(&mut self, now: Now) {
        self.leased = false;
        if std::mem::take(&mut self.ready) {
            self.effects.push_back(Effect::Unready);
        }
        self.taking.clear();
        self.queue.clear();
        for (_, origins) in std::mem::take(&mut self.queued).into_values() {
            self.turn_away(origins);
        }
        for (_, coordination) in std::mem::take(&mut self.coordinations) {
            for waiter in coordination.callers {
                match waiter.caller {
                    Caller::User(ticket) => self.park(ticket, waiter.wish),
                    caller => self.not_now(now, caller, waiter.wish),
                }
            }
        }
        let tokens: Vec<u64> = self.runs.keys().copied().collect();
        for token in tokens {
            self.stop_without_quorum(now, token);
        }
        self.tell_idle();
    }

    fn stop_without_quorum(&mut self, now: Now, token: u64) {
        let Some(run) = self.runs.get_mut(&token) else { return };
        let shutdown = match &mut run.phase {
            Phase::Starting(_) | Phase::Running => {
                run.phase = Phase::Stopping(Why::NoQuorum);
                brief(run.wish.spec.shutdown)
            }
            // It has had its time.
            Phase::Stopping(why) => {
                if matches!(why, Why::Moving | Why::Restart | Why::Reclaim) {
                    *why = Why::NoQuorum;
                }
                Shutdown::BrutalKill
            }
            Phase::Backoff => return self.ended_without_quorum(now, token),
            Phase::HandingOver { asked, unsure, .. } => {
                if let Some(to) = asked.take().or(unsure.take()) {
                    self.patience.offered(run.wish.id.clone(), to);
                }
                return self.ended_without_quorum(now, token);
            }
        };
        self.unwritten.remove(&token);
        run.after = None;
        if let Some(pid) = run.pid.clone() {
            self.effects.push_back(Effect::Stop { pid, reason: ExitReason::NoQuorum, shutdown });
        }
    }

    /// A child has ended because the lease is lost. Its record stays, for whoever may run it next; a temporary child
    /// runs once.
    pub(super) fn ended_without_quorum(&mut self, now: Now, token: u64) {
        let temporary = self.runs.get(&token).is_some_and(|run| run.wish.spec.restart == Restart::Temporary);
        if temporary {
            self.write_end(now, token, End::Finished(ExitReason::NoQuorum));
        }
        self.gone(now, token, ExitReason::NoQuorum);
    }

    /// Says, once after each loss of the lease, that nothing rests on it any more.
    pub(super) fn tell_idle(&mut self) {
        if !self.leased && self.runs.is_empty() {
            self.effects.push_back(Effect::Idle);
        }
    }

    /// The lease is held anew. What became of the children meanwhile is asked of every member before anything is done.
    fn take_up(&mut self, now: Now) {
        self.leased = true;
        self.caught_up.clear();
        let others: Vec<NodeId> = self.roster.others_here().map(|(id, _)| id.clone()).collect();
        for node in others {
            self.replica.peer_down(now, super::replica_id(&node));
            self.meet(now, &node);
        }
        self.drain_replica(now);
    }

    /// Under a quorum: a member has just lost its lease. What it took over before, and no other may do now, is not all known
    /// here: nothing is taken over until it is, or until its lease is over for sure.
    pub(super) fn learn_from(&mut self, now: Now, unreadied: &[NodeId]) {
        if self.options.quorum == Quorum::None {
            return;
        }
        for node in unreadied {
            self.caught_up.remove(node);
            self.unlearnt.insert(node.clone());
            self.replica.peer_down(now, super::replica_id(node));
            if self.roster.is_here(node) {
                self.meet(now, node);
            }
        }
        let roster = &self.roster;
        self.unlearnt.retain(|node| roster.is_known(node) && !roster.is_gone(node));
    }

    /// Whether all is here that a member said it has: once since it was met, and of what it said later too.
    fn has_all_of(&self, node: &NodeId) -> bool {
        self.caught_up.contains(node) && !self.replica.lacks_of(super::replica_id(node))
    }

    /// Begins to exchange records with a member, or anew.
    pub(super) fn meet(&mut self, now: Now, node: &NodeId) {
        self.replica.peer_up(now, super::replica_id(node));
        self.learn_anew(now, node);
    }

    /// What a member has now is not all known here until it was asked and has answered: what it said before, and arrives now, was
    /// said by one that was not ready yet, or held its lease no more.
    pub(super) fn learn_anew(&mut self, now: Now, node: &NodeId) {
        self.caught_up.remove(node);
        if !self.ready || self.options.quorum != Quorum::None {
            self.replica.catch_up(now, super::replica_id(node));
        }
    }

    /// Under a quorum, ready is who holds its lease and has the records of everybody who may have acted meanwhile: of
    /// those here by a sync and all they said since, and of those out of reach once their lease is over.
    pub(super) fn ready_if_caught_up(&mut self, now: Now) {
        let waits = self.leased && !self.ready && self.options.quorum != Quorum::None;
        if waits
            && self.roster.has_joined()
            && !self.roster.has_doubtful()
            && self.roster.others_here().all(|(node, heard)| !heard || self.has_all_of(node))
        {
            self.become_ready(now);
        }
    }

    /// Without a quorum policy: the first of members that all wait goes ahead.
    pub(super) fn ready_if_first(&mut self, now: Now) {
        if self.options.quorum != Quorum::None {
            self.ready_if_caught_up(now);
        } else if !self.ready
            && (self.roster.is_first_of_unready() || self.faults.has(Fault::ActsBeforeSynced))
        {
            self.become_ready(now);
        }
    }

    /// A user's start waits for readiness.
    pub(super) fn park(&mut self, ticket: u64, wish: Wish) {
        if let Some(user) = self.users.get_mut(&ticket) {
            user.parked = true;
            if self.parked.len() >= self.options.max_waiting {
                // Those whose time was over while they waited.
                self.parked.retain(|(ticket, _)| self.users.contains_key(ticket));
            }
            self.parked.push_back((ticket, wish));
        }
    }

    /// Whoever asked for a run here hears that it will not be.
    pub(super) fn turn_away(&mut self, origins: Vec<Origin>) {
        for origin in origins {
            match origin {
                Origin::Member { responder } => self.respond(responder, Response::NotNow),
                Origin::User { ticket } => self.answer(ticket, Answer::Started(Err(StartError::NoQuorum))),
                // Starts that were coordinated here wait for the lease.
                Origin::Coordination | Origin::Takeover { .. } => {}
            }
        }
    }

    /// Claims a child before it runs here, under a quorum: a member that comes back sees that it is taken.
    pub(super) fn claim(&mut self, now: Now, id: &ChildId) {
        if self.options.quorum == Quorum::None {
            return;
        }
        let Some(run) = self.run_of.get(id).and_then(|token| self.runs.get(token)) else { return };
        if matches!(run.phase, Phase::Starting(Some(LaunchKind::Takeover))) {
            let record = super::launch::record_of(run, super::Wanted::Run, ChildState::Starting);
            self.put(now, id.clone(), record);
        }
    }

    /// Under a quorum: who was moving a child here answers for it no more, its lease being over. This node does, before others take
    /// the child over that see nothing of its `init` here.
    pub(super) fn claim_moves(&mut self, now: Now) {
        if self.options.quorum == Quorum::None {
            return;
        }
        let is_orphan = |run: &Run| {
            let record = || self.replica.get(&run.wish.id).filter(|record| record.rank() < run.rank);
            matches!(run.phase, Phase::Starting(Some(LaunchKind::Move)))
                && record().is_some_and(|record| record.is_wanted() && self.roster.is_gone(&record.owner))
        };
        let orphans = self.runs.values().filter(|run| is_orphan(run)).map(|run| run.wish.id.clone());
        for id in orphans.collect::<Vec<_>>() {
            if let Some(run) = self.run_of.get(&id).and_then(|token| self.runs.get_mut(token)) {
                run.phase = Phase::Starting(Some(LaunchKind::Takeover));
            }
            self.claim(now, &id);
        }
    }

    /// Under a quorum: a takeover from a member whose lease is not over here.
    pub(super) fn is_unfounded(&self, launch: &Launch, record: &Record) -> bool {
        self.options.quorum != Quorum::None
            && launch.kind == LaunchKind::Takeover
            && record.life == launch.life
            && record.is_wanted()
            && matches!(record.state, ChildState::Starting | ChildState::Running(_) | ChildState::Moving)
            && record.owner != self.me
            && !self.roster.is_gone(&record.owner)
    }
}

/// A stop that is over before others may run the child.
pub(super) fn brief(shutdown: Shutdown) -> Shutdown {
    match shutdown {
        Shutdown::Timeout(timeout) => Shutdown::Timeout(timeout.min(NO_QUORUM_STOP)),
        Shutdown::BrutalKill => Shutdown::BrutalKill,
        _ => Shutdown::Timeout(NO_QUORUM_STOP),
    }
}
