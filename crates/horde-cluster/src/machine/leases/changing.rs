//! The next configuration: one voter more or fewer, chosen by single-decree Paxos (Lamport, 2001) per epoch.
//!
//! The acceptors are the voters of the configuration that holds, in their lives: who restarts is another acceptor,
//! without a vote until it is taken in, so that what an acceptor promised need not outlive it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{Agreed, Change, Voter};
use horde_transport::NodeId;

use super::Leases;
use super::wire::LeaseFrame;
use crate::MemberStatus;

/// How long a proposal may take before another ballot is begun.
const BALLOT: Duration = Duration::from_millis(600);

/// Orders the attempts at one epoch.
pub(super) type Ballot = (u64, NodeId);

/// What an acceptor has said about the next epoch.
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    promised: Option<Ballot>,
    pub(super) accepted: Option<(Ballot, BTreeSet<NodeId>)>,
    /// When that was.
    accepted_at: Option<Duration>,
}

/// An attempt of this node's at the next epoch.
#[derive(Debug)]
pub(super) struct Proposal {
    ballot: Ballot,
    begun: Duration,
    /// What this node would have, if nothing was accepted before.
    wish: BTreeSet<NodeId>,
    prepared: BTreeMap<NodeId, Option<(Ballot, BTreeSet<NodeId>)>>,
    proposed: Option<BTreeSet<NodeId>>,
    accepted: BTreeSet<NodeId>,
}

impl Leases {
    /// The lowest voter that is here leads the change that is due, if one is.
    pub(super) fn change(&mut self) {
        let first = self.voters().into_iter().find(|voter| self.is_alive(voter));
        // What one has accepted is brought to an end: until then its word counts in neither configuration.
        let waits = self.acceptor.accepted_at.is_some_and(|at| at + 3 * BALLOT <= self.now);
        let leads = first.as_ref() == Some(&self.me) || waits && self.votes(&self.me);
        let fresh = self.proposal.as_ref().is_some_and(|proposal| self.now < proposal.begun + BALLOT);
        if !leads || fresh {
            return;
        }
        let pending = self.acceptor.accepted.as_ref().map(|(_, voters)| voters.clone());
        let Some(wish) = self.wish().or(pending) else {
            self.proposal = None;
            return;
        };
        self.ballots += 1;
        let seen = self.acceptor.promised.as_ref().map_or(0, |ballot| ballot.0);
        self.ballots = self.ballots.max(seen + 1);
        let ballot = (self.ballots, self.me.clone());
        self.proposal = Some(Proposal {
            ballot: ballot.clone(),
            begun: self.now,
            wish,
            prepared: BTreeMap::new(),
            proposed: None,
            accepted: BTreeSet::new(),
        });
        let epoch = self.next_epoch();
        for to in self.voters() {
            self.deliver(&to, &LeaseFrame::Prepare { epoch, ballot: ballot.clone() });
        }
    }

    fn next_epoch(&self) -> u64 {
        self.agreed.as_ref().map_or(0, Agreed::epoch) + 1
    }

    /// Who should vote, if that is not who does: a voter that left or was replaced goes, an expected node that is up comes.
    fn wish(&self) -> Option<BTreeSet<NodeId>> {
        let agreed = self.agreed.as_ref()?;
        let replaced = |voter: &NodeId| {
            let over = self.cases.get(voter).is_some_and(|case| case.is_over(self.now));
            over && self.members.keys().any(|id| id.name() == voter.name() && id != voter)
        };
        // One that leaves is taken out while its own voice is still there.
        let leaves = |voter: &NodeId| self.members.get(voter) == Some(&MemberStatus::Leaving);
        let gone = |voter: &&NodeId| self.left.contains(voter) || leaves(voter) || replaced(voter);
        let gone = agreed.ids().find(gone);
        let up = |(id, status): &(&NodeId, &MemberStatus)| {
            **status == MemberStatus::Up
                && self.expected.contains(id.name())
                && agreed.ids().all(|voter| voter.name() != id.name())
        };
        let change = match gone {
            Some(gone) => Change::Remove(gone.clone()),
            None => Change::Add(self.members.iter().find(up)?.0.clone(), Voter::new()),
        };
        agreed.next(change).ok().map(|next| next.ids().cloned().collect())
    }

    pub(super) fn on_prepare(&mut self, from: &NodeId, epoch: u64, ballot: Ballot) {
        if epoch < self.next_epoch() {
            return self.tell_agreed(from);
        }
        let late = self.acceptor.promised.as_ref().is_some_and(|promised| *promised > ballot);
        if epoch > self.next_epoch() || late || !self.votes(&self.me) {
            return;
        }
        self.acceptor.promised = Some(ballot.clone());
        let accepted = self.acceptor.accepted.clone();
        self.deliver(from, &LeaseFrame::Prepared { epoch, ballot, accepted });
    }

    pub(super) fn on_prepared(
        &mut self,
        from: &NodeId,
        (epoch, ballot): (u64, Ballot),
        accepted: Option<(Ballot, BTreeSet<NodeId>)>,
    ) {
        let (next, votes) = (self.next_epoch(), self.votes(from));
        let Some(agreed) = self.agreed.clone() else { return };
        let Some(proposal) = self.proposal.as_mut().filter(|proposal| proposal.ballot == ballot) else {
            return;
        };
        if epoch != next || !votes || proposal.proposed.is_some() {
            return;
        }
        proposal.prepared.insert(from.clone(), accepted);
        if 2 * proposal.prepared.len() <= agreed.len() {
            return;
        }
        // What an acceptor may have helped to choose already is proposed again.
        let earlier = proposal.prepared.values().flatten().max_by_key(|(ballot, _)| ballot.clone());
        let voters = earlier.map_or_else(|| proposal.wish.clone(), |(_, voters)| voters.clone());
        proposal.proposed = Some(voters.clone());
        let acceptors: BTreeSet<NodeId> = agreed.ids().chain(&voters).cloned().collect();
        for to in acceptors {
            let (ballot, voters) = (ballot.clone(), voters.clone());
            self.deliver(&to, &LeaseFrame::Propose { epoch, ballot, voters });
        }
    }

    /// Accepted, unless a promise about a member stands that an old and a new configuration could both count.
    pub(super) fn on_propose(
        &mut self,
        from: &NodeId,
        (epoch, ballot): (u64, Ballot),
        voters: BTreeSet<NodeId>,
    ) {
        let late = self.acceptor.promised.as_ref().is_some_and(|promised| *promised > ballot);
        let next = configuration(epoch, &voters);
        let settled = |accused: &NodeId| {
            let over = self.cases.get(accused).filter(|case| case.is_over(self.now));
            match voters.contains(accused) {
                // It said goodbye, or an operator vouches for its end.
                _ if self.left.contains(accused) => true,
                // What this node was promised for good binds enough of the next voters, too.
                true => over.is_some_and(|case| case.binds(&self.quorum, &next, self.now)),
                false => over.is_some(),
            }
        };
        let concerned = self.votes(&self.me) || voters.contains(&self.me);
        if epoch != self.next_epoch() || late || !concerned || !self.given.keys().all(settled) {
            return;
        }
        self.acceptor.promised = Some(ballot.clone());
        self.acceptor.accepted = Some((ballot.clone(), voters));
        self.acceptor.accepted_at = Some(self.now);
        self.deliver(from, &LeaseFrame::Accepted { epoch, ballot });
    }

    pub(super) fn on_accepted(&mut self, from: &NodeId, epoch: u64, ballot: &Ballot) {
        let next = self.next_epoch();
        let Some(agreed) = self.agreed.as_ref() else { return };
        let Some(proposal) = self.proposal.as_mut().filter(|proposal| proposal.ballot == *ballot) else {
            return;
        };
        let Some(voters) = proposal.proposed.clone().filter(|_| epoch == next) else { return };
        proposal.accepted.insert(from.clone());
        let by: BTreeSet<&NodeId> = proposal.accepted.iter().collect();
        if self.quorum.commits(agreed, &configuration(epoch, &voters), &by) {
            self.adopt(epoch, voters);
            for to in self.others() {
                self.tell_agreed(&to);
            }
        }
    }

    /// A configuration holds: the leases and cases of the one before go on in it.
    pub(super) fn adopt(&mut self, epoch: u64, voters: BTreeSet<NodeId>) {
        self.agreed = Some(configuration(epoch, &voters));
        self.agreed_at = self.now;
        self.accepts.clear();
        self.acceptor = Acceptor::default();
        self.proposal = None;
        self.resume_cases();
        self.beat();
    }

    /// Every configuration that can follow: one voter fewer, or one of an expected node that has no vote. None are told by
    /// a node that expects nobody: it does not know who may come.
    pub(super) fn next_ones(&self) -> Vec<Agreed<NodeId>> {
        let voters = self.voters();
        if self.expected.is_empty() {
            return Vec::new();
        }
        let fewer = voters.iter().map(|gone| voters.iter().filter(|id| *id != gone).cloned().collect());
        let absent = self.expected.iter().filter(|name| voters.iter().all(|voter| voter.name() != *name));
        let more = absent.map(|name| {
            let any = NodeId::new(name.clone(), u64::MAX);
            voters.iter().cloned().chain([any]).collect()
        });
        let all: Vec<BTreeSet<NodeId>> = fewer.chain(more).collect();
        all.iter().map(|voters| configuration(self.next_epoch(), voters)).collect()
    }

    /// The epoch up to which this node has accepted configurations, chosen or not.
    pub(super) fn accepted_epoch(&self) -> u64 {
        let agreed = self.agreed.as_ref().map_or(0, Agreed::epoch);
        agreed + u64::from(self.acceptor.accepted.is_some())
    }

    /// The next configuration that this node has accepted and does not yet know to hold.
    pub(super) fn accepted_next(&self) -> Option<Agreed<NodeId>> {
        let (_, voters) = self.acceptor.accepted.as_ref()?;
        Some(configuration(self.next_epoch(), voters))
    }
}

pub(super) fn configuration(epoch: u64, voters: &BTreeSet<NodeId>) -> Agreed<NodeId> {
    // The id holds the life; the ring's own incarnations are not needed.
    Agreed::restored(epoch, voters.iter().map(|id| (id.clone(), Voter::new())))
}
