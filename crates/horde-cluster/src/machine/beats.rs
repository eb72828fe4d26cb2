//! Heartbeats: proof of life, round trips, and noticing what was missed.

use std::time::Duration;

use horde_transport::NodeId;

use super::membership::{Membership, Output};
use super::state::Fate;
use super::wire::{Beat, Frame, Lifecycle};

/// Heartbeats with another digest before its list is pulled: one may just be under way.
const ODD_BEATS: u32 = 2;
/// Heartbeats between two pulls from one peer.
const PULL_PAUSE: u32 = 5;

impl Membership {
    /// Queues a frame.
    pub(crate) fn send(&mut self, to: &NodeId, frame: &Frame) {
        self.outputs.push_back(Output::Send { to: to.clone(), frame: frame.encode() });
    }

    /// Queues a frame for every connected member.
    pub(crate) fn broadcast(&mut self, frame: &Frame) {
        let bytes = frame.encode();
        for (to, _) in self.links.iter().filter(|(_, link)| link.contest.is_none()) {
            self.outputs.push_back(Output::Send { to: to.clone(), frame: bytes.clone() });
        }
    }

    pub(crate) fn beat_all(&mut self) {
        let peers: Vec<NodeId> = self.links.keys().cloned().collect();
        for peer in peers {
            self.beat(&peer);
        }
    }

    pub(crate) fn beat_all_due(&mut self) {
        let mut peers = Vec::new();
        while self.agenda.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((at, peer)) = self.agenda.pop_first() else { break };
            if self.links.get(&peer).is_some_and(|link| link.next_beat == at) {
                peers.push(peer);
            }
        }
        // In the order of the peers, whoever was due first.
        peers.sort_unstable();
        for peer in peers {
            self.beat(&peer);
        }
    }

    /// Sends a heartbeat to `peer`.
    pub(crate) fn beat(&mut self, peer: &NodeId) {
        let (now, digest) = (self.now, self.digest());
        // Late by up to a tenth: two peers never stay in step by chance, and the earlier one wakes the other.
        let next = now + self.config.heartbeat + self.jitter.below(self.config.heartbeat / 10);
        let (version, counter) = (self.own.version, self.own.counter);
        let Some(link) = self.links.get_mut(peer).filter(|link| link.contest.is_none()) else { return };
        link.seq += 1;
        link.note_sent(link.seq, now);
        link.beat_at = Some(now);
        self.agenda.remove(&(link.next_beat, peer.clone()));
        link.next_beat = next;
        self.agenda.insert((next, peer.clone()));
        let held = now.saturating_sub(link.got_at);
        let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        let beat = Beat { seq: link.seq, ack: link.got, held_us, version, counter, digest };
        self.send(peer, &Frame::Beat(beat));
    }

    /// A heartbeat came: answer it, unless one went out lately, so that each way has one in each period.
    pub(crate) fn on_beat(&mut self, from: &NodeId, beat: &Beat) {
        let (now, half) = (self.now, self.config.heartbeat / 2);
        let Some(link) = self.links.get_mut(from) else { return };
        // The latest, not the highest: a peer that counts anew after a reconnect is acknowledged too.
        (link.got, link.got_at) = (beat.seq, now);
        let proven = link.take_ack(beat.ack);
        if let Some(sent) = proven {
            let held = Duration::from_micros(beat.held_us);
            link.measure(now.saturating_sub(sent).saturating_sub(held));
        }
        let quiet = link.beat_at.is_none_or(|at| now >= at + half);
        if let Some(sent) = proven {
            self.proof(from, sent);
        }
        if quiet {
            self.beat(from);
        }
        self.compare(from, beat);
    }

    /// Pulls when the sender knows something else than this node.
    fn compare(&mut self, from: &NodeId, beat: &Beat) {
        let (digest, now) = (self.digest(), self.now);
        let joining = self.own.lifecycle == Lifecycle::Joining;
        let newer = match self.known.get(from.name()).filter(|known| known.record.id == *from) {
            Some(known) => known.record.version < beat.version || known.record.counter < beat.counter,
            None => true,
        };
        let Some(link) = self.links.get_mut(from).filter(|link| link.contest.is_none()) else { return };
        link.odd = if beat.digest == digest { 0 } else { link.odd.saturating_add(1) };
        // A list that was lost is needed to join, however much the heartbeats agree.
        let unlisted = joining && !link.listed;
        let pause = self.config.heartbeat * if newer || unlisted { 1 } else { PULL_PAUSE };
        let rested = link.pulled_at.is_none_or(|at| now >= at + pause);
        if (newer || unlisted || link.odd >= ODD_BEATS) && rested {
            self.pull(from);
        }
    }

    /// Asks `peer` for its record and its list.
    pub(crate) fn pull(&mut self, peer: &NodeId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.pulled_at = Some(self.now);
            self.send(peer, &Frame::Pull);
        }
    }

    pub(crate) fn pull_all(&mut self) {
        let peers: Vec<NodeId> = self.links.keys().cloned().collect();
        for peer in peers {
            self.pull(&peer);
        }
    }

    /// One number for all that members should agree on; members that left are no part of it.
    pub(crate) fn digest(&mut self) -> u32 {
        if let Some(digest) = self.digest {
            return digest;
        }
        let mut hash = Fnv::new();
        let own = (&self.own, false);
        let others = self.known.values().map(|known| (&known.record, known.fate == Fate::Down));
        let mut all: Vec<_> = others.chain([own]).filter(|(r, _)| r.lifecycle != Lifecycle::Left).collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        for (record, down) in all {
            hash.bytes(record.id.name().as_str().as_bytes());
            hash.bytes(&[0xff, u8::from(down)]);
            hash.bytes(&record.id.incarnation().to_le_bytes());
            hash.bytes(&record.version.to_le_bytes());
            hash.bytes(&record.counter.to_le_bytes());
        }
        *self.digest.insert(hash.folded())
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo).
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn folded(&self) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.0.to_le_bytes();
        u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
    }
}
