//! Heartbeats: proof of life, round trips, and noticing what was missed.

use std::time::Duration;

use bytes::Bytes;
use horde_transport::NodeId;

use super::membership::{Membership, Output};
use super::state::{Fate, Link};
use super::wire::{Beat, Frame, Lifecycle};

/// Heartbeats with another digest before its list is pulled: one may just be under way.
const ODD_BEATS: u32 = 2;
/// Heartbeats between two pulls from one peer.
const PULL_PAUSE: u32 = 5;
/// In how many periods a peer must have answered for its word to be that of today.
const CURRENT: u32 = 5;

impl Membership {
    /// Queues a frame.
    pub(crate) fn send(&mut self, to: &NodeId, frame: &Frame) {
        self.outputs.push_back(Output::Send { to: to.clone(), frame: frame.encode() });
    }

    /// Queues a frame for every connected member.
    pub(crate) fn broadcast(&mut self, frame: &Frame) {
        self.broadcast_but(None, &frame.encode());
    }

    /// Queues a frame for every connected member but one.
    pub(crate) fn broadcast_but(&mut self, but: Option<&NodeId>, bytes: &Bytes) {
        let members = self.links.iter().filter(|(id, link)| Some(*id) != but && link.contest.is_none());
        let sends = members.map(|(to, _)| Output::Send { to: to.clone(), frame: bytes.clone() });
        self.outputs.extend(sends);
    }

    /// Whether what comes from a peer now was said lately: it has answered a heartbeat of the last periods. Where a network that was
    /// cut gives out what it held back, the peer may have changed since it said so.
    pub(crate) fn is_current(&self, link: &Link) -> bool {
        self.now <= link.proven + self.config.heartbeat * CURRENT
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
            peers.extend(self.agenda.pop_first().map(|(_, peer)| peer));
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

    /// A heartbeat came: answer it, unless one went out lately, so that each way has one in each period. Most of all that is
    /// ever heard: what it costs is a few look-ups.
    pub(crate) fn on_beat(&mut self, from: &NodeId, beat: &Beat) {
        let (now, half, digest) = (self.now, self.config.heartbeat / 2, self.digest());
        let (joining, large) = (self.own.lifecycle == Lifecycle::Joining, self.is_large());
        let held_back = joining && self.links.get(from).is_some_and(|link| !self.is_current(link));
        let Some(link) = self.links.get_mut(from) else { return };
        // The latest, not the highest: a peer that counts anew after a reconnect is acknowledged too.
        (link.got, link.got_at) = (beat.seq, now);
        let proven = link.take_ack(beat.ack);
        if let Some(sent) = proven {
            let held = Duration::from_micros(beat.held_us);
            link.measure(now.saturating_sub(sent).saturating_sub(held));
            link.proven = link.proven.max(sent);
            // Who joins may be ready now.
            self.routine &= !held_back;
        }
        let quiet = link.beat_at.is_none_or(|at| now >= at + half);
        link.odd = if beat.digest == digest { 0 } else { link.odd.saturating_add(1) };
        if link.odd == 0 && large && !link.listed {
            // What differs would be in the digest, and what is not in it came with the greeting.
            link.listed = true;
            self.routine &= !joining;
        }
        // A list that was lost is needed to join, however much the heartbeats agree.
        let unlisted = joining && !link.listed;
        let (odd, pulled_at, asked_at) = (link.odd, link.pulled_at, link.asked_at);
        let known = self.known.get(from.name()).filter(|known| known.record.id == *from);
        let newer = known
            .is_none_or(|known| known.record.version < beat.version || known.record.counter < beat.counter);
        let settled = known.is_some_and(|known| known.inquiry.is_none() && known.fate == Fate::Live);
        if let Some(sent) = proven.filter(|_| !settled) {
            self.proof(from, sent);
        }
        if quiet {
            self.beat(from);
        }
        if !newer && !unlisted && odd < ODD_BEATS {
            return;
        }
        // Its sender knows something else than this node.
        let pause = self.config.heartbeat * if newer || unlisted { 1 } else { PULL_PAUSE };
        let rested = |since: Option<Duration>| since.is_none_or(|at| now >= at + pause);
        if (unlisted || odd >= ODD_BEATS) && rested(pulled_at) && self.may_pull() {
            self.pull(from);
        } else if newer && rested(asked_at) {
            self.ask_who(from);
        }
    }

    /// Asks `peer` for its record, and for its list if that is another one.
    pub(crate) fn pull(&mut self, peer: &NodeId) {
        let digest = self.digest();
        if let Some(link) = self.links.get_mut(peer) {
            link.pulled_at = Some(self.now);
            self.pace.pulled_at = Some(self.now);
            self.send(peer, &Frame::Pull { digest });
        }
    }

    /// Asks `peer` for its record alone: the digests say whether there is more.
    fn ask_who(&mut self, peer: &NodeId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.asked_at = Some(self.now);
            self.send(peer, &Frame::Who);
        }
    }

    pub(crate) fn pull_all(&mut self) {
        let peers: Vec<NodeId> = self.links.keys().cloned().collect();
        for peer in peers {
            self.pull(&peer);
        }
    }

    /// One number for all that members should agree on; members that left are no part of it. Of many members it may be
    /// that of some milliseconds ago: two that agree in it had the same then, and what either learnt since came on top.
    pub(crate) fn digest(&mut self) -> u32 {
        if let Some(digest) = self.digest {
            return digest;
        }
        let (last, at) = self.pace.digest;
        if self.is_large() && self.now < at + self.pace_of_news() {
            return last;
        }
        let own = (&self.own, false);
        let others = self.known.values().map(|known| (&known.record, known.fate == Fate::Down));
        let all = others.chain([own]).filter(|(record, _)| record.lifecycle != Lifecycle::Left);
        // A sum: whatever the order.
        let sum = all.fold(0_u64, |sum, (record, down)| {
            let mut hash = Fnv::new();
            hash.bytes(record.id.name().as_str().as_bytes());
            hash.bytes(&[0xff, u8::from(down)]);
            hash.bytes(&record.id.incarnation().to_le_bytes());
            hash.bytes(&record.version.to_le_bytes());
            hash.bytes(&record.counter.to_le_bytes());
            sum.wrapping_add(hash.mixed())
        });
        let digest = folded(sum);
        self.pace.digest = (digest, self.now);
        *self.digest.insert(digest)
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

    /// The hash with its bits spread once more, so that sums of several differ too (the finaliser of SplitMix64).
    fn mixed(&self) -> u64 {
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn folded(hash: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
}
