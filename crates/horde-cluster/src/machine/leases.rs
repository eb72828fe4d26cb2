//! Leases under a quorum: who may act, and who may be replaced, as a pure machine.
//!
//! ```text
//!   Members (the view)   ---+                     +---> Send (topic `quorum`, control lane)
//!   Frame, Idle, Doubt   ---+---> Leases ---------+---> Changed (a new `Standing`)
//!   time                 ---+                     +---> Warn
//! ```
//!
//! - The expected nodes are the voters, each in the life in which all of them accepted the same list. Nobody has a
//!   lease before that. Members that are not voters follow: they hold leases by the voters' acknowledgements and have
//!   no vote. A voter that has left, or whose life was replaced by a later one, is taken out of the configuration, and
//!   an expected node that is up is taken in: one step at a time, each chosen by a majority of both.
//! - A lease ends `lease` after the sending of the newest heartbeat that a majority of the voters acknowledged.
//! - A node that finds a member Down asks the voters for a promise: not to acknowledge that life in its term any
//!   more. A voter promises only what it finds itself. The member is *given up* a takeover delay after the promise
//!   with which the voters left could not keep its lease: until then its children are nobody's to start.
//! - A term ends with its lease: a node whose lease is over, that runs nothing any more and that was refused, goes on
//!   in the next term, which no promise of an earlier one binds. A promise that came to nothing is withdrawn by its
//!   accuser, and only then given back. Who votes in the next configuration keeps what was promised in this one.
//! - A lease is held only once every member that is here has heard of its term, so that nobody still replaces what
//!   the node ran.

mod accusing;
mod agreeing;
mod changing;
mod promising;
mod renewing;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use horde_ring::{Agreed, Heartbeats, LeaseTerms, Policy, Quorum};
use horde_transport::{NodeId, NodeName};

use super::faults::{Faults, LeaseFault};
use crate::{MemberStatus, View};
use accusing::Case;
use changing::{Acceptor, Proposal};
pub use promising::{Promise, Promised};
pub use wire::{LeaseFrame, LeaseFrameError, MAX_VOTERS};

/// What the lease machine must have done.
#[derive(Debug, Clone)]
pub enum LeaseOutput {
    /// Send a frame on the control lane. Lost, the next heartbeat repeats it.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        frame: Bytes,
    },
    /// Where this node stands is not what it was.
    Changed(Arc<Standing>),
    /// Say something in the log; nothing else follows from it.
    Warn(String),
}

/// Where a node stands under the quorum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Standing {
    /// The epoch of the agreed configuration; none before all expected nodes have agreed.
    pub epoch: Option<u64>,
    /// Whether this node holds its lease, and every member that is here knows of its term.
    pub held: bool,
    /// The lives whose leases are certainly over: what they ran may run elsewhere.
    pub given_up: BTreeSet<NodeId>,
}

/// Lives that are given up and remembered; of more, the lowest are forgotten and must be accused anew.
pub const MAX_GIVEN_UP: usize = 4_096;

/// One node's part in the quorum: who votes, whether this node holds its lease, and whom it has given up.
#[derive(Debug)]
pub struct Leases {
    me: NodeId,
    expected: BTreeSet<NodeName>,
    terms: LeaseTerms,
    heartbeat: Duration,
    quorum: Quorum<NodeId>,
    now: Duration,
    members: BTreeMap<NodeId, MemberStatus>,
    // Which configuration holds.
    accepted: BTreeSet<NodeId>,
    accepts: BTreeMap<NodeId, BTreeSet<NodeId>>,
    agreed: Option<Agreed<NodeId>>,
    agreed_at: Duration,
    /// Whether this node knows what was promised when the configuration came to hold.
    bound: bool,
    acceptor: Acceptor,
    proposal: Option<Proposal>,
    ballots: u64,
    // This node's own lease.
    wanted: bool,
    idle: bool,
    term: u64,
    /// The highest term of this node's that somebody has promised not to acknowledge.
    refused: u64,
    /// The lowest term in which a lease may be held.
    least_term: u64,
    beats: Heartbeats<NodeId>,
    /// When the lease ends by what was acknowledged in the configuration before.
    carried: Option<Duration>,
    next_beat: Duration,
    /// Who has heard of the present term.
    heard: BTreeSet<NodeId>,
    held: bool,
    /// When the lease ends, by the last input.
    ends: Option<Duration>,
    // What it promised to others.
    terms_of: BTreeMap<NodeId, u64>,
    promised: Promised,
    withdrawn: BTreeMap<(NodeId, NodeId), u64>,
    // Whom it accuses, and who has left in good order.
    cases: BTreeMap<NodeId, Case>,
    left: BTreeSet<NodeId>,
    round: u64,
    standing: Arc<Standing>,
    outputs: VecDeque<LeaseOutput>,
    pub(super) faults: Faults<LeaseFault>,
}

impl Leases {
    /// The part of `me` in the quorum of the `expected` nodes; with none expected, it follows the quorum it finds.
    ///
    /// `heartbeat` is how often the lease is renewed. Times are of one clock that runs through suspend.
    #[must_use]
    pub fn new(
        me: NodeId,
        expected: BTreeSet<NodeName>,
        terms: LeaseTerms,
        heartbeat: Duration,
        now: Duration,
    ) -> Self {
        let wanted = expected.contains(me.name());
        Self {
            me,
            expected,
            terms,
            heartbeat,
            quorum: Quorum::new(Policy::Majority),
            now,
            members: BTreeMap::new(),
            accepted: BTreeSet::new(),
            accepts: BTreeMap::new(),
            agreed: None,
            agreed_at: now,
            bound: false,
            acceptor: Acceptor::default(),
            proposal: None,
            ballots: 0,
            wanted,
            idle: true,
            term: 1,
            refused: 0,
            least_term: 1,
            beats: Heartbeats::new(),
            carried: None,
            next_beat: now,
            heard: BTreeSet::new(),
            held: false,
            ends: None,
            terms_of: BTreeMap::new(),
            promised: Promised::default(),
            withdrawn: BTreeMap::new(),
            cases: BTreeMap::new(),
            left: BTreeSet::new(),
            round: 0,
            standing: Arc::default(),
            outputs: VecDeque::new(),
            faults: Faults::default(),
        }
    }

    /// Where this node stands.
    #[must_use]
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Until when this node may act, on the clock of the inputs; none while it holds no lease.
    #[must_use]
    pub fn held_until(&self) -> Option<Duration> {
        self.lease_end().filter(|_| self.held)
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<LeaseOutput> {
        self.outputs.pop_front()
    }

    /// When [`Leases::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let beat = self.is_active().then_some(self.next_beat);
        let lease = self.ends.filter(|_| self.held);
        let cases = self.cases.values().filter_map(|case| case.replace_at.filter(|at| *at > self.now));
        cases.chain(beat).chain(lease).min()
    }

    /// Does what time asks for.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if self.is_active() && self.now >= self.next_beat {
            self.beat();
        }
        self.finish();
    }

    /// The members as they are now.
    pub fn members(&mut self, now: Duration, view: &View) {
        self.now = self.now.max(now);
        let next: BTreeMap<NodeId, MemberStatus> =
            view.members.iter().map(|(id, member)| (id.clone(), member.status)).collect();
        let vanished: Vec<NodeId> =
            self.members.keys().filter(|id| !next.contains_key(*id)).cloned().collect();
        let newcomers = next.keys().any(|id| !self.members.contains_key(id));
        self.members = next;
        self.heard.retain(|id| self.members.get(id).is_some_and(|status| status.is_alive()));
        let forgotten: Vec<NodeId> =
            self.cases.keys().chain(&vanished).filter(|id| view.is_forgotten(id)).cloned().collect();
        for id in forgotten {
            // An operator's word that a life is gone for good is as good as its own goodbye.
            self.cases.remove(&id);
            self.left.insert(id);
        }
        for id in vanished {
            self.beats.forget(&id);
            self.accuse(&id);
        }
        self.judge_members();
        self.propose();
        if newcomers && self.is_active() {
            self.beat();
        } else {
            self.change();
        }
        self.finish();
    }

    /// This node wants a lease from now on: something on it rests on one.
    pub fn want(&mut self, now: Duration) {
        self.now = self.now.max(now);
        if !self.wanted {
            (self.wanted, self.next_beat) = (true, self.now);
            self.beat();
        }
        self.finish();
    }

    /// Whether nothing that rests on the lease runs on this node: told after each loss of the lease.
    pub fn set_idle(&mut self, now: Duration, idle: bool) {
        self.now = self.now.max(now);
        self.idle = idle;
        self.finish();
    }

    /// Something rests on a life of which this node knows nothing: is it over?
    pub fn doubt(&mut self, now: Duration, id: &NodeId) {
        self.now = self.now.max(now);
        if !self.members.contains_key(id) {
            self.accuse(id);
        }
        self.finish();
    }

    /// A frame of a member. Bytes that are no frame are said and dropped.
    pub fn frame(&mut self, now: Duration, from: &NodeId, bytes: &[u8]) {
        self.now = self.now.max(now);
        if !self.members.contains_key(from) {
            // A client, or a member that this node's view does not show yet: heartbeats repeat what counts.
            return;
        }
        if self.faults.has(LeaseFault::ByHearing) {
            self.renew_by_hearing(from);
        }
        match LeaseFrame::decode(bytes) {
            Ok(frame) => self.on_frame(from, frame),
            Err(error) => self.warn(format!("bad quorum frame from {from}: {error}; dropped")),
        }
        self.finish();
    }

    fn on_frame(&mut self, from: &NodeId, frame: LeaseFrame) {
        match frame {
            LeaseFrame::Accept { voters } => self.on_accept(from, voters),
            LeaseFrame::Agreed { epoch, voters, promised } => {
                self.on_agreed(from, epoch, voters, promised.as_ref());
            }
            LeaseFrame::Prepare { epoch, ballot } => self.on_prepare(from, epoch, ballot),
            LeaseFrame::Prepared { epoch, ballot, accepted } => {
                self.on_prepared(from, (epoch, ballot), accepted);
            }
            LeaseFrame::Propose { epoch, ballot, voters } => self.on_propose(from, (epoch, ballot), voters),
            LeaseFrame::Accepted { epoch, ballot, promised } => {
                self.on_accepted(from, epoch, &ballot, &promised);
            }
            LeaseFrame::Renew { number, term, epoch } => self.on_renew(from, number, term, epoch),
            LeaseFrame::Granted { number, term, epoch } => self.on_granted(from, number, term, epoch),
            LeaseFrame::Refused { term } => self.refused = self.refused.max(term),
            LeaseFrame::Accuse { accused, term, round } => self.on_accuse(from, &accused, term, round),
            LeaseFrame::Promise { accused, term, round, epoch, next } => {
                self.on_promise(from, &accused, (term, round), (epoch, next));
            }
            LeaseFrame::Later { accused, term } => self.on_later(from, &accused, term),
            LeaseFrame::Noted { accused, term } => self.on_noted(from, &accused, term),
            LeaseFrame::Withdraw { accused, round } => self.on_withdraw(from, &accused, round),
            LeaseFrame::Withdrawn { accused, round } => self.on_withdrawn(from, &accused, round),
        }
    }

    /// Whether this node has a part in a quorum at all: without one it says nothing.
    fn is_active(&self) -> bool {
        self.wanted || self.agreed.is_some() || !self.expected.is_empty()
    }

    /// One heartbeat of everything that is repeated until it is answered.
    fn beat(&mut self) {
        self.next_beat = self.now + self.heartbeat;
        self.propose_again();
        self.renew();
        self.press_cases();
        self.judge_promises();
        self.ask_back();
        self.change();
    }

    /// What every input ends with: the lease, and who is given up.
    fn finish(&mut self) {
        self.judge_lease();
        let given_up = self.cases.iter().filter(|(_, case)| case.is_over(self.now)).map(|(id, _)| id.clone());
        let standing = Standing {
            epoch: self.agreed.as_ref().map(Agreed::epoch),
            held: self.held,
            given_up: given_up.chain(self.left.iter().cloned()).collect(),
        };
        if *self.standing != standing {
            self.standing = Arc::new(standing);
            self.outputs.push_back(LeaseOutput::Changed(self.standing.clone()));
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    fn is_alive(&self, id: &NodeId) -> bool {
        *id == self.me || self.members.get(id).is_some_and(|status| status.is_alive())
    }

    /// Whether this life has a vote in the agreed configuration.
    fn votes(&self, id: &NodeId) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.voter(id).is_some())
    }

    fn voters(&self) -> BTreeSet<NodeId> {
        self.agreed.iter().flat_map(Agreed::ids).cloned().collect()
    }

    fn others(&self) -> Vec<NodeId> {
        self.members
            .iter()
            .filter(|(id, status)| **id != self.me && status.is_alive())
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn send(&mut self, to: &NodeId, frame: &LeaseFrame) {
        self.outputs.push_back(LeaseOutput::Send { to: to.clone(), frame: frame.encode() });
    }

    fn warn(&mut self, text: String) {
        self.outputs.push_back(LeaseOutput::Warn(text));
    }

    /// What its queues hold and may hold. For tests.
    #[cfg(feature = "faults")]
    #[doc(hidden)]
    #[must_use]
    pub fn load(&self) -> Vec<(&'static str, usize, usize)> {
        vec![
            ("lives that have left", self.left.len(), MAX_GIVEN_UP),
            ("cases", self.cases.len(), MAX_GIVEN_UP + self.members.len()),
            ("voters", self.voters().len(), MAX_VOTERS),
        ]
    }

    /// # Panics
    /// When the state contradicts itself: a bug.
    pub fn check_invariants(&self) {
        assert!(!self.held || self.lease_end().is_some(), "a lease is held that was never granted");
        assert!(!self.held || self.agreed.is_some(), "a lease is held without a configuration");
        assert!(!self.cases.contains_key(&self.me), "nobody accuses itself");
        for (accused, promise) in &self.promised.given {
            assert!(!promise.by.is_empty(), "a promise about {accused} has an accuser");
        }
    }
}

#[cfg(test)]
mod tests;
