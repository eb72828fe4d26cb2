//! Pulling what is missing, and taking in the answer.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::Replica;
use crate::engine::dictionary::Dictionary;
use crate::engine::few::Obs;
use crate::engine::park::Write;
use crate::engine::rules::Rule;
use crate::engine::session::Incoming;
use crate::engine::shard::{Context, Entries, Joined, Runs};
use crate::engine::store::Sib;
use crate::message::{Body, Commit, Credit, Fragment, Pull, PullShard, STOP};
use crate::{Key, Now, Output, ReplicaId, Stamp, Warning, Winner};

/// Fragments of one session at most.
const MAX_FRAGMENTS: u32 = 1 << 24;

/// Why a session cannot be taken in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unreadable {
    /// It names more lives than may be known.
    TooMany,
    /// It names what it does not bring.
    Nonsense,
}

impl<K: Key, V: Clone, W: Winner<V>> Replica<K, V, W> {
    /// Looks at what a peer holds and we do not, and pulls it: now, or later what is probably on its way.
    pub(super) fn compare(&mut self, now: Now, from: ReplicaId) {
        for shard in 0..self.shards.len() {
            self.compare_shard(now, from, shard as u16, false);
        }
        self.check_synced(from);
    }

    /// `late`: what is on its way had its time.
    pub(super) fn compare_shard(&mut self, now: Now, from: ReplicaId, place: u16, late: bool) {
        let Some(peer) = self.peers.get(&from) else { return };
        let shard = &self.shards[usize::from(place)];
        if peer.heard[usize::from(place)].hash == shard.hash(&self.origins) {
            self.pull_due.remove(&(from, place));
            return;
        }
        let mut gap = peer.heard[usize::from(place)].gap(shard).filter(|entry| entry.0 != 0).peekable();
        if gap.peek().is_none() {
            self.pull_due.remove(&(from, place));
            return;
        }
        if self.incoming.contains_key(&(from, place)) {
            return;
        }
        let mut urgent = late || !peer.synced;
        let mut elsewhere = true;
        for (origin, seq) in gap {
            let id = self.origins.id(origin);
            urgent |= id == from || !self.peers.get(&id).is_some_and(|peer| peer.neighbour);
            elsewhere &= self.is_coming(place, origin, seq);
        }
        if urgent && !elsewhere {
            self.begin_pull(now, from, place, false);
        } else {
            let due = now.monotonic + self.config.repull_after;
            self.pull_due.entry((from, place)).or_insert(due);
        }
    }

    /// True if a session under way will bring this.
    fn is_coming(&self, place: u16, origin: u32, seq: u64) -> bool {
        self.incoming.keys().filter(|key| key.1 == place).any(|key| {
            let peer = self.peers.get(&key.0);
            peer.is_some_and(|peer| peer.heard[usize::from(place)].covered(origin) >= seq)
        })
    }

    pub(super) fn begin_pull(&mut self, now: Now, from: ReplicaId, place: u16, audit: bool) {
        self.last_session = self.last_session.wrapping_add(1);
        self.pull_due.remove(&(from, place));
        let incoming = Incoming {
            session: self.last_session,
            answer: 0,
            fragments: BTreeMap::new(),
            keys: 0,
            commit: None,
            credited: 0,
            progress_at: now.monotonic,
            asked_at: self.shards[usize::from(place)].lanes.iter().map(|lane| lane.covered).collect(),
        };
        self.incoming.insert((from, place), incoming);
        self.asks.push((from, place, audit));
    }

    /// Sends the pulls of this step, one message per peer.
    pub(super) fn send_pulls(&mut self) {
        let mut asks = core::mem::take(&mut self.asks);
        asks.sort_unstable();
        asks.dedup_by_key(|ask| (ask.0, ask.1));
        for group in asks.chunk_by(|a, b| a.0 == b.0) {
            let mut names = Dictionary::default();
            let mut shards = Vec::new();
            for &(from, shard, audit) in group {
                if let Some(incoming) = self.incoming.get(&(from, shard)) {
                    let vector = self.shards[usize::from(shard)].lanes.iter().map(|lane| lane.covered);
                    let vector = names.entries(&self.origins, vector);
                    shards.push(PullShard { shard, session: incoming.session, audit, vector });
                }
            }
            if let (Some(&(to, ..)), false) = (group.first(), shards.is_empty()) {
                self.send(to, Body::Pull(Pull { origins: names.ids, shards }));
            }
        }
    }

    pub(super) fn receive_fragment(&mut self, now: Now, from: ReplicaId, fragment: Fragment<K, V>) {
        let place = (from, fragment.shard);
        let Some(incoming) = self.incoming.get_mut(&place).filter(|i| i.session == fragment.session) else {
            // Given up, or done: who serves it shall not wait for credit while others wait for their turn.
            let (shard, answer) = (fragment.shard, fragment.answer);
            return self.send(from, Body::Credit(Credit { shard, answer, received: STOP }));
        };
        let (shard, answer, number) = (fragment.shard, fragment.answer, fragment.number);
        if !incoming.turn_to(answer, now.monotonic) {
            return;
        }
        let keys = fragment.entries.len();
        if number < MAX_FRAGMENTS && incoming.fragments.insert(number, fragment).is_none() {
            incoming.keys += keys;
        }
        if incoming.keys > self.config.max_staged {
            self.abort(now, place);
            self.pull_due.insert(place, self.session_end(now.monotonic));
            return self.warn(Warning::StagingFull { peer: from, shard: place.1 });
        }
        let received = incoming.fragments.len() as u32;
        if incoming.is_complete() {
            self.finish(now, place);
        } else if received > incoming.credited {
            // One for each: how many the server sends before it wants to hear is its own setting.
            incoming.credited = received;
            self.send(from, Body::Credit(Credit { shard, answer, received }));
        }
    }

    pub(super) fn receive_commit(&mut self, now: Now, from: ReplicaId, commit: Commit) {
        let place = (from, commit.shard);
        let Some(incoming) = self.incoming.get_mut(&place).filter(|i| i.session == commit.session) else {
            return;
        };
        if !incoming.turn_to(commit.answer, now.monotonic) {
            return;
        }
        incoming.commit = Some(commit);
        if incoming.is_complete() {
            self.finish(now, place);
        }
    }

    /// Gives a session up. Nothing of it was applied.
    pub(super) fn abort(&mut self, now: Now, place: (ReplicaId, u16)) {
        let Some(incoming) = self.incoming.remove(&place) else { return };
        self.stats.aborted += 1;
        if !self.rules.hold(Rule::AbortAppliesNothing) {
            self.apply_torn(now, place, incoming);
        }
        let due = now.monotonic + self.config.repull_after;
        self.pull_due.entry(place).or_insert(due);
    }

    /// What a broken engine does: part of the keys under the whole vector.
    fn apply_torn(&mut self, now: Now, place: (ReplicaId, u16), incoming: Incoming<K, V>) {
        let Some(peer) = self.peers.get(&place.0) else { return };
        let vector: BTreeMap<u32, u64> = (0..).zip(peer.heard[usize::from(place.1)].entries()).collect();
        if let Ok(entries) = self.unpack(now, incoming.fragments) {
            let mut session = Joined::new(entries, vector, BTreeMap::new(), false);
            session.asked_at = incoming.asked_at;
            self.join(now, place, session);
        }
    }

    /// Applies a complete session in one step.
    fn finish(&mut self, now: Now, place: (ReplicaId, u16)) {
        let Some(incoming) = self.incoming.remove(&place) else { return };
        let Some(commit) = incoming.commit else { return };
        let mut session = match self.joined(now, incoming.fragments, &commit) {
            Ok(session) => session,
            Err(Unreadable::TooMany) => return self.warn(Warning::TooMany { peer: place.0 }),
            Err(Unreadable::Nonsense) => return self.warn(Warning::Nonsense { peer: place.0 }),
        };
        session.asked_at = incoming.asked_at;
        if self.rules.hold(Rule::OneState) && !session.is_sound() {
            return self.warn(Warning::Nonsense { peer: place.0 });
        }
        if session.vector.get(&0).is_some_and(|&seq| seq > self.shards[usize::from(place.1)].covered(0)) {
            return self.warn(Warning::Impostor { peer: place.0 });
        }
        self.stats.sessions += 1;
        if commit.audit {
            // What the peer learnt since may have removed what we would bring back; the next status tells whether to ask again.
            let shard = &self.shards[usize::from(place.1)];
            if session.vector.iter().all(|(&origin, &seq)| shard.covers((origin, seq))) {
                self.unite(now, place.1, &session);
            }
        } else {
            self.join(now, place, session);
        }
        self.compare_shard(now, place.0, place.1, true);
        self.check_synced(place.0);
    }

    fn join(&mut self, now: Now, place: (ReplicaId, u16), session: Joined<K, V>) {
        let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
        if let Some(peer) = self.peers.get_mut(&place.0) {
            for (&origin, &seq) in &session.vector {
                peer.heard[usize::from(place.1)].raise(&self.origins, origin, seq);
            }
        }
        let mut changes = Vec::new();
        let moved = self.shards[usize::from(place.1)].join(&cx, session, &mut changes);
        if !changes.is_empty() {
            self.outputs.push_back(Output::Changed(changes));
        }
        if moved {
            self.tell_all_by(now.monotonic);
        }
        if let Some(peer) = self.peers.get_mut(&place.0) {
            let shard = &mut self.shards[usize::from(place.1)];
            peer.heard[usize::from(place.1)].share(&self.origins, shard);
        }
        self.note_tombstones(now);
    }

    /// R9: writes again, under new dots, what the other should hold and does not.
    fn unite(&mut self, now: Now, place: u16, session: &Joined<K, V>) {
        let theirs: BTreeSet<(u32, u64)> =
            session.entries().flat_map(|entry| entry.1.as_slice().iter().map(Sib::dot)).collect();
        let shard = &self.shards[usize::from(place)];
        let mut lost = Vec::new();
        for (_, key, sibs) in shard.store.iter() {
            for sib in sibs.as_slice() {
                let covered = session.vector.get(&sib.origin).is_some_and(|&seq| sib.seq <= seq);
                if sib.value.is_some() && covered && !theirs.contains(&sib.dot()) {
                    lost.push((key.clone(), sib.clone()));
                }
            }
        }
        let mut changes = Vec::new();
        for (key, sib) in lost {
            let shard = &mut self.shards[usize::from(place)];
            let cx = Context { origins: &self.origins, winner: &self.winner, rules: self.rules };
            let (seq, obs) = (shard.covered(0) + 1, Obs::One(sib.dot()));
            let write = Write {
                origin: 0,
                seq,
                stamp: sib.stamp,
                hash: key.stable_hash(),
                key: key.clone(),
                value: sib.value.clone(),
                obs: obs.clone(),
            };
            shard.offer(&cx, write, None, 0, &mut changes);
            self.queue(seq, sib.stamp, key, sib.value.as_ref(), obs);
        }
        if !changes.is_empty() {
            self.outputs.push_back(Output::Changed(changes));
        }
        self.tell_all_by(now.monotonic);
    }

    /// A session in the engine's terms.
    pub(super) fn joined(
        &mut self,
        now: Now,
        fragments: BTreeMap<u32, Fragment<K, V>>,
        commit: &Commit,
    ) -> Result<Joined<K, V>, Unreadable> {
        let numbers = self.origins.intern_all(&commit.origins).ok_or(Unreadable::TooMany)?;
        let named = |entries: &[(u32, u64)]| {
            let pairs = entries.iter().map(|&(at, seq)| Some((*numbers.get(at as usize)?, seq)));
            pairs.collect::<Option<BTreeMap<u32, u64>>>()
        };
        let vector = named(&commit.vector).ok_or(Unreadable::Nonsense)?;
        let floors = named(&commit.floors).ok_or(Unreadable::Nonsense)?;
        let entries = self.unpack(now, fragments)?;
        Ok(Joined::new(entries, vector, floors, commit.whole))
    }

    /// Fragments in the engine's terms. Entries stay where they were decoded.
    fn unpack(
        &mut self,
        now: Now,
        fragments: BTreeMap<u32, Fragment<K, V>>,
    ) -> Result<(Vec<Entries<K, V>>, Runs), Unreadable> {
        let mut parts = Vec::with_capacity(fragments.len());
        let mut runs = Runs::default();
        for Fragment { stamp, origins, mut entries, .. } in fragments.into_values() {
            let ids: Vec<_> = origins.iter().map(|origin| origin.0).collect();
            let numbers = self.origins.intern_all(&ids).ok_or(Unreadable::TooMany)?;
            let mut latest = Stamp::default();
            for (_, sibs) in &mut entries {
                for sib in sibs.as_mut_slice() {
                    let place = sib.origin as usize;
                    let named = numbers.get(place).zip(origins.get(place));
                    let (&number, &(_, base)) = named.ok_or(Unreadable::Nonsense)?;
                    sib.origin = number;
                    sib.seq = base.checked_add(sib.seq).ok_or(Unreadable::Nonsense)?;
                    sib.stamp = Stamp::from_bits(stamp.wrapping_add(sib.stamp.to_bits()));
                    latest = latest.max(sib.stamp);
                    runs.add(sib.dot());
                }
            }
            self.observe_all(now, latest, &entries);
            parts.push(entries);
        }
        Ok((parts, runs))
    }

    /// Takes note of all stamps of some entries: where the latest is not ahead, it stands for all.
    fn observe_all(&mut self, now: Now, latest: Stamp, entries: &Entries<K, V>) {
        if !self.clock.is_ahead(now, latest) {
            return self.observe(now, 0, latest);
        }
        for sib in entries.iter().flat_map(|entry| entry.1.as_slice()) {
            self.observe(now, sib.origin, sib.stamp);
        }
    }

    /// Takes note of a remote stamp; warns of each origin at most once a minute.
    pub(super) fn observe(&mut self, now: Now, origin: u32, stamp: Stamp) {
        let Some(ahead_ms) = self.clock.observe(now, stamp) else { return };
        self.stats.clock_ahead += 1;
        let next = now.monotonic + Duration::from_secs(60);
        if self.ahead_warned.get(&origin).is_none_or(|&at| at <= now.monotonic) {
            self.ahead_warned.insert(origin, next);
            self.warn(Warning::ClockAhead { origin: self.origins.id(origin), ahead_ms });
        }
    }

    /// When a session that makes no progress is given up.
    pub(super) fn session_end(&self, progress_at: Duration) -> Duration {
        progress_at + self.config.session_timeout
    }
}
