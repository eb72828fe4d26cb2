//! Who is still alive: hints, silence, questions to the others, verdicts.

use std::time::Duration;

use horde_transport::{NodeId, NodeName};

use super::faults::Fault;
use super::inquiry::{Inquiry, MAX_EXTENSIONS, Own, Verdict};
use super::jitter::Jitter;
use super::membership::{Membership, Output, Warning};
use super::state::{Fate, Known};
use super::wire::{Answer, Frame, Lifecycle};
use crate::MemberEvent;

/// Probes within one window.
const PROBES: u32 = 3;
/// Round trips that a window has at least.
const ROUND_TRIPS: u32 = 6;

impl Membership {
    /// The alive member with exactly this id.
    fn alive(&mut self, id: &NodeId) -> Option<&mut Known> {
        self.known.get_mut(id.name()).filter(|known| known.record.id == *id && known.is_alive())
    }

    fn fast_window(&self, id: &NodeId) -> Duration {
        let rtt = self.links.get(id).and_then(|link| link.rtt).unwrap_or_default();
        (self.config.probe_window.max(rtt * ROUND_TRIPS)) * self.health.factor()
    }

    pub(crate) fn slow_window(&self) -> Duration {
        self.config.heartbeat * self.health.factor()
    }

    /// The kernel says that the peer's process is gone.
    pub(crate) fn hint(&mut self, peer: &NodeId) {
        let window = self.fast_window(peer);
        let own = self.probing(if self.links.contains_key(peer) { window } else { Duration::ZERO });
        self.evidence(peer, own);
    }

    /// The connection to a member ended without a goodbye.
    pub(crate) fn lost(&mut self, peer: &NodeId) {
        let hinted = |known: &mut Known| known.inquiry.as_ref().is_some_and(|inquiry| inquiry.hinted);
        let Some(known) = self.alive(peer) else { return };
        let grace =
            if hinted(known) { Duration::ZERO } else { self.config.lost_grace * self.health.factor() };
        self.evidence(peer, self.probing(grace));
    }

    fn probing(&self, window: Duration) -> Own {
        Own::Probing { until: self.now + window, window }
    }

    /// This node has evidence of a crash: it finds out at once, and asks the others at the same time.
    fn evidence(&mut self, peer: &NodeId, own: Own) {
        let (now, listening) = (self.now, self.listening);
        let own = match own {
            // What ended while this node stood still says more of this node than of the peer.
            Own::Probing { until, window } => Own::Probing { until: until.max(listening), window },
            Own::Silent => Own::Silent,
        };
        let Some(known) = self.alive(peer) else { return };
        let inquiry = known.inquiry.get_or_insert_with(|| Inquiry::new(now, own, true));
        inquiry.hinted = true;
        match (inquiry.own, own) {
            (Own::Silent, _) => {}
            (Own::Probing { until, .. }, Own::Probing { until: sooner, .. }) if until <= sooner => {}
            _ => (inquiry.own, inquiry.started, inquiry.next_probe) = (own, now, now),
        }
        let unasked = inquiry.round == 0;
        self.doubted.insert(peer.name().clone());
        if unasked {
            self.ask(peer);
        }
        self.beat(peer);
    }

    /// Starts inquiries about those not heard for too long.
    pub(crate) fn suspect_the_silent(&mut self) {
        let (now, factor) = (self.now, self.health.factor());
        let mut silent = Vec::new();
        for known in self.known.values().filter(|known| known.is_alive() && known.inquiry.is_none()) {
            let id = &known.record.id;
            let since = match self.links.get(id) {
                Some(link) => link.heard + self.config.suspect_after * factor,
                None => known.told + self.config.reach_grace * factor,
            };
            if now >= since {
                silent.push(id.clone());
            }
        }
        for id in silent {
            self.begin_silent(&id);
        }
    }

    /// This node does not hear a member: it asks the others.
    pub(crate) fn begin_silent(&mut self, id: &NodeId) {
        let now = self.now;
        let Some(known) = self.alive(id) else { return };
        known.inquiry = Some(Inquiry::new(now, Own::Silent, false));
        self.doubted.insert(id.name().clone());
        self.ask(id);
    }

    /// Puts the question to all other connected members; of many, to so many as are told of everything at once.
    pub(crate) fn ask(&mut self, about: &NodeId) {
        self.counter += 1;
        let (round, now, patience) = (self.counter, self.now, self.config.down_after * self.health.factor());
        let others = self.links.iter().filter(|(id, link)| *id != about && link.contest.is_none());
        let asked: std::collections::BTreeSet<NodeId> =
            some(others.map(|(id, _)| id), self.config.eager_members, &mut self.jitter);
        let Some(inquiry) = self.alive(about).and_then(|known| known.inquiry.as_mut()) else { return };
        inquiry.round = round;
        inquiry.answer_by = patience
            + match inquiry.own {
                Own::Probing { until, .. } => until,
                Own::Silent => now,
            };
        inquiry.answers.clear();
        inquiry.asked.clone_from(&asked);
        for to in asked {
            self.send(&to, &Frame::Ask { about: about.clone(), round });
        }
    }

    /// Somebody asks about a member: a fresh probe decides, never an old memory.
    pub(crate) fn on_ask(&mut self, from: &NodeId, about: &NodeId, round: u64) {
        if *about == self.own.id {
            return self.beat(from);
        }
        let (now, window, linked) = (self.now, self.slow_window(), self.links.contains_key(about));
        let answer = match self.known.get_mut(about.name()) {
            Some(known) if known.record.id > *about => Some(Answer::Silent),
            Some(known) if known.record.id == *about && !known.is_alive() => Some(Answer::Silent),
            Some(known) if known.record.id == *about => match &mut known.inquiry {
                Some(inquiry) if inquiry.own == Own::Silent => Some(Answer::Silent),
                Some(inquiry) => {
                    // Questions may come in another order than they were asked in: the answer is to the latest.
                    let owed = inquiry.owed.entry(from.clone()).or_insert(round);
                    *owed = round.max(*owed);
                    None
                }
                None if linked => {
                    let mut inquiry = Inquiry::new(now, Own::Probing { until: now + window, window }, false);
                    inquiry.owed.insert(from.clone(), round);
                    known.inquiry = Some(inquiry);
                    self.doubted.insert(about.name().clone());
                    self.beat(about);
                    None
                }
                None => Some(Answer::Unknown),
            },
            _ => Some(Answer::Unknown),
        };
        if let Some(answer) = answer {
            self.send(from, &Frame::Answer { about: about.clone(), round, answer });
        }
    }

    pub(crate) fn on_answer(&mut self, from: &NodeId, about: &NodeId, round: u64, answer: Answer) {
        let inquiry = self.alive(about).and_then(|known| known.inquiry.as_mut());
        if let Some(inquiry) =
            inquiry.filter(|inquiry| inquiry.round == round && inquiry.asked.contains(from))
        {
            inquiry.answers.insert(from.clone(), answer);
        }
    }

    /// Somebody has declared a member Down.
    pub(crate) fn on_down(&mut self, from: &NodeId, about: &NodeId, counter: u64) {
        if *about == self.own.id {
            return self.refute(from, counter);
        }
        let (now, window, linked) = (self.now, self.slow_window(), self.links.contains_key(about));
        let Some(known) = self.alive(about) else { return };
        if counter < known.record.counter {
            return;
        }
        match &mut known.inquiry {
            // Others hear it, as they said: what one says who was away is a reason to ask them again, no verdict.
            Some(_) if known.fate == Fate::Unreachable => self.ask(about),
            // One voice, which may rest on that of this node: the others that were asked may hear it.
            Some(inquiry) if inquiry.own == Own::Silent && inquiry.round != 0 => {
                inquiry.asked.insert(from.clone());
                inquiry.answers.insert(from.clone(), Answer::Silent);
            }
            Some(inquiry) if inquiry.own == Own::Silent => self.declare_down(about),
            Some(_) => {}
            None if linked => {
                known.inquiry = Some(Inquiry::new(now, Own::Probing { until: now + window, window }, false));
                self.doubted.insert(about.name().clone());
                self.beat(about);
            }
            None => self.declare_down(about),
        }
    }

    /// Others call this node Down and it is alive: it objects, with its counter.
    pub(crate) fn refute(&mut self, by: &NodeId, counter: u64) {
        if counter < self.own.counter {
            return;
        }
        self.own.counter = counter.saturating_add(1);
        self.events.push(MemberEvent::Refuted(self.own.id.clone()));
        self.outputs.push_back(Output::Warn(Warning::CalledDown { by: by.clone() }));
        self.announce();
    }

    /// A probe has ended.
    pub(crate) fn probed(&mut self, probe: u64, answered: bool) {
        let Some((peer, sent)) = self.probes.remove(&probe) else { return };
        if !answered {
            return;
        }
        if let Some(link) = self.links.get_mut(&peer) {
            let sample = self.now.saturating_sub(sent);
            link.measure(sample);
            link.heard = self.now;
            self.proof(&peer, sent);
        }
    }

    /// `peer` has answered something that was sent at `sent`.
    pub(crate) fn proof(&mut self, peer: &NodeId, sent: Duration) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(peer) {
            link.proven = link.proven.max(sent);
        }
        let Some(known) = self.known.get_mut(peer.name()).filter(|known| known.record.id == *peer) else {
            return;
        };
        if known.record.lifecycle == Lifecycle::Left {
            return;
        }
        if known.fate == Fate::Down {
            if sent >= known.changed && !self.faults.has(Fault::NeverReturns) {
                (known.fate, known.changed) = (Fate::Live, now);
                self.came_back(peer);
            }
            return;
        }
        let Some(inquiry) = known.inquiry.take_if(|inquiry| sent >= inquiry.started) else { return };
        // It may fall silent again: no later than that somebody looks.
        self.others_due = self.others_due.min(now + self.config.suspect_after);
        let doubted = known.fate != Fate::Live;
        known.fate = Fate::Live;
        if doubted {
            known.changed = now;
            self.events.push(MemberEvent::Refuted(peer.clone()));
        }
        self.pay(peer, inquiry.owed.into_iter(), Answer::Alive);
    }

    fn came_back(&mut self, id: &NodeId) {
        self.digest = None;
        let lifecycle = self.known.get(id.name()).map(|known| known.record.lifecycle);
        let Some(lifecycle) = lifecycle else { return };
        self.tell_lifecycle(id, lifecycle);
    }

    fn pay(&mut self, about: &NodeId, owed: impl Iterator<Item = (NodeId, u64)>, answer: Answer) {
        for (to, round) in owed {
            self.send(&to, &Frame::Answer { about: about.clone(), round, answer });
        }
    }

    /// Moves every inquiry and every contested name on.
    pub(crate) fn advance(&mut self) {
        if self.doubted.is_empty() && !self.contested {
            return;
        }
        let names: Vec<NodeName> = self.doubted.iter().cloned().collect();
        for name in &names {
            self.probe_on(name);
        }
        for name in &names {
            self.decide(name);
        }
        if self.contested {
            self.settle_contests();
            self.contested = self.links.values().any(|link| link.contest.is_some());
        }
        let known = &self.known;
        self.doubted.retain(|name| known.get(name).is_some_and(|known| known.inquiry.is_some()));
    }

    /// Sends probes that are due, and notes silence when their time is over.
    fn probe_on(&mut self, name: &NodeName) {
        let (now, heartbeat) = (self.now, self.config.heartbeat);
        let Some(known) = self.known.get_mut(name) else { return };
        let (id, linked) = (known.record.id.clone(), self.links.contains_key(&known.record.id));
        let Some(inquiry) = &mut known.inquiry else { return };
        let mut fell_silent = false;
        if let Own::Probing { until, window } = inquiry.own
            && now >= until
        {
            if now >= until + window / 2 && inquiry.extended < MAX_EXTENSIONS && linked {
                // This node was late itself: an answer may wait to be read.
                inquiry.extended += 1;
                inquiry.own = Own::Probing { until: now + window / PROBES, window };
                inquiry.next_probe = now;
            } else {
                inquiry.own = Own::Silent;
                inquiry.next_probe = now + heartbeat;
                fell_silent = true;
            }
        }
        let timeout = match inquiry.own {
            Own::Probing { until, .. } => until.saturating_sub(now),
            Own::Silent => heartbeat,
        };
        let due = linked && now >= inquiry.next_probe;
        if due {
            let step = match inquiry.own {
                Own::Probing { window, .. } => window / PROBES,
                Own::Silent => heartbeat,
            };
            inquiry.next_probe = now + step;
        }
        let owed = if fell_silent { std::mem::take(&mut inquiry.owed) } else { Default::default() };
        let unasked = fell_silent && inquiry.round == 0;
        self.pay(&id, owed.into_iter(), Answer::Silent);
        if unasked {
            self.ask(&id);
        }
        if due {
            self.probe(&id, timeout);
        }
    }

    fn probe(&mut self, to: &NodeId, timeout: Duration) {
        self.counter += 1;
        let probe = self.counter;
        self.probes.insert(probe, (to.clone(), self.now));
        let frame = Frame::Probe { to: to.clone() }.encode();
        self.outputs.push_back(Output::Probe { to: to.clone(), probe, frame, timeout });
    }

    /// Draws the verdict when enough is known.
    fn decide(&mut self, name: &NodeName) {
        let Some(known) = self.known.get(name) else { return };
        let Some(inquiry) = &known.inquiry else { return };
        if inquiry.own != Own::Silent {
            return;
        }
        let (id, lapsed) = (known.record.id.clone(), self.now >= inquiry.answer_by);
        match inquiry.verdict(self.now, |voter| self.observes(voter)) {
            _ if self.faults.has(Fault::OneObserver) => self.declare_down(&id),
            Verdict::Down => self.declare_down(&id),
            Verdict::Open => self.doubt(name, Fate::Suspect),
            Verdict::Outvoted => {
                self.doubt(name, Fate::Unreachable);
                if lapsed {
                    self.ask(&id);
                }
            }
        }
    }

    fn doubt(&mut self, name: &NodeName, fate: Fate) {
        let Some(known) = self.known.get_mut(name) else { return };
        if known.fate == fate || (known.fate == Fate::Unreachable && fate == Fate::Suspect) {
            return;
        }
        (known.fate, known.changed) = (fate, self.now);
        let id = known.record.id.clone();
        self.changed = true;
        self.events.push(if fate == Fate::Suspect {
            MemberEvent::Suspect(id)
        } else {
            MemberEvent::Unreachable(id)
        });
    }

    /// Whether a member counts as an observer: connected, and not itself under suspicion.
    pub(crate) fn observes(&self, id: &NodeId) -> bool {
        let known = self.known.get(id.name()).filter(|known| known.record.id == *id && known.is_alive());
        let trusted = |known: &Known| match &known.inquiry {
            None => known.fate == Fate::Live,
            Some(inquiry) => !inquiry.hinted && inquiry.own != Own::Silent,
        };
        self.links.contains_key(id) && known.is_some_and(trusted)
    }

    pub(crate) fn declare_down(&mut self, id: &NodeId) {
        let now = self.now;
        let Some(known) = self.alive(id) else { return };
        (known.fate, known.changed) = (Fate::Down, now);
        let counter = known.record.counter;
        let owed = known.inquiry.take().map(|inquiry| inquiry.owed).unwrap_or_default();
        self.digest = None;
        self.events.push(MemberEvent::Down(id.clone()));
        self.pay(id, owed.into_iter(), Answer::Silent);
        self.broadcast(&Frame::Down { about: id.clone(), counter });
    }

    /// This node stood still for `late`: that time is nobody's silence. What it found out and was told before is old after as long
    /// as silence takes to be suspected: open questions begin anew.
    pub(crate) fn excuse_all(&mut self, late: Duration) {
        let (now, window) = (self.now, self.slow_window());
        let old = late >= self.config.suspect_after;
        let soon = now + self.config.heartbeat;
        for link in self.links.values_mut() {
            link.heard = (link.heard + late).min(now);
        }
        for known in self.known.values_mut() {
            known.told = (known.told + late).min(now);
            let Some(inquiry) = &mut known.inquiry else { continue };
            if old {
                let owed = std::mem::take(&mut inquiry.owed);
                let own = Own::Probing { until: now + window, window };
                *inquiry = Inquiry { owed, ..Inquiry::new(now, own, inquiry.hinted) };
                continue;
            }
            // What came meanwhile is still to be read: a question that was due then is not over before that.
            inquiry.answer_by = (inquiry.answer_by + late).max(soon);
            if let Own::Probing { until, .. } = &mut inquiry.own {
                *until = (*until + late).max(soon);
            }
        }
    }
}

/// All of `ids`, or of more than `most` so many that are next to each other, from a place by chance.
fn some<'a>(
    ids: impl Iterator<Item = &'a NodeId> + Clone,
    most: usize,
    jitter: &mut Jitter,
) -> std::collections::BTreeSet<NodeId> {
    let (count, most) = (ids.clone().count(), most.max(2));
    if count <= most {
        return ids.cloned().collect();
    }
    let first = usize::try_from(jitter.next() % count as u64).unwrap_or(0);
    ids.clone().chain(ids).skip(first).take(most).cloned().collect()
}
