//! Members that may be gone: promises asked for, given, and given back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{Accusation, Agreed, Quorum};
use horde_transport::NodeId;

use super::wire::LeaseFrame;
use super::{Leases, MAX_GIVEN_UP};
use crate::MemberStatus;

/// How long a case stands aside for a change of the voters, if that does not come: a few ballots.
const ASIDE: Duration = Duration::from_millis(1_500);

/// One node's case against one life in one term.
#[derive(Debug)]
pub(super) struct Case {
    term: u64,
    round: u64,
    /// Voters that may have promised, in this round or an earlier one.
    asked: BTreeSet<NodeId>,
    promised: BTreeSet<NodeId>,
    /// Who promised after this was decided, and from when on that counts: what they acknowledged before is over by then.
    late: BTreeMap<NodeId, Duration>,
    accusation: Accusation<NodeId>,
    /// The accused lives, or a change of the voters goes first, and nothing was replaced: the promises are given back.
    withdrawn: bool,
    /// Since when somebody who promised has accepted a next configuration.
    ahead_since: Option<Duration>,
    /// Until when it stands aside for a change of the voters.
    aside_until: Option<Duration>,
    /// From when on what it ran may run elsewhere. Once set, the case is never withdrawn.
    pub(super) replace_at: Option<Duration>,
}

impl Case {
    /// Whether the lease of the accused is certainly over.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.replace_at.is_some_and(|at| now >= at)
    }

    /// Whether the promises to this node keep the accused from a lease in another configuration, too.
    pub(super) fn binds(&self, quorum: &Quorum<NodeId>, next: &Agreed<NodeId>, now: Duration) -> bool {
        let late = |id: &NodeId| self.late.get(id).is_some_and(|from| *from <= now);
        let left: BTreeSet<&NodeId> =
            next.ids().filter(|id| !self.promised.contains(*id) && !late(id)).collect();
        !quorum.grants(next, &left)
    }
}

impl Leases {
    /// Opens and closes cases as members go down and come back.
    pub(super) fn judge_members(&mut self) {
        let members: Vec<(NodeId, MemberStatus)> =
            self.members.iter().map(|(id, status)| (id.clone(), *status)).collect();
        for (id, status) in members {
            match status {
                _ if id == self.me => {}
                MemberStatus::Left => {
                    self.cases.remove(&id);
                    self.left.insert(id);
                }
                MemberStatus::Down => self.accuse(&id),
                _ => self.withdraw(&id),
            }
        }
        while self.left.len() > MAX_GIVEN_UP {
            self.left.pop_first();
        }
        while self.cases.len() > MAX_GIVEN_UP {
            let over = self.cases.iter().find(|(_, case)| case.is_over(self.now)).map(|(id, _)| id.clone());
            let Some(id) = over else { break };
            self.cases.remove(&id);
        }
        let (cases, me) = (&self.cases, &self.me);
        let gone = |id: &NodeId| !self.members.contains_key(id) && id != me;
        self.terms_of.retain(|id, _| !gone(id) || cases.contains_key(id));
        self.withdrawn.retain(|(accused, by), _| !gone(accused) && !gone(by));
        self.drop_dead_accusers();
    }

    /// Who is given up, or has left, acts on no promise any more.
    pub(super) fn drop_dead_accusers(&mut self) {
        let (cases, left, now) = (&self.cases, &self.left, self.now);
        let over = |id: &NodeId| left.contains(id) || cases.get(id).is_some_and(|case| case.is_over(now));
        for by in self.given.values_mut() {
            by.retain(|accuser, _| !over(accuser));
        }
        self.release_unasked();
    }

    fn release_unasked(&mut self) {
        let unasked: Vec<NodeId> =
            self.given.iter().filter(|(_, by)| by.is_empty()).map(|(accused, _)| accused.clone()).collect();
        for accused in unasked {
            self.given.remove(&accused);
            self.promises.release(&accused);
        }
    }

    pub(super) fn accuse(&mut self, accused: &NodeId) {
        if *accused == self.me || self.left.contains(accused) {
            return;
        }
        let term = self.terms_of.get(accused).copied().unwrap_or(0);
        match self.cases.get_mut(accused) {
            Some(case) if !case.withdrawn || case.aside_until.is_some_and(|at| self.now < at) => return,
            Some(case) => {
                (case.withdrawn, case.aside_until) = (false, None);
                case.term = case.term.max(term);
            }
            None => {
                let case = Case {
                    term,
                    round: 0,
                    asked: BTreeSet::new(),
                    promised: BTreeSet::new(),
                    late: BTreeMap::new(),
                    accusation: Accusation::new(accused.clone()),
                    withdrawn: false,
                    ahead_since: None,
                    aside_until: None,
                    replace_at: None,
                };
                self.cases.insert(accused.clone(), case);
            }
        }
        self.begin_round(accused);
    }

    /// Puts the question anew: what was promised before does not count.
    fn begin_round(&mut self, accused: &NodeId) {
        self.round += 1;
        let round = self.round;
        if let Some(case) = self.cases.get_mut(accused) {
            case.round = round;
            case.ahead_since = None;
            case.promised.clear();
            case.accusation = Accusation::new(accused.clone());
        }
        self.press(accused);
    }

    /// Asks for what is missing, in all cases.
    pub(super) fn press_cases(&mut self) {
        let open: Vec<NodeId> = self.cases.keys().cloned().collect();
        for accused in open {
            let case = self.cases.get(&accused);
            let aside = case.and_then(|case| case.aside_until);
            let open = case.filter(|case| !case.withdrawn && case.replace_at.is_none());
            let ahead = open.and_then(|case| case.ahead_since);
            if ahead.is_some_and(|since| since + self.heartbeat <= self.now) {
                self.stand_aside(&accused);
            } else if aside.is_some_and(|until| until <= self.now) && !self.is_alive(&accused) {
                self.accuse(&accused);
            } else {
                self.press(&accused);
            }
        }
    }

    /// A voter that promises has accepted a next configuration, which others, bound by what they promised, cannot accept:
    /// nothing would ever be decided. A case that is open for that stands aside for the change.
    fn stand_aside(&mut self, accused: &NodeId) {
        if let Some(case) = self.cases.get_mut(accused) {
            (case.withdrawn, case.aside_until) = (true, Some(self.now + ASIDE));
            self.press(accused);
        }
    }

    /// A configuration holds: what stood aside for it goes on.
    pub(super) fn resume_cases(&mut self) {
        for case in self.cases.values_mut() {
            case.aside_until = case.aside_until.map(|until| until.min(self.now));
        }
    }

    fn press(&mut self, accused: &NodeId) {
        let voters: Vec<(NodeId, bool)> =
            self.voters().into_iter().map(|voter| (voter.clone(), self.is_alive(&voter))).collect();
        let votes = self.votes(accused);
        let Some(case) = self.cases.get_mut(accused) else { return };
        let (term, round) = (case.term, case.round);
        if case.withdrawn {
            let frame = LeaseFrame::Withdraw { accused: accused.clone(), round };
            let asked: Vec<NodeId> = case.asked.iter().cloned().collect();
            for to in asked {
                self.deliver(&to, &frame);
            }
        } else {
            // Of a case that is decided more promises are asked for while the accused votes: a next configuration that it is in
            // needs them. After that nobody has to look into a life that is over, and hold up the next change for it.
            let open = case.replace_at.is_none();
            let silent: Vec<NodeId> = voters
                .into_iter()
                .filter(|(voter, alive)| {
                    let silent = !case.promised.contains(voter) && !case.late.contains_key(voter);
                    (open || votes && *alive) && voter != accused && silent
                })
                .map(|(voter, _)| voter)
                .collect();
            case.asked.extend(silent.iter().cloned());
            let frame = LeaseFrame::Accuse { accused: accused.clone(), term, round };
            for to in silent {
                self.deliver(&to, &frame);
            }
        }
    }

    /// Sends a frame, to oneself without detour.
    pub(super) fn deliver(&mut self, to: &NodeId, frame: &LeaseFrame) {
        if *to == self.me {
            let me = self.me.clone();
            self.on_frame(&me, frame.clone());
        } else {
            self.send(to, frame);
        }
    }

    /// Somebody asks for a promise. It is given only about a life that this voter does not find alive itself.
    pub(super) fn on_accuse(&mut self, from: &NodeId, accused: &NodeId, term: u64, round: u64) {
        let late = self.withdrawn.get(&(accused.clone(), from.clone())).is_some_and(|last| round <= *last);
        if late || !self.votes(&self.me) || self.is_alive(accused) {
            return;
        }
        let term = self.terms_of.get(accused).copied().unwrap_or(0).max(term);
        self.promises.promise(accused.clone(), term);
        self.given.entry(accused.clone()).or_default().insert(from.clone(), round);
        let epoch = self.accepted_epoch();
        self.deliver(from, &LeaseFrame::Promise { accused: accused.clone(), term, round, epoch });
        if !self.members.contains_key(accused) {
            // No verdict will come of a life that is not known here: this node must find out by itself that it is over.
            self.accuse(accused);
        }
    }

    pub(super) fn on_promise(&mut self, from: &NodeId, accused: &NodeId, term: u64, round: u64, epoch: u64) {
        if !self.votes(from) {
            return;
        }
        let Some(case) = self.cases.get_mut(accused) else { return };
        if case.round != round || case.withdrawn {
            return;
        }
        if case.replace_at.is_some() {
            // One that covers a later term covers this one.
            if term >= case.term && !case.promised.contains(from) {
                case.late.entry(from.clone()).or_insert(self.now + self.terms.takeover_delay());
            }
            return;
        }
        if term > case.term {
            // The accused is in a later term than this node knew: every promise must cover that one.
            case.term = term;
            return self.begin_round(accused);
        }
        case.promised.insert(from.clone());
        case.accusation.promised(from.clone(), self.now, epoch);
        let open = self.cases.get(accused).zip(self.agreed.as_ref());
        let Some((replace_at, ahead)) = open.map(|(case, agreed)| {
            let counted = self.counted(agreed);
            let at = case.accusation.replace_at(&self.quorum, &counted, self.agreed_at, &self.terms);
            (at, epoch > agreed.epoch())
        }) else {
            return;
        };
        if let Some(case) = self.cases.get_mut(accused) {
            case.replace_at = replace_at;
            if ahead {
                case.ahead_since.get_or_insert(self.now);
            }
        }
        self.conclude_across(accused, epoch);
    }

    /// Who promises may have accepted a next configuration, of which this node does not know whether it holds: the promises
    /// are enough all the same if they are in each that can follow.
    fn conclude_across(&mut self, accused: &NodeId, epoch: u64) {
        let Some(agreed) = &self.agreed else { return };
        let next = self.next_ones();
        let Some(case) = self.cases.get_mut(accused).filter(|case| case.replace_at.is_none()) else { return };
        let near = case.ahead_since.is_some() && epoch <= agreed.epoch() + 1 && !next.is_empty();
        if near && next.iter().chain([agreed]).all(|one| case.binds(&self.quorum, one, self.now)) {
            case.replace_at = Some(self.now.max(self.agreed_at) + self.terms.takeover_delay());
        }
    }

    /// A member that was accused is alive. If nothing was concluded, the promises are given back.
    fn withdraw(&mut self, id: &NodeId) {
        let Some(case) = self.cases.get_mut(id).filter(|case| case.replace_at.is_none()) else { return };
        if case.asked.is_empty() {
            self.cases.remove(id);
        } else {
            case.aside_until = None;
            if !std::mem::replace(&mut case.withdrawn, true) {
                self.press(id);
            }
        }
    }

    pub(super) fn on_withdraw(&mut self, from: &NodeId, accused: &NodeId, round: u64) {
        let last = self.withdrawn.entry((accused.clone(), from.clone())).or_insert(round);
        *last = round.max(*last);
        if let Some(by) = self.given.get_mut(accused)
            && by.get(from).is_some_and(|given| *given <= round)
        {
            by.remove(from);
            self.release_unasked();
        }
        self.deliver(from, &LeaseFrame::Withdrawn { accused: accused.clone(), round });
    }

    pub(super) fn on_withdrawn(&mut self, from: &NodeId, accused: &NodeId, round: u64) {
        let Some(case) = self.cases.get_mut(accused) else { return };
        if case.withdrawn && case.round == round {
            case.asked.remove(from);
            if case.asked.is_empty() && case.aside_until.is_none() {
                self.cases.remove(accused);
            }
        }
    }

    /// Whether everybody to whom this voter promised something about `id` knows that it is in a later term by now. Who
    /// does not is told: it may have given up the term before, and must not go on doing so while the next one is held.
    pub(super) fn accusers_know(&mut self, id: &NodeId, term: u64) -> bool {
        let me = self.me.clone();
        if let Some(by) = self.given.get_mut(id) {
            by.remove(&me);
            let unknowing: Vec<NodeId> = by.keys().cloned().collect();
            for accuser in unknowing {
                self.send(&accuser, &LeaseFrame::Later { accused: id.clone(), term });
            }
        }
        self.release_unasked();
        !self.given.contains_key(id)
    }

    pub(super) fn on_later(&mut self, from: &NodeId, accused: &NodeId, term: u64) {
        let known = self.terms_of.entry(accused.clone()).or_insert(term);
        *known = term.max(*known);
        self.left_behind(accused, term);
        self.send(from, &LeaseFrame::Noted { accused: accused.clone(), term });
    }

    pub(super) fn on_noted(&mut self, from: &NodeId, accused: &NodeId, term: u64) {
        // A promise of a later round about that very term stands.
        if self.promises.may_acknowledge(accused, term)
            && let Some(by) = self.given.get_mut(accused)
        {
            by.remove(from);
            self.release_unasked();
        }
    }

    /// A member is in a later term than it was accused in: it had stopped everything before.
    pub(super) fn left_behind(&mut self, id: &NodeId, term: u64) {
        match self.cases.get_mut(id).filter(|case| case.term < term) {
            Some(case) if case.replace_at.is_some() => drop(self.cases.remove(id)),
            Some(case) if !case.withdrawn => {
                case.term = term;
                self.begin_round(id);
            }
            _ => {}
        }
        if self.members.get(id) == Some(&MemberStatus::Down) {
            self.accuse(id);
        }
    }
}
