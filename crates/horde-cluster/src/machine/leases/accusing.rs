//! Members that may be gone: promises asked for, counted, and withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use horde_ring::{Accusation, Agreed, Quorum};
use horde_transport::NodeId;

use super::changing::configuration;
use super::wire::LeaseFrame;
use super::{Leases, MAX_GIVEN_UP};
use crate::MemberStatus;

/// What a voter had accepted when it promised.
#[derive(Debug)]
struct Said {
    epoch: u64,
    /// The configuration of that epoch, if the voter did not know whether it holds.
    next: BTreeSet<NodeId>,
}

/// One node's case against one life in one term.
#[derive(Debug)]
pub(super) struct Case {
    term: u64,
    round: u64,
    /// Voters that may have promised, in this round or an earlier one.
    asked: BTreeSet<NodeId>,
    promised: BTreeMap<NodeId, Said>,
    accusation: Accusation<NodeId>,
    /// The accused lives, and nothing was replaced: the promises are given back.
    withdrawn: bool,
    /// From when on what it ran may run elsewhere. Once set, the case is never withdrawn.
    pub(super) replace_at: Option<Duration>,
}

impl Case {
    /// Whether the lease of the accused is certainly over.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.replace_at.is_some_and(|at| now >= at)
    }

    /// Whether the promises bind in this configuration and in each that one of those who promised had accepted after it: what
    /// any other one holds is accepted later, and comes with the promise.
    fn binds_across(&self, quorum: &Quorum<NodeId>, agreed: &Agreed<NodeId>) -> bool {
        let ahead = |said: &Said| said.epoch == agreed.epoch() + 1 && !said.next.is_empty();
        let counts = |said: &Said| said.epoch <= agreed.epoch() || ahead(said);
        let by: BTreeSet<&NodeId> =
            self.promised.iter().filter(|(_, said)| counts(said)).map(|(id, _)| id).collect();
        let bound = |one: &Agreed<NodeId>| {
            let left: BTreeSet<&NodeId> = one.ids().filter(|id| !by.contains(id)).collect();
            !quorum.grants(one, &left)
        };
        let mut next = self.promised.values().filter(|said| ahead(said));
        bound(agreed) && next.all(|said| bound(&configuration(said.epoch, &said.next)))
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
        self.judge_promises();
    }

    pub(super) fn accuse(&mut self, accused: &NodeId) {
        if *accused == self.me || self.left.contains(accused) {
            return;
        }
        let term = self.terms_of.get(accused).copied().unwrap_or(0);
        match self.cases.get_mut(accused) {
            Some(case) if !case.withdrawn => return,
            Some(case) => {
                case.withdrawn = false;
                case.term = case.term.max(term);
            }
            None => {
                let case = Case {
                    term,
                    round: 0,
                    asked: BTreeSet::new(),
                    promised: BTreeMap::new(),
                    accusation: Accusation::new(accused.clone()),
                    withdrawn: false,
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
            case.promised.clear();
            case.accusation = Accusation::new(accused.clone());
        }
        self.press(accused);
    }

    /// Asks for what is missing, in all cases.
    pub(super) fn press_cases(&mut self) {
        let open: Vec<NodeId> = self.cases.keys().cloned().collect();
        for accused in open {
            self.press(&accused);
        }
    }

    fn press(&mut self, accused: &NodeId) {
        let voters = self.voters();
        let Some(case) = self.cases.get_mut(accused).filter(|case| case.replace_at.is_none()) else { return };
        let (term, round) = (case.term, case.round);
        let (to, frame) = if case.withdrawn {
            (case.asked.clone(), LeaseFrame::Withdraw { accused: accused.clone(), round })
        } else {
            let silent = |voter: &NodeId| voter != accused && !case.promised.contains_key(voter);
            let silent: BTreeSet<NodeId> = voters.into_iter().filter(silent).collect();
            case.asked.extend(silent.iter().cloned());
            (silent, LeaseFrame::Accuse { accused: accused.clone(), term, round })
        };
        for to in to {
            self.deliver(&to, &frame);
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

    /// A promise, new or once more. One that nobody relies on is given back.
    pub(super) fn on_promise(
        &mut self,
        from: &NodeId,
        accused: &NodeId,
        (term, round): (u64, u64),
        (epoch, next): (u64, BTreeSet<NodeId>),
    ) {
        let votes = self.votes(from) && from != accused;
        let relied = |case: &&mut Case| case.replace_at.is_some() || case.round == round && !case.withdrawn;
        let Some(case) = self.cases.get_mut(accused).filter(relied) else {
            return self.deliver(from, &LeaseFrame::Withdraw { accused: accused.clone(), round });
        };
        if case.replace_at.is_some() || !votes {
            return;
        }
        if term > case.term {
            // The accused is in a later term than this node knew: every promise must cover that one.
            case.term = term;
            return self.begin_round(accused);
        }
        case.promised.insert(from.clone(), Said { epoch, next });
        case.accusation.promised(from.clone(), self.now, epoch);
        self.judge_case(accused);
    }

    /// Whether enough have promised.
    fn judge_case(&mut self, accused: &NodeId) {
        let open = self.cases.get(accused).filter(|case| case.replace_at.is_none() && !case.withdrawn);
        let Some((case, agreed)) = open.zip(self.agreed.as_ref()) else { return };
        let counted = self.counted(agreed);
        let at = case.accusation.replace_at(&self.quorum, &counted, self.agreed_at, &self.terms);
        let across = || case.binds_across(&self.quorum, &counted);
        let at = at.or_else(|| across().then(|| self.now.max(self.agreed_at) + self.terms.takeover_delay()));
        if let Some(case) = self.cases.get_mut(accused) {
            case.replace_at = at;
        }
    }

    /// This node begins another term. Who had given it up in the last one has dropped what it had promised to it: nobody is given
    /// up any more because of that, but for lives that were replaced by later ones, and what was promised so far counts no more.
    pub(super) fn judge_anew(&mut self) {
        let replaced = |gone: &NodeId| {
            let later = |id: &NodeId| id.name() == gone.name() && id.incarnation() > gone.incarnation();
            self.members.keys().any(later)
        };
        let relied = |case: &Case| case.replace_at.is_some() || !case.withdrawn;
        let open = self.cases.iter().filter(|(id, case)| relied(case) && !replaced(id));
        let open: Vec<NodeId> = open.map(|(id, _)| id.clone()).collect();
        for id in open {
            if let Some(case) = self.cases.get_mut(&id) {
                case.replace_at = None;
            }
            if self.is_alive(&id) { self.withdraw(&id) } else { self.begin_round(&id) }
        }
    }

    /// Another configuration holds: what was promised counts in that one.
    pub(super) fn judge_cases(&mut self) {
        let all: Vec<NodeId> = self.cases.keys().cloned().collect();
        for accused in all {
            self.judge_case(&accused);
        }
    }

    /// A member that was accused is alive. If nothing was concluded, the promises are given back.
    fn withdraw(&mut self, id: &NodeId) {
        let Some(case) = self.cases.get_mut(id).filter(|case| case.replace_at.is_none()) else { return };
        if case.asked.is_empty() {
            self.cases.remove(id);
        } else {
            if !std::mem::replace(&mut case.withdrawn, true) {
                self.press(id);
            }
        }
    }

    pub(super) fn on_withdrawn(&mut self, from: &NodeId, accused: &NodeId, round: u64) {
        let Some(case) = self.cases.get_mut(accused) else { return };
        if case.withdrawn && case.round == round {
            case.asked.remove(from);
            if case.asked.is_empty() {
                self.cases.remove(accused);
            }
        }
    }

    pub(super) fn on_later(&mut self, from: &NodeId, accused: &NodeId, term: u64) {
        let known = self.terms_of.entry(accused.clone()).or_insert(term);
        *known = term.max(*known);
        self.left_behind(accused, term);
        self.send(from, &LeaseFrame::Noted { accused: accused.clone(), term });
    }

    /// A member is in a later term than it was accused in: it had stopped everything before.
    pub(super) fn left_behind(&mut self, id: &NodeId, term: u64) {
        let mut over = self.members.get(id) == Some(&MemberStatus::Down);
        match self.cases.get_mut(id).filter(|case| case.term < term) {
            Some(case) if case.replace_at.is_some() => {
                self.cases.remove(id);
                // Its life may be replaced by now, and nothing else would have it accused in that term.
                over |= !self.members.contains_key(id);
            }
            Some(case) if !case.withdrawn => {
                case.term = term;
                self.begin_round(id);
            }
            _ => {}
        }
        if over {
            self.accuse(id);
        }
    }
}
