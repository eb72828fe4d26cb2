//! The first configuration: all expected nodes accept the same list of lives.

use std::collections::BTreeSet;

use horde_ring::Agreed;
use horde_transport::NodeId;

use super::Leases;
use super::promising::Promised;
use super::wire::LeaseFrame;

impl Leases {
    /// Accepts the list of the expected nodes as soon as they are all here, in the lives that are here.
    pub(super) fn propose(&mut self) {
        self.drop_replaced();
        if self.agreed.is_some() || !self.expected.contains(self.me.name()) {
            return;
        }
        let here = |id: &&NodeId| self.expected.contains(id.name()) && (**id == self.me || self.is_alive(id));
        let mut voters: BTreeSet<NodeId> = self.members.keys().filter(here).cloned().collect();
        voters.insert(self.me.clone());
        if voters.len() != self.expected.len() || voters == self.accepted {
            return;
        }
        self.accepted = voters;
        self.accepts.insert(self.me.clone(), self.accepted.clone());
        self.propose_again();
        self.conclude();
    }

    /// Repeats what this node accepted until it holds.
    pub(super) fn propose_again(&mut self) {
        if self.agreed.is_none() && !self.accepted.is_empty() {
            let frame = LeaseFrame::Accept { voters: self.accepted.clone() };
            for to in self.accepted.clone() {
                if to != self.me {
                    self.send(&to, &frame);
                }
            }
        }
    }

    pub(super) fn on_accept(&mut self, from: &NodeId, voters: BTreeSet<NodeId>) {
        if self.agreed.is_some() {
            return self.tell_agreed(from);
        }
        if !self.expected.contains(from.name()) {
            return;
        }
        self.accepts.retain(|id, _| id.name() != from.name());
        self.accepts.insert(from.clone(), voters);
        self.conclude();
    }

    /// The configuration holds once every node of the list has accepted it.
    fn conclude(&mut self) {
        let all = |id: &NodeId| self.accepts.get(id) == Some(&self.accepted);
        if self.agreed.is_none() && !self.accepted.is_empty() && self.accepted.iter().all(all) {
            self.adopt(1, self.accepted.clone(), Some(&Promised::default()));
            for to in self.others() {
                self.tell_agreed(&to);
            }
        }
    }

    pub(super) fn tell_agreed(&mut self, to: &NodeId) {
        if let Some(agreed) = &self.agreed {
            let (epoch, voters) = (agreed.epoch(), self.voters());
            let promised = self.bound.then(|| self.promised.clone());
            let frame = LeaseFrame::Agreed { epoch, voters, promised };
            if frame.fits() {
                self.send(to, &frame);
            }
        }
    }

    /// A member says that a configuration holds.
    pub(super) fn on_agreed(
        &mut self,
        from: &NodeId,
        epoch: u64,
        voters: BTreeSet<NodeId>,
        promised: Option<&Promised>,
    ) {
        if self.all_replaced(&voters) {
            return;
        }
        let own = self.agreed.as_ref().map_or(0, Agreed::epoch);
        if epoch < own {
            return self.tell_agreed(from);
        }
        if epoch == own {
            if self.voters() != voters {
                self.warn(format!(
                    "{from} goes by another quorum than this node: the configurations stay apart"
                ));
            }
            return;
        }
        let names = || voters.iter().map(NodeId::name);
        if !self.expected.is_empty() && !names().all(|name| self.expected.contains(name)) {
            return self.warn(format!("{from} expects other nodes than this one: its quorum is not joined"));
        }
        // Who votes must know what is promised: somebody who does, a voter or who led the change, says it again.
        if promised.is_some() || !voters.contains(&self.me) {
            self.adopt(epoch, voters, promised);
        }
    }

    /// A configuration all of whose lives were replaced by later ones is nobody's any more: the next one is made anew. Nobody
    /// carries over what was promised in it, so that everybody goes on in a later term.
    fn drop_replaced(&mut self) {
        if self.agreed.is_some() && self.all_replaced(&self.voters()) {
            self.agreed = None;
            self.acceptor = super::Acceptor::default();
            self.proposal = None;
            self.accepted.clear();
            self.accepts.clear();
            self.beats.clear();
            self.carried = None;
            self.least_term = self.term + 1;
        }
    }

    fn all_replaced(&self, voters: &BTreeSet<NodeId>) -> bool {
        voters.iter().all(|voter| {
            let later = |id: &NodeId| id.name() == voter.name() && id.incarnation() > voter.incarnation();
            later(&self.me) || self.members.keys().any(later)
        })
    }
}
