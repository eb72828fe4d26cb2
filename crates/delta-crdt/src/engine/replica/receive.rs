//! Taking in messages.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Replica;
use crate::engine::park::Write;
use crate::engine::shard::{Context, Offered};
use crate::engine::store::Found;
use crate::id::MAX_SEQ;
use crate::message::{Batch, Body, Op};
use crate::{Change, Key, Message, Now, Output, ReplicaId, Stamp, Warning, Winner};

/// Keys of a batch looked up ahead: what they touch fits the second cache.
const AHEAD: usize = 1_024;

/// A batch that is being taken in.
struct Arrival<K, V> {
    from: ReplicaId,
    /// Its origins; the first is who wrote.
    numbers: Vec<u32>,
    /// Its stamps count from here.
    stamp: u64,
    changes: Vec<Change<K, V>>,
    applied: usize,
    /// Writes dropped because too many wait, by shard.
    refused: BTreeMap<u16, usize>,
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Takes in what `from` sent. Lost, doubled, late and reordered messages are fine, and so are senders that are not
    /// neighbours: they are answered, not pushed to.
    pub fn receive(&mut self, now: Now, from: ReplicaId, message: Message<K, V>) {
        let ours = self.shards.len().trailing_zeros() as u8;
        if from == self.id {
            return;
        }
        let Some(peer) = self.meet(now, from) else { return };
        if message.shards != ours {
            if !core::mem::replace(&mut peer.warned_shards, true) {
                self.warn(Warning::Shards { peer: from, theirs: message.shards, ours });
            }
            return;
        }
        match message.body {
            Body::Ops(batch) => {
                let batch = Arc::try_unwrap(batch.0).unwrap_or_else(|shared| (*shared).clone());
                self.receive_ops(now, from, batch);
            }
            Body::Status(status) => self.receive_status(now, from, *status),
            Body::Ask => self.receive_ask(now, from),
            Body::AskLinks => self.receive_ask_links(now, from),
            Body::Pull(pull) => self.receive_pull(now, from, pull),
            Body::Fragment(fragment) => self.receive_fragment(now, from, fragment),
            Body::Commit(commit) => self.receive_commit(now, from, commit),
            Body::Credit(credit) => self.receive_credit(now, from, credit),
            Body::Question(number) => self.receive_question(now, from, number),
            Body::Answer(number, status) => self.receive_answer(now, from, number, *status),
        }
        self.send_pulls();
    }

    fn receive_ops(&mut self, now: Now, from: ReplicaId, batch: Batch<K, V>) {
        let Some(numbers) = self.origins.intern_all(&batch.origins) else {
            return self.warn(Warning::TooMany { peer: from });
        };
        let Some(&origin) = numbers.first() else {
            return self.warn(Warning::Nonsense { peer: from });
        };
        let (stamp, changes, refused) = (batch.stamp, Vec::new(), BTreeMap::new());
        let mut arrival = Arrival { from, numbers, stamp, changes, applied: 0, refused };
        arrival.changes.reserve(batch.ops.len());
        let mut ahead = core::mem::take(&mut self.ahead);
        let mut ops = batch.ops.into_iter();
        let mut goes_on = true;
        while goes_on && ops.len() > 0 {
            self.look_ahead(ops.as_slice(), &mut ahead);
            for (found, op) in ahead.drain(..).zip(ops.by_ref()) {
                goes_on &= self.receive_op(now, &mut arrival, op, found);
                if !goes_on {
                    break;
                }
            }
        }
        self.ahead = ahead;
        self.stats.applied += arrival.applied as u64;
        for (shard, dropped) in arrival.refused {
            self.stats.refused += dropped as u64;
            self.warn(Warning::ParkingFull { shard, dropped });
        }
        if !arrival.changes.is_empty() {
            self.outputs.push_back(Output::Changed(arrival.changes));
        }
        if arrival.applied > 0 {
            self.relay(now, origin);
            self.note_tombstones(now);
            self.check_synced(from);
        }
    }

    /// Takes in one write of a batch. False if the rest of the batch is to be left.
    #[inline]
    fn receive_op(&mut self, now: Now, arrival: &mut Arrival<K, V>, op: Op<K, V>, found: Found) -> bool {
        let (from, origin) = (arrival.from, arrival.numbers[0]);
        let mut obs = op.obs;
        let mut sound = (1..=MAX_SEQ).contains(&op.seq);
        for dot in obs.as_mut_slice() {
            match arrival.numbers.get(dot.0 as usize) {
                Some(&number) => dot.0 = number,
                None => sound = false,
            }
        }
        if !sound {
            self.warn(Warning::Nonsense { peer: from });
            return false;
        }
        let place = self.place(found.hash);
        let shard = &mut self.shards[place];
        if origin == 0 {
            if op.seq > shard.covered(0) {
                self.warn(Warning::Impostor { peer: from });
            }
            return false;
        }
        let stamp = Stamp::from_bits(arrival.stamp.wrapping_add_signed(op.stamp));
        let write = Write { origin, seq: op.seq, stamp, hash: found.hash, key: op.key, value: op.value, obs };
        let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
        match shard.offer(&cx, write, found.slot, self.config.max_parked, &mut arrival.changes) {
            Offered::Applied => {
                arrival.applied += 1;
                if !shard.park.is_empty() {
                    arrival.applied += shard.drain(&cx, &mut arrival.changes);
                }
                self.observe(now, origin, stamp);
            }
            Offered::Known => self.stats.repeated += 1,
            Offered::Parked => {
                self.observe(now, origin, stamp);
                let due = now.monotonic + self.config.repull_after;
                self.park_due.entry(place as u16).or_insert((due, from));
            }
            Offered::Refused => {
                *arrival.refused.entry(place as u16).or_default() += 1;
                self.park_due.entry(place as u16).or_insert((now.monotonic, from));
            }
        }
        true
    }

    /// Looks up the next keys of a batch: without work in between, the cache misses of the look-ups overlap.
    fn look_ahead(&self, ops: &[Op<K, V>], ahead: &mut Vec<Found>) {
        ahead.clear();
        ahead.extend(ops.iter().take(AHEAD).map(|op| {
            let place = self.place(op.key.stable_hash());
            self.shards[place].store.ahead(&op.key)
        }));
    }

    /// Makes a status due to those neighbours that cannot have a write from its origin.
    fn relay(&mut self, now: Now, origin: u32) {
        let origin = self.origins.id(origin);
        // Its neighbours are ours, with it and us.
        if self.peers.get(&origin).is_some_and(|peer| peer.circle == self.circle) {
            return;
        }
        let links = self.peers.get_mut(&origin).and_then(|peer| peer.links.take());
        let interval = self.config.relay_interval;
        let mut first = self.relay_at;
        for (id, peer) in self.peers.iter_mut().filter(|(id, peer)| peer.neighbour && **id != origin) {
            if links.as_ref().is_none_or(|links| !links.contains(id)) {
                let at = peer.told_at.map_or(now.monotonic, |told| (told + interval).max(now.monotonic));
                peer.tell_by(at);
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        }
        self.relay_at = first;
        if let Some(peer) = self.peers.get_mut(&origin) {
            peer.links = links;
        }
    }
}
