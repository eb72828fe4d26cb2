//! Timers.

use alloc::vec::Vec;
use core::time::Duration;

use super::Replica;
use crate::{Key, Now, ReplicaId, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Pushes what local writes left pending, and tells neighbours what is due. Call it when there is no more input at hand.
    pub fn flush(&mut self, now: Now) {
        self.push();
        let due = |peer: &super::Peer| peer.relay_due.is_some_and(|at| at <= now.monotonic);
        if self.relay_at.is_some_and(|at| at <= now.monotonic) {
            let tell: Vec<_> =
                self.peers.iter().filter(|(_, p)| p.neighbour && due(p)).map(|e| *e.0).collect();
            for peer in tell {
                self.tell(now, peer);
            }
            let neighbours = self.peers.values().filter(|peer| peer.neighbour);
            self.relay_at = neighbours.filter_map(|peer| peer.relay_due).min();
        }
    }

    /// When [`Replica::handle_timeout`] wants to be called, on the monotonic clock. Ask again after every other call.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let pulls = self.pull_due.values().copied();
        let incoming = self.incoming.values().map(|session| self.session_end(session.progress_at));
        let outgoing = self.outgoing.values().map(|session| self.session_end(session.progress_at));
        let parked = self.park_due.values().map(|due| due.0);
        let fixed = self.status_due.into_iter().chain(self.collect_due).chain(self.relay_at);
        fixed.chain(pulls).chain(incoming).chain(outgoing).chain(parked).min()
    }

    /// Does what time has made due. Calling it too early does no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.status_due.is_some_and(|due| due <= now.monotonic) {
            self.status_due = Some(now.monotonic + self.config.status_interval);
            for peer in self.neighbours() {
                self.tell(now, peer);
                self.put_question(now, peer);
            }
            self.relay_at = None;
            self.forget_visitors(now);
        }
        self.end_stuck_sessions(now);
        self.pull_late(now);
        self.pull_for_parked(now);
        if self.collect_due.is_some_and(|due| due <= now.monotonic) {
            self.collect();
        }
        self.send_pulls();
        self.flush(now);
    }

    fn end_stuck_sessions(&mut self, now: Now) {
        let stuck = |progress_at| self.session_end(progress_at) <= now.monotonic;
        let incoming: Vec<_> =
            self.incoming.iter().filter(|(_, s)| stuck(s.progress_at)).map(|entry| *entry.0).collect();
        let outgoing: Vec<_> =
            self.outgoing.iter().filter(|(_, s)| stuck(s.progress_at)).map(|entry| *entry.0).collect();
        for place in incoming {
            self.abort(now, place);
        }
        for place in outgoing {
            self.outgoing.remove(&place);
            self.serve_next(now);
        }
    }

    fn pull_late(&mut self, now: Now) {
        let due: Vec<_> =
            self.pull_due.iter().filter(|entry| *entry.1 <= now.monotonic).map(|entry| *entry.0).collect();
        for (peer, shard) in due {
            self.pull_due.remove(&(peer, shard));
            self.compare_shard(now, peer, shard, true);
        }
    }

    /// R2: what still waits is pulled from who sent it, who has all that it waits for: a neighbour, or a visitor that was heard
    /// of lately. Once that peer is gone, from another one, as a session with nobody would keep all others from this shard.
    fn pull_for_parked(&mut self, now: Now) {
        let due: Vec<(u16, ReplicaId)> = self
            .park_due
            .iter()
            .filter(|entry| entry.1.0 <= now.monotonic)
            .map(|(&shard, due)| (shard, due.1))
            .collect();
        // Without neighbours no round of statuses looks for those that fell silent.
        if !due.is_empty() && self.neighbours == 0 {
            self.forget_visitors(now);
        }
        for (shard, from) in due {
            self.park_due.remove(&shard);
            let Some(writer) = self.first_waited_for(shard) else { continue };
            let heard = |id: &ReplicaId| self.peers.get(id);
            let answers = |id: &ReplicaId| {
                heard(id)
                    .is_some_and(|peer| peer.neighbour || self.session_end(peer.heard_at) > now.monotonic)
            };
            let asked = [from, writer].into_iter().find(answers).or(self.neighbours().first().copied());
            // Without a neighbour a silent visitor is asked until it is forgotten; then the next one says itself what it has.
            let Some(asked) = asked.or(Some(writer).filter(|id| heard(id).is_some())) else { continue };
            if !self.incoming.contains_key(&(asked, shard)) {
                self.begin_pull(now, asked, shard, false);
            }
            self.park_due.insert(shard, (now.monotonic + self.config.session_timeout, writer));
        }
    }

    /// Who wrote the first of the writes that wait in a shard, and sent it.
    fn first_waited_for(&self, shard: u16) -> Option<ReplicaId> {
        let waits = self.shards[usize::from(shard)].park.head(0)?;
        Some(self.origins.id(waits.origin))
    }
}
