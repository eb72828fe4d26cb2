//! The next configuration: one voter more or fewer, chosen by single-decree Paxos (Lamport, 2001) per epoch.
//!
//! The acceptors are the voters of the configuration that holds, in their lives: who restarts is another acceptor,
//! without a vote until it is taken in, so that what an acceptor promised need not outlive it. Who accepts says what it has
//! promised to accusers; a majority's promises go on in the next configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{Agreed, Change, Voter};
use horde_transport::NodeId;

use super::Leases;
use super::promising::Promised;
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
    /// When it first accepted something.
    pub(super) accepted_at: Option<Duration>,
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
    /// What those who accepted had promised.
    promised: Promised,
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
            promised: Promised::default(),
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

    /// Accepted, unless somebody who is accused would be enough for a lease of its own in it.
    pub(super) fn on_propose(
        &mut self,
        from: &NodeId,
        (epoch, ballot): (u64, Ballot),
        voters: BTreeSet<NodeId>,
    ) {
        let late = self.acceptor.promised.as_ref().is_some_and(|promised| *promised > ballot);
        let next = configuration(epoch, &voters);
        let alone = |accused: &NodeId| {
            let gone = self.left.contains(accused);
            !gone && self.quorum.grants(&next, &BTreeSet::from([accused]))
        };
        let concerned = self.votes(&self.me) || voters.contains(&self.me);
        if epoch != self.next_epoch() || late || !concerned || self.promised.given.keys().any(alone) {
            return;
        }
        let promised = self.promised.clone();
        let frame = LeaseFrame::Accepted { epoch, ballot: ballot.clone(), promised };
        if !frame.fits() {
            return self.warn("too much is promised for a change of the voters: it waits".to_owned());
        }
        self.acceptor.promised = Some(ballot.clone());
        self.acceptor.accepted = Some((ballot, voters));
        self.acceptor.accepted_at.get_or_insert(self.now);
        self.deliver(from, &frame);
    }

    pub(super) fn on_accepted(&mut self, from: &NodeId, epoch: u64, ballot: &Ballot, promised: &Promised) {
        let next = self.next_epoch();
        let Some(agreed) = self.agreed.as_ref() else { return };
        let Some(proposal) = self.proposal.as_mut().filter(|proposal| proposal.ballot == *ballot) else {
            return;
        };
        let Some(voters) = proposal.proposed.clone().filter(|_| epoch == next) else { return };
        proposal.accepted.insert(from.clone());
        proposal.promised.join(promised);
        let by: BTreeSet<&NodeId> = proposal.accepted.iter().collect();
        if self.quorum.commits(agreed, &configuration(epoch, &voters), &by) {
            let promised = proposal.promised.clone();
            self.adopt(epoch, voters, Some(&promised));
            for to in self.others() {
                self.tell_agreed(&to);
            }
        }
    }

    /// A configuration holds. `promised` is what a majority of the one before had promised, if this node was told.
    pub(super) fn adopt(&mut self, epoch: u64, voters: BTreeSet<NodeId>, promised: Option<&Promised>) {
        // What was acknowledged until now lasts as long as it would have; the rest is asked for anew.
        self.carried = self.lease_end();
        self.beats.clear();
        self.agreed = Some(configuration(epoch, &voters));
        self.agreed_at = self.now;
        self.accepts.clear();
        self.acceptor = Acceptor::default();
        self.proposal = None;
        self.bound = promised.is_some();
        if let Some(promised) = promised {
            self.take_over(promised);
        }
        self.judge_cases();
        self.beat();
    }

    /// From which epoch on this node's promises count, and the configuration of that epoch if it may not come to hold.
    pub(super) fn accepted(&self) -> (u64, BTreeSet<NodeId>) {
        let agreed = self.agreed.as_ref().map_or(0, Agreed::epoch);
        match &self.acceptor.accepted {
            Some((_, voters)) => (agreed + 1, voters.clone()),
            None => (agreed, BTreeSet::new()),
        }
    }
}

pub(super) fn configuration(epoch: u64, voters: &BTreeSet<NodeId>) -> Agreed<NodeId> {
    // The id holds the life; the ring's own incarnations are not needed.
    Agreed::restored(epoch, voters.iter().map(|id| (id.clone(), Voter::new())))
}
