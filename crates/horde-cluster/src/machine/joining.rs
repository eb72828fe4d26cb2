//! When this node is ready, and who may have a name.

use std::time::Duration;

use horde_transport::NodeId;

use super::inquiry::{Inquiry, Own, Verdict};
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

    /// Up once a full member's list is here; where nobody is Up, once all that are expected are known. Who was not heard
    /// lately does not count: it may have become something else since.
    pub(crate) fn join_if_ready(&mut self) {
        if self.own.lifecycle != Lifecycle::Joining || self.stopped.is_some() {
            return;
        }
        let mut ups =
            self.known.values().filter(|known| known.is_alive() && known.record.lifecycle == Lifecycle::Up);
        let mut anybody_up = false;
        let listed = ups.any(|known| {
            anybody_up = true;
            self.links.get(&known.record.id).is_some_and(|link| link.listed && self.is_current(link))
        });
        let ready = match self.config.expect {
            _ if anybody_up => listed,
            Some(expect) => {
                let live = self.known.values().filter(|known| known.fate == Fate::Live && known.is_alive());
                let current = |known: &&Known| {
                    self.links.get(&known.record.id).is_none_or(|link| self.is_current(link))
                };
                live.filter(current).count() + 1 >= expect
            }
            None => self.alone_at().is_some_and(|at| self.now >= at),
        };
        if ready {
            self.own.lifecycle = Lifecycle::Up;
            self.events.push(MemberEvent::Up(self.own.id.clone()));
            self.announce();
        } else if anybody_up && !listed && self.is_large() {
            self.learn_from_any();
        }
    }

    /// A newcomer wants a name: the life that has it is probed for a heartbeat, and the others are asked about it.
    pub(crate) fn probe_holder(&mut self, holder: &NodeId) {
        let (now, linked, window) = (self.now, self.links.contains_key(holder), self.slow_window());
        let careful = now < self.listening;
        let Some(known) = self.known.get_mut(holder.name()) else { return };
        match &mut known.inquiry {
            Some(inquiry) if inquiry.own == Own::Silent => self.ask(holder),
            // Its connection was lost: a newcomer speaks for a restart, so that it has less time to come back.
            Some(Inquiry { own: Own::Probing { until, .. }, .. }) if !linked && !careful => {
                *until = (*until).min(now + window);
            }
            Some(_) => {}
            None if linked => {
                known.inquiry = Some(Inquiry::new(now, Own::Probing { until: now + window, window }, false));
                self.doubted.insert(holder.name().clone());
                self.ask(holder);
                self.beat(holder);
            }
            None => self.begin_silent(holder),
        }
    }

    /// Ends the wait of newcomers whose name's holder has answered, here or elsewhere, or is gone.
    pub(crate) fn settle_contests(&mut self) {
        let contested = self.links.iter().filter_map(|(id, link)| Some((id.clone(), link.contest.as_ref()?)));
        let contested: Vec<_> =
            contested.map(|(id, contest)| (id, contest.holder.clone(), established(contest))).collect();
        for (newcomer, holder, established) in contested {
            let known = self.known.get(holder.name());
            let known = known.filter(|known| known.record.id == holder && known.is_alive() && !established);
            let lives = |inquiry: &Inquiry| {
                inquiry.verdict(self.now, |voter| self.observes(voter)) == Verdict::Outvoted
            };
            match known.map(|known| (known.inquiry.as_ref().is_none_or(lives), known.address)) {
                None => self.admit(&newcomer, &holder),
                Some((true, address)) => self.refuse(&newcomer, Refusal::NameTaken { holder, address }),
                Some((false, _)) => {}
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
        self.close_replaced(holder, newcomer);
        if let Some(record) = pending {
            self.on_own(newcomer, record);
            self.pull(newcomer);
        }
    }

    /// A later life has the name: the connection to this one is of no use.
    pub(crate) fn close_replaced(&mut self, old: &NodeId, by: &NodeId) {
        if self.links.contains_key(old) {
            let address = self.links.get(by).and_then(|link| link.peer.address);
            self.refuse(old, Refusal::Superseded { by: by.clone(), address });
        }
    }

    /// A member under the name of a later life that is known: that one, if it is no member itself, gives way.
    pub(crate) fn meet_elder(&mut self, elder: &Record) {
        let Some(known) = self.known.get(elder.id.name()) else { return };
        let (later, address, joining) =
            (known.record.id.clone(), known.address, known.record.lifecycle == Lifecycle::Joining);
        if later <= elder.id || elder.lifecycle == Lifecycle::Left {
            return;
        }
        if !joining || elder.lifecycle == Lifecycle::Joining {
            return self.refuse(&elder.id, Refusal::Superseded { by: later, address });
        }
        if self.known.remove(later.name()).is_some_and(|known| known.is_alive()) {
            self.events.push(MemberEvent::Down(later.clone()));
        }
        self.digest = None;
        self.changed = true;
        if self.links.contains_key(&later) {
            let (holder, address) = (elder.id.clone(), elder.address);
            self.refuse(&later, Refusal::NameTaken { holder, address });
        }
    }

    /// Tells a peer that it is no member, and closes its connection once it had time to hear it.
    pub(crate) fn refuse(&mut self, peer: &NodeId, why: Refusal) {
        self.routine = false;
        let stopped = stopped(&why, peer);
        self.send(peer, &Frame::Refused(why));
        self.refused.insert(peer.clone(), (self.now + self.config.heartbeat, stopped.to_string()));
        self.outputs.push_back(Output::Warn(Warning::Refused { peer: peer.clone(), why: stopped }));
        self.unlink(peer);
    }

    pub(crate) fn close_refused(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.refused).into_iter().partition(|(_, (at, _))| *at <= now);
        self.refused = later;
        let due: std::collections::BTreeMap<NodeId, (Duration, String)> = due;
        self.outputs.extend(due.into_iter().map(|(peer, (_, why))| Output::Disconnect { peer, why }));
    }

    /// This node is not taken as a member.
    pub(crate) fn on_refused(&mut self, from: &NodeId, mut why: Refusal) {
        let seen_at = |id: &NodeId| self.links.get(id).and_then(|link| link.peer.address);
        if let Refusal::NameTaken { holder: id, address } | Refusal::Superseded { by: id, address } = &mut why
            && id == from
        {
            *address = seen_at(id).or(*address);
        }
        let joining = self.own.lifecycle == Lifecycle::Joining;
        let ours = match &why {
            Refusal::NameTaken { holder, .. } => joining && holder.name() == self.own.id.name(),
            Refusal::Superseded { by, .. } => by.name() == self.own.id.name() && *by > self.own.id,
            Refusal::Full { .. } => joining,
            Refusal::Forgotten { life } => *life == self.own.id,
        };
        let why = match why {
            // Who has not joined had no place that another could take: its name is taken, whoever started first.
            Refusal::Superseded { by, address } if joining => Refusal::NameTaken { holder: by, address },
            why => why,
        };
        if ours {
            self.stop(stopped(&why, &self.own.id));
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
        if other > self.own.id && member && joining {
            self.stop(Stopped::NameTaken { holder: other, address });
        } else if other > self.own.id && (member || joining) {
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
            Stopped::Superseded { .. } | Stopped::Forgotten => MemberEvent::Down(id),
            _ => MemberEvent::Left(id),
        });
        if !matches!(why, Stopped::Superseded { .. } | Stopped::Forgotten) {
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
        Refusal::Forgotten { .. } => Stopped::Forgotten,
        Refusal::Full { limit } => Stopped::Full { limit: usize::try_from(limit).unwrap_or(usize::MAX) },
    }
}
