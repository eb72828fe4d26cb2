//! What members tell of themselves and of each other.

use std::time::Duration;

use horde_transport::NodeId;

use super::membership::{Membership, Output, Warning};
use super::state::{Fate, Known};
use super::wire::{Frame, Lifecycle, RECORDS_BUDGET, Record, Told, told_size};
use crate::MemberEvent;

impl Membership {
    /// The own record changed: raises its version and tells everybody.
    pub(crate) fn announce(&mut self) {
        self.own.version += 1;
        self.digest = None;
        self.changed = true;
        if self.is_large() {
            self.pace.announces = true;
        } else {
            self.broadcast(&Frame::Own(self.own.clone()));
        }
    }

    pub(crate) fn told(known: &Known) -> Told {
        let record = Record { address: known.address, ..known.record.clone() };
        Told { record, down: known.fate == Fate::Down }
    }

    /// Sends the complete list of others, in as many frames as it takes.
    pub(crate) fn send_list(&mut self, to: &NodeId) {
        let (mut told, mut size, mut frames) = (Vec::new(), 0, Vec::new());
        for known in self.known.values().filter(|known| known.record.id != *to) {
            let next = Self::told(known);
            let more = told_size(&next);
            if size + more > RECORDS_BUDGET && !told.is_empty() {
                frames.push(Frame::Members { told: std::mem::take(&mut told), last: false });
                size = 0;
            }
            size += more;
            told.push(next);
        }
        for frame in &frames {
            self.send(to, frame);
        }
        self.send_verdicts(to);
        self.send(to, &Frame::Members { told, last: true });
    }

    /// What the receiver is for us goes along only as a verdict that it can refute; and whom nobody may bring back.
    pub(crate) fn send_verdicts(&mut self, to: &NodeId) {
        if let Some(known) = self.known.get(to.name()).filter(|k| k.record.id == *to && k.fate == Fate::Down)
        {
            let counter = known.record.counter;
            self.send(to, &Frame::Down { about: to.clone(), counter });
        }
        if let Some(frame) = self.forgotten.frame() {
            self.send(to, &frame);
        }
    }

    /// A peer's own record.
    pub(crate) fn on_own(&mut self, from: &NodeId, mut record: Record) {
        let Some(link) = self.links.get_mut(from) else { return };
        record.address = link.peer.address.or(record.address);
        if record.id.name() == self.own.id.name() {
            return self.namesake(&record);
        }
        if let Some(contest) = &mut link.contest {
            contest.pending = Some(record);
            return;
        }
        self.meet_elder(&record);
        if !self.links.contains_key(from) {
            return;
        }
        let lifecycle = record.lifecycle;
        let new = !self.known.contains_key(from.name());
        self.learn(record.clone(), false);
        if let Some(known) = self.known.get_mut(from.name()).filter(|known| known.record.id == *from) {
            known.met = true;
            if new {
                self.tell_of(from);
            }
        }
        if lifecycle == Lifecycle::Left {
            self.send(from, &Frame::Bye);
        }
    }

    pub(crate) fn on_members(&mut self, from: &NodeId, told: Vec<Told>, last: bool) {
        for Told { record, down } in told {
            if record.id == self.own.id {
                if down {
                    self.refute(from, record.counter);
                }
            } else if record.id.name() == self.own.id.name() {
                self.namesake(&record);
            } else {
                self.learn(record, down);
            }
        }
        if last && let Some(link) = self.links.get_mut(from) {
            link.listed = true;
        }
    }

    /// Takes in what is told of a member: by itself, or by another with its verdict.
    pub(crate) fn learn(&mut self, record: Record, down: bool) {
        if self.forgotten.holds(&record.id) {
            return;
        }
        let name = record.id.name().clone();
        match self.known.get(&name).map(|known| (known.record.id.clone(), known.is_alive())) {
            None if record.lifecycle == Lifecycle::Left => {}
            None => self.insert(record, down),
            Some((id, alive)) if id > record.id => {
                // The later life never was a member and is gone: the name is the elder's again.
                let joining = |known: &Known| known.record.lifecycle == Lifecycle::Joining;
                let member = matches!(record.lifecycle, Lifecycle::Up | Lifecycle::Leaving);
                if !alive && !down && member && self.known.get(&name).is_some_and(joining) {
                    self.known.remove(&name);
                    self.insert(record, down);
                }
            }
            Some((id, _)) if id == record.id => self.update(record, down),
            Some((_, true)) if record.lifecycle == Lifecycle::Joining || down => {}
            Some((old, alive)) => {
                // The newer life is a member, or the older one is gone: it takes the place.
                let later = record.id.clone();
                if alive {
                    self.events.push(MemberEvent::Down(old.clone()));
                }
                self.known.remove(&name);
                self.insert(record, down);
                self.close_replaced(&old, &later);
            }
        }
    }

    /// Whether another name can be taken, if need be in the place of the one that is Down longest.
    pub(crate) fn has_room(&self) -> bool {
        self.known.len() + 1 < self.config.max_members || self.known.values().any(|known| !known.is_alive())
    }

    fn insert(&mut self, record: Record, down: bool) {
        if !self.known.contains_key(record.id.name()) && self.known.len() + 1 >= self.config.max_members {
            let gone = self.known.values().filter(|known| !known.is_alive());
            let Some(oldest) =
                gone.min_by_key(|known| known.changed).map(|known| known.record.id.name().clone())
            else {
                return self.outputs.push_back(Output::Warn(Warning::TooManyMembers(record.id)));
            };
            self.known.remove(&oldest);
        }
        let (id, lifecycle, now) = (record.id.clone(), record.lifecycle, self.now);
        let address = record.address;
        let mut known = Known::new(record, address, now);
        let linked = self.links.contains_key(&id);
        known.met = linked;
        if down && !linked {
            known.fate = Fate::Down;
        }
        let is_down = known.fate == Fate::Down;
        self.known.insert(id.name().clone(), known);
        self.digest = None;
        self.changed = true;
        self.events.push(MemberEvent::Joined(id.clone()));
        if is_down {
            self.events.push(MemberEvent::Down(id));
        } else if lifecycle != Lifecycle::Joining {
            self.tell_lifecycle(&id, lifecycle);
        }
    }

    fn update(&mut self, record: Record, down: bool) {
        let (now, id) = (self.now, record.id.clone());
        let linked = self.links.contains_key(&id);
        let Some(known) = self.known.get_mut(id.name()) else { return };
        if known.record.lifecycle == Lifecycle::Left {
            return;
        }
        if !down {
            known.reached_elsewhere = now;
            // One that is Down here and reached by others is dialled again.
            self.other_addresses |= known.fate == Fate::Down;
        }
        let objected = record.counter > known.record.counter;
        if objected {
            known.record.counter = record.counter;
            self.digest = None;
        }
        let (newer, counter) = (record.version > known.record.version, record.counter);
        let mut lifecycle = None;
        if newer {
            self.digest = None;
            self.changed = true;
            lifecycle = (record.lifecycle != known.record.lifecycle).then_some(record.lifecycle);
            if record.meta != known.record.meta {
                self.events.push(MemberEvent::Meta(id.clone()));
            }
            known.address = record.address.or(known.address);
            let counter = known.record.counter;
            known.record = Record { counter, ..record };
        }
        if let Some(lifecycle) = lifecycle {
            self.change_lifecycle(&id, lifecycle);
        }
        if down {
            self.on_down(&id.clone(), &id, counter);
        } else if objected {
            self.objected(&id, linked, now);
        }
    }

    fn change_lifecycle(&mut self, id: &NodeId, lifecycle: Lifecycle) {
        if lifecycle == Lifecycle::Left {
            return self.note_left(id);
        }
        if self.known.get(id.name()).is_some_and(|known| known.fate == Fate::Live) {
            self.tell_lifecycle(id, lifecycle);
        }
    }

    pub(crate) fn tell_lifecycle(&mut self, id: &NodeId, lifecycle: Lifecycle) {
        self.changed = true;
        self.events.push(match lifecycle {
            Lifecycle::Joining => MemberEvent::Joined(id.clone()),
            Lifecycle::Up => MemberEvent::Up(id.clone()),
            Lifecycle::Leaving => MemberEvent::Leaving(id.clone()),
            Lifecycle::Left => MemberEvent::Left(id.clone()),
        });
    }

    /// A member that is Down here has objected: it lives. Connected, it is back; else only others reach it.
    fn objected(&mut self, id: &NodeId, linked: bool, now: Duration) {
        let Some(known) = self.known.get_mut(id.name()).filter(|known| known.fate == Fate::Down) else {
            return;
        };
        self.digest = None;
        (known.told, known.changed) = (now, now);
        let lifecycle = known.record.lifecycle;
        if self.faults.has(super::faults::Fault::NeverReturns) {
            return;
        }
        known.fate = if linked { Fate::Live } else { Fate::Unreachable };
        if linked {
            self.tell_lifecycle(id, lifecycle);
        } else {
            self.events.push(MemberEvent::Unreachable(id.clone()));
            self.begin_silent(id);
        }
    }

    /// A member has left for good.
    pub(crate) fn note_left(&mut self, id: &NodeId) {
        let now = self.now;
        let Some(known) = self.known.get_mut(id.name()).filter(|known| known.record.id == *id) else {
            return;
        };
        known.record.lifecycle = Lifecycle::Left;
        (known.changed, known.inquiry) = (now, None);
        self.digest = None;
        self.changed = true;
        self.events.push(MemberEvent::Left(id.clone()));
    }

    pub(crate) fn forget_the_left(&mut self) {
        let (now, keep, before) = (self.now, self.config.forget_left_after, self.known.len());
        self.known.retain(|_, known| known.record.lifecycle != Lifecycle::Left || now < known.changed + keep);
        self.changed |= self.known.len() != before;
    }
}
