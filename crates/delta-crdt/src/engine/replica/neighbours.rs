//! Who we exchange with, and who counts for stability.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use super::Replica;
use crate::engine::peer::{Peer, circle_hash};
use crate::{Key, Now, ReplicaId, Warning, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Begins to push to `peer` and to tell it what is held here. Call it when a connection is there, and again when it is a
    /// new one. One direction: what `peer` writes comes when `peer` has this replica as a neighbour too.
    pub fn peer_up(&mut self, now: Now, peer: ReplicaId) {
        if peer == self.id {
            return;
        }
        self.push();
        let shards = self.shards.len();
        let state = self.peers.entry(peer).or_insert_with(|| Peer::new(shards, now.monotonic));
        let new = !state.neighbour;
        state.up();
        self.end_sessions(peer);
        self.serve_next(now);
        self.links += 1;
        if new {
            self.neighbours += 1;
            self.circle ^= circle_hash(peer);
        }
        self.status_due.get_or_insert(now.monotonic + self.config.status_interval);
        self.tell(now, peer);
    }

    /// Asks the neighbour `peer` what it holds now. [`Synced`](crate::Output::Synced) comes once all that it answers is held here, even if it came
    /// before: what it said earlier does not count, and may still be on its way. The question is repeated until it is answered.
    ///
    /// Call it after [`Replica::peer_up`] when it matters that a neighbour has something that it did not have a moment ago.
    /// Nothing happens if `peer` is no neighbour.
    pub fn catch_up(&mut self, now: Now, peer: ReplicaId) {
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.neighbour) else { return };
        self.last_question += 1;
        (state.question, state.known, state.synced) = (Some(self.last_question), false, false);
        self.put_question(now, peer);
    }

    /// Stops exchanging with `peer`. The others are told at once what is held here, as they may lack what it wrote last.
    pub fn peer_down(&mut self, now: Now, peer: ReplicaId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.neighbour {
            self.neighbours -= 1;
            self.circle ^= circle_hash(peer);
        }
        state.down();
        self.links += 1;
        self.end_sessions(peer);
        self.serve_next(now);
        self.forget_parked(peer);
        if self.members.as_ref().is_none_or(|members| !members.contains(&peer)) {
            self.peers.remove(&peer);
        }
        if self.neighbours == 0 {
            self.status_due = None;
        }
        self.tell_all_by(now.monotonic);
    }

    /// Makes `peers` the neighbours: those that were not are up, and are told at once what is held here; those no longer named are
    /// down. Nothing changes for those that were neighbours before; the own id is passed over.
    pub fn set_neighbours(&mut self, now: Now, peers: impl IntoIterator<Item = ReplicaId>) {
        let wanted: BTreeSet<_> = peers.into_iter().filter(|peer| *peer != self.id).collect();
        let present: BTreeSet<_> = self.neighbours().into_iter().collect();
        for &peer in present.difference(&wanted) {
            self.peer_down(now, peer);
        }
        for &peer in wanted.difference(&present) {
            self.peer_up(now, peer);
        }
    }

    /// Says who holds this map: a tombstone stays until all of them are known to cover it. This replica may be named or not.
    ///
    /// Until this is called, tombstones stay up to `max_tombstones`. A member that is left out and returns gets the whole
    /// shard if it missed a collected removal.
    pub fn set_members(&mut self, members: impl IntoIterator<Item = ReplicaId>) {
        let members: BTreeSet<_> = members.into_iter().filter(|member| *member != self.id).collect();
        self.members = Some(members);
        self.collect_due = Some(Duration::ZERO);
    }

    /// Says that `peer`'s queue is full, or no longer. While it is, writes are not pushed to it; it pulls them when it has room.
    pub fn set_congested(&mut self, now: Now, peer: ReplicaId, congested: bool) {
        if let Some(state) = self.peers.get_mut(&peer) {
            if state.congested && !congested {
                state.tell_by(now.monotonic);
                self.relay_at = Some(self.relay_at.map_or(now.monotonic, |at| at.min(now.monotonic)));
            }
            state.congested = congested;
        }
    }

    /// The state of who a message came from, a new one if need be; `None` at the limit.
    pub(super) fn meet(&mut self, now: Now, from: ReplicaId) -> Option<&mut Peer> {
        if !self.peers.contains_key(&from) {
            // Without neighbours no round of statuses looks for those that fell silent.
            if self.peers.len() >= self.config.max_peers && self.neighbours == 0 {
                self.forget_visitors(now);
            }
            if self.peers.len() >= self.config.max_peers {
                self.warn(Warning::TooMany { peer: from });
                return None;
            }
            self.peers.insert(from, Peer::new(self.shards.len(), now.monotonic));
        }
        let peer = self.peers.get_mut(&from)?;
        peer.heard_at = now.monotonic;
        Some(peer)
    }

    /// Forgets those that are no neighbours and have been silent for long. Of a member stays what it is known to hold.
    pub(super) fn forget_visitors(&mut self, now: Now) {
        let patience = self.config.status_interval.saturating_mul(10);
        let is_gone = |peer: &Peer| !peer.neighbour && now.monotonic > peer.heard_at + patience;
        let gone: Vec<_> = self.peers.iter().filter(|entry| is_gone(entry.1)).map(|entry| *entry.0).collect();
        for id in gone {
            self.forget_parked(id);
            if self.members.as_ref().is_none_or(|members| !members.contains(&id)) {
                self.end_sessions(id);
                self.peers.remove(&id);
            }
        }
        self.serve_next(now);
    }

    /// Drops what waits of `peer`'s own writes: it will not send what they wait for. If another holds them, its status says so.
    fn forget_parked(&mut self, peer: ReplicaId) {
        if let Some(origin) = self.origins.number(peer) {
            for shard in &mut self.shards {
                shard.park.forget(origin);
            }
        }
    }

    fn end_sessions(&mut self, peer: ReplicaId) {
        self.incoming.retain(|place, _| place.0 != peer);
        self.outgoing.retain(|place, _| place.0 != peer);
        self.queued.forget(peer);
        self.pull_due.retain(|place, _| place.0 != peer);
    }

    /// Makes a status to every neighbour due.
    pub(super) fn tell_all_by(&mut self, at: Duration) {
        for peer in self.peers.values_mut().filter(|peer| peer.neighbour) {
            peer.tell_by(at);
        }
        self.relay_at = Some(self.relay_at.map_or(at, |first| first.min(at)));
    }
}
