//! Answering pulls: sessions on their way out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Replica;
use super::write::weight;
use crate::engine::dictionary::Dictionary;
use crate::engine::few::Few;
use crate::engine::origins::Origins;
use crate::engine::rules::Rule;
use crate::engine::session::Outgoing;
use crate::engine::store::Sib;
use crate::message::{Body, Commit, Credit, Fragment, Pull, PullShard, STOP};
use crate::{Key, Now, ReplicaId, Stamp, Warning, Winner};

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    pub(super) fn receive_pull(&mut self, now: Now, from: ReplicaId, pull: Pull) {
        let Some(numbers) = self.origins.intern_all(&pull.origins) else {
            return self.warn(Warning::TooMany { peer: from });
        };
        for mut ask in pull.shards {
            let pairs = ask.vector.iter().map(|&(at, seq)| Some((*numbers.get(at as usize)?, seq)));
            let vector = pairs.collect::<Option<BTreeMap<u32, u64>>>();
            let (Some(vector), true) = (vector, usize::from(ask.shard) < self.shards.len()) else {
                self.warn(Warning::Nonsense { peer: from });
                break;
            };
            ask.vector = Vec::new();
            let place = (from, ask.shard);
            if self.outgoing.len() >= self.config.max_sessions && !self.outgoing.contains_key(&place) {
                self.queued.enter(place, ask, vector);
            } else {
                self.queued.leave(place);
                self.serve(now, from, &ask, &vector);
            }
        }
        self.serve_next(now);
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
            let mut several = false;
            for origin in 0..shard.lanes.len() as u32 {
                several |= shard.slots_after(origin, covered(origin), &mut slots);
            }
            // Only a key with several writes is met several times.
            if several {
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
        self.pump((to, ask.shard));
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
        let limit = self.config.max_fragment_keys;
        let mut fragments = VecDeque::new();
        let mut rest = slots;
        while !rest.is_empty() {
            let mut packer = Packer::new(rest.len().min(limit));
            let mut bytes = 0_usize;
            let mut taken = 0;
            for &slot in rest.iter().take(limit) {
                let Some((key, sibs)) = store.entry(slot) else {
                    taken += 1;
                    continue;
                };
                let weights = sibs.as_slice().iter().map(|sib| weight(self.weigh, key, sib.value.as_ref()));
                let longer = weights.fold(bytes, |sum, weight| sum.saturating_add(weight).saturating_add(8));
                // What would make the fragment too long begins the next one, and goes alone if it is too long by itself.
                if bytes > 0 && longer > self.config.max_batch_bytes {
                    break;
                }
                bytes = longer;
                taken += 1;
                packer.add(&self.origins, key, sibs.as_slice());
            }
            rest = &rest[taken..];
            fragments.push_back(Fragment {
                session: ask.session,
                answer: self.answers,
                number: fragments.len() as u32,
                ..packer.finish(ask.shard)
            });
        }
        fragments
    }

    /// Sends as many fragments as the puller has room for, and the commit after the last.
    fn pump(&mut self, place: (ReplicaId, u16)) {
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
                return self.send(place.0, Body::Commit(commit));
            } else {
                return;
            }
        }
    }

    /// Begins the sessions that wait, those that waited longest first, as far as there is room. One by one, not one from within another: thousands may wait, and
    /// most are over at once.
    pub(super) fn serve_next(&mut self, now: Now) {
        while self.outgoing.len() < self.config.max_sessions
            && let Some((to, ask, vector)) = self.queued.pop()
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
            self.pump(place);
            self.serve_next(now);
        }
    }
}

/// Keys and siblings on their way to the wire form.
pub(super) struct Packer<K, V> {
    names: Dictionary,
    /// The lowest number of each origin.
    bases: Vec<u64>,
    stamp: u64,
    entries: Vec<(K, Few<Sib<V>>)>,
}

impl<K: Clone, V: Clone> Packer<K, V> {
    pub(super) fn new(keys: usize) -> Self {
        let entries = Vec::with_capacity(keys);
        Self { names: Dictionary::default(), bases: Vec::new(), stamp: u64::MAX, entries }
    }

    #[inline]
    pub(super) fn add(&mut self, origins: &Origins, key: &K, sibs: &[Sib<V>]) {
        // The place first, then what comes there: each stop of a value on its way costs more than the rest of this.
        self.entries.push((key.clone(), Few::None));
        if let &[Sib { origin, seq, stamp, value: Some(ref value) }] = sibs {
            let origin = self.name(origins, (origin, seq), stamp);
            if let Some((_, place)) = self.entries.last_mut() {
                *place = Few::One(Sib { origin, seq, stamp, value: Some(value.clone()) });
            }
        } else {
            let named =
                |sib: &Sib<V>| Sib { origin: self.name(origins, sib.dot(), sib.stamp), ..sib.clone() };
            let sibs = sibs.iter().map(named).collect();
            if let Some((_, place)) = self.entries.last_mut() {
                *place = sibs;
            }
        }
    }

    /// The place of an origin; its number and stamp count for the lowest.
    #[inline(always)]
    fn name(&mut self, origins: &Origins, (origin, seq): (u32, u64), stamp: Stamp) -> u32 {
        let origin = self.names.place(origins, origin);
        if let Some(base) = self.bases.get_mut(origin as usize) {
            *base = seq.min(*base);
        } else {
            self.bases.push(seq);
        }
        self.stamp = self.stamp.min(stamp.to_bits());
        origin
    }

    pub(super) fn finish(mut self, shard: u16) -> Fragment<K, V> {
        for (_, sibs) in &mut self.entries {
            for sib in sibs.as_mut_slice() {
                sib.seq -= self.bases[sib.origin as usize];
                sib.stamp = Stamp::from_bits(sib.stamp.to_bits().wrapping_sub(self.stamp));
            }
        }
        let origins = self.names.ids.into_iter().zip(self.bases).collect();
        let Self { stamp, entries, .. } = self;
        Fragment { shard, session: 0, answer: 0, number: 0, stamp, origins, entries }
    }
}

/// Keys and siblings in their wire form.
pub(super) fn pack<'a, K: Clone + 'a, V: Clone + 'a>(
    origins: &Origins,
    shard: u16,
    keys: impl Iterator<Item = (&'a K, &'a [Sib<V>])>,
) -> Fragment<K, V> {
    let mut packer = Packer::new(keys.size_hint().0);
    for (key, sibs) in keys {
        packer.add(origins, key, sibs);
    }
    packer.finish(shard)
}
