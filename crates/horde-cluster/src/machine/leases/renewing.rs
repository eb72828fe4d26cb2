//! This node's own lease.

use std::borrow::Cow;
use std::time::Duration;

use horde_ring::{Agreed, Heartbeats};
use horde_transport::NodeId;

use super::Leases;
use super::wire::LeaseFrame;
use crate::MemberStatus;
use crate::machine::faults::LeaseFault;

impl Leases {
    /// Asks everybody to acknowledge this node's term once more.
    pub(super) fn renew(&mut self) {
        if !self.wanted {
            return;
        }
        let epoch = self.agreed.as_ref().map_or(0, Agreed::epoch);
        let number = self.beats.send(self.now);
        let frame = LeaseFrame::Renew { number, term: self.term, epoch };
        for to in self.others() {
            self.send(&to, &frame);
        }
    }

    /// A member renews its lease: acknowledged, unless this node has promised not to.
    pub(super) fn on_renew(&mut self, from: &NodeId, number: u64, term: u64, epoch: u64) {
        let known = self.terms_of.entry(from.clone()).or_insert(term);
        *known = term.max(*known);
        self.left_behind(from, term);
        if epoch < self.agreed.as_ref().map_or(0, Agreed::epoch) {
            self.tell_agreed(from);
        }
        if self.may_acknowledge(from, term) {
            if !self.accusers_know(from, term) {
                return;
            }
            // Between two configurations it counts in neither: what is promised in the next one is not known yet.
            let sure = self.acceptor.accepted.is_none();
            let epoch = self.agreed.as_ref().filter(|_| sure).map_or(0, Agreed::epoch);
            self.send(from, &LeaseFrame::Granted { number, term, epoch });
        } else {
            self.send(from, &LeaseFrame::Refused { term });
        }
    }

    pub(super) fn on_granted(&mut self, from: &NodeId, number: u64, term: u64, epoch: u64) {
        if term != self.term {
            return;
        }
        self.heard.insert(from.clone());
        if epoch > 0 && Some(epoch) == self.agreed.as_ref().map(Agreed::epoch) {
            self.beats.acknowledge(from.clone(), number, epoch);
        }
    }

    /// When the lease ends by what was acknowledged; none if that was never enough.
    pub(super) fn lease_end(&self) -> Option<Duration> {
        let agreed = self.counted(self.agreed.as_ref().filter(|_| self.wanted)?);
        let end = self.beats.lease_end(&self.quorum, &agreed, &self.me, self.now, &self.terms);
        // A voter that has accepted the next configuration acknowledges nobody in this one any more, not itself either.
        let own = self.acceptor.accepted_at.map(|at| at + self.terms.lease);
        let end = end.map(|end| own.map_or(end, |own| end.min(own)));
        end.max(self.carried)
    }

    /// The configuration of which a majority counts: all of its voters, in reach or not.
    pub(super) fn counted<'a>(&self, agreed: &'a Agreed<NodeId>) -> Cow<'a, Agreed<NodeId>> {
        if !self.faults.has(LeaseFault::CountsTheReachable) {
            return Cow::Borrowed(agreed);
        }
        let here = agreed.ids().filter(|id| self.is_alive(id)).cloned();
        Cow::Owned(super::changing::configuration(agreed.epoch(), &here.collect()))
    }

    /// What a broken machine does: it takes a sign of life for an acknowledgement.
    pub(super) fn renew_by_hearing(&mut self, from: &NodeId) {
        if let Some(epoch) = self.agreed.as_ref().map(Agreed::epoch).filter(|_| self.votes(from)) {
            let number = self.beats.send(self.now);
            self.beats.acknowledge(from.clone(), number, epoch);
        }
    }

    /// Takes the lease up, or lays it down.
    pub(super) fn judge_lease(&mut self) {
        self.ends = self.lease_end();
        let granted = self.ends.is_some_and(|end| self.now < end);
        let here = |status: MemberStatus| status.is_alive() && status != MemberStatus::Unreachable;
        let mut here = self.members.iter().filter(|(id, status)| **id != self.me && here(**status));
        let known = here.all(|(id, _)| self.heard.contains(id));
        if self.held && !granted {
            // Whatever rests on the lease stops now, and says when it has.
            (self.held, self.idle) = (false, false);
        } else if !self.held && granted && known && self.idle && self.term >= self.least_term {
            self.held = true;
        }
        // No promise of the term that is over binds the next one, in which nothing runs yet.
        let next = self.least_term.max(self.refused + 1);
        if !self.held && self.idle && self.term < next {
            self.term = next;
            self.beats = Heartbeats::new();
            self.carried = None;
            self.heard.clear();
            self.renew();
            self.judge_anew();
        }
    }
}
