//! Connections that come and go, and what comes over them.

use std::collections::BTreeSet;

use horde_transport::{DownReason, NodeId, Peer, Role};

use super::membership::{Membership, Output, Warning};
use super::state::{Contest, Link};
use super::wire::{Frame, Lifecycle, Refusal};

/// How many peers who joins asks for their lists on connecting; the others once a heartbeat shows that there is need.
const ASKED_AT_ONCE: usize = 8;

impl Membership {
    /// A connection stands. Clients are no members and are not looked at.
    pub(crate) fn peer_up(&mut self, peer: Peer) {
        if peer.role != Role::Node || peer.id == self.own.id {
            return;
        }
        let id = peer.id.clone();
        self.awaited.remove(&id);
        if let Some(why) = self.refusal(&id) {
            return self.refuse(&id, why);
        }
        let contest = self.known.get(id.name()).and_then(|known| {
            let contested = known.record.id < id && known.is_alive();
            contested.then(|| Contest { holder: known.record.id.clone(), pending: None })
        });
        let address = peer.address;
        let mut link = Link::new(peer, self.now);
        link.contest = contest;
        let holder = link.contest.as_ref().map(|contest| contest.holder.clone());
        self.unlink(&id);
        self.links.insert(id.clone(), link);
        if let Some(holder) = holder {
            self.contested = true;
            return self.probe_holder(&holder);
        }
        if let Some(known) = self.known.get_mut(id.name()).filter(|known| known.record.id == id) {
            known.met = true;
            if address.is_some() && known.address != address {
                known.address = address;
                self.changed = true;
            }
        }
        self.greet(&id);
        if self.own.lifecycle == Lifecycle::Joining && self.links.len() <= ASKED_AT_ONCE {
            // What it told on connecting is lost if this node did not listen yet.
            self.pull(&id);
        }
        self.proof(&id, self.now);
    }

    /// The network has these connections already; word of them is under way.
    pub(crate) fn present(&mut self, peers: BTreeSet<NodeId>) {
        let unheard = |peer: &NodeId| *peer != self.own.id && !self.links.contains_key(peer);
        self.awaited = peers.into_iter().filter(unheard).collect();
    }

    /// Says all that this node knows, and starts heartbeats.
    pub(crate) fn greet(&mut self, id: &NodeId) {
        self.send_own(id);
        if self.is_large() {
            self.send_verdicts(id);
        } else {
            self.send_list(id);
        }
        self.beat(id);
    }

    /// Why a peer that just connected cannot be a member.
    fn refusal(&self, id: &NodeId) -> Option<Refusal> {
        if self.forgotten.holds(id) {
            return Some(Refusal::Forgotten { life: id.clone() });
        }
        match self.known.get(id.name()) {
            // One that is no member has not taken the name of a member: the peer's own record will say.
            Some(known) if known.record.id > *id && known.record.lifecycle != Lifecycle::Joining => {
                Some(Refusal::Superseded { by: known.record.id.clone(), address: known.address })
            }
            Some(_) => None,
            None if id.name() == self.own.id.name() => None,
            None if self.has_room() => None,
            None => Some(Refusal::Full { limit: self.config.max_members as u64 }),
        }
    }

    /// Forgets a connection; false if there is none.
    pub(crate) fn unlink(&mut self, peer: &NodeId) -> bool {
        let Some(link) = self.links.remove(peer) else { return false };
        self.agenda.remove(&(link.next_beat, peer.clone()));
        true
    }

    /// A connection ended.
    pub(crate) fn peer_down(&mut self, peer: &NodeId, reason: &DownReason) {
        self.refused.remove(peer);
        self.awaited.remove(peer);
        if !self.unlink(peer) {
            return;
        }
        let now = self.now;
        let Some(known) = self.known.get_mut(peer.name()).filter(|known| known.record.id == *peer) else {
            return;
        };
        match (reason, known.record.lifecycle) {
            // Not its silence: it connects again.
            (DownReason::Replaced, _) => known.told = now,
            (DownReason::Goodbye, Lifecycle::Leaving) => self.note_left(peer),
            _ => self.lost(peer),
        }
    }

    /// A frame came.
    pub(crate) fn frame(&mut self, from: &NodeId, bytes: &[u8]) {
        match Frame::decode(bytes) {
            Ok(frame) => self.said(from, frame),
            Err(_) if !self.links.contains_key(from) => {}
            Err(error) => {
                self.outputs.push_back(Output::Warn(Warning::BadFrame { from: from.clone(), error }))
            }
        }
    }

    pub(crate) fn said(&mut self, from: &NodeId, frame: Frame) {
        let now = self.now;
        let Some(link) = self.links.get_mut(from) else {
            // Who is refused here may refuse this node too: two that forgot each other would try again for ever.
            if let Frame::Refused(why) = frame
                && self.refused.contains_key(from)
            {
                self.on_refused(from, why);
            }
            return;
        };
        link.heard = now;
        // Who joins may be ready by any list.
        self.routine = match frame {
            Frame::Beat(_) | Frame::Pull { .. } | Frame::Who => true,
            // What is news of them is an event, or an inquiry.
            Frame::Ask { .. } | Frame::Answer { .. } | Frame::Down { .. } => true,
            Frame::Own(_) | Frame::Members { .. } => self.own.lifecycle != Lifecycle::Joining,
            _ => false,
        };
        match (frame, link.contest.is_some()) {
            (Frame::Own(record), contested) if record.id != *from => {
                debug_assert!(!contested || record.id != *from);
                let (from, about) = (from.clone(), record.id);
                self.outputs.push_back(Output::Warn(Warning::NotItsOwn { from, about }));
            }
            (Frame::Own(record), _) => self.on_own(from, record),
            (Frame::Refused(why), _) => self.on_refused(from, why),
            (_, true) => {}
            (Frame::Members { told, last }, _) => self.on_members(from, told, last),
            (Frame::Pull { digest }, _) => {
                self.send_own(from);
                self.answer_pull(from, digest);
            }
            (Frame::Who, _) => self.send_own(from),
            (Frame::Beat(beat), _) => self.on_beat(from, &beat),
            (Frame::Ask { about, round }, _) => self.on_ask(from, &about, round),
            (Frame::Answer { about, round, answer }, _) => self.on_answer(from, &about, round, answer),
            (Frame::Down { about, counter }, _) => self.on_down(from, &about, counter),
            (Frame::Bye, _) => self.on_bye(from),
            (Frame::Forgotten { lives }, _) => self.note_forgotten(Some(from), lives),
            (Frame::Probe { .. } | Frame::Here, _) => {}
        }
    }
}
