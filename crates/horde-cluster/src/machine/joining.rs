//! When this node is ready, and who may have a name.

use std::time::Duration;

use horde_transport::NodeId;

use super::inquiry::{Inquiry, Own};
use super::membership::{Membership, Output, Warning};
use super::state::{Fate, Known};
use super::wire::{Frame, Lifecycle, Record, Refusal};
use crate::{MemberEvent, Stopped};

/// How long a node without any address to dial waits for connections.
const SETTLE: Duration = Duration::from_millis(50);

impl Membership {
    /// When a node that was told to expect nobody takes itself for a cluster; none when it expects others.
    ///
    /// With nobody to dial that is soon, unless a peer has not yet said what it knows. Of several that join at once
    /// the lowest begins, and the others follow it.
    pub(crate) fn alone_at(&self) -> Option<Duration> {
        let nowhere = self.found.values().all(|set| set.iter().all(|at| Some(*at) == self.config.address));
        let heard = self.awaited.is_empty() && self.links.values().all(|link| link.listed);
        let first = |known: &Known| {
            known.record.id > self.own.id && self.links.contains_key(&known.record.id) || !known.is_alive()
        };
        let begins = nowhere && heard && self.known.values().all(first);
        let grace = if begins { SETTLE } else { self.config.join_grace };
        self.config.expect.is_none().then_some(self.started + grace)
    }

    /// Up once a full member's list is here; where nobody is Up, once all that are expected are known.
    pub(crate) fn join_if_ready(&mut self) {
        if self.own.lifecycle != Lifecycle::Joining || self.stopped.is_some() {
            return;
        }
        let mut ups =
            self.known.values().filter(|known| known.is_alive() && known.record.lifecycle == Lifecycle::Up);
        let mut anybody_up = false;
        let listed = ups.any(|known| {
            anybody_up = true;
            self.links.get(&known.record.id).is_some_and(|link| link.listed)
        });
        let ready = match self.config.expect {
            _ if anybody_up => listed,
            Some(expect) => {
                let live = self.known.values().filter(|known| known.fate == Fate::Live && known.is_alive());
                live.count() + 1 >= expect
            }
            None => self.alone_at().is_some_and(|at| self.now >= at),
        };
        if ready {
            self.own.lifecycle = Lifecycle::Up;
            self.events.push(MemberEvent::Up(self.own.id.clone()));
            self.announce();
        }
    }

    /// A newcomer wants a name: the life that has it is probed, for a heartbeat unless it is suspected already.
    ///
    /// A network that closed that life's connection itself, for the newcomer, has left nothing to probe: then a life
    /// that nothing spoke against and that was heard within the suspicion time keeps its name.
    pub(crate) fn probe_holder(&mut self, holder: &NodeId) {
        let (now, linked, factor) = (self.now, self.links.contains_key(holder), self.health.factor());
        let window = if linked { self.config.heartbeat * factor } else { Duration::ZERO };
        let heard_lately = now.saturating_sub(self.config.suspect_after * factor);
        let Some(known) = self.known.get_mut(holder.name()) else { return };
        if known.inquiry.is_some() || known.displaced.is_some_and(|heard| heard >= heard_lately) {
            return;
        }
        known.inquiry = Some(Inquiry::new(now, Own::Probing { until: now + window, window }, false));
        self.beat(holder);
    }

    /// Ends the wait of newcomers whose name's holder has answered or is silent.
    pub(crate) fn settle_contests(&mut self) {
        let contested = self.links.iter().filter_map(|(id, link)| Some((id.clone(), link.contest.as_ref()?)));
        let contested: Vec<_> =
            contested.map(|(id, contest)| (id, contest.holder.clone(), established(contest))).collect();
        for (newcomer, holder, established) in contested {
            let known =
                self.known.get(holder.name()).filter(|known| known.record.id == holder && known.is_alive());
            let silent = |inquiry: &Inquiry| inquiry.own == Own::Silent;
            match known.map(|known| (known.inquiry.as_ref().map(silent), known.address)) {
                Some((Some(false), _)) if !established => {}
                Some((None, address)) if !established => {
                    self.refuse(&newcomer, Refusal::NameTaken { holder, address });
                }
                _ => self.admit(&newcomer, &holder),
            }
        }
    }

    /// The newcomer has the name now.
    fn admit(&mut self, newcomer: &NodeId, holder: &NodeId) {
        if self.known.get(holder.name()).is_some_and(|known| known.record.id == *holder) {
            let gone = self.known.remove(holder.name());
            if gone.is_some_and(|known| known.is_alive()) {
                self.events.push(MemberEvent::Down(holder.clone()));
            }
            self.digest = None;
            self.changed = true;
        }
        let pending =
            self.links.get_mut(newcomer).and_then(|link| link.contest.take()).and_then(|c| c.pending);
        self.greet(newcomer);
        if self.links.contains_key(holder) {
            let address = self.links.get(newcomer).and_then(|link| link.peer.address);
            self.refuse(holder, Refusal::Superseded { by: newcomer.clone(), address });
        }
        if let Some(record) = pending {
            self.on_own(newcomer, record);
            self.pull(newcomer);
        }
    }

    /// Tells a peer that it is no member, and closes its connection once it had time to hear it.
    pub(crate) fn refuse(&mut self, peer: &NodeId, why: Refusal) {
        let stopped = stopped(&why, peer);
        self.send(peer, &Frame::Refused(why));
        self.refused.insert(peer.clone(), (self.now + self.config.heartbeat, stopped.to_string()));
        self.outputs.push_back(Output::Warn(Warning::Refused { peer: peer.clone(), why: stopped }));
        self.links.remove(peer);
    }

    pub(crate) fn close_refused(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.refused).into_iter().partition(|(_, (at, _))| *at <= now);
        self.refused = later;
        let due: std::collections::BTreeMap<NodeId, (Duration, String)> = due;
        self.outputs.extend(due.into_iter().map(|(peer, (_, why))| Output::Disconnect { peer, why }));
    }

    /// This node is not taken as a member.
    pub(crate) fn on_refused(&mut self, why: &Refusal) {
        let joining = self.own.lifecycle == Lifecycle::Joining;
        let ours = match why {
            Refusal::NameTaken { holder, .. } => joining && holder.name() == self.own.id.name(),
            Refusal::Superseded { by, .. } => by.name() == self.own.id.name() && *by > self.own.id,
            Refusal::Full { .. } => joining,
        };
        if ours {
            self.stop(stopped(why, &self.own.id));
        }
    }

    /// Another life of this node's own name.
    pub(crate) fn namesake(&mut self, record: &Record) {
        let (other, address) = (record.id.clone(), record.address);
        let member = record.lifecycle != Lifecycle::Joining;
        let joining = self.own.lifecycle == Lifecycle::Joining;
        let connected = self.links.contains_key(&other);
        if record.lifecycle == Lifecycle::Left {
            return;
        }
        if other > self.own.id && (member || joining) {
            let ours = self.own.id.incarnation();
            self.stop(Stopped::Superseded { by: other, address, ours });
        } else if other > self.own.id && connected {
            let (holder, address) = (self.own.id.clone(), self.own.address);
            self.refuse(&other, Refusal::NameTaken { holder, address });
        } else if other < self.own.id && connected && member && joining {
            self.stop(Stopped::NameTaken { holder: other, address });
        } else if other < self.own.id && connected {
            let (by, address) = (self.own.id.clone(), self.own.address);
            self.refuse(&other, Refusal::Superseded { by, address });
        }
    }

    /// This node is no member any more.
    pub(crate) fn stop(&mut self, why: Stopped) {
        let id = self.own.id.clone();
        self.events.push(match why {
            Stopped::Superseded { .. } => MemberEvent::Down(id),
            _ => MemberEvent::Left(id),
        });
        if !matches!(why, Stopped::Superseded { .. }) {
            self.own.lifecycle = Lifecycle::Left;
        }
        self.stopped = Some(why);
        self.changed = true;
    }
}

/// A newcomer that others have admitted keeps the name.
fn established(contest: &super::state::Contest) -> bool {
    contest.pending.as_ref().is_some_and(|record| record.lifecycle != Lifecycle::Joining)
}

fn stopped(why: &Refusal, refused: &NodeId) -> Stopped {
    match why.clone() {
        Refusal::NameTaken { holder, address } => Stopped::NameTaken { holder, address },
        Refusal::Superseded { by, address } => {
            Stopped::Superseded { by, address, ours: refused.incarnation() }
        }
        Refusal::Full { limit } => Stopped::Full { limit: usize::try_from(limit).unwrap_or(usize::MAX) },
    }
}
