//! Answering pulls: sessions on their way out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Replica;
use crate::engine::dictionary::Dictionary;
use crate::engine::origins::Origins;
use crate::engine::rules::Rule;
use crate::engine::session::Outgoing;
use crate::engine::store::Sib;
use crate::message::{Body, Commit, Credit, Fragment, Part, Pull, PullShard, STOP};
use crate::{Key, Now, ReplicaId, Warning, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    pub(super) fn receive_pull(&mut self, now: Now, from: ReplicaId, pull: Pull) {
        let Some(numbers) = self.origins.intern_all(&pull.origins) else {
            return self.warn(Warning::TooMany { peer: from });
        };
        for mut ask in pull.shards {
            let pairs = ask.vector.iter().map(|&(at, seq)| Some((*numbers.get(at as usize)?, seq)));
            let vector = pairs.collect::<Option<BTreeMap<u32, u64>>>();
            let (Some(vector), true) = (vector, usize::from(ask.shard) < self.shards.len()) else {
                return self.warn(Warning::Nonsense { peer: from });
            };
            ask.vector = Vec::new();
            let place = (from, ask.shard);
            if self.outgoing.len() >= self.config.max_sessions && !self.outgoing.contains_key(&place) {
                self.queued.insert(place, (ask, vector));
            } else {
                self.queued.remove(&place);
                self.serve(now, from, &ask, &vector);
            }
        }
    }

    /// Takes fragments, vector and floors from the state as it is now (R5), and begins to send them.
    fn serve(&mut self, now: Now, to: ReplicaId, ask: &PullShard, theirs: &BTreeMap<u32, u64>) {
        let shard = &self.shards[usize::from(ask.shard)];
        let covered = |origin| theirs.get(&origin).copied().unwrap_or(0);
        let below = self.rules.hold(Rule::Repair) && shard.is_below_floor(covered);
        let whole = ask.audit || below;
        let slots: Vec<u32> = if whole || theirs.values().all(|&seq| seq == 0) {
            shard.store.iter().map(|entry| entry.0).collect()
        } else {
            let mut slots = Vec::new();
            for origin in 0..shard.lanes.len() as u32 {
                shard.slots_after(origin, covered(origin), &mut slots);
            }
            // Only a key with several writes is met several times.
            if slots.iter().any(|&slot| shard.store.sibs(slot).len() > 1) {
                slots.sort_unstable();
                slots.dedup();
            }
            slots
        };
        self.answers += 1;
        let fragments = self.pack(ask, &slots);
        let commit = Commit {
            session: ask.session,
            fragments: fragments.len() as u32,
            whole,
            audit: ask.audit,
            ..self.commit(ask.shard)
        };
        let progress_at = now.monotonic;
        let session = Outgoing {
            answer: self.answers,
            fragments,
            commit: Some(commit),
            sent: 0,
            confirmed: 0,
            progress_at,
        };
        self.outgoing.insert((to, ask.shard), session);
        self.pump(now, (to, ask.shard));
    }

    /// The vector and floors of a shard as they are now.
    pub(super) fn commit(&self, shard: u16) -> Commit {
        let lanes = &self.shards[usize::from(shard)].lanes;
        let mut names = Dictionary::default();
        let vector = names.entries(&self.origins, lanes.iter().map(|lane| lane.covered));
        let floors = names.entries(&self.origins, lanes.iter().map(|lane| lane.floor));
        let origins = names.ids;
        let (session, answer) = (0, self.answers);
        Commit { shard, session, answer, fragments: 0, whole: false, audit: false, origins, vector, floors }
    }

    /// Copies the siblings of the slots, values shared where `Clone` shares them.
    fn pack(&self, ask: &PullShard, slots: &[u32]) -> VecDeque<Fragment<K, V>> {
        let store = &self.shards[usize::from(ask.shard)].store;
        let mut fragments = VecDeque::new();
        let mut rest = slots;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(self.config.max_fragment_keys).take_while(|&&slot| {
                let open = bytes < self.config.max_batch_bytes;
                if let Some((key, sibs)) = store.entry(slot) {
                    let weigh =
                        |sib: &Sib<V>| sib.value.as_ref().map_or(size_of::<K>(), |v| (self.weigh)(key, v));
                    bytes += sibs.as_slice().iter().map(|sib| weigh(sib) + 8).sum::<usize>();
                }
                open
            });
            let (now, later) = rest.split_at(fits.count());
            rest = later;
            fragments.push_back(self.fragment(ask, fragments.len() as u32, now));
        }
        fragments
    }

    fn fragment(&self, ask: &PullShard, number: u32, slots: &[u32]) -> Fragment<K, V> {
        let store = &self.shards[usize::from(ask.shard)].store;
        let entries = slots.iter().filter_map(|&slot| store.entry(slot));
        let entries = entries.map(|(key, sibs)| (key, sibs.as_slice())).collect();
        Fragment {
            session: ask.session,
            answer: self.answers,
            number,
            ..pack(&self.origins, ask.shard, entries)
        }
    }

    /// Sends as many fragments as the puller has room for, and the commit after the last.
    fn pump(&mut self, now: Now, place: (ReplicaId, u16)) {
        loop {
            let Some(session) = self.outgoing.get_mut(&place) else { return };
            if session.sent - session.confirmed >= self.config.session_window {
                return;
            }
            if let Some(fragment) = session.fragments.pop_front() {
                session.sent += 1;
                self.send(place.0, Body::Fragment(fragment));
            } else if let Some(mut commit) = session.commit.take() {
                self.outgoing.remove(&place);
                if !self.rules.hold(Rule::OneState) {
                    let Commit { vector, floors, origins, .. } = self.commit(commit.shard);
                    commit = Commit { vector, floors, origins, ..commit };
                }
                self.send(place.0, Body::Commit(commit));
                return self.serve_next(now);
            } else {
                return;
            }
        }
    }

    /// Begins the next session that waits, if there is room.
    pub(super) fn serve_next(&mut self, now: Now) {
        if self.outgoing.len() < self.config.max_sessions
            && let Some(((to, _), (ask, vector))) = self.queued.pop_first()
        {
            self.serve(now, to, &ask, &vector);
        }
    }

    pub(super) fn receive_credit(&mut self, now: Now, from: ReplicaId, credit: Credit) {
        let place = (from, credit.shard);
        if let Some(session) = self.outgoing.get_mut(&place).filter(|s| s.answer == credit.answer) {
            if credit.received == STOP {
                self.outgoing.remove(&place);
                return self.serve_next(now);
            }
            session.confirmed = session.confirmed.max(credit.received.min(session.sent));
            session.progress_at = now.monotonic;
            self.pump(now, place);
        }
    }
}

/// Keys and siblings in their wire form.
pub(super) fn pack<K: Clone, V: Clone>(
    origins: &Origins,
    shard: u16,
    keys: Vec<(&K, &[Sib<V>])>,
) -> Fragment<K, V> {
    let mut names = Dictionary::default();
    let mut bases: Vec<u64> = Vec::new();
    let mut stamp = u64::MAX;
    for sib in keys.iter().flat_map(|entry| entry.1) {
        let place = names.place(origins, sib.origin) as usize;
        bases.resize(names.ids.len(), u64::MAX);
        bases[place] = bases[place].min(sib.seq);
        stamp = stamp.min(sib.stamp.to_bits());
    }
    let mut entries = Vec::with_capacity(keys.len());
    for (key, sibs) in keys {
        let part = |sib: &Sib<V>| {
            let origin = names.place(origins, sib.origin);
            let seq = sib.seq - bases[origin as usize];
            let stamp = sib.stamp.to_bits().wrapping_sub(stamp).cast_signed();
            Part { origin, seq, stamp, value: sib.value.clone() }
        };
        entries.push((key.clone(), sibs.iter().map(part).collect()));
    }
    let origins = names.ids.into_iter().zip(bases).collect();
    Fragment { shard, session: 0, answer: 0, number: 0, stamp, origins, entries }
}
