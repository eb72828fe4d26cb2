//! One shard: a replica of its own, with its numbers, vector, floors and index.
//!
//! ```text
//!   local write ──► local() ─┐
//!   pushed write ─► offer() ─┼─► store, vector, index, fingerprint ─► changes
//!   session ──────► join()  ─┘
//! ```

mod collect;
mod join;
mod overwrite;
mod vector;

use alloc::vec::Vec;
use core::mem;

use super::few::{Few, Obs};
use super::index::Index;
use super::origins::{Origins, dot_hash, vector_hash};
use super::park::{Park, Write};
use super::peer::Vector;
use super::rules::{Rule, Rules};
use super::store::{Found, Sib, Sibs, Store, mark};
use crate::{Change, Contender, Key, Stamp, Winner};

pub(crate) use join::{Entries, Joined, Runs};

/// What a shard needs from its replica.
pub(crate) struct Context<'a, W> {
    pub(crate) origins: &'a Origins,
    pub(crate) winner: &'a W,
    pub(crate) rules: Rules,
}

impl<W> Context<'_, W> {
    /// Whether a broken engine takes all writes of an origin for covered.
    #[inline]
    fn drops(&self, origin: u32) -> bool {
        !self.rules.hold(Rule::EveryLife) && self.origins.is_outlived(origin)
    }
}

/// What is known of one origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    /// The vector's entry: all its writes up to this number are in the state.
    pub(crate) covered: u64,
    /// The highest number of a tombstone that was dropped.
    pub(crate) floor: u64,
    /// Its share in the settled hash of the vector.
    share: u64,
    index: Index,
}

/// A tombstone in the order of arrival; stale once its key holds no such removal.
#[derive(Clone, Copy, Debug)]
struct Tomb {
    origin: u32,
    seq: u64,
    mark: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Shard<K, V> {
    pub(crate) store: Store<K, V>,
    pub(crate) lanes: Vec<Lane>,
    /// Hash of the vector, as far as it is settled: the last origin that moved is not, as writes come in rows of one origin.
    settled: u64,
    moved: u32,
    /// XOR over the live dots.
    pub(crate) fingerprint: u64,
    /// Keys that show a value.
    pub(crate) visible: usize,
    /// Rises with every step of the vector.
    pub(crate) version: u64,
    pub(crate) park: Park<K, V>,
    tombs: Vec<Tomb>,
    /// Tombstones in the store.
    pub(crate) dead: usize,
    /// The vector at a version, for all peers that hold the same.
    snapshot: Option<(u64, Vector)>,
    /// How many entries of an older vector have risen at a version.
    risen: Option<(Vector, u64, usize)>,
    /// What changed the state since it was last taken, if it is recorded.
    pub(crate) log: Option<Vec<Entry<K, V>>>,
}

/// A step of the state, as it is recorded.
#[derive(Clone, Debug)]
pub(crate) enum Entry<K, V> {
    Write(Write<K, V>),
    Join(Joined<K, V>),
}

/// What became of a pushed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Applied,
    Known,
    Parked,
    /// Dropped because too many wait.
    Refused,
}

/// What a local write did: its number, the dots it replaced, and what the key showed before.
pub(crate) struct Local<V> {
    pub(crate) seq: u64,
    pub(crate) obs: Obs,
    pub(crate) old: Option<V>,
}

impl<K, V> Shard<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            store: Store::default(),
            lanes: Vec::from([Lane::default()]),
            settled: 0,
            moved: 0,
            fingerprint: 0,
            visible: 0,
            version: 0,
            park: Park::default(),
            tombs: Vec::new(),
            dead: 0,
            snapshot: None,
            risen: None,
            log: None,
        }
    }

    pub(crate) fn covered(&self, origin: u32) -> u64 {
        self.lanes.get(origin as usize).map_or(0, |lane| lane.covered)
    }

    pub(crate) fn covers(&self, dot: (u32, u64)) -> bool {
        dot.1 <= self.covered(dot.0)
    }

    /// The lane of an origin, a new one if need be.
    #[inline]
    pub(crate) fn lane(&mut self, origin: u32) -> &mut Lane {
        let place = origin as usize;
        if place >= self.lanes.len() {
            self.add_lanes(place + 1);
        }
        &mut self.lanes[place]
    }

    #[cold]
    fn add_lanes(&mut self, count: usize) {
        self.lanes.resize_with(count, Lane::default);
    }

    /// Moves the vector's entry up to `seq`; never down.
    #[inline]
    fn advance(&mut self, origins: &Origins, origin: u32, seq: u64) {
        let lane = self.lane(origin);
        if seq > lane.covered {
            lane.covered = seq;
            self.version += 1;
            self.turn_to(origins, origin);
        }
    }

    /// An origin moved: the one that moved before is settled, if it is another.
    #[inline]
    fn turn_to(&mut self, origins: &Origins, origin: u32) {
        if self.moved != origin {
            self.settle(origins);
            self.moved = origin;
        }
    }

    #[cold]
    fn settle(&mut self, origins: &Origins) {
        self.settled = self.hash(origins);
        let lane = &mut self.lanes[self.moved as usize];
        lane.share = vector_hash(origins.seed(self.moved), lane.covered);
    }

    /// Hash of the vector.
    pub(crate) fn hash(&self, origins: &Origins) -> u64 {
        let lane = &self.lanes[self.moved as usize];
        self.settled ^ lane.share ^ vector_hash(origins.seed(self.moved), lane.covered)
    }

    #[inline(always)]
    fn added(&mut self, origins: &Origins, mark: u32, (origin, seq): (u32, u64), live: bool) {
        self.lane(origin).index.add();
        if live {
            self.fingerprint ^= dot_hash(origins.seed(origin), seq);
        } else {
            self.dead += 1;
            self.tombs.push(Tomb { origin, seq, mark });
        }
    }

    #[inline(always)]
    fn dropped(&mut self, origins: &Origins, (origin, seq): (u32, u64), live: bool) {
        self.lane(origin).index.drop(seq);
        if live {
            self.fingerprint ^= dot_hash(origins.seed(origin), seq);
        } else {
            self.dead -= 1;
        }
    }
}

impl<K: Key, V: Clone> Shard<K, V> {
    #[inline]
    fn append(&mut self, mark: u32, origin: u32, seq: u64) {
        self.lane(origin).index.append(seq, mark);
    }

    /// Adds the slots with writes of `origin` above `seq`, in the order of the writes. True if one of them holds several writes.
    pub(crate) fn slots_after(&self, origin: u32, seq: u64, slots: &mut Vec<u32>) -> bool {
        let mut several = false;
        if let Some(lane) = self.lanes.get(origin as usize) {
            slots.reserve(lane.index.after_at_most(seq));
            for (seq, mark) in lane.index.after(seq) {
                if let Some((slot, sibs)) = self.store.locate(mark, (origin, seq)) {
                    several |= matches!(sibs, Sibs::Many(_));
                    slots.push(slot);
                }
            }
        }
        several
    }

    /// Writes here. `found` is the key's slot; the siblings there are replaced.
    #[inline]
    pub(crate) fn local<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        (hash, key, found): (u64, &K, Option<u32>),
        stamp: Stamp,
        value: Option<V>,
    ) -> Local<V> {
        let seq = self.covered(0) + 1;
        self.advance(cx.origins, 0, seq);
        let live = value.is_some();
        let entry = self.log.is_some().then(|| (key.clone(), value.clone()));
        let sibs = Sibs::One(Sib { origin: 0, seq, stamp, value });
        let mut local = Local { seq, obs: Obs::None, old: None };
        match found {
            None => {
                self.store.insert(hash, key.clone(), sibs);
            }
            Some(slot) => {
                if let Some(old) = self.store.replace(slot, sibs) {
                    local.obs = self.retire(cx, &old);
                    local.old = shown(cx, old);
                }
            }
        }
        self.visible = self.visible + usize::from(live) - usize::from(local.old.is_some());
        self.added(cx.origins, mark(hash), (0, seq), live);
        self.append(mark(hash), 0, seq);
        if let (Some(log), Some((key, value))) = (&mut self.log, entry) {
            let obs = local.obs.clone();
            log.push(Entry::Write(Write { origin: 0, seq, stamp, hash, key, value, obs }));
        }
        local
    }

    /// Accounts for siblings that a local write replaced, and lists their dots.
    #[inline]
    fn retire<W>(&mut self, cx: &Context<'_, W>, old: &Sibs<V>) -> Obs {
        if let Sibs::One(Sib { origin, seq, value: Some(_), .. }) = *old {
            self.dropped(cx.origins, (origin, seq), true);
            return Obs::One((origin, seq));
        }
        for sib in old.as_slice() {
            self.dropped(cx.origins, sib.dot(), sib.value.is_some());
        }
        let named = |sib: &&Sib<V>| sib.value.is_some() || cx.rules.hold(Rule::PutNamesTombstone);
        old.as_slice().iter().filter(named).map(Sib::dot).collect()
    }

    /// Takes a write from elsewhere: applies it if it is next (R1) and what it replaces is covered (R2), else parks it.
    /// `found` is where its key was a moment ago, if it was looked up then.
    #[inline]
    pub(crate) fn offer<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        write: Write<K, V>,
        found: Option<u32>,
        max_parked: usize,
        changes: &mut Vec<Change<K, V>>,
    ) -> Offered {
        if self.covers((write.origin, write.seq)) || cx.drops(write.origin) {
            Offered::Known
        } else if self.is_ready(cx.rules, &write) {
            self.apply(cx, write, found, changes);
            Offered::Applied
        } else if self.park.add(write, max_parked) {
            Offered::Parked
        } else {
            Offered::Refused
        }
    }

    #[inline]
    fn is_ready(&self, rules: Rules, write: &Write<K, V>) -> bool {
        (self.covered(write.origin) + 1 == write.seq || !rules.hold(Rule::InOrder))
            && (write.obs.as_slice().iter().all(|&dot| self.covers(dot)) || !rules.hold(Rule::Dependencies))
    }

    /// R3.
    #[inline]
    fn apply<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        write: Write<K, V>,
        found: Option<u32>,
        changes: &mut Vec<Change<K, V>>,
    ) {
        if let Some(log) = &mut self.log {
            log.push(Entry::Write(write.clone()));
        }
        let Write { origin, seq, stamp, hash, key, value, obs } = write;
        self.advance(cx.origins, origin, seq);
        let sib = Sib { origin, seq, stamp, value };
        if let Some((held_key, Sibs::One(held))) = found.and_then(|slot| self.store.entry_mut(slot))
            && *held_key == key
            && obs.contains(&held.dot())
            && cx.rules.hold(Rule::Replaces)
        {
            let new = sib.value.clone();
            let old = mem::replace(held, sib);
            self.replaced(cx.origins, mark(hash), &old, (origin, seq), new.is_some());
            self.show(key, old.value, new, changes);
            return self.append(mark(hash), origin, seq);
        }
        match self.store.again(Found { hash, slot: found }, &key) {
            None => {
                self.insert(cx, hash, key, Sibs::One(sib), changes);
            }
            Some(slot) => {
                let gone = |old: &Sib<V>| obs.contains(&old.dot()) && cx.rules.hold(Rule::Replaces);
                self.rewrite(cx, slot, gone, Vec::from([sib]), changes);
            }
        }
        self.append(mark(hash), origin, seq);
    }

    /// Accounts for one sibling that took the place of another.
    #[inline]
    fn replaced(&mut self, origins: &Origins, mark: u32, old: &Sib<V>, dot: (u32, u64), live: bool) {
        self.dropped(origins, old.dot(), old.value.is_some());
        self.added(origins, mark, dot, live);
    }

    /// Adds a key with its siblings.
    fn insert<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        hash: u64,
        key: K,
        sibs: Sibs<V>,
        changes: &mut Vec<Change<K, V>>,
    ) -> u32 {
        if let Some(new) = winning(cx, sibs.as_slice()).and_then(|sib| sib.value.as_ref()) {
            self.visible += 1;
            changes.push(Change::Put { key: key.clone(), old: None, new: new.clone() });
        }
        let facts: Few<_> = sibs.as_slice().iter().map(|sib| (sib.dot(), sib.value.is_some())).collect();
        let slot = self.store.insert(hash, key, sibs);
        for &(dot, live) in facts.as_slice() {
            self.added(cx.origins, mark(hash), dot, live);
        }
        slot
    }

    /// Takes siblings from a key and adds others; takes the key out if none are left.
    fn rewrite<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        slot: u32,
        mut gone: impl FnMut(&Sib<V>) -> bool,
        fresh: Vec<Sib<V>>,
        changes: &mut Vec<Change<K, V>>,
    ) {
        let Some(old) = self.store.replace(slot, Sibs::Many(Vec::new())) else { return };
        let before = winning(cx, old.as_slice()).map(|sib| (sib.dot(), sib.value.clone()));
        let mut sibs = old.into_vec();
        sibs.retain(|sib| {
            let gone = gone(sib);
            if gone {
                self.dropped(cx.origins, sib.dot(), sib.value.is_some());
            }
            !gone
        });
        let mark = self.store.entry(slot).map_or(0, |entry| mark(entry.0.stable_hash()));
        for sib in &fresh {
            self.added(cx.origins, mark, sib.dot(), sib.value.is_some());
        }
        sibs.extend(fresh);
        let after = winning(cx, &sibs).map(|sib| (sib.dot(), sib.value.clone()));
        let key = match Sibs::from_vec(sibs) {
            Some(sibs) => {
                self.store.replace(slot, sibs);
                self.store.entry(slot).map(|entry| entry.0.clone())
            }
            None => self.store.remove(slot).map(|entry| entry.0),
        };
        let same = before.as_ref().map(|b| b.0) == after.as_ref().map(|a| a.0);
        if let (Some(key), false) = (key, same) {
            self.show(key, before.and_then(|b| b.1), after.and_then(|a| a.1), changes);
        }
    }

    #[inline]
    fn show(&mut self, key: K, old: Option<V>, new: Option<V>, changes: &mut Vec<Change<K, V>>) {
        self.visible = self.visible + usize::from(new.is_some()) - usize::from(old.is_some());
        match (old, new) {
            (old, Some(new)) => changes.push(Change::Put { key, old, new }),
            (Some(old), None) => changes.push(Change::Removed { key, old }),
            (None, None) => {}
        }
    }

    /// Applies what is no longer in the way of waiting.
    pub(crate) fn drain<W: Winner<V>>(
        &mut self,
        cx: &Context<'_, W>,
        changes: &mut Vec<Change<K, V>>,
    ) -> usize {
        let mut applied = 0;
        loop {
            let before = applied;
            let mut origin = 0;
            while let Some(head) = self.park.head(origin) {
                let place = (head.origin, head.seq);
                let known = self.covers(place);
                if known || self.is_ready(cx.rules, head) {
                    if let (Some(write), false) = (self.park.take(place), known) {
                        self.apply(cx, write, None, changes);
                        applied += 1;
                    }
                    origin = place.0;
                } else {
                    origin = place.0 + 1;
                }
            }
            if applied == before {
                return applied;
            }
        }
    }

    /// Loses a write, as only a bug does.
    #[cfg(any(test, feature = "rule-switches"))]
    pub(crate) fn lose<W: Winner<V>>(&mut self, cx: &Context<'_, W>, slot: u32, dot: (u32, u64)) {
        self.rewrite(cx, slot, |sib| sib.dot() == dot, Vec::new(), &mut Vec::new());
    }

    pub(crate) fn bytes(&self) -> usize {
        let lanes = self.lanes.iter().map(|lane| size_of::<Lane>() + lane.index.bytes());
        self.store.bytes() + lanes.sum::<usize>() + self.tombs.capacity() * size_of::<Tomb>()
    }
}

/// The sibling that readers see.
pub(crate) fn winning<'a, V, W: Winner<V>>(cx: &Context<'_, W>, sibs: &'a [Sib<V>]) -> Option<&'a Sib<V>> {
    if let [sib] = sibs {
        return Some(sib);
    }
    let contender = |sib: &'a Sib<V>| {
        let (dot, stamp) = (cx.origins.dot(sib.origin, sib.seq), sib.stamp);
        sib.value.as_ref().map(|value| (sib, Contender { dot, stamp, value }))
    };
    let best = sibs
        .iter()
        .filter_map(contender)
        .max_by(|(_, a), (_, b)| cx.winner.compare(a, b).then(a.stamp.cmp(&b.stamp)).then(a.dot.cmp(&b.dot)));
    // Without a value there is nothing to choose: the last removal stands for all.
    best.map(|(sib, _)| sib)
        .or_else(|| sibs.iter().max_by_key(|sib| (sib.stamp, cx.origins.dot(sib.origin, sib.seq))))
}

/// What a key with these siblings shows.
fn shown<V: Clone, W: Winner<V>>(cx: &Context<'_, W>, sibs: Sibs<V>) -> Option<V> {
    match sibs {
        Sibs::One(sib) => sib.value,
        Sibs::Many(sibs) => winning(cx, &sibs).and_then(|sib| sib.value.clone()),
    }
}
