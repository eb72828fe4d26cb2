//! Status: who holds what.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Replica;
use crate::engine::dictionary::Dictionary;
use crate::engine::peer::{Peer, Told, combine};
use crate::engine::rules::Rule;
use crate::engine::shard::Shard;
use crate::message::{Body, Links, Section, Status};
use crate::{Key, Now, Output, ReplicaId, Warning, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Sends a status to a peer: what changed since the last one.
    pub(super) fn tell(&mut self, now: Now, to: ReplicaId) {
        if let Some(status) = self.status_to(now, to) {
            self.send(to, Body::Status(Box::new(status)));
        }
    }

    fn status_to(&mut self, now: Now, to: ReplicaId) -> Option<Status> {
        self.push();
        let (hash, fingerprint) = (self.hash(), self.fingerprint());
        let peer = self.peers.get_mut(&to)?;
        let full = peer.tell_all;
        let mut names = Dictionary::default();
        let mut sections = Vec::new();
        let stale = |shard: &Shard<K, V>, told: &Told| full || told.version != shard.version;
        let moved = self.shards.iter_mut().zip(&peer.told).filter(|(shard, told)| stale(shard, told));
        let risen: usize = moved.map(|(shard, told)| shard.risen_since(told.vector.as_ref())).sum();
        // Of so much the receiver has heard from who wrote it, most likely. The hash says so; else it asks.
        let brief = !full && risen > self.config.max_told;
        for (number, (shard, told)) in self.shards.iter_mut().zip(&mut peer.told).enumerate() {
            if !stale(shard, told) {
                continue;
            }
            let was = told.vector.replace(shard.vector()).unwrap_or_default();
            told.version = shard.version;
            if brief {
                continue;
            }
            let mut entries = Vec::new();
            let was = was.iter().copied().chain(core::iter::repeat(0));
            for (origin, (lane, told)) in (0_u32..).zip(shard.lanes.iter().zip(was)) {
                if lane.covered > 0 && (full || lane.covered != told) {
                    entries.push((names.place(&self.origins, origin), lane.covered));
                }
            }
            if !entries.is_empty() {
                sections.push(Section {
                    shard: number as u16,
                    hash: shard.hash(&self.origins).to_le_bytes(),
                    fingerprint: shard.fingerprint.to_le_bytes(),
                    entries,
                });
            }
        }
        // Of many neighbours it is likely that the receiver has the same: the hash says so, or it asks.
        let few = self.neighbours <= self.config.max_told;
        let new_links = peer.told_links != self.links || full && !few;
        let lists = core::mem::take(&mut peer.wants_links) || few && new_links;
        peer.told_links = self.links;
        peer.tell_all = false;
        peer.told_at = Some(now.monotonic);
        peer.relay_due = None;
        let links = match (lists, new_links) {
            (true, _) => Links::All(self.neighbours()),
            (false, true) => Links::Hash(self.circle.to_le_bytes()),
            (false, false) => Links::Same,
        };
        let origins = names.ids;
        Some(Status { hash, fingerprint, full, links, origins, sections })
    }

    pub(super) fn receive_status(&mut self, now: Now, from: ReplicaId, status: Status) {
        let Some(numbers) = self.origins.intern_all(&status.origins) else {
            return self.warn(Warning::TooMany { peer: from });
        };
        let sound = status.sections.iter().all(|section| {
            usize::from(section.shard) < self.shards.len()
                && section.entries.iter().all(|entry| (entry.0 as usize) < numbers.len())
        });
        if !sound {
            return self.warn(Warning::Nonsense { peer: from });
        }
        let same = self.hash() == status.hash;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let mut rose = false;
        let mut differ = Vec::new();
        if same && peer.heard_hash().to_le_bytes() != status.hash {
            for (heard, shard) in peer.heard.iter_mut().zip(&mut self.shards) {
                rose |= heard.holds_as(&self.origins, shard);
            }
        }
        for section in &status.sections {
            let heard = &mut peer.heard[usize::from(section.shard)];
            for &(place, seq) in &section.entries {
                rose |= heard.raise(&self.origins, numbers[place as usize], seq);
            }
            let shard = &mut self.shards[usize::from(section.shard)];
            heard.share(&self.origins, shard);
            if shard.hash(&self.origins).to_le_bytes() == section.hash
                && shard.fingerprint.to_le_bytes() != section.fingerprint
            {
                differ.push(section.shard);
            }
        }
        peer.hear_links(from, status.links);
        let adds_up = peer.heard_hash().to_le_bytes() == status.hash;
        peer.known |= (status.full || adds_up) && peer.question.is_none();
        let impostor =
            peer.heard.iter().zip(&self.shards).any(|(heard, shard)| heard.covered(0) > shard.covered(0));
        if impostor {
            self.warn(Warning::Impostor { peer: from });
        }
        let hidden =
            differ.is_empty() && self.hash() == status.hash && self.fingerprint() != status.fingerprint;
        if (!adds_up || hidden) && !status.full {
            self.ask(now, from);
        }
        for shard in differ {
            self.audit(now, from, shard);
        }
        if rose {
            self.hasten_collection(now);
        }
        self.ask_links(now, from);
        self.compare(now, from);
        self.put_question(now, from);
    }

    /// Asks what a peer holds, if it shall say so and has not: once an interval, and with each status that comes from it.
    pub(super) fn put_question(&mut self, now: Now, to: ReplicaId) {
        let pause = self.config.status_interval / 2;
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let Some(number) = peer.question else { return };
        let lately = peer.questioned.is_some_and(|(last, at)| last == number && now.monotonic < at + pause);
        if !lately {
            peer.questioned = Some((number, now.monotonic));
            self.send(to, Body::Question(number));
        }
    }

    pub(super) fn receive_question(&mut self, now: Now, from: ReplicaId, number: u64) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.tell_all = true;
            if let Some(status) = self.status_to(now, from) {
                self.send(from, Body::Answer(number, Box::new(status)));
            }
        }
    }

    pub(super) fn receive_answer(&mut self, now: Now, from: ReplicaId, number: u64, status: Status) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.question == Some(number) && status.full {
            peer.question = None;
        }
        self.receive_status(now, from, status);
    }

    /// Asks a peer for a full status, at most one per interval.
    fn ask(&mut self, now: Now, to: ReplicaId) {
        let pause = self.config.status_interval / 2;
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.asked_at.is_none_or(|at| now.monotonic >= at + pause) {
            peer.asked_at = Some(now.monotonic);
            self.send(to, Body::Ask);
        }
    }

    pub(super) fn receive_ask(&mut self, now: Now, from: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.tell_all = true;
            self.tell(now, from);
        }
    }

    /// Asks a peer for its neighbours if their hash has said nothing here for a while: while they change they do so for all.
    fn ask_links(&mut self, now: Now, to: ReplicaId) {
        let pause = self.config.status_interval / 2;
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if !peer.neighbour || peer.links.is_some() || peer.circle == 0 || peer.circle == self.circle {
            peer.puzzled_at = None;
        } else if now.monotonic >= *peer.puzzled_at.get_or_insert(now.monotonic) + pause {
            peer.puzzled_at = Some(now.monotonic);
            self.send(to, Body::AskLinks);
        }
    }

    pub(super) fn receive_ask_links(&mut self, now: Now, from: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.wants_links = true;
            self.tell(now, from);
        }
    }

    /// R9: equal vectors, different states.
    fn audit(&mut self, now: Now, peer: ReplicaId, shard: u16) {
        let pause = self.config.status_interval / 2;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let lately = state.audited_at.get(&shard).is_some_and(|&at| now.monotonic < at + pause);
        if lately || !self.rules.hold(Rule::Union) || self.incoming.contains_key(&(peer, shard)) {
            return;
        }
        state.audited_at.insert(shard, now.monotonic);
        self.stats.diverged += 1;
        self.warn(Warning::Diverged { peer, shard });
        self.begin_pull(now, peer, shard, true);
    }

    /// Whether `peer` has told of writes that are not here. False of whom nothing was heard.
    #[must_use]
    pub fn lacks_of(&self, peer: ReplicaId) -> bool {
        let gap = |peer: &Peer| {
            peer.heard.iter().zip(&self.shards).any(|(heard, shard)| heard.is_ahead_of(&self.origins, shard))
        };
        self.peers.get(&peer).is_some_and(gap)
    }

    /// Reports a neighbour all of whose writes are here, once.
    pub(super) fn check_synced(&mut self, id: ReplicaId) {
        let waits = |peer: &Peer| peer.neighbour && peer.known && !peer.synced;
        if !self.peers.get(&id).is_some_and(waits) || self.lacks_of(id) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.synced = true;
            self.outputs.push_back(Output::Synced { peer: id });
        }
    }

    pub(super) fn hash(&self) -> [u8; 8] {
        combine(self.shards.iter().map(|shard| shard.hash(&self.origins))).to_le_bytes()
    }

    pub(super) fn fingerprint(&self) -> [u8; 8] {
        combine(self.shards.iter().map(|shard| shard.fingerprint)).to_le_bytes()
    }
}
