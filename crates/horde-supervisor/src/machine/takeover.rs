//! Members come and go: what they ran runs again elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_process::ExitReason;
use horde_transport::NodeId;

use super::coordinate::Caller;
use super::faults::Fault;
use super::requests::Purpose;
use super::roster::Host;
use super::run::Origin;
use super::{ChildId, ChildState, Children, Effect, End, Event, Now, Record, ReplicaId};
use crate::config::Quorum;
use crate::frame::{Launch, LaunchKind, Request, Wish};

/// How long a node that has just become ready under a quorum takes nothing over: until others know that it is, they place
/// children without it, and what they took over meanwhile is on its way here.
const NEWLY_READY: Duration = Duration::from_millis(500);

impl Children {
    /// Whether our replica has caught up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The members that host this supervisor, this one included, as the membership sees them now. A member that is down
    /// stays in the list, as gone, until the membership forgets it.
    pub fn set_members(&mut self, now: Now, hosts: BTreeMap<NodeId, Host>) {
        let diff = self.roster.update(hosts, self.faults.has(Fault::PlacesBySize));
        // What was synced with a host before it was ready may be less than what it has now: synced once more.
        let learns = !self.ready;
        for node in &diff.connected {
            self.meet(now, node);
            self.patience.meets(now.monotonic, node.clone());
        }
        for node in diff.readied.iter().filter(|_| learns) {
            self.learn_anew(now, node);
            self.patience.meets(now.monotonic, node.clone());
        }
        for node in &diff.disconnected {
            self.caught_up.remove(node);
            self.replica.peer_down(now, super::replica_id(node));
            self.patience.has_met(node);
        }
        self.learn_from(now, &diff.unreadied);
        self.patience.are_gone(now.monotonic, self.roster.gone());
        let replicas: Vec<ReplicaId> = self.roster.replicas().collect();
        self.replica.set_members(replicas);
        self.drain_replica(now);
        self.ready_if_first(now);
        if diff.placement_changed && self.ready {
            self.heal(now);
            self.offer_again(now);
            self.redistribute(now);
        }
    }

    /// The replica covers all that `peer` said it has.
    pub(super) fn synced(&mut self, now: Now, peer: ReplicaId) {
        let Some(node) = self.roster.node(peer).cloned() else { return };
        if self.options.quorum != Quorum::None {
            self.caught_up.insert(node.clone());
            self.ready_if_caught_up(now);
            if self.unlearnt.remove(&node) && self.ready {
                self.heal(now);
            }
        } else if !self.ready && self.roster.is_ready(&node) {
            self.become_ready(now);
        }
        if self.patience.has_met(&node) {
            self.redistribute(now);
        }
    }

    pub(super) fn become_ready(&mut self, now: Now) {
        self.ready = true;
        if self.options.quorum != Quorum::None {
            self.acts_from = now.monotonic + NEWLY_READY;
        }
        self.effects.push_back(Effect::Ready);
        for (ticket, wish) in std::mem::take(&mut self.parked) {
            if let Some(user) = self.users.get_mut(&ticket) {
                user.parked = false;
            }
            self.route(now, Caller::User(ticket), wish, 0);
        }
    }

    /// Takes over what gone members ran, and turns starts that they were to serve elsewhere.
    pub(super) fn heal(&mut self, now: Now) {
        self.claim_moves(now);
        let gone: Vec<NodeId> = self.owned.keys().filter(|node| self.roster.is_gone(node)).cloned().collect();
        for node in gone {
            let children = self.owned.get(&node).cloned().unwrap_or_default();
            for id in children {
                self.arbitrate(now, &id);
                self.take_over(now, &id);
            }
        }
        let lost: Vec<ChildId> = self
            .coordinations
            .iter()
            .filter(|(_, coordination)| self.roster.is_gone(&coordination.host))
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            match self.coordinations.get(&id).is_some_and(|coordination| coordination.done.is_some()) {
                // The requester was told, and starts it anew.
                true => drop(self.coordinations.remove(&id)),
                false => self.next_host(now, &id),
            }
        }
        self.start_lost(now);
        let waiting: Vec<ChildId> = self.unplaceable.iter().cloned().collect();
        for id in waiting {
            self.place_again(now, &id);
        }
    }

    /// Takes a child over from a member that is gone, if this node coordinates it.
    pub(super) fn take_over(&mut self, now: Now, id: &ChildId) {
        let Some(record) = self.replica.get(id).cloned() else { return };
        let ours = self.ready && !self.draining && self.roster.coordinates(id);
        let busy = self.taking.contains(id) || self.queued.contains_key(id) || self.run_of.contains_key(id);
        // Without takeover a child waits for its node to come back; one that was forgotten will not.
        let waits = !self.options.takeover && !self.roster.has_departed(&record.owner);
        let waits = waits || self.patience.waits(now.monotonic, id);
        let waits = waits || !self.knows_takers(now) || self.is_handed_over(now, &record);
        if !ours || busy || waits || !record.is_wanted() || !self.is_lost(&record.owner) {
            return;
        }
        if record.spec.restart == crate::spec::Restart::Temporary {
            return self.mark_ended(now, id, &record, End::NodeDown);
        }
        let age = now.unix_ms.saturating_sub(delta_crdt::Stamp::from_bits(record.stamp).unix_ms());
        let early =
            u128::from(age) < self.options.settle.as_millis() && !self.patience.was_late(id, &record.owner);
        let strikes = if early { record.strikes + 1 } else { 0 };
        if strikes > self.options.max_restarts {
            // A split that heals looks like many deaths in a row: the verdict waits until the last one has lasted.
            if !self.patience.may_blame(now.monotonic, &record.owner) {
                return;
            }
            let reason =
                ExitReason::Error(format!("its node died soon after starting it, {strikes} times in a row"));
            let stamp = self.replica.stamp(now).to_bits();
            let state = ChildState::Failed(reason.clone());
            let (owner, generation) = (self.me.clone(), record.generation + 1);
            self.put(
                now,
                id.clone(),
                Record { state, strikes, owner, generation, stamp, ..(*record).clone() },
            );
            return self.emit(Event::Failed { id: id.clone(), reason });
        }
        self.run_again(now, id, &record, strikes);
    }

    /// Under a quorum: whether a child was on its way to another member when its owner went, a moment ago. That one may run it,
    /// and its record is on its way here.
    fn is_handed_over(&self, now: Now, record: &Record) -> bool {
        self.options.quorum != Quorum::None
            && record.state == ChildState::Moving
            && match self.patience.gone_since(&record.owner) {
                Some(since) => now.monotonic < since + NEWLY_READY,
                None => self.roster.lists(&record.owner),
            }
    }

    /// Under a quorum: whether what others may have taken over is known here, and that this node is ready known to them.
    fn knows_takers(&self, now: Now) -> bool {
        now.monotonic >= self.acts_from && self.unlearnt.is_empty()
    }

    /// Tries again to place a child that no member could run. Returns whether one can now, or may soon.
    pub(super) fn place_again(&mut self, now: Now, id: &ChildId) -> bool {
        let Some(record) = self.replica.get(id).cloned() else { return false };
        let busy = self.taking.contains(id) || self.queued.contains_key(id) || self.run_of.contains_key(id);
        if record.state != ChildState::Unplaceable || !record.is_wanted() || busy {
            return busy;
        }
        if !self.knows_takers(now) {
            return true;
        }
        self.ready
            && !self.draining
            && self.roster.coordinates(id)
            && self.run_again(now, id, &record, record.strikes)
    }

    /// Has the child of a record run once more, one generation on.
    fn run_again(&mut self, now: Now, id: &ChildId, record: &Record, strikes: u32) -> bool {
        let Some(host) = self.roster.host_for(id, &record.spec, &BTreeSet::new()).cloned() else {
            self.mark_unplaceable(now, id, record);
            return false;
        };
        let launch = Launch {
            wish: Wish { id: id.clone(), spec: record.spec.clone(), request: record.request, again: false },
            life: record.life,
            generation: record.generation + 1,
            strikes,
            state: None,
            kind: LaunchKind::Takeover,
        };
        if self.faults.has(Fault::DeletesBeforeStart)
            && let Some(change) = self.replica.remove(now, id)
        {
            self.absorb(now, vec![change]);
        }
        if host == self.me {
            self.launch(now, launch, vec![Origin::Takeover { from: record.owner.clone() }]);
        } else {
            self.taking.insert(id.clone());
            self.ask(host, Request::Launch(launch), Purpose::Takeover { id: id.clone() });
        }
        true
    }

    fn mark_unplaceable(&mut self, now: Now, id: &ChildId, record: &Record) {
        if record.state == ChildState::Unplaceable {
            return;
        }
        let stamp = self.replica.stamp(now).to_bits();
        let (owner, generation, state) = (self.me.clone(), record.generation + 1, ChildState::Unplaceable);
        self.put(now, id.clone(), Record { state, owner, generation, stamp, ..record.clone() });
        self.emit(Event::Unplaceable { id: id.clone() });
    }
}
